/** Odd forms of addresses, with what upstream's server says to them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cidrWarnings,
  ipWarnings,
  parseAddress,
  validateCanonicalIP,
  validateCIDR,
  validateIP,
} from './ip-syntax.ts';

test('addresses that mean different things to different programs are refused', () => {
  const said = (text: string) => validateIP(text, 'f')[0]?.detail;
  assert.equal(said('10.0.0.1'), undefined);
  assert.equal(said('2001:0DB8::1'), undefined);
  assert.equal(said('010.0.0.1'), 'must not have leading 0s');
  assert.equal(said('::ffff:1.2.3.4'), 'must not be an IPv4-mapped IPv6 address');
  assert.equal(said('::ffff:102:304'), 'must not be an IPv4-mapped IPv6 address');
  for (const bad of ['', '1.2.3', '1.2.3.256', 'fe80::1%eth0', '1:2', 'a.b.c.d', ':::1']) {
    assert.match(said(bad) ?? '', /^must be a valid IP address/, bad);
  }
  assert.equal(
    validateCanonicalIP('2001:0db8::1', 'f')[0]?.detail,
    'must be in canonical form ("2001:db8::1")',
  );
  assert.equal(parseAddress('::ffff:1.2.3.4')?.canonical, '1.2.3.4');
});

test('sound addresses in another than the best form are told of', () => {
  assert.deepEqual(ipWarnings('2001:db8::1', 'f'), []);
  assert.deepEqual(ipWarnings('2001:0db8::1', 'f'), [
    'f: IPv6 address "2001:0db8::1" should be in RFC 5952 canonical format ("2001:db8::1")',
  ]);
  assert.deepEqual(ipWarnings('010.0.0.1', 'f'), [
    'f: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"',
  ]);
  assert.deepEqual(cidrWarnings('2001:DB8::/32', 'f'), [
    'f: IPv6 CIDR value "2001:DB8::/32" should be in RFC 5952 canonical format ("2001:db8::/32")',
  ]);
  assert.deepEqual(cidrWarnings('1.2.3.4/16', 'f'), [
    'f: CIDR value "1.2.3.4/16" is ambiguous in this context (should be "1.2.0.0/16" or "1.2.3.4/32"?)',
  ]);
  assert.deepEqual(cidrWarnings('010.0.0.0/8', 'f'), [
    'f: non-standard CIDR value "010.0.0.0/8" is invalid: use "10.0.0.0/8"',
  ]);
});

test('blocks', () => {
  const said = (text: string) => validateCIDR(text, 'f')[0]?.detail;
  for (const good of [
    '10.0.0.0/8',
    '0.0.0.0/0',
    '::/0',
    '2001:db8::/32',
    '1.2.3.4/32',
    '::1/128',
  ]) {
    assert.equal(said(good), undefined, good);
  }
  assert.equal(said('010.0.0.0/8'), 'must not have leading 0s in IP or prefix length');
  assert.equal(said('10.0.0.0/08'), 'must not have leading 0s in IP or prefix length');
  assert.equal(said('::ffff:1.2.3.0/120'), 'must not have an IPv4-mapped IPv6 address');
  assert.equal(said('1.2.3.4/16'), 'must not have bits set beyond the prefix length');
  assert.equal(said('2001:db8::1/64'), 'must not have bits set beyond the prefix length');
  for (const bad of ['', '1.2.3.4', '1.2.3.4/33', '::/129', 'x/8', '1.2.3.4/-1', '1.2.3.4/8/9']) {
    assert.match(said(bad) ?? '', /^must be a valid CIDR value/, bad);
  }
});
