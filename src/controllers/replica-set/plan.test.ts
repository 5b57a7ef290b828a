/** How many pods a set creates or deletes, and which, as tables. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { byDeletionOrder } from './deletion-order.ts';
import { planScale, planStatus } from './plan.ts';

const nowMs = Date.UTC(2026, 0, 2);
const ago = (seconds: number): string => new Date(nowMs - seconds * 1000).toISOString();

interface Shape {
  readonly node?: string;
  readonly phase?: string;
  readonly readyFor?: number;
  readonly cost?: number;
  readonly restarts?: number;
  readonly age?: number;
  readonly deleted?: boolean;
}

function pod(name: string, shape: Shape = {}): Pod {
  const { node = 'n1', phase = 'Running', readyFor, cost, restarts = 0, age = 1000 } = shape;
  const ready =
    readyFor === undefined
      ? { type: 'Ready', status: 'False' }
      : { type: 'Ready', status: 'True', lastTransitionTime: ago(readyFor) };
  const restart = { name: 'web', image: '', imageID: '', ready: true, restartCount: restarts };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      uid: name,
      creationTimestamp: ago(age),
      ...(shape.deleted ? { deletionTimestamp: ago(1) } : {}),
      ...(cost === undefined
        ? {}
        : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': String(cost) } }),
    },
    spec: { containers: [], ...(node === '' ? {} : { nodeName: node }) },
    status: { phase, conditions: [ready], containerStatuses: [restart] },
  };
}

function set(replicas: number, status: object = {}): ReplicaSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'web', uid: 'rs', generation: 4 },
    spec: { replicas, selector: {} },
    status: { replicas: 0, ...status },
  };
}

test('what goes first when there are too many', () => {
  const cases: readonly (readonly [why: string, first: Shape, later: Shape])[] = [
    ['without a node', { node: '', readyFor: 500 }, { phase: 'Pending' }],
    ['pending', { phase: 'Pending' }, { phase: 'Running' }],
    ['unknown before running', { phase: 'Unknown' }, { phase: 'Running' }],
    ['not ready', {}, { readyFor: 1 }],
    ['cheaper', { readyFor: 900, cost: -5 }, { readyFor: 1 }],
    ['on the fuller node', { readyFor: 900, node: 'full' }, { readyFor: 1, node: 'n1' }],
    ['ready for a shorter time', { readyFor: 5 }, { readyFor: 50 }],
    ['restarted more often', { readyFor: 5, restarts: 3 }, { readyFor: 5 }],
    ['younger', { readyFor: 5, age: 10 }, { readyFor: 5, age: 100 }],
  ];
  const siblings = ['full', 'full', 'full', 'n1'].map((node) => pod('sibling', { node }));
  for (const [why, first, later] of cases) {
    for (const pods of [
      [pod('a', first), pod('b', later)],
      [pod('b', later), pod('a', first)],
    ]) {
      assert.equal(byDeletionOrder(pods, { siblings, nowMs })[0]?.metadata.name, 'a', why);
    }
  }
});

test('times of the same magnitude are told apart by uid, not by age', () => {
  const facts = { siblings: [], nowMs };
  const [first] = byDeletionOrder([pod('b', { readyFor: 40 }), pod('a', { readyFor: 41 })], facts);
  assert.equal(first?.metadata.name, 'a');
});

test('how many pods are created or deleted', () => {
  const many = (count: number): Pod[] =>
    Array.from({ length: count }, (_, index) => pod(`p${index}`, { readyFor: 1 }));
  const related = (): readonly Pod[] => [];
  const act = (replicas: number, pods: readonly Pod[]) => {
    const action = planScale({ replicaSet: set(replicas), pods, related }, nowMs);
    if (action.do === 'create') return action.count;
    return action.do === 'delete' ? -action.pods.length : 0;
  };
  assert.equal(act(3, []), 3);
  assert.equal(act(3, many(3)), 0);
  assert.equal(act(1, many(3)), -2);
  assert.equal(act(0, many(3)), -3);
  assert.equal(act(2000, []), 500, 'one burst');
  assert.equal(act(3, [...many(2), pod('ending', { deleted: true })]), 1);
  assert.equal(act(3, [...many(2), pod('failed', { phase: 'Failed' })]), 1);
  const ending = { ...set(3), metadata: { name: 'web', deletionTimestamp: ago(1) } };
  assert.deepEqual(planScale({ replicaSet: ending, pods: [], related }, nowMs), { do: 'nothing' });
});

test('a pod that may be deleted already goes again before any other', () => {
  const pods = [pod('a', { readyFor: 10 }), pod('b', { readyFor: 1000 }), pod('c')];
  const chosen = (lost: string): readonly string[] => {
    const mayBeDeleted = ({ metadata }: Pod): boolean => metadata.name === lost;
    const facts = { replicaSet: set(2), pods, related: () => pods, mayBeDeleted };
    const action = planScale(facts, nowMs);
    return action.do === 'delete' ? action.pods.map(({ metadata }) => metadata.name ?? '') : [];
  };
  assert.deepEqual(chosen('nobody'), ['c']);
  assert.deepEqual(chosen('b'), ['b']);
});

test('the status counts, waits for minReadySeconds, and tells failures', () => {
  const { spec, ...rest } = set(3);
  const template = { metadata: { labels: {} } };
  const replicaSet = { ...rest, ...(spec && { spec: { ...spec, minReadySeconds: 30, template } }) };
  const pods = [
    pod('old', { readyFor: 100 }),
    pod('new', { readyFor: 10 }),
    pod('waiting'),
    pod('ending', { deleted: true }),
  ];
  const { status, againAtMs } = planStatus(replicaSet, pods, undefined, nowMs);
  assert.deepEqual(status, {
    replicas: 3,
    fullyLabeledReplicas: 3,
    readyReplicas: 2,
    availableReplicas: 1,
    terminatingReplicas: 1,
    observedGeneration: 4,
  });
  assert.equal(againAtMs, nowMs + 20_000);
  const failure = { reason: 'FailedCreate', message: 'quota' } as const;
  const failed = planStatus(replicaSet, pods, failure, nowMs).status;
  assert.equal(failed.conditions?.[0]?.message, 'quota');
  const over = planStatus({ ...replicaSet, status: failed }, pods, undefined, nowMs).status;
  assert.equal(over.conditions, undefined);
});
