/** Addresses come from the node's block, one pod each, and are given again only when free. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PodAddresses } from './addresses.ts';

test('every pod has an address of its own, until the block is used up', () => {
  const addresses = new PodAddresses();
  const block = '10.42.3.0/29';
  const taken = ['a', 'b', 'c', 'd', 'e'].map((uid) => addresses.take(uid, block));
  assert.deepEqual(taken, ['10.42.3.2', '10.42.3.3', '10.42.3.4', '10.42.3.5', '10.42.3.6']);
  assert.equal(addresses.take('f', block), undefined);
  addresses.giveBack('c');
  assert.equal(addresses.take('f', block), '10.42.3.4');
});

test('larger blocks go on in the next number', () => {
  const addresses = new PodAddresses();
  for (let index = 0; index < 254; index++) addresses.take(String(index), '10.0.0.0/16');
  assert.equal(addresses.take('x', '10.0.0.0/16'), '10.0.1.0');
});
