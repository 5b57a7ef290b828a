/**
 * Deadlines come up in order of time, once, and only while they count.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { Deadlines } from './deadlines.ts';

test('what is due comes out soonest first, at most as many as asked for', () => {
  const deadlines = new Deadlines();
  const random = seededRandom(3);
  const times = Array.from({ length: 500 }, () => random.integer(1000));
  for (const [index, atMs] of times.entries()) {
    deadlines.set({ key: `${index}`, revision: index + 1, atMs });
  }
  const found: number[] = [];
  for (;;) {
    const due = deadlines.takeDue({ nowMs: 800, limit: 7 });
    if (due.length === 0) break;
    found.push(...due.map(({ atMs }) => atMs));
  }
  const inOrder = times.toSorted((a, b) => a - b);
  deepEqual(
    found,
    inOrder.filter((atMs) => atMs <= 800),
  );
  equal(
    deadlines.nextMs(),
    inOrder.find((atMs) => atMs > 800),
  );
  equal(deadlines.size, times.length - found.length);
});

test('a later write of the key, or its removal, makes a deadline void', () => {
  const deadlines = new Deadlines();
  deadlines.set({ key: 'a', revision: 1, atMs: 10 });
  deadlines.set({ key: 'a', revision: 2, atMs: 30 });
  deadlines.set({ key: 'b', revision: 3, atMs: 20 });
  deadlines.delete('b');
  equal(deadlines.nextMs(), 30);
  deepEqual(deadlines.takeDue({ nowMs: 100, limit: 10 }), [{ key: 'a', revision: 2, atMs: 30 }]);
  deepEqual([deadlines.nextMs(), deadlines.size], [undefined, 0]);
});

test('a key that is renewed again and again keeps one deadline', () => {
  const deadlines = new Deadlines();
  for (let revision = 1; revision <= 10_000; revision++) {
    deadlines.set({ key: 'lease', revision, atMs: 1000 + revision });
  }
  deadlines.set({ key: 'other', revision: 10_001, atMs: 5 });
  deepEqual([deadlines.size, deadlines.nextMs()], [2, 5]);
  const due = deadlines.takeDue({ nowMs: 20_000, limit: 100 });
  deepEqual(
    due.map(({ revision }) => revision),
    [10_001, 10_000],
  );
});
