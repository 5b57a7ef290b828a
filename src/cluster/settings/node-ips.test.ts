/** What `--node-ip` takes, and what it refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { familyWanted, parseNodeIPs, parseOwnNodeIPs } from './node-ips.ts';

const both = { nodeIP: '192.0.2.1', secondNodeIP: 'fd00::1' };

test('one address, or one of each family in the order that they are named', () => {
  assert.deepEqual(parseNodeIPs('192.0.2.1'), { nodeIP: '192.0.2.1', secondNodeIP: undefined });
  assert.deepEqual(parseNodeIPs('192.0.2.1,fd00::1'), both);
  assert.deepEqual(parseNodeIPs('fd00::1, 192.0.2.1'), {
    nodeIP: 'fd00::1',
    secondNodeIP: '192.0.2.1',
  });
  assert.deepEqual(parseNodeIPs(undefined), { nodeIP: undefined, secondNodeIP: undefined });
});

test('what is no address is passed over', () => {
  assert.deepEqual(parseNodeIPs('192.0.2.1,x'), { nodeIP: '192.0.2.1', secondNodeIP: undefined });
  assert.deepEqual(parseNodeIPs('x'), { nodeIP: undefined, secondNodeIP: undefined });
});

test('pairs that are none are refused in upstream’s words', () => {
  const single = 'must contain either a single IP or a dual-stack pair of IPs';
  for (const text of ['192.0.2.1,192.0.2.2', 'fd00::1,fd00::2', '192.0.2.1,fd00::1,fd00::2']) {
    assert.throws(() => parseNodeIPs(text), { message: `bad --node-ip "${text}": ${single}` });
  }
  const message = `bad --node-ip "0.0.0.0,fd00::1": dual-stack node IP cannot include '0.0.0.0' or '::'`;
  assert.throws(() => parseNodeIPs('0.0.0.0,fd00::1'), { message });
});

test('a node of our own names IPv4 first', () => {
  assert.deepEqual(parseOwnNodeIPs('192.0.2.1,fd00::1'), both);
  assert.throws(() => parseOwnNodeIPs('fd00::1,192.0.2.1'), /IPv4 has to be the first/);
});

test('an unspecified address names a family', () => {
  assert.equal(familyWanted(parseNodeIPs('::')), 'IPv6');
  assert.equal(familyWanted(parseNodeIPs('0.0.0.0')), 'IPv4');
  assert.equal(familyWanted(parseNodeIPs('192.0.2.1')), undefined);
});
