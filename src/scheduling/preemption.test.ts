/** Whom a pod of higher priority may push out, and which node it takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import type { PodDisruptionBudget } from '#resources/types/policy-v1.ts';
import { asking, nodeIn, nodeOf, Picture, podOf } from '#test/cluster-picture.ts';
import { covers, superseded } from '#test/covers.ts';
import { readerOf } from './facts.ts';
import { podFacts } from './pod-facts.ts';

function pod(name: string, priority: number, cpu: string, more: Partial<PodSpec> = {}): Pod {
  return podOf(name, { priority, ...asking({ cpu }), ...more }, { labels: { app: name } });
}

const four = [nodeOf('n1')];

test('lower pods go, only as many as needed, the least important first', () => {
  covers('SCH-049');
  const picture = new Picture(four);
  picture.run(pod('a', 1, '1'), 'n1');
  picture.run(pod('b', 2, '1'), 'n1');
  picture.run(pod('c', 3, '1'), 'n1');
  picture.run(pod('d', 100, '1'), 'n1');
  assert.deepEqual(picture.victims(pod('high', 50, '1')), ['n1', 'a']);
  assert.deepEqual(picture.victims(pod('high', 50, '2')), ['n1', 'b', 'a']);
  assert.deepEqual(picture.victims(pod('high', 50, '3')), ['n1', 'c', 'b', 'a']);
  assert.deepEqual(picture.preempt(pod('high', 50, '4')), {
    do: 'give up',
    message: '0/1 nodes are available: 1 Insufficient cpu.',
    clears: true,
  });
  // The rules believe what is true again after trying.
  assert.deepEqual(picture.victims(pod('high', 50, '1')), ['n1', 'a']);
});

test('of equal pods the one that started last goes', () => {
  const picture = new Picture(four);
  for (const [name, minute] of [
    ['old', 1],
    ['young', 2],
  ] as const) {
    const startTime = `2026-01-01T00:0${minute}:00Z`;
    picture.run({ ...pod(name, 1, '2'), status: { startTime } }, 'n1');
  }
  assert.deepEqual(picture.victims(pod('high', 50, '1'), Date.parse('2026-01-02')), [
    'n1',
    'young',
  ]);
});

test('equal priority, no lower pod, and a node that is too small: nothing to gain', () => {
  const picture = new Picture([nodeOf('n1'), nodeOf('n2', { spec: { unschedulable: true } })]);
  picture.run(pod('a', 5, '4'), 'n1');
  assert.deepEqual(picture.preempt(pod('same', 5, '1')), {
    do: 'give up',
    message:
      '0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is ' +
      'not helpful for scheduling.',
    clears: true,
  });
  const never = pod('polite', 50, '1', { preemptionPolicy: 'Never' });
  assert.deepEqual(picture.preempt(never), {
    do: 'give up',
    message: 'not eligible due to preemptionPolicy=Never.',
    clears: false,
  });
});

test('while its victims leave the nominated node, a pod does not push out more', () => {
  const picture = new Picture(four);
  const conditions = [
    { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' },
  ];
  const leaving = pod('a', 1, '4');
  const deletionTimestamp = '2026-01-01T00:00:00Z';
  const metadata = { ...leaving.metadata, deletionTimestamp };
  picture.run({ ...leaving, metadata, status: { conditions } }, 'n1');
  const waiting = { ...pod('high', 50, '1'), status: { nominatedNodeName: 'n1' } };
  assert.deepEqual(picture.preempt(waiting), {
    do: 'give up',
    message: 'not eligible due to a terminating pod on the nominated node.',
    clears: false,
  });
});

test('the node with the cheapest victims is taken', () => {
  const picture = new Picture(['n1', 'n2', 'n3'].map((name) => nodeOf(name)));
  picture.run(pod('a', 9, '4'), 'n1');
  picture.run(pod('b', 5, '2'), 'n2');
  picture.run(pod('c', 5, '2'), 'n2');
  picture.run(pod('d', 5, '2'), 'n3');
  picture.run(pod('e', 4, '2'), 'n3');
  // n1 has the highest victim; n3 the smaller sum.
  assert.deepEqual(picture.victims(pod('high', 50, '4')), ['n3', 'd', 'e']);
});

function budget(app: string, disruptionsAllowed: number): PodDisruptionBudget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: app, namespace: 'default' },
    spec: { selector: { matchLabels: { app } } },
    status: { disruptionsAllowed },
  } as PodDisruptionBudget;
}

test('budgets are kept where possible, and broken where nothing else helps', () => {
  superseded('SCH-042', {
    by: 'v1.9',
    now: 'victims that break no budget are preferred; budgets do not stop preemption',
  });
  const budgets = { podDisruptionBudgets: readerOf(budget('a', 0)) };
  const picture = new Picture([nodeOf('n1'), nodeOf('n2')], budgets);
  picture.run(pod('a', 1, '4'), 'n1');
  picture.run(pod('b', 9, '4'), 'n2');
  assert.deepEqual(picture.victims(pod('high', 50, '1')), ['n2', 'b']);
  picture.cluster.removeNode('n2');
  assert.deepEqual(picture.victims(pod('high', 50, '1')), ['n1', 'a']);
});

test('room on another node, and affinity to those who would go, are no reason', () => {
  covers('SCH-050');
  const zone = 'topology.kubernetes.io/zone';
  const selector = (app: string) => ({
    labelSelector: { matchLabels: { app } },
    topologyKey: zone,
  });
  const picture = new Picture([nodeIn('a', 'n1'), nodeIn('a', 'n2')]);
  picture.run(pod('low', 1, '4'), 'n1');
  picture.run(pod('other', 100, '4'), 'n2');
  const loves = {
    affinity: {
      podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [selector('low')] },
    },
  };
  assert.deepEqual(picture.victims(pod('high', 50, '1', loves)), []);
  // Anti-affinity over the zone to a pod on the other node: removing pods here changes nothing.
  const hates = {
    affinity: {
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [selector('other')] },
    },
  };
  assert.deepEqual(picture.victims(pod('high', 50, '1', hates)), []);
  // To a lower pod on the same node it helps.
  const hatesLow = {
    affinity: {
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [selector('low')] },
    },
  };
  assert.deepEqual(picture.victims(pod('high', 50, '1', hatesLow)), ['n1', 'low']);
});

test('room made for one pod is not taken by another of lower or equal rank', () => {
  const picture = new Picture(four);
  const nominated = podFacts(pod('first', 50, '4'));
  picture.cluster.nominations.set(nominated, 'n1');
  assert.deepEqual(picture.fits(pod('second', 50, '1')), []);
  assert.deepEqual(picture.fits(pod('low', 1, '1')), []);
  assert.deepEqual(picture.fits(pod('higher', 60, '1')), ['n1']);
  assert.deepEqual(picture.fits(pod('first', 50, '4')), ['n1']);
  picture.cluster.nominations.remove(nominated.uid);
  assert.deepEqual(picture.fits(pod('low', 1, '1')), ['n1']);
});
