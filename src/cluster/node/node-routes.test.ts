/** Which routes lead to the pods of other nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '#resources/types/core-v1.ts';
import { planNodeRoutes } from './node-routes.ts';

const node = (name: string, podCIDR: string | undefined, ...addresses: string[]): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec: podCIDR === undefined ? {} : { podCIDR },
  status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
});

test('pods of other nodes are behind the addresses of their nodes', () => {
  const all = [
    node('n3', '10.42.2.0/24', 'fd00::3', '192.168.0.3'),
    node('n1', '10.42.0.0/24', '192.168.0.1'),
    node('n2', '10.42.1.0/24', '192.168.0.2'),
  ];
  assert.deepEqual(planNodeRoutes(all, 'n1').routes, [
    { podCIDR: '10.42.1.0/24', nodeIP: '192.168.0.2' },
    { podCIDR: '10.42.2.0/24', nodeIP: '192.168.0.3' },
  ]);
});

test('a node without a range or an address is not there yet', () => {
  const all = [node('n2', undefined, '192.168.0.2'), node('n3', '10.42.2.0/24')];
  assert.deepEqual(planNodeRoutes(all, 'n1').routes, []);
});

test('pods of the other family are behind addresses of that family, where there are any', () => {
  const both = (name: string, index: number, ...addresses: string[]): Node => {
    const podCIDRs = [`10.42.${index}.0/24`, `fd42:0:0:${index}::/64`];
    const plain = node(name, podCIDRs[0], ...addresses);
    return { ...plain, spec: { ...plain.spec, podCIDRs } };
  };
  const all = [
    both('n1', 1, '192.168.0.1', 'fd00::1'),
    both('n3', 3, '192.168.0.3'),
    both('n2', 2, '192.168.0.2', 'fd00::2'),
    node('n4', '10.42.4.0/24', '192.168.0.4'),
  ];
  assert.deepEqual(planNodeRoutes(all, 'n1', 'IPv6'), {
    routes: [{ podCIDR: 'fd42:0:0:2::/64', nodeIP: 'fd00::2' }],
    unreachable: ['n3'],
  });
  assert.deepEqual(planNodeRoutes(all, 'n1').unreachable, []);
});
