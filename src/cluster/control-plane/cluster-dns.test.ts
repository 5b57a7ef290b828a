/** Which nodes answer names, as EndpointSlices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '#resources/types/core-v1.ts';
import { dnsPortAnnotation, planDnsSlices } from './cluster-dns.ts';

function node(name: string, address: string, port: string | undefined, ready = 'True'): Node {
  const annotations = port === undefined ? {} : { [dnsPortAnnotation]: port };
  return {
    ...{ apiVersion: 'v1', kind: 'Node', metadata: { name, annotations } },
    status: {
      addresses: [
        { type: 'Hostname', address: name },
        { type: 'InternalIP', address },
      ],
      conditions: [{ type: 'Ready', status: ready }],
    },
  };
}

test('each node that answers is an endpoint meant for itself, by port', () => {
  const slices = planDnsSlices([
    node('b', '10.0.0.2', '10053'),
    node('a', '10.0.0.1', '10053', 'False'),
    node('c', '10.0.0.3', '10054'),
    node('silent', '10.0.0.4', '10053', 'Unknown'),
    node('without', '10.0.0.5', undefined),
    node('odd', '10.0.0.6', 'x'),
    node('six', 'fd00::1', '10053'),
  ]);
  const [first, second] = slices;
  assert.equal(slices.length, 2);
  assert.equal(first?.metadata.name, 'kube-dns-10053');
  assert.deepEqual(
    first?.endpoints?.map(({ addresses, conditions, hints }) => [
      ...[addresses[0], conditions?.ready, hints?.forNodes?.[0]?.name],
    ]),
    [
      ['10.0.0.1', true, 'a'],
      ['10.0.0.2', true, 'b'],
      ['10.0.0.4', false, 'silent'],
    ],
  );
  assert.deepEqual(
    second?.ports?.map(({ port, protocol }) => [port, protocol]),
    [
      [10054, 'UDP'],
      [10054, 'TCP'],
    ],
  );
});
