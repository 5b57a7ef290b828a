/** What a disruption budget allows, as tables; what it says when it cannot count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#resources/types/core-v1.ts';
import type {
  PodDisruptionBudget,
  PodDisruptionBudgetSpec,
  PodDisruptionBudgetStatus,
} from '#resources/types/policy-v1.ts';
import { planBudget, planFailSafe, staleFromMs, withoutTarget } from './plan.ts';

const nowMs = Date.UTC(2026, 0, 2);
const ago = (seconds: number): string => new Date(nowMs - seconds * 1000).toISOString();

function budget(
  spec: PodDisruptionBudgetSpec,
  status?: PodDisruptionBudgetStatus,
): PodDisruptionBudget {
  const metadata = { name: 'zk', namespace: 'd', generation: 3 };
  const selector = { matchLabels: { app: 'zk' } };
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata,
    spec: { selector, ...spec },
    status,
  };
}

/** `a` ready and managed, `a-` not ready, `ax` going, `a!` of nobody. */
function pod(shape: string): Pod {
  const controller = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'r' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: shape[0],
      ...(shape.includes('x') ? { deletionTimestamp: ago(1) } : {}),
      ...(shape.includes('!') ? {} : { ownerReferences: [{ ...controller, controller: true }] }),
    },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: shape.includes('-') ? 'False' : 'True' }],
    },
  };
}

function plan(
  one: PodDisruptionBudget,
  shapes: string,
  scale: number,
  disruptedForMs: ReadonlyMap<string, number> = new Map(),
) {
  const pods = shapes === '' ? [] : shapes.split(' ').map(pod);
  return planBudget({ budget: one, pods, scales: new Map([['r', scale]]), disruptedForMs }, nowMs);
}

test('what a budget allows', () => {
  const cases: readonly (readonly [
    spec: PodDisruptionBudgetSpec,
    shapes: string,
    scale: number,
    healthy: number,
    desired: number,
    allowed: number,
    expected: number,
  ])[] = [
    [{ minAvailable: 2 }, 'a b c', 0, 3, 2, 1, 3],
    [{ minAvailable: 2 }, 'a b- c', 0, 2, 2, 0, 3],
    [{ minAvailable: 2 }, 'a b cx', 0, 2, 2, 0, 3],
    [{ minAvailable: 0 }, 'a', 0, 1, 0, 1, 1],
    [{ minAvailable: 5 }, 'a b', 0, 2, 5, 0, 2],
    [{ minAvailable: 2 }, '', 0, 0, 2, 0, 0],
    [{ minAvailable: '50%' }, 'a b c', 3, 3, 2, 1, 3],
    [{ minAvailable: '100%' }, 'a b c', 3, 3, 3, 0, 3],
    [{ minAvailable: '30%' }, 'a b c', 10, 3, 3, 0, 10],
    [{ maxUnavailable: 1 }, 'a b c', 3, 3, 2, 1, 3],
    [{ maxUnavailable: 1 }, 'a b c', 4, 3, 3, 0, 4],
    [{ maxUnavailable: 0 }, 'a b c', 3, 3, 3, 0, 3],
    [{ maxUnavailable: '34%' }, 'a b c', 3, 3, 1, 2, 3],
    [{ maxUnavailable: 9 }, 'a b c', 3, 3, 0, 3, 3],
    [{}, 'a b', 0, 2, 0, 0, 0],
  ];
  for (const [spec, shapes, scale, healthy, desired, allowed, expected] of cases) {
    const { status } = plan(budget(spec), shapes, scale);
    assert.deepEqual(
      [
        status.currentHealthy,
        status.desiredHealthy,
        status.disruptionsAllowed,
        status.expectedPods,
      ],
      [healthy, desired, allowed, expected],
      `${JSON.stringify(spec)} ${shapes}`,
    );
    const [condition] = status.conditions ?? [];
    assert.equal(condition?.status, allowed > 0 ? 'True' : 'False');
    assert.equal(condition?.reason, allowed > 0 ? 'SufficientPods' : 'InsufficientPods');
  }
});

test('evicted pods count as gone for two minutes from when that was seen', () => {
  // What the times say is of another clock, which is an hour behind.
  const disruptedPods = { a: ago(3610), b: ago(3721), z: ago(3601) };
  const seenFor = new Map([
    ['a', 10_000],
    ['b', 120_000],
    ['z', 1_000],
  ]);
  const { status, notDeleted, againAfterMs } = plan(
    budget({ minAvailable: 1 }, { disruptedPods }),
    'a b c',
    0,
    seenFor,
  );
  assert.equal(status.currentHealthy, 2);
  assert.deepEqual(status.disruptedPods, { a: disruptedPods.a });
  assert.deepEqual(
    notDeleted.map(({ metadata }) => metadata.name),
    ['b'],
  );
  assert.equal(againAfterMs, 110_000);
  const going = plan(budget({ minAvailable: 1 }, { disruptedPods }), 'ax', 0).status;
  assert.equal(going.disruptedPods, undefined);
});

test('pods of nobody are told where owners are asked', () => {
  const told = plan(budget({ maxUnavailable: 1 }), 'a!', 0).notes;
  assert.equal(told[0]?.reason, 'UnmanagedPods');
  assert.match(
    told[0]?.message ?? '',
    /selector: &LabelSelector\{MatchLabels:map\[string\]string\{app: zk,\},MatchExpressions:/,
  );
  assert.deepEqual(plan(budget({ minAvailable: 1 }), 'a!', 0).notes, []);
  assert.equal(plan(budget({ minAvailable: 1 }), '', 0).notes[0]?.reason, 'NoPods');
});

test('a count that fails allows nothing', () => {
  const one = budget({ maxUnavailable: 1 }, { disruptionsAllowed: 2, currentHealthy: 3 });
  const status = planFailSafe(one, 'no scale', nowMs);
  assert.equal(status.disruptionsAllowed, 0);
  assert.equal(status.conditions?.[0]?.reason, 'SyncFailed');
  assert.equal(status.conditions?.[0]?.message, 'no scale');
});

test('a pod that was to go and did not loses the condition', () => {
  const target = (reason: string, phase = 'Running'): Pod => {
    const lastTransitionTime = ago(30);
    const condition = { type: 'DisruptionTarget', status: 'True', reason, lastTransitionTime };
    return { ...pod('a'), status: { phase, conditions: [condition] } };
  };
  assert.equal(staleFromMs(target('EvictionByEvictionAPI')), nowMs + 90_000);
  assert.equal(staleFromMs(target('TerminationByKubelet')), undefined);
  assert.equal(staleFromMs(target('EvictionByEvictionAPI', 'Failed')), undefined);
  assert.equal(staleFromMs(pod('a')), undefined);
  const reset = withoutTarget(target('EvictionByEvictionAPI'), nowMs).status?.conditions?.[0];
  assert.equal(reset?.status, 'False');
  assert.equal(reset?.reason, undefined);
});
