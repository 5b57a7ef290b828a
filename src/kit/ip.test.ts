/** Addresses and ranges, with the ends of ranges and what is no address at all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contains, formatIPv4, overlaps, parseCIDR, parseIPv4 } from './ip.ts';

test('addresses go to numbers and back', () => {
  for (const text of ['0.0.0.0', '10.42.0.7', '255.255.255.255']) {
    assert.equal(formatIPv4(parseIPv4(text) ?? -1), text);
  }
  for (const text of ['10.0.0', '10.0.0.256', 'fd00::1', '']) {
    assert.equal(parseIPv4(text), undefined);
  }
});

test('ranges clear their host part and refuse what is none', () => {
  assert.deepEqual(parseCIDR('10.42.3.4/16'), { base: 0x0a2a0000, bits: 16 });
  for (const text of ['10.42.0.0', '10.42.0.0/33', '10.42.0.0/', '10.42.0.0/x']) {
    assert.equal(parseCIDR(text), undefined);
  }
});

test('containing and overlapping, at the ends', () => {
  assert.equal(contains('10.42.0.0/16', '10.42.255.255'), true);
  assert.equal(contains('10.42.0.0/16', '10.43.0.0'), false);
  assert.equal(overlaps('10.42.0.0/16', '10.42.9.0/24'), true);
  assert.equal(overlaps('10.42.9.0/24', '10.42.0.0/16'), true);
  assert.equal(overlaps('10.42.0.0/16', '10.43.0.0/16'), false);
});
