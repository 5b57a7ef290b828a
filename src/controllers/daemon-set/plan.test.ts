/** Which nodes of a DaemonSet get or lose a pod, as tables: placement, updates, surge, back-off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DaemonSet, RollingUpdateDaemonSet } from '#resources/types/apps-v1.ts';
import type { Node, Pod, PodSpec, Taint } from '#resources/types/core-v1.ts';
import { hasExpired, inBackoffUntilMs, nextBackoff } from './backoff.ts';
import type { Facts } from './facts.ts';
import { planHistory } from './history.ts';
import { suits } from './nodes.ts';
import { planDaemonSet } from './plan.ts';
import { newPod, nodeOf } from './pod.ts';
import { planStatus } from './status.ts';

const nowMs = Date.UTC(2026, 0, 2);

function set(spec: Partial<PodSpec> = {}, rollingUpdate?: RollingUpdateDaemonSet): DaemonSet {
  const updateStrategy =
    rollingUpdate === undefined ? { type: 'OnDelete' } : { type: 'RollingUpdate', rollingUpdate };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace: 'd', uid: 's', generation: 2 },
    spec: { selector: {}, template: { spec: { containers: [], ...spec } }, updateStrategy },
  };
}

function node(name: string, taints: readonly string[] = [], labels = {}): Node {
  const parsed = taints.map((text): Taint => {
    const [key = '', effect = ''] = text.split(':');
    return { key, effect };
  });
  const spec = { taints: parsed };
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, spec };
}

/** `a`: old, ready, on node a; `a+` new; `a-` unready; `ax` going; `af` failed; `as` succeeded. */
function pod(shape: string, index: number): Pod {
  const name = `${shape}#${index}`;
  const ready = /[-fs]/.test(shape) ? 'False' : 'True';
  const phase = shape.includes('f') ? 'Failed' : shape.includes('s') ? 'Succeeded' : 'Running';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      uid: name,
      labels: { 'controller-revision-hash': shape.includes('+') ? 'new' : 'old' },
      creationTimestamp: `2026-01-01T00:00:0${index}Z`,
      ...(shape.includes('x') ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { containers: [], nodeName: shape[0] },
    status: {
      phase,
      conditions: [{ type: 'Ready', status: ready, lastTransitionTime: '2026-01-01T23:59:50Z' }],
    },
  };
}

function facts(daemon: DaemonSet, shapes: string, nodes = 'abc', more: Partial<Facts> = {}): Facts {
  return {
    set: daemon,
    nodes: Array.from(nodes, (name) => node(name)),
    pods: shapes === '' ? [] : shapes.split(' ').map(pod),
    hash: 'new',
    backoffs: new Map(),
    ...more,
  };
}

function acts(known: Facts): string {
  const { create, remove } = planDaemonSet(known, nowMs);
  const names = remove.map(({ metadata }) => `-${metadata.name?.split('#')[0]}`);
  return [...create.map((name) => `+${name}`), ...names].join(' ');
}

test('which nodes suit', () => {
  const affinity = {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] },
        ],
      },
    },
  };
  const cases: readonly (readonly [Partial<PodSpec>, Node, run: boolean, stay: boolean])[] = [
    [{}, node('a'), true, true],
    [{ nodeName: 'b' }, node('a'), false, false],
    [{ nodeSelector: { disk: 'ssd' } }, node('a'), false, false],
    [{ nodeSelector: { disk: 'ssd' } }, node('a', [], { disk: 'ssd' }), true, true],
    [{ affinity }, node('a'), false, false],
    [{ affinity }, node('a', [], { disk: 'ssd' }), true, true],
    [{}, node('a', ['gpu:NoSchedule']), false, true],
    [{}, node('a', ['gpu:NoExecute']), false, false],
    [{}, node('a', ['gpu:PreferNoSchedule']), true, true],
    [
      { tolerations: [{ key: 'gpu', operator: 'Exists' }] },
      node('a', ['gpu:NoExecute']),
      true,
      true,
    ],
    [{}, node('a', ['node.kubernetes.io/not-ready:NoExecute']), true, true],
    [{}, node('a', ['node.kubernetes.io/unschedulable:NoSchedule']), true, true],
    [{}, node('a', ['node.kubernetes.io/network-unavailable:NoSchedule']), false, true],
    [
      { hostNetwork: true },
      node('a', ['node.kubernetes.io/network-unavailable:NoSchedule']),
      true,
      true,
    ],
  ];
  for (const [spec, one, shouldRun, mayStay] of cases) {
    const taints = one.spec?.taints?.map(({ key, effect }) => `${key}:${effect}`);
    const why = `${JSON.stringify(spec)} ${taints}`;
    assert.deepEqual(suits(set(spec), one), { shouldRun, mayStay }, why);
  }
});

