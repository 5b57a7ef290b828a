/** Which pod of a StatefulSet is next, as tables: order, partition, maxUnavailable, claims. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatefulSet, StatefulSetSpec } from '#resources/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import { type Facts, planStatefulSet } from './plan.ts';
import { planHistory, planUpdateRevision } from './revisions.ts';

const nowMs = Date.UTC(2026, 0, 2);

function set(spec: Partial<StatefulSetSpec> = {}, status: object = {}): StatefulSet {
  const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 0 } };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'web', namespace: 'd', uid: 's', generation: 2 },
    spec: { replicas: 3, selector: {}, serviceName: '', template: {}, updateStrategy, ...spec },
    status: { replicas: 0, ...status },
  };
}

/** `2` is old and ready, `2+` new; `2-` is not ready, `2x` is going, `2f` has failed. */
function pod(shape: string): Pod {
  const [ordinal = ''] = /\d+/.exec(shape) ?? [];
  const name = `web-${ordinal}`;
  const ready = /[-f]/.test(shape) ? 'False' : 'True';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      uid: `uid-${ordinal}`,
      labels: {
        'controller-revision-hash': shape.includes('+') ? 'new' : 'old',
        'statefulset.kubernetes.io/pod-name': name,
      },
      ...(shape.includes('x') ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    status: {
      phase: shape.includes('f') ? 'Failed' : 'Running',
      conditions: [{ type: 'Ready', status: ready, lastTransitionTime: '2026-01-01T23:59:50Z' }],
    },
  };
}

function facts(spec: Partial<StatefulSetSpec>, shapes: string, more: Partial<Facts> = {}): Facts {
  return {
    set: set(spec),
    pods: shapes === '' ? [] : shapes.split(' ').map(pod),
    current: { name: 'old', template: { metadata: { labels: { v: 'old' } } } },
    update: { name: 'new', template: { metadata: { labels: { v: 'new' } } } },
    collisionCount: 0,
    claimNamed: () => undefined,
    ...more,
  };
}

/** `+web-1 new`, `-web-2`. */
function acts(planned: Facts): string {
  return planStatefulSet(planned, nowMs)
    .actions.map((action) => {
      if (action.do === 'own-claim') return `own ${action.claim.metadata.name}`;
      const { name, labels } = action.pod.metadata;
      if (action.do === 'create') return `+${name} ${labels?.['controller-revision-hash']}`;
      return action.do === 'delete' ? `-${name}` : `${action.do} ${name}`;
    })
    .join(', ');
}

const rolling = (rollingUpdate: object) => ({
  updateStrategy: { type: 'RollingUpdate', rollingUpdate },
});

test('one step at a time, in order', () => {
  const cases: readonly (readonly [
    shapes: string,
    spec: Partial<StatefulSetSpec>,
    acts: string,
  ])[] = [
    ['', {}, '+web-0 new'],
    ['0-', {}, ''],
    ['0', {}, '+web-1 new'],
    ['0 1 2f', {}, '-web-2'],
    ['0 1 2x', {}, ''],
    ['0 1 2', {}, '-web-2'],
    ['0 1 2+-', {}, ''],
    ['0 1 2+', {}, '-web-1'],
    ['0+ 1+ 2+', {}, ''],
    ['0 1- 2', {}, ''],
    ['0 1 2', { updateStrategy: { type: 'OnDelete' } }, ''],
    ['0 1 2', rolling({ partition: 2 }), '-web-2'],
    ['0 1 2+', rolling({ partition: 2 }), ''],
    ['0 2+', rolling({ partition: 2 }), '+web-1 old'],
    ['0 1', rolling({ partition: 2 }), '+web-2 new'],
    ['0+ 1+ 2+ 3 4', {}, '-web-4'],
    ['0+ 1+ 2+ 3 4x', {}, ''],
    ['0- 1+ 2+ 3 4', {}, ''],
    ['0+ 1+ 2+ 3 4-', {}, '-web-4'],
    ['0+ 1+ 2+ 3- 4', {}, '-web-4'],
    ['0+ 1+ 2+ 3- 4-', {}, ''],
    ['5+ 6+', { ordinals: { start: 5 } }, '+web-7 new'],
    ['4+ 5+ 6+ 7+', { ordinals: { start: 5 } }, '-web-4'],
    ['0+ 1+ 2+', { minReadySeconds: 30 }, ''],
    ['0+', { minReadySeconds: 30 }, ''],
    ['0+', { minReadySeconds: 10 }, '+web-1 new'],
  ];
  for (const [shapes, spec, wanted] of cases) {
    assert.equal(acts(facts(spec, shapes)), wanted, `${shapes} ${JSON.stringify(spec)}`);
  }
});

test('Parallel does not wait, but still updates one at a time', () => {
  const parallel = { podManagementPolicy: 'Parallel' };
  assert.equal(acts(facts(parallel, '1-')), '+web-0 new, +web-2 new');
  assert.equal(acts(facts(parallel, '0+- 1+ 2+ 3 4x 5-')), '-web-5, -web-3');
  assert.equal(acts(facts(parallel, '0 1 2')), '-web-2');
  assert.equal(acts(facts(parallel, '0 1 2+-')), '');
  assert.equal(acts(facts(parallel, '0 1- 2+')), '-web-1', 'a broken old pod can only get better');
});

