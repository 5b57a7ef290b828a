/** The queue's order, back-off and waking, by the virtual clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import type { PodSpec } from '#resources/types/core-v1.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { Cluster, defaultProfile, factsOf, type PodFacts, podFacts } from '#scheduling';
import { backoffMs, SchedulingQueue } from './queue.ts';

const signal = new AbortController().signal;
const fit = new Set(['NodeResourcesFit']);
const profile = defaultProfile();

function openQueue(clock = new VirtualClock()): SchedulingQueue {
  return new SchedulingQueue({ clock, cluster: new Cluster() });
}

function facts(name: string, spec: Partial<PodSpec> = {}): PodFacts {
  return podFacts({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: name },
    spec: { containers: [], ...spec },
  });
}

async function names(queue: SchedulingQueue, count: number): Promise<readonly string[]> {
  const taken: string[] = [];
  while (taken.length < count) taken.push((await queue.take({ signal })).facts.uid);
  return taken;
}

test('higher priority first, then first come first served', async () => {
  const queue = openQueue();
  queue.put(facts('a'), profile);
  queue.put(facts('b'), profile);
  queue.put(facts('c', { priority: 10 }), profile);
  queue.put(facts('a'), profile);
  assert.deepEqual(await names(queue, 3), ['c', 'a', 'b']);
});

test('back-off doubles from one second to ten', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map((attempts) => backoffMs(attempts)),
    [1000, 2000, 4000, 8000, 10_000, 10_000],
  );
});

test('a pod that fits nowhere waits for a change that helps, and for its back-off', async () => {
  const clock = new VirtualClock();
  const queue = openQueue(clock);
  queue.put(facts('big'), profile);
  queue.put(facts('small'), profile);
  assert.deepEqual(await names(queue, 2), ['big', 'small']);
  queue.park('big', fit);
  queue.remove('small');
  assert.deepEqual(queue.counts, { active: 0, backoff: 0, waiting: 1, gated: 0, taken: 0 });

  queue.onChange({ what: 'podGone', pod: facts('other') });
  assert.deepEqual(queue.counts, { active: 0, backoff: 1, waiting: 0, gated: 0, taken: 0 });
  await clock.advance(999);
  assert.equal(queue.counts.active, 0);
  await clock.advance(1);
  assert.equal(queue.counts.active, 1);

  const again = await queue.take({ signal });
  assert.equal(again.attempts, 2);
  queue.park('big', new Set(['TaintToleration']));
  await clock.advance(3000);
  queue.onChange({ what: 'podGone', pod: facts('other') });
  assert.equal(queue.counts.waiting, 1);
});

test('a waiting pod is tried again after five minutes whatever happens', async () => {
  const clock = new VirtualClock();
  const queue = openQueue(clock);
  queue.put(facts('a'), profile);
  await queue.take({ signal });
  queue.park('a', fit);
  await clock.advance(5 * 60_000 - 1);
  assert.equal(queue.counts.waiting, 1);
  await clock.advance(1);
  assert.equal(queue.counts.active, 1);
});

test('a pod whose claim is not there is not tried before it is', async () => {
  const claims = new Map<string, ResourceClaim>();
  const resourceClaims = {
    get: (key: string) => claims.get(key),
    list: () => [...claims.values()],
    listNamespace: () => [...claims.values()],
  };
  const cluster = new Cluster(factsOf({ resourceClaims }));
  let isKnown = false;
  const queue = new SchedulingQueue({ clock: new VirtualClock(), cluster, knows: () => isKnown });
  const made = { what: 'fact', kind: 'deviceClaim', key: 'default/gpu', action: 'Add' } as const;
  queue.put(facts('a', { resourceClaims: [{ name: 'c', resourceClaimName: 'gpu' }] }), profile);
  assert.equal((await queue.take({ signal })).attempts, 1, 'nobody knows yet');
  isKnown = true;
  assert.equal(queue.gate('a'), true);
  assert.deepEqual(queue.turnedAway, [['DynamicResources', 'default-scheduler']]);
  queue.onChange(made);
  assert.equal(queue.counts.gated, 1, 'another claim came');
  claims.set('default/gpu', {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { namespace: 'default', name: 'gpu' },
    spec: {},
  });
  queue.onChange(made);
  assert.equal((await queue.take({ signal })).attempts, 1, 'it had not been tried');
  assert.equal(queue.gate('a'), false);
});

test('what changes of a pod while it is tried is not lost', async () => {
  const queue = openQueue(new VirtualClock());
  queue.put(facts('a', {}), profile);
  const taken = await queue.take({ signal });
  assert.equal(queue.renewed(taken), taken);
  const changed = facts('a', { tolerations: [{ operator: 'Exists' }] });
  queue.put(changed, profile);
  assert.deepEqual(queue.renewed(taken), { ...taken, facts: changed });
  queue.watch('a');
  queue.put(facts('a', {}), profile);
  queue.park('a', new Set(['TaintToleration']));
  assert.equal(queue.counts.waiting, 0, 'tried again, as it has changed meanwhile');
});

test('a changed pod is woken, a repeated one is not', async () => {
  const clock = new VirtualClock();
  const queue = openQueue(clock);
  queue.put(facts('a'), profile);
  await queue.take({ signal });
  queue.park('a', new Set(['TaintToleration']));
  await clock.advance(2000);
  queue.put(facts('a'), profile);
  assert.equal(queue.counts.waiting, 1);
  queue.put(facts('a', { tolerations: [{ operator: 'Exists' }] }), profile);
  assert.equal(queue.counts.active, 1);
});

test('a pod whose binding failed comes back by itself; one that is gone does not', async () => {
  const clock = new VirtualClock();
  const queue = openQueue(clock);
  queue.put(facts('a'), profile);
  queue.put(facts('b'), profile);
  await names(queue, 2);
  queue.backOff('a');
  queue.backOff('b');
  queue.remove('b');
  await clock.advance(1000);
  assert.deepEqual(queue.counts, { active: 1, backoff: 0, waiting: 0, gated: 0, taken: 0 });
});

test('who waits for a pod gets the next one at once, and stops waiting when aborted', async () => {
  const queue = openQueue();
  const waiting = queue.take({ signal });
  queue.put(facts('a'), profile);
  assert.equal((await waiting).facts.uid, 'a');
  const controller = new AbortController();
  const stopped = queue.take({ signal: controller.signal });
  controller.abort('enough');
  await assert.rejects(stopped, (error) => error === 'enough');
  queue.put(facts('b'), profile);
  await settle();
  assert.equal(queue.counts.active, 1);
});
