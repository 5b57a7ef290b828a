/** Which zone and node an endpoint is meant for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Service } from '#resources/types/core-v1.ts';
import type { Endpoint } from '#resources/types/discovery-v1.ts';
import { planHints } from './hints.ts';

const service = (spec: object, annotations: Readonly<Record<string, string>> = {}): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'default', name: 'web', annotations },
  spec,
});

const node = (zone: string, cpu: string, ready = 'True'): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: `${zone}-${cpu}`, labels: { 'topology.kubernetes.io/zone': zone } },
  status: { allocatable: { cpu }, conditions: [{ type: 'Ready', status: ready }] },
});

const endpoint = (index: number, zone: string | undefined, ready = true): Endpoint => ({
  addresses: [`10.42.0.${index}`],
  conditions: { ready },
  nodeName: `n${index}`,
  ...(zone === undefined ? {} : { zone }),
});

const zonesOf = (endpoints: readonly Endpoint[]): unknown =>
  endpoints.map(({ hints }) => hints?.forZones?.map(({ name }) => name).join());

test('traffic distribution means the own zone, and the own node where that is wanted', () => {
  const endpoints = [endpoint(1, 'a'), endpoint(2, undefined), endpoint(3, 'b', false)];
  const plan = (trafficDistribution?: string) =>
    planHints(service({ trafficDistribution }), endpoints, () => []).endpoints;
  assert.deepEqual(plan(), endpoints);
  for (const zonal of ['PreferClose', 'PreferSameZone']) {
    assert.deepEqual(zonesOf(plan(zonal)), ['a', undefined, undefined]);
  }
  const [first, second, third] = plan('PreferSameNode');
  assert.deepEqual(first?.hints, { forZones: [{ name: 'a' }], forNodes: [{ name: 'n1' }] });
  assert.deepEqual(second?.hints, { forNodes: [{ name: 'n2' }] });
  assert.equal(third?.hints, undefined);
});

test('by CPU: the worked example, and why there are no hints', () => {
  const auto = service({}, { 'service.kubernetes.io/topology-mode': 'Auto' });
  const nodes = [node('a', '4'), node('a', '2'), node('b', '2'), node('c', '64', 'False')];
  const endpoints = [endpoint(1, 'a'), endpoint(2, 'a'), endpoint(3, 'b'), endpoint(4, 'b')];
  const plan = (list: readonly Endpoint[], of: readonly Node[] = nodes) =>
    planHints(auto, list, () => of);
  assert.deepEqual(zonesOf(plan(endpoints).endpoints), ['a', 'a', 'a', 'b']);
  assert.equal(plan(endpoints).refusal, undefined);
  assert.match(plan([endpoint(1, 'a')]).refusal ?? '', /^Insufficient number of endpoints/);
  assert.match(plan(endpoints, nodes.slice(0, 2)).refusal ?? '', /^Insufficient Node information/);
  const homeless = [...endpoints.slice(1), endpoint(9, undefined)];
  assert.match(plan(homeless).refusal ?? '', /do not have a zone/);
});
