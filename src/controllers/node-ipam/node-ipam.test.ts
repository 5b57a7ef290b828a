/** Blocks of pod addresses: one for each node, the first free one, given again when it is free. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeBlocks } from './node-ipam.ts';

test('each node gets the first block that is free, and keeps it', () => {
  const blocks = new NodeBlocks('10.42.0.0/22');
  blocks.hold('old', '10.42.1.0/24');
  assert.equal(blocks.give('a'), '10.42.0.0/24');
  assert.equal(blocks.give('b'), '10.42.2.0/24');
  assert.equal(blocks.give('a'), '10.42.0.0/24');
  assert.equal(blocks.give('c'), '10.42.3.0/24');
  assert.equal(blocks.give('d'), undefined);
  assert.equal(blocks.release('d'), false);
  assert.equal(blocks.release('old'), true);
  assert.equal(blocks.give('d'), '10.42.1.0/24');
});

test('blocks of IPv6 are /64, and none has addresses of Services', () => {
  const blocks = new NodeBlocks('fd42::/62', { serviceCIDR: 'fd42:0:0:1::/112' });
  assert.equal(blocks.counts.total, 4);
  assert.equal(blocks.give('a'), 'fd42::/64');
  assert.equal(blocks.give('b'), 'fd42:0:0:2::/64');
  blocks.release('a');
  assert.equal(blocks.give('c'), 'fd42::/64');
  assert.equal(new NodeBlocks('10.42.0.0/16', { maskSize: 26 }).counts.total, 1024);
});

test('a block that two nodes claim is free when both have let it go', () => {
  const blocks = new NodeBlocks('10.42.0.0/24');
  blocks.hold('a', '10.42.0.0/24');
  blocks.hold('b', '10.42.0.0/24');
  blocks.release('a');
  assert.equal(blocks.give('c'), undefined);
  blocks.release('b');
  assert.equal(blocks.give('c'), '10.42.0.0/24');
});
