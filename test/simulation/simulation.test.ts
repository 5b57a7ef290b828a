/**
 * A few whole lives of a cluster: nothing is violated, the same seed gives the same trace also when
 * the machine is busy, and canaries are caught. `npm run sim -- --check` does the same with fifty.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { noFaults } from './faults.ts';
import { greedyNode, hastyRollout } from './intruders.ts';
import { planOptions, type SimulationOptions } from './options.ts';
import { simulate } from './simulation.ts';

const seeds = [1, 2, 3];
/** A small world without faults, in which nothing but the canary can go wrong. */
function calm(seed: number): SimulationOptions {
  const disk = { fail: 0, delayMsMax: 5 };
  const small = { nodes: 3, deploymentsMax: 2, rollingSteps: 6, mixedSteps: 0, failedStarts: 0 };
  const alone = { actors: [], copies: 1 };
  return { ...planOptions(seed), ...small, ...alone, network: noFaults, disk, crashMsMax: 1 };
}

test('some seeds: no violation, and the same trace again under load', async () => {
  const first = [];
  for (const seed of seeds) first.push(await simulate(seed));
  for (const { seed, violation } of first) {
    assert.equal(violation, undefined, `see it again: npm run sim -- ${seed} --verbose`);
  }
  assert.ok(
    first.some(({ judged }) => (judged['deployment floor'] ?? 0) > 0),
    'the floor was judged',
  );
  assert.equal(new Set(first.map(({ hash }) => hash)).size, seeds.length);

  const busy = new Worker(new URL('busy.worker.js', import.meta.url));
  try {
    const again = [];
    for (const seed of seeds) again.push(await simulate(seed));
    assert.deepEqual(again, first);
  } finally {
    await busy.terminate();
  }
});

test('canary: without an intruder the calm world is in order', async () => {
  const { violation, judged } = await simulate(7, { simulation: calm(7) });
  assert.equal(violation, undefined);
  assert.ok((judged['deployment floor'] ?? 0) > 0);
});

test('canary: a node that takes every pod for its own is caught', async () => {
  const { violation } = await simulate(7, { simulation: calm(7), intruder: greedyNode });
  assert.match(violation ?? '', /^no pod on two nodes: /);
});

test('canary: a rollout in haste is caught', async () => {
  const { violation } = await simulate(7, { simulation: calm(7), intruder: hastyRollout });
  assert.match(violation ?? '', /^deployment floor: /);
});

test('canary: work outside the virtual clock is caught', async () => {
  const { violation } = await simulate(7, {
    simulation: calm(7),
    intruder: async (_deps, signal) => {
      await crypto.subtle.digest('SHA-256', new Uint8Array(1));
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      signal.throwIfAborted();
    },
  });
  assert.match(violation ?? '', /^work outside the virtual clock: HASHREQUEST/);
});
