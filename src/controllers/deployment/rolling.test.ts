/** How far old sets may shrink, as numbers in and numbers out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import { planOld } from './rolling.ts';

function deployment(replicas: number, maxSurge: number, maxUnavailable: number): Deployment {
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } };
  const spec = { replicas, strategy, selector: {}, template: {} };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec };
}

function set(replicas: number, availableReplicas: number): ReplicaSet {
  const spec = { replicas, selector: {} };
  const status = { replicas, availableReplicas };
  return { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { name: 'set' }, spec, status };
}

function sizes(of: Deployment, current: ReplicaSet, ...old: readonly ReplicaSet[]) {
  return planOld(of, current, old).map(({ replicas }) => replicas);
}

test('old sets shrink to the floor, and no further while the new one is not available', () => {
  const six = deployment(6, 2, 1);
  assert.deepEqual(sizes(six, set(2, 0), set(6, 6)), [5]);
  assert.deepEqual(sizes(six, set(3, 0), set(5, 5)), []);
  assert.deepEqual(sizes(six, set(3, 3), set(5, 5)), [2]);
});

test('a status that still counts removed pods does not make others look spare', () => {
  const four = deployment(4, 2, 1);
  // The old set was shrunk from 3 to 2 and its status still says 3: two of its pods stay wanted.
  assert.deepEqual(sizes(four, set(3, 2), set(2, 3)), [1]);
  assert.deepEqual(sizes(deployment(5, 2, 2), set(2, 1), set(3, 5)), [2]);
});

test('a status from before the last change of size counts for nothing', () => {
  const six = deployment(6, 2, 1);
  const stale = (of: ReplicaSet): ReplicaSet => ({
    ...of,
    metadata: { ...of.metadata, generation: 3 },
    status: { replicas: 0, ...of.status, observedGeneration: 2 },
  });
  // Emptied and grown again before its status told that the two were gone.
  assert.deepEqual(sizes(six, stale(set(2, 2)), set(6, 6)), [5]);
  assert.deepEqual(sizes(six, stale(set(2, 2)), set(5, 5)), []);
  assert.deepEqual(sizes(six, set(2, 2), set(5, 5)), [3]);
  // Nor are the pods of such an old set known to be unavailable.
  assert.deepEqual(sizes(six, set(3, 3), stale(set(2, 0)), set(3, 3)), [1]);
  assert.deepEqual(sizes(six, set(3, 3), set(2, 0), set(3, 3)), [0, 2]);
});
