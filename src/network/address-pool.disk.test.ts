/** Pod addresses in files: once each, round the range, across restarts. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { covers } from '#test/covers.ts';
import { AddressPool, secondAddressOf } from './address-pool.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'coracle-pool-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('every address is given once, and again only after its release', (t) => {
  const folder = folderOf(t);
  const pool = new AddressPool({ folder, podCIDR: '10.42.0.0/29' });
  const all = ['a', 'b', 'c', 'd', 'e', 'f'].map((owner) => pool.allocate(owner));
  const expected = [1, 2, 3, 4, 5, 6].map((last) => `10.42.0.${last}`);
  assert.deepEqual(all, expected);
  assert.equal(pool.allocate('g'), undefined, 'all are in use');
  assert.equal(pool.allocate('c'), '10.42.0.3', 'an owner keeps what it has');
  pool.release('c');
  pool.release('c');
  assert.equal(pool.allocate('g'), '10.42.0.3');
  // That the address of a pod that goes is released is in test/e2e/network.e2e.ts.
  covers('NET-065');
});

test('addresses go round instead of starting over', (t) => {
  const pool = new AddressPool({ folder: folderOf(t), podCIDR: '10.42.0.0/24' });
  assert.equal(pool.allocate('a'), '10.42.0.1');
  pool.release('a');
  assert.equal(pool.allocate('b'), '10.42.0.2');
});

test('a restart finds what is in use and drops what was half written', (t) => {
  const folder = folderOf(t);
  const before = new AddressPool({ folder, podCIDR: '10.42.0.0/24' });
  for (const owner of ['a', 'b', 'c']) before.allocate(owner);
  before.release('b');
  writeFileSync(path.join(folder, 'partial-10.42.0.9'), 'x');
  const after = new AddressPool({ folder, podCIDR: '10.42.0.0/24' });
  assert.deepEqual(readdirSync(folder).sort(), ['10.42.0.1', '10.42.0.3']);
  assert.equal(after.addressOf('c'), '10.42.0.3');
  assert.equal(after.allocate('d'), '10.42.0.4');
  assert.deepEqual([...after.inUse().keys()].sort(), ['a', 'c', 'd']);
});

test('addresses outside of a new range stay with their pods', (t) => {
  const folder = folderOf(t);
  new AddressPool({ folder, podCIDR: '10.42.0.0/24' }).allocate('a');
  const moved = new AddressPool({ folder, podCIDR: '10.42.5.0/24' });
  assert.equal(moved.addressOf('a'), '10.42.0.1');
  assert.equal(moved.allocate('b'), '10.42.5.1');
  assert.throws(() => new AddressPool({ folder, podCIDR: 'nonsense' }), /cannot have addresses/);
});

test('the second address has the number of the first, in its own range', () => {
  const ranges = { podCIDR: '10.42.3.0/24', secondPodCIDR: 'fd42:0:0:3::/64' };
  assert.equal(secondAddressOf('10.42.3.7', ranges), 'fd42:0:0:3::7');
  assert.equal(secondAddressOf('10.42.3.254', ranges), 'fd42:0:0:3::fe');
  assert.equal(secondAddressOf('10.42.4.7', ranges), undefined, 'of an earlier range');
  assert.equal(secondAddressOf('10.42.2.7', ranges), undefined);
});