test('maxUnavailable lets several go at a time, counting those that are down', () => {
  const two = rolling({ partition: 0, maxUnavailable: 2 });
  const parallel = { ...two, podManagementPolicy: 'Parallel' };
  assert.equal(acts(facts(two, '0 1 2')), '-web-2, -web-1');
  assert.equal(acts(facts(parallel, '0 1- 2')), '-web-2');
  assert.equal(acts(facts(parallel, '0- 1- 2')), '');
  const most = rolling({ partition: 0, maxUnavailable: '10%' });
  assert.equal(acts(facts(most, '0 1 2')), '-web-2', 'at least one');
});

test('a set that is going only counts', () => {
  const { metadata, ...rest } = set();
  const going = { ...rest, metadata: { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
  const { actions, status } = planStatefulSet(facts({}, '0 1-', { set: going }), nowMs);
  assert.deepEqual(actions, []);
  assert.deepEqual([status.replicas, status.readyReplicas], [2, 1]);
});

test('a rollout is complete when all are ready at the update revision', () => {
  const open = planStatefulSet(facts({}, '0+ 1+ 2+-'), nowMs).status;
  assert.deepEqual([open.currentRevision, open.updatedReplicas], ['old', 3]);
  const done = planStatefulSet(facts({}, '0+ 1+ 2+'), nowMs).status;
  assert.deepEqual([done.currentRevision, done.currentReplicas], ['new', 3]);
  const late = planStatefulSet(facts({ minReadySeconds: 30 }, '0+ 1+ 2+'), nowMs);
  assert.deepEqual([late.status.availableReplicas, late.againAtMs], [0, nowMs + 20_000]);
});

function claim(owners: readonly string[]): PersistentVolumeClaim {
  const ownerReferences = owners.map((text) => {
    const [kind = '', name = '', uid = ''] = text.split(' ');
    const apiVersion = kind === 'Pod' ? 'v1' : 'apps/v1';
    return { apiVersion, kind, name, uid, controller: true };
  });
  const metadata = { name: 'www-web-0', ownerReferences };
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata };
}

test('claims belong to whom the policy says', () => {
  const set = 'StatefulSet web s';
  const gone = 'Pod web-0 uid-0';
  const cases: readonly (readonly [
    policy: string,
    start: number,
    before: string[],
    after: string[],
  ])[] = [
    ['Retain Retain', 0, [], []],
    ['Retain Retain', 0, [set], []],
    ['Retain Delete', 0, [], [set]],
    ['Delete Retain', 0, [set], []],
    ['Delete Retain', 1, [], [gone]],
    ['Delete Delete', 0, [], [set]],
    ['Delete Delete', 1, [set], [gone]],
    ['Delete Delete', 0, ['Other boss x'], ['Other boss x']],
    ['Delete Delete', 0, ['Other boss x', set], ['Other boss x']],
    ['Retain Delete', 0, ['StatefulSet web former'], ['StatefulSet web former']],
  ];
  for (const [policy, start, before, after] of cases) {
    const [whenScaled = '', whenDeleted = ''] = policy.split(' ');
    const spec = {
      replicas: 1,
      ordinals: { start },
      podManagementPolicy: 'Parallel',
      persistentVolumeClaimRetentionPolicy: { whenScaled, whenDeleted },
      volumeClaimTemplates: [{ ...claim([]), metadata: { name: 'www' } }],
    };
    const known = claim(before);
    const planned = facts(spec, '0+', { claimNamed: () => known });
    const { actions } = planStatefulSet(planned, nowMs);
    const own = actions.find((action) => action.do === 'own-claim');
    const owners = own === undefined ? known.metadata.ownerReferences : own.ownerReferences;
    const texts = owners?.map(({ kind, name, uid }) => `${kind} ${name} ${uid}`);
    assert.deepEqual(texts, after, `${policy} from ${before} at ${start}`);
  }
});

test('a pod waits until the claim of its forerunner is gone', () => {
  const spec = {
    persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete', whenDeleted: 'Retain' },
    volumeClaimTemplates: [{ ...claim([]), metadata: { name: 'www' } }],
  };
  const stale = claim(['Pod web-0 former']);
  assert.equal(acts(facts(spec, '', { claimNamed: () => stale })), '');
  assert.equal(acts(facts(spec, '')), '+web-0 new');
});

test('a template gets a revision, or an old one gets the highest number', () => {
  const revision = (name: string, number: number, template: object) => ({
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: { name },
    data: { spec: { template: { ...template, $patch: 'replace' } } },
    revision: number,
  });
  const a = revision('a', 1, { metadata: { labels: { v: 'a' } } });
  const b = revision('b', 2, { metadata: { labels: { v: 'b' } } });
  const at = (v: string) => set({ template: { metadata: { labels: { v } } } });
  assert.deepEqual(planUpdateRevision(at('b'), [b, a]), { do: 'keep', revision: b });
  assert.deepEqual(planUpdateRevision(at('a'), [a, b]), { do: 'renumber', revision: a, to: 3 });
  assert.deepEqual(planUpdateRevision(at('c'), [a, b]), { do: 'create', number: 3 });
  const c = revision('c', 3, {});
  const names = (limit: number, live: string[]) =>
    planHistory(set({ revisionHistoryLimit: limit }), [c, b, a], [], live).map(
      ({ metadata }) => metadata.name,
    );
  assert.deepEqual(names(0, ['c']), ['a', 'b']);
  assert.deepEqual(names(1, ['c']), ['a']);
  assert.deepEqual(names(0, ['a', 'c']), ['b']);
});
