/** Which processors are given together, packed and spread. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { distributeCpus } from './distribute-cpus.ts';
import { type MachinePlan, madeUpTopology } from './machines.contract.ts';
import { formatNumbers, parseNumbers } from './number-set.ts';
import { type Taken, takeCpus } from './take-cpus.ts';

const dual: MachinePlan = { sockets: 2, coresPerNode: 4, threads: 2 };

function shown(taken: Taken): string {
  return taken.ok ? formatNumbers(taken.cpus) : taken.problem;
}

function take(plan: MachinePlan, available: string, count: number, byCache = false): string {
  const cpus = parseNumbers(available) ?? new Set<number>();
  return shown(takeCpus(madeUpTopology(plan), cpus, count, { byCache }));
}

test('whole sockets first, then whole cores, then threads of the fullest core', () => {
  assert.equal(take(dual, '0-15', 8), '0-3,8-11');
  assert.equal(take(dual, '0-15', 2), '0,8');
  assert.equal(take(dual, '0-15', 9), '0-4,8-11');
  assert.equal(take(dual, '0-6,8-15', 1), '15', 'a core that is broken already is used up first');
  assert.equal(take(dual, '0,4-7,8,12-15', 2), '0,8', 'the socket of which less is left');
});

test('too many are refused with the figures', () => {
  assert.equal(
    take(dual, '0-3', 5),
    'not enough cpus available to satisfy request: requested=5, available=4',
  );
});

test('processors of one third-level cache stay together where that is wished', () => {
  const plan: MachinePlan = { coresPerNode: 8, threads: 1, cachesPerNode: 2 };
  assert.equal(take(plan, '2-7', 4, true), '4-7');
  assert.equal(take(plan, '2-7', 4), '2-5', 'without the wish the lowest cores');
  assert.equal(take(plan, '0-7', 3, true), '0-2');
});

test('what does not fit one node is spread evenly, in whole cores if so wished', () => {
  const topology = madeUpTopology(dual);
  const all = parseNumbers('0-15') ?? new Set<number>();
  assert.equal(shown(distributeCpus(topology, all, 8, 1)), '0-3,8-11', 'one node is enough');
  assert.equal(shown(distributeCpus(topology, all, 10, 1)), '0-2,4-6,8-9,12-13');
  assert.equal(shown(distributeCpus(topology, all, 12, 2)), '0-2,4-6,8-10,12-14');
  const one = all.difference(new Set([0, 8]));
  assert.equal(shown(distributeCpus(topology, one, 17, 1)).startsWith('not enough'), true);
});
