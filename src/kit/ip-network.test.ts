/** Addresses of both families to numbers and back; networks with their ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addressAt,
  addressBytes,
  formatAddress,
  networkHas,
  networksOverlap,
  parseAddress,
  parseNetwork,
} from './ip-network.ts';

test('addresses go to numbers and back, in their canonical form', () => {
  const canonical = (text: string): string | undefined => {
    const address = parseAddress(text);
    return address && formatAddress(address);
  };
  for (const text of [
    '10.43.0.1',
    '255.255.255.255',
    'fd00:43::a',
    '::',
    '::1',
    '2001:db8::1:0',
    '::ffff:1.2.3.4',
    '1:0:0:2::3',
    '0:2:3:4:5:6:7:8',
  ]) {
    assert.equal(canonical(text), text);
  }
  assert.equal(canonical('2001:DB8:0:0:0:0:0:1'), '2001:db8::1');
  assert.equal(canonical('fd00::10.0.0.1'), 'fd00::a00:1');
  assert.equal(canonical('::1.2.3.4'), '::102:304');
  for (const text of ['', '10.0.0', 'fd00', 'fe80::1%eth0', '::1::']) {
    assert.equal(parseAddress(text), undefined);
  }
});

test('networks clear their host part and know their size', () => {
  const network = parseNetwork('fd00:43::5/112');
  const base = parseAddress('fd00:43::')?.value;
  assert.deepEqual(network, { family: 'IPv6', base, bits: 112, size: 65_536n });
  assert.equal(parseNetwork('10.43.9.9/16')?.base, parseAddress('10.43.0.0')?.value);
  for (const text of ['10.0.0.0/33', 'fd00::/129', 'fd00::', 'fd00::/', 'x/1']) {
    assert.equal(parseNetwork(text), undefined);
  }
  assert.equal(networkHas('fd00:43::/112', 'fd00:43::ffff'), true);
  assert.equal(networkHas('fd00:43::/112', 'fd00:43::1:0'), false);
  assert.equal(networkHas('::/0', '10.0.0.1'), false);
});

test('addresses of a network are counted, and networks overlap within a family', () => {
  const at = (text: string, index: bigint): string => {
    const network = parseNetwork(text);
    assert.ok(network !== undefined);
    return addressAt(network, index);
  };
  assert.equal(at('10.42.0.0/24', 7n), '10.42.0.7');
  assert.equal(at('fd42::/48', 1n << 64n), 'fd42:0:0:1::');
  assert.equal(networksOverlap('fd42::/48', 'fd42:0:0:1::/64'), true);
  assert.equal(networksOverlap('fd42:0:0:1::/64', 'fd42::/48'), true);
  assert.equal(networksOverlap('fd42::/64', 'fd42:0:0:1::/64'), false);
  assert.equal(networksOverlap('10.42.0.0/16', '10.42.7.0/24'), true);
  assert.equal(networksOverlap('::/0', '0.0.0.0/0'), false);
  assert.equal(networksOverlap('fd42::/48', 'fd42::1'), false, 'no network');
});

test('addresses as bytes, as certificates and the kernel have them', () => {
  const hex = (text: string): string => addressBytes(text).toString('hex');
  assert.equal(hex('10.42.0.7'), '0a2a0007');
  assert.equal(hex('fd00:43::a'), 'fd00004300000000000000000000000a');
  assert.equal(hex('::ffff:10.42.0.7'), '00000000000000000000ffff0a2a0007');
  assert.throws(() => addressBytes('10.42'), /not an IP address: 10\.42/);
});