test('the pod names its node by affinity, and bears what daemons bear', () => {
  const nodeAffinity = {
    preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: {} }],
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{}] },
  };
  const own = { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' };
  const template = { affinity: { nodeAffinity }, tolerations: [own] };
  const made = newPod(set(template), 'a', 'new');
  assert.equal(nodeOf(made), 'a');
  assert.equal(made.spec?.nodeName, undefined);
  const kept = made.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution;
  assert.equal(kept?.length, 1);
  assert.deepEqual(
    made.spec?.tolerations?.map(({ key, effect }) => `${key?.split('/')[1]}:${effect}`),
    [
      'disk-pressure:NoSchedule',
      'not-ready:NoExecute',
      'unreachable:NoExecute',
      'memory-pressure:NoSchedule',
      'pid-pressure:NoSchedule',
      'unschedulable:NoSchedule',
    ],
  );
  assert.equal(made.metadata.labels?.['controller-revision-hash'], 'new');
});

test('each node by itself', () => {
  const cases: readonly (readonly [shapes: string, nodes: string, acts: string])[] = [
    ['', 'abc', '+a +b +c'],
    ['a+ b+ c+', 'abc', ''],
    ['a b c', 'abc', ''],
    ['a+ b+', 'abc', '+c'],
    ['a+ bx c+', 'abc', ''],
    ['a+ bf c+', 'abc', '-bf'],
    ['a+ bs c+', 'abc', '-bs'],
    ['a+ b+ b+ c+', 'abc', '-b+'],
    ['a+ z+', 'a', ''],
  ];
  for (const [shapes, nodes, wanted] of cases) {
    assert.equal(acts(facts(set(), shapes, nodes)), wanted, shapes);
  }
  const moved = facts(set(), 'a+ b+ c+', 'abc', {
    nodes: [node('a', ['x:NoExecute']), node('b', ['x:NoSchedule']), node('c')],
  });
  assert.equal(acts(moved), '-a+');
  const waiting = newPod(set(), 'gone', 'new');
  const lost = planDaemonSet(facts(set(), '', '', { pods: [waiting] }), nowMs);
  assert.deepEqual(lost.remove, [waiting], 'its node is no more');
  const many = facts(set(), '', '', {
    nodes: Array.from({ length: 300 }, (_, index) => node(`n${index}`)),
  });
  assert.equal(planDaemonSet(many, nowMs).create.length, 250);
});

test('failed pods are deleted with growing delay', () => {
  const first = nextBackoff(undefined, nowMs);
  assert.equal(inBackoffUntilMs(first, nowMs), nowMs + 1_000);
  assert.equal(inBackoffUntilMs(first, nowMs + 1_000), undefined);
  let backoff = first;
  for (let turn = 0; turn < 20; turn++) backoff = nextBackoff(backoff, nowMs);
  assert.equal(backoff.delayMs, 900_000);
  assert.ok(hasExpired(backoff, nowMs + 1_800_001));
  assert.equal(nextBackoff(backoff, nowMs + 1_800_001).delayMs, 1_000);
  const held = facts(set(), 'a+ bf c+', 'abc', { backoffs: new Map([['b', first]]) });
  const plan = planDaemonSet(held, nowMs);
  assert.deepEqual([plan.remove, plan.againAtMs], [[], nowMs + 1_000]);
});

