/** Subsets from pods, what is truncated, and slices from hand-written Endpoints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoints, Pod, Service } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { mirrorName, planMirror } from '../endpoint-slice-mirroring/plan.ts';
import { limits, planEndpoints } from './plan.ts';

function service(spec: object = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name: 'web', labels: { tier: 'front' } },
    spec: { selector: { app: 'web' }, clusterIP: '10.43.0.9', ports: [{ port: 80 }], ...spec },
  };
}

function pod(index: number, more: { readonly ready?: boolean; readonly spec?: object } = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'default', name: `web-${index}`, uid: `u${index}` },
    spec: { containers: [], nodeName: 'n1', ...more.spec },
    status: {
      phase: 'Running',
      podIP: `10.42.${index >> 8}.${index & 255}`,
      conditions: [{ type: 'Ready', status: more.ready === false ? 'False' : 'True' }],
    },
  };
}

const named = (index: number, containerPort: number, ready = true): Pod =>
  pod(index, {
    ready,
    spec: { containers: [{ name: 'web', ports: [{ name: 'http', containerPort }] }] },
  });

const addresses = (endpoints: Endpoints | undefined): unknown =>
  endpoints?.subsets?.map(({ addresses: ready, notReadyAddresses: not, ports }) => [
    ready?.map(({ ip }) => ip) ?? [],
    not?.map(({ ip }) => ip) ?? [],
    ports?.map(({ port }) => port) ?? [],
  ]);

test('pods with the same ports share a subset; those not ready stand apart', () => {
  const of = service({ ports: [{ name: 'web', port: 80, targetPort: 'http' }] });
  const pods = [named(10, 80), named(9, 80), named(3, 8080, false), pod(4)];
  const planned = planEndpoints({ service: of, pods, before: undefined });
  assert.deepEqual(addresses(planned), [
    [['10.42.0.9', '10.42.0.10'], [], [80]],
    [[], ['10.42.0.3'], [8080]],
  ]);
  assert.deepEqual(planned?.metadata.labels, {
    tier: 'front',
    'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
  });
  assert.equal(planEndpoints({ service: of, pods, before: planned }), undefined);
});

test('who is ending, has ended or has no address is left out', () => {
  const ended = { ...pod(1), status: { ...pod(1).status, phase: 'Failed' } };
  const ending = pod(2);
  const deletionTimestamp = '2026-01-01T00:00:00Z';
  const terminating = { ...ending, metadata: { ...ending.metadata, deletionTimestamp } };
  const bare = { ...pod(3), status: { phase: 'Pending' } };
  const pods = [ended, terminating, bare, pod(4, { ready: false })];
  const plan = (of: Service) => addresses(planEndpoints({ service: of, pods, before: undefined }));
  assert.deepEqual(plan(service()), [[[], ['10.42.0.4'], [80]]]);
  const all = service({ publishNotReadyAddresses: true });
  assert.deepEqual(plan(all), [[['10.42.0.2', '10.42.0.4'], [], [80]]]);
});

test('a headless service may have no ports; its hostnames are told', () => {
  const of = service({ clusterIP: 'None', ports: [] });
  const spec = { hostname: 'db-0', subdomain: 'web' };
  const planned = planEndpoints({ service: of, pods: [pod(1, { spec })], before: undefined });
  assert.equal(planned?.subsets?.[0]?.addresses?.[0]?.hostname, 'db-0');
  assert.equal(planned?.metadata.labels?.['service.kubernetes.io/headless'], '');
  const noPorts = service({ ports: [] });
  const none = planEndpoints({ service: noPorts, pods: [pod(1)], before: undefined });
  assert.deepEqual(none?.subsets, []);
});

test('a text is the name of a port; init containers offer none', () => {
  covers('SVC-018', 'SVC-060', 'SVC-066');
  const plan = (targetPort: string | number, one: Pod) => {
    const of = service({ ports: [{ port: 80, targetPort }] });
    return addresses(planEndpoints({ service: of, pods: [one], before: undefined }));
  };
  assert.deepEqual(plan(9376, pod(1)), [[['10.42.0.1'], [], [9376]]]);
  assert.deepEqual(plan('9376', pod(1)), []);
  assert.deepEqual(plan('9376', named(1, 9376)), []);
  assert.deepEqual(plan('http', named(1, 9376)), [[['10.42.0.1'], [], [9376]]]);
  const ports = [{ name: 'http', containerPort: 9376 }];
  const initContainers = [{ name: 'init', ports }];
  assert.deepEqual(plan('http', pod(1, { spec: { initContainers } })), []);
  const sidecar = [{ name: 'init', ports, restartPolicy: 'Always' }];
  const kept = plan('http', pod(1, { spec: { initContainers: sidecar } }));
  assert.deepEqual(kept, [[['10.42.0.1'], [], [9376]]]);
});

test('more than a thousand addresses are cut, ready ones last', () => {
  const pods = Array.from({ length: 1100 }, (_, index) => pod(index, { ready: index >= 300 }));
  const planned = planEndpoints({ service: service(), pods, before: undefined });
  assert.equal(planned?.subsets?.[0]?.addresses?.length, 800);
  assert.equal(planned?.subsets?.[0]?.notReadyAddresses?.length, limits.addressesMax - 800);
  const mark = 'endpoints.kubernetes.io/over-capacity';
  assert.equal(planned?.metadata.annotations?.[mark], 'truncated');
  assert.equal(planEndpoints({ service: service(), pods, before: planned }), undefined);
  const few = planEndpoints({ service: service(), pods: [pod(1)], before: planned });
  assert.equal(few?.metadata.annotations?.[mark], undefined);
});

function handWritten(subsets: Endpoints['subsets']): Endpoints {
  const metadata = { namespace: 'default', name: 'db', uid: 'e1', labels: { tier: 'back' } };
  return { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets };
}

test('hand-written endpoints become a slice for each family, and change it in place', () => {
  const ports = [{ name: 'db', port: 5432 }];
  const addresses = [{ ip: '192.0.2.1' }, { ip: 'fd00::1' }, { ip: 'db.example' }];
  const subsets = [{ addresses, notReadyAddresses: [{ ip: '192.0.2.2' }], ports }];
  const { actions, invalid, skipped } = planMirror(handWritten(subsets), []);
  assert.deepEqual([invalid, skipped], [1, 1]);
  assert.deepEqual(
    actions.map(({ do: what, slice }) => [
      what,
      slice.addressType,
      slice.endpoints?.map((one) => [one.addresses[0], one.conditions?.ready]),
    ]),
    [
      [
        'create',
        'IPv4',
        [
          ['192.0.2.1', true],
          ['192.0.2.2', false],
        ],
      ],
      ['create', 'IPv6', [['fd00::1', true]]],
    ],
  );
  const stored = actions.map(({ slice }, index) => ({
    ...slice,
    metadata: { ...slice.metadata, name: `db-${index}`, uid: `s${index}` },
  }));
  assert.equal(stored[0]?.metadata.labels?.['endpointslice.kubernetes.io/managed-by'], mirrorName);
  assert.deepEqual(planMirror(handWritten(subsets), stored).actions, []);
  const other = [{ addresses: [{ ip: '192.0.2.9' }], ports: [{ name: 'db', port: 1 }] }];
  const changed = planMirror(handWritten(other), stored).actions;
  assert.deepEqual(
    changed.map(({ do: what, slice }) => [what, slice.metadata.name]),
    [
      ['update', 'db-0'],
      ['delete', 'db-1'],
    ],
  );
});

test('of one subset at most a thousand addresses are mirrored', () => {
  const many = Array.from({ length: 1005 }, (_, i) => ({ ip: `10.0.${i >> 8}.${i & 255}` }));
  const { actions, invalid, skipped } = planMirror(
    handWritten([{ addresses: many, ports: [{ port: 1 }] }]),
    [],
  );
  assert.deepEqual([actions[0]?.slice.endpoints?.length, invalid, skipped], [1000, 0, 5]);
});
