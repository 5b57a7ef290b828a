/** Which address of IPv6 a node has. */
import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { test } from 'node:test';
import { secondAddressBeside } from './second-address.ts';

const at = (address: string, internal = false): NetworkInterfaceInfo => {
  const common = { address, internal, netmask: '', mac: '', cidr: null };
  return address.includes(':')
    ? { ...common, family: 'IPv6', scopeid: 0 }
    : { ...common, family: 'IPv4' };
};

test("a node's second address is one of the same interface that others can reach", () => {
  const interfaces = {
    lo: [at('127.0.0.1', true), at('::1', true)],
    one: [at('192.0.2.1'), at('fe80::1'), at('fd00::1')],
    two: [at('192.0.2.2'), at('fe80::2')],
  };
  assert.equal(secondAddressBeside('192.0.2.1', interfaces), 'fd00::1');
  assert.equal(secondAddressBeside('192.0.2.2', interfaces), undefined);
  assert.equal(secondAddressBeside('127.0.0.1', interfaces), undefined);
  assert.equal(secondAddressBeside('192.0.2.3', interfaces), undefined);
});