test('a rolling update replaces as many as may be unavailable, broken ones first', () => {
  const cases: readonly (readonly [string, number | string, string])[] = [
    ['a b c', 1, '-a'],
    ['a b c', 2, '-a -b'],
    ['a b c', '34%', '-a -b'],
    ['a b c', 0, '-a'],
    ['a+ b c', 1, '-b'],
    ['a+- b c', 1, ''],
    ['a b- c', 1, '-b-'],
    ['a b- c-', 1, '-b- -c-'],
    ['ax b c', 1, ''],
    ['a+ b+ c+', 1, ''],
  ];
  for (const [shapes, maxUnavailable, wanted] of cases) {
    const known = facts(set({}, { maxUnavailable }), shapes);
    assert.equal(acts(known), wanted, `${shapes} ${maxUnavailable}`);
  }
  assert.equal(acts(facts(set(), 'a b c')), '', 'OnDelete');
  const { spec, ...rest } = set({}, { maxUnavailable: 1 });
  const slow = { ...rest, ...(spec && { spec: { ...spec, minReadySeconds: 30 } }) };
  assert.equal(acts(facts(slow, 'a+ b+ c')), '-c', 'not available itself');
});

test('with a surge the new pod comes first, and the old one goes when it is available', () => {
  const surge = set({}, { maxSurge: 1, maxUnavailable: 0 });
  const cases: readonly (readonly [string, string])[] = [
    ['a b c', '+a'],
    ['a a+- b c', ''],
    ['a a+ b c', '-a'],
    ['a+ b c', '+b'],
    ['a- a+- b c', '-a-'],
    ['a b- c', '+b +a'],
    ['ax b+ c+', '+a'],
    ['a a+ a+ b+ c+', '-a+ -a'],
  ];
  for (const [shapes, wanted] of cases) {
    assert.equal(acts(facts(surge, shapes)), wanted, shapes);
  }
  const tainted = [node('a', ['x:NoSchedule']), node('b'), node('c')];
  assert.equal(acts(facts(surge, 'a b+ c+-', '', { nodes: tainted })), '', 'others first');
  assert.equal(acts(facts(surge, 'a b+ c+', '', { nodes: tainted })), '-a');
});

test('the second pod of a surge is looked at again when it becomes available', () => {
  const surge = set({}, { maxSurge: 1, maxUnavailable: 0 });
  const patient = {
    ...surge,
    spec: { ...surge.spec, selector: {}, template: {}, minReadySeconds: 15 },
  };
  const known = facts(patient, 'a a+', 'a');
  const [old, next] = known.pods;
  assert(old !== undefined && next !== undefined);
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }];
  const longReady = { ...old, status: { ...old.status, conditions } };
  const { status, againAtMs } = planStatus({ ...known, pods: [longReady, next] }, true, nowMs);
  assert.equal(status.numberAvailable, 1);
  assert.equal(againAtMs, nowMs + 5_000);
});

test('the status counts nodes', () => {
  const known = facts(set(), 'a+ b c- d+', '', {
    nodes: [node('a'), node('b'), node('c'), node('d', ['x:NoSchedule']), node('e')],
  });
  assert.deepEqual(planStatus(known, true, nowMs).status, {
    desiredNumberScheduled: 4,
    currentNumberScheduled: 3,
    numberMisscheduled: 1,
    numberReady: 2,
    updatedNumberScheduled: 1,
    numberAvailable: 2,
    numberUnavailable: 2,
    observedGeneration: 2,
  });
  assert.equal(planStatus(known, false, nowMs).status.observedGeneration, undefined);
});

test('old revisions go beyond the limit, but none that a pod was made from', () => {
  const revision = (name: string, number: number) => ({
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: { name, labels: { 'controller-revision-hash': name } },
    revision: number,
  });
  const { spec, ...rest } = set();
  const limited = { ...rest, ...(spec && { spec: { ...spec, revisionHistoryLimit: 1 } }) };
  const all = [revision('third', 3), revision('old', 1), revision('second', 2)];
  const names = planHistory(limited, all, [pod('a', 0)]).map(({ metadata }) => metadata.name);
  assert.deepEqual(names, ['second', 'third']);
});
