/**
 * Each checker against event streams made by hand: what it must catch and what it must let
 * pass.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import type { WorldEvent } from '../trace.ts';
import type { Checker } from './checker.ts';
import { missing } from './convergence.ts';
import { DeploymentFloor, quietMs } from './deployment-floor.ts';
import { Disturbances } from './disturbances.ts';
import { LivingNodes } from './living-nodes.ts';
import { NoPodOnTwoNodes } from './no-pod-on-two-nodes.ts';

const ready = (status: 'True' | 'False') => ({ conditions: [{ type: 'Ready', status }] });

function put(object: object): WorldEvent {
  return { what: 'put', object: object as KubeObject, revision: 1 };
}

function owned(kind: string, name: string, by: string, more: object): KubeObject {
  const ownerReferences = [{ apiVersion: 'v1', kind: 'x', name: by, uid: by, controller: true }];
  const metadata = { name, uid: name, ownerReferences };
  return { apiVersion: 'v1', kind, metadata, ...more };
}

function pod(name: string, more: { ready?: boolean; dying?: boolean; node?: string } = {}) {
  const made = owned('Pod', name, 'set', {
    spec: { nodeName: more.node ?? 'node-1', containers: [] },
    status: ready((more.ready ?? true) ? 'True' : 'False'),
  });
  if (!more.dying) return made;
  return { ...made, metadata: { ...made.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
}

function deployment(replicas: number, maxUnavailable: number | string): KubeObject {
  const rollingUpdate = { maxSurge: 1, maxUnavailable };
  const spec = { replicas, strategy: { type: 'RollingUpdate', rollingUpdate } };
  const metadata = { name: 'web', uid: 'web', generation: 1 };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec } as KubeObject;
}

const node = (status: 'True' | 'False') => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'node-1' },
  status: ready(status),
});

function problems(checker: Checker, events: readonly (readonly [number, WorldEvent])[]) {
  return events
    .map(([nowMs, event]) => checker.onEvent(event, nowMs))
    .filter((problem) => problem !== undefined);
}

/** A Deployment of three, all ready, long enough ago. */
function calm(maxUnavailable: number | string): (readonly [number, WorldEvent])[] {
  return [
    [0, put(node('True'))],
    [0, put(deployment(3, maxUnavailable))],
    [0, put(owned('ReplicaSet', 'set', 'web', {}))],
    ...['a', 'b', 'c'].map((name) => [0, put(pod(name))] as const),
  ];
}

test('two nodes: a pod may be bound and run once', () => {
  const started = (uid: string, on: string) => ({ what: 'podStarted', uid, node: on }) as const;
  const good = [put(pod('a', { node: '' })), put(pod('a')), started('a', 'node-1')];
  const again = [started('a', 'node-1')];
  const fine = [...good, ...again].map((event) => [0, event] as const);
  assert.deepEqual(problems(new NoPodOnTwoNodes(), fine), []);
});

test('two nodes, canaries: bound again, run elsewhere, run unbound', () => {
  const started = (uid: string, on: string) => ({ what: 'podStarted', uid, node: on }) as const;
  const canaries: readonly (readonly WorldEvent[])[] = [
    [put(pod('a')), put(pod('a', { node: 'node-2' }))],
    [put(pod('a')), put(pod('a', { node: '' }))],
    [put(pod('a')), started('a', 'node-1'), started('a', 'node-2')],
    [put(pod('a')), started('a', 'node-2')],
    [put(pod('a', { node: '' })), started('a', 'node-1')],
  ];
  for (const canary of canaries) {
    const found = problems(
      new NoPodOnTwoNodes(),
      canary.map((event) => [0, event] as const),
    );
    assert.equal(found.length, 1, JSON.stringify(canary));
  }
});

test('floor: one of three may go, not a second one before its replacement is ready', () => {
  const checker = new DeploymentFloor();
  const found = problems(checker, [
    ...calm(1),
    [quietMs, put(pod('a', { dying: true }))],
    [quietMs + 1, put(pod('d'))],
    [quietMs + 2, put(pod('b', { dying: true }))],
  ]);
  assert.deepEqual(found, []);
  assert.equal(checker.judged, 2);
});

test('floor, canary: a second one goes too early', () => {
  const found = problems(new DeploymentFloor(), [
    ...calm('34%'),
    [quietMs, put(pod('a', { dying: true }))],
    [quietMs + 1, put(pod('b', { dying: true }))],
  ]);
  assert.deepEqual(found, ['deployment web has 1 ready pods of 3; its floor is 2']);
});

