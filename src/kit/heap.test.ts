/** What a heap hands out, against sorting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap } from './heap.ts';
import { seededRandom } from './random.ts';

function allOf(heap: Heap<number>): readonly number[] {
  const items: number[] = [];
  for (let item = heap.pop(); item !== undefined; item = heap.pop()) items.push(item);
  return items;
}

test('things come out in order, whatever the order in which they came', () => {
  const random = seededRandom(7);
  for (let length = 0; length < 40; length++) {
    const heap = new Heap<number>((a, b) => a < b);
    const items = Array.from({ length }, () => random.integer(20));
    for (const item of items) heap.push(item);
    assert.deepEqual([heap.size, heap.peek()], [length, items.toSorted((a, b) => a - b)[0]]);
    assert.deepEqual(
      allOf(heap),
      items.toSorted((a, b) => a - b),
    );
  }
});

test('what is put in meanwhile takes its place, and what is not kept is gone', () => {
  const heap = new Heap<number>((a, b) => a > b);
  for (const item of [1, 5, 3, 9, 7]) heap.push(item);
  assert.equal(heap.pop(), 9);
  heap.push(6);
  heap.keep((item) => item !== 5);
  heap.push(4);
  assert.deepEqual(allOf(heap), [7, 6, 4, 3, 1]);
});
