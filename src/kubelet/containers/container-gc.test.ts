/** Which dead containers go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DeadContainer, planContainerGC } from './container-gc.ts';

const minute = 60_000;
const nowMs = 100 * minute;
const usual = { deadContainerMinimumAgeMs: 0, deadContainersMaxEach: 1, deadContainersMax: -1 };

/** As many dead ones as ages are given, in minutes; those with a `+` have none after them. */
function dead(podUid: string, ...ages: readonly string[]): readonly DeadContainer[] {
  return ages.map((age) => ({
    ...{ id: `${podUid}-${Number.parseInt(age, 10)}`, podUid, name: 'web' },
    createdAtMs: nowMs - Number.parseInt(age, 10) * minute,
    isReplaced: !age.endsWith('+'),
  }));
}

test('of the dead containers the newest of each name is kept', () => {
  const all = [...dead('a', '9', '5', '7'), ...dead('b', '2+', '3')];
  assert.deepEqual(planContainerGC(all, usual, nowMs), ['a-9', 'a-7', 'b-3']);
  const more = { ...usual, deadContainersMaxEach: 2 };
  assert.deepEqual(planContainerGC(all, more, nowMs), ['a-9']);
  const any = { ...usual, deadContainersMaxEach: -1 };
  assert.deepEqual(planContainerGC(all, any, nowMs), []);
  const none = { ...usual, deadContainersMaxEach: 0 };
  assert.deepEqual(planContainerGC(all, none, nowMs), ['a-9', 'a-7', 'a-5', 'b-3']);
});

test('the young stay', () => {
  const policy = { ...usual, deadContainerMinimumAgeMs: 6 * minute };
  assert.deepEqual(planContainerGC(dead('a', '9', '5', '7'), policy, nowMs), ['a-9']);
});

test('too many in all: fewer of each, at least one, then the oldest of them', () => {
  const policy = (deadContainersMax: number) =>
    ({ ...usual, deadContainersMaxEach: 3, deadContainersMax }) as const;
  const all = [
    ...dead('a', '1', '4', '9'),
    ...dead('b', '2', '5', '8'),
    ...dead('c', '3', '6', '7'),
  ];
  assert.deepEqual(planContainerGC(all, policy(9), nowMs), []);
  assert.deepEqual(planContainerGC(all, policy(8), nowMs), ['a-9', 'b-8', 'c-7']);
  const oneOfEach = ['a-9', 'b-8', 'c-7', 'c-6', 'b-5', 'a-4'];
  assert.deepEqual(planContainerGC(all, policy(3), nowMs), oneOfEach);
  assert.deepEqual(planContainerGC(all, policy(1), nowMs), [...oneOfEach, 'c-3', 'b-2']);
  const ended = all.map((each) => (each.id === 'c-3' ? { ...each, isReplaced: false } : each));
  assert.deepEqual(planContainerGC(ended, policy(0), nowMs), [...oneOfEach, 'b-2', 'a-1']);
});