test('floor, canary: maxUnavailable 0 means that none may go first', () => {
  const event = { what: 'delete', object: pod('a'), revision: 9 } as const;
  const found = problems(new DeploymentFloor(), [...calm(0), [quietMs, event]]);
  assert.deepEqual(found, ['deployment web has 2 ready pods of 3; its floor is 3']);
});

test('floor: dead nodes, failing pods and changed wishes are no fault of the rollout', () => {
  const drop: readonly (readonly [number, WorldEvent])[] = [
    [quietMs + 1, put(pod('a', { dying: true }))],
    [quietMs + 1, put(pod('b', { dying: true }))],
  ];
  const excuses: readonly WorldEvent[] = [
    { what: 'nodeDown', node: 'node-2' },
    { what: 'disturbed', by: 'mistake', component: 'controllers-mistake' },
    put(node('False')),
    put(pod('c', { ready: false })),
    put(deployment(2, 1)),
  ];
  for (const excuse of excuses) {
    const checker = new DeploymentFloor();
    assert.deepEqual(problems(checker, [...calm(1), [quietMs, excuse], ...drop]), []);
  }
  // Over and quiet again: judged again.
  const later = drop.map(([atMs, event]) => [atMs + quietMs, event] as const);
  const nodeBack = [
    [1, put(node('False'))],
    [2, put(node('True'))],
  ] as const;
  const found = problems(new DeploymentFloor(), [...calm(1), ...nodeBack, ...later]);
  assert.equal(found.length, 1);
});

test('two copies that lead excuse each other for as long as both run', () => {
  const disturbances = new Disturbances();
  const quiet = (nowMs: number): boolean => disturbances.quietOf('scheduler', 15_000, nowMs);
  const tell = (by: string, atMs: number): void =>
    disturbances.onEvent({ what: 'disturbed', by, component: 'scheduler-mistake' }, atMs);
  assert.equal(quiet(0), true);
  tell('mistake', 1_000);
  assert.equal(quiet(28_000), false);
  assert.equal(disturbances.quietOf('controllers', 15_000, 28_000), true);
  tell('mistakeOver', 29_000);
  assert.equal(quiet(43_999), false);
  assert.equal(quiet(44_000), true);
});

test('living nodes: one that renews its Lease is not given up, one that is silent may be', () => {
  const metadata = { name: 'node-1', namespace: 'kube-node-lease' };
  const renewed = put({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata });
  const before = node('True');
  const unknown = { ...before, status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } };
  const givenUp: WorldEvent = { what: 'put', object: unknown, before, revision: 2 };
  const lost = (component: string, path: string): WorldEvent =>
    ({ what: 'disturbed', by: 'lose', component, method: 'GET', path }) as const;
  const afterMs = (ms: number, ...more: (readonly [number, WorldEvent])[]) =>
    problems(new LivingNodes(), [[100_000, renewed], ...more, [100_000 + ms, givenUp]]);
  assert.deepEqual(afterMs(20_000), ['node node-1 is given up; it renewed its Lease 20000 ms ago']);
  assert.deepEqual(afterMs(51_000), []);
  const leases = lost(
    'controllers',
    '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases?limit=500',
  );
  assert.deepEqual(afterMs(20_000, [100_001, leases]), []);
  assert.deepEqual(afterMs(20_000, [100_001, lost('apiserver', '')]), []);
  assert.equal(afterMs(20_000, [100_001, lost('controllers', '/api/v1/pods')]).length, 1);
});

test('convergence names what is missing, and is content with what was wished', () => {
  const status = { replicas: 1, updatedReplicas: 1, availableReplicas: 1, observedGeneration: 1 };
  const wish = { ...deployment(1, 1), status };
  const set = owned('ReplicaSet', 'set', 'web', {});
  const all: readonly KubeObject[] = [node('True'), wish, set, pod('a')];
  assert.deepEqual(missing(all, ['web']), []);
  assert.deepEqual(missing([node('False'), wish, set, pod('a')], ['web']), [
    'node node-1 is not ready',
  ]);
  assert.deepEqual(missing([...all, pod('b', { ready: false, node: '' })], ['web']), [
    'pod b is not ready',
    'pod b has no node',
    'web has 2 pods',
  ]);
  assert.deepEqual(missing([node('True'), pod('a')], []), ['pods are left of set']);
  const unseen = { ...wish, status: {} };
  assert.deepEqual(missing([node('True'), unseen, set, pod('a')], ['web']), [
    'deployment web is not observed',
    'deployment web counts 0 of 1 replicas',
    'deployment web counts 0 updated of 1',
    'deployment web counts 0 available of 1',
  ]);
});
