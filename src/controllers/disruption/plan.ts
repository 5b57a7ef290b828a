/**
 * What the status of a PodDisruptionBudget says: how many pods should there be, how many are
 * healthy, how many may be disturbed. Pure.
 *
 * A percentage, and `maxUnavailable`, are of the sizes that the pods' controllers want, not of the
 * pods that happen to be there. Pods that an eviction has just taken count as gone for two minutes,
 * or until they go. The minutes are counted from when the controller saw the eviction: the time
 * that stands with it is of the API server's clock, and another than that may be wrong.
 *
 * Example: 3 of a Deployment, minAvailable 50%: 2 desired; 3 healthy, so 1 may be disturbed. After
 * its eviction 2 are healthy, and none may. Behaviour: kubernetes.io, "Specifying a Disruption
 * Budget for your Application". `apiserver/subresources/disruption-budget.ts` is who asks.
 */
import { scaledCount } from '#api/int-or-string.ts';
import { controllerOf } from '#api/object.ts';
import type { LabelSelector } from '#api/selectors.ts';
import { formatTime } from '#kit/clock.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Condition } from '#resources/types/meta-v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '#resources/types/policy-v1.ts';
import { conditionOf, isReady, isTerminated, isTerminating } from '../pod-state.ts';

export const limits = { disruptedMs: 120_000, staleConditionMs: 120_000 } as const;

export interface Facts {
  readonly budget: PodDisruptionBudget;
  /** All that the selector matches. */
  readonly pods: readonly Pod[];
  /** Wanted sizes of the pods' controllers, by uid. */
  readonly scales: ReadonlyMap<string, number>;
  /** For how long the evictions of its status have been known, by name of the pod. */
  readonly disruptedForMs: ReadonlyMap<string, number>;
}

export interface Note {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface BudgetPlan {
  readonly status: PodDisruptionBudgetStatus;
  readonly notes: readonly Note[];
  /** Pods that an eviction took, and that are still there. */
  readonly notDeleted: readonly Pod[];
  /** In how long the next pod counts again that an eviction took. */
  readonly againAfterMs: number | undefined;
}

export function planBudget(facts: Facts, nowMs: number): BudgetPlan {
  const { budget, pods } = facts;
  const notes: Note[] = [];
  if (pods.length === 0) {
    notes.push({ type: 'Normal', reason: 'NoPods', message: 'No matching pods found' });
  }
  const { expected, desired, unmanaged } = countWanted(facts);
  if (unmanaged) notes.push(unmanagedNote(budget));
  const { disrupted, notDeleted, againAfterMs } = stillDisrupted(facts);
  const healthy = pods.filter(
    (pod) => isReady(pod) && !isTerminating(pod) && !disrupted.has(pod.metadata.name ?? ''),
  ).length;
  // Nothing may be disturbed while nothing is expected: the first pods are perhaps about to come.
  const allowed = expected > 0 ? Math.max(0, healthy - desired) : 0;
  const { generation } = budget.metadata;
  const status: PodDisruptionBudgetStatus = {
    currentHealthy: healthy,
    desiredHealthy: desired,
    disruptionsAllowed: allowed,
    expectedPods: expected,
    observedGeneration: generation,
    ...(disrupted.size === 0 ? {} : { disruptedPods: Object.fromEntries(disrupted) }),
    conditions: withAllowed(budget, allowed > 0, nowMs),
  };
  return { status, notes, notDeleted, againAfterMs };
}

function countWanted({ budget, pods, scales }: Facts): {
  readonly expected: number;
  readonly desired: number;
  readonly unmanaged: boolean;
} {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  if (maxUnavailable === undefined && typeof minAvailable !== 'string') {
    // As upstream: without a minimum nothing is expected either.
    const expected = minAvailable === undefined ? 0 : pods.length;
    return { expected, desired: minAvailable ?? 0, unmanaged: false };
  }
  let expected = 0;
  for (const scale of scales.values()) expected += scale;
  const count = (value: number | string): number =>
    scaledCount(value, { total: expected, round: 'up' }) ?? 0;
  const desired =
    maxUnavailable === undefined ? count(minAvailable ?? 0) : expected - count(maxUnavailable);
  const unmanaged = pods.some((pod) => controllerOf(pod) === undefined);
  return { expected, desired: Math.max(0, desired), unmanaged };
}

/** Whether sizes of controllers are asked for at all. */
export function needsScales({ spec }: PodDisruptionBudget): boolean {
  return spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === 'string';
}

function stillDisrupted({ budget, pods, disruptedForMs }: Facts): {
  readonly disrupted: ReadonlyMap<string, string>;
  readonly notDeleted: readonly Pod[];
  readonly againAfterMs: number | undefined;
} {
  const disrupted = new Map<string, string>();
  const notDeleted: Pod[] = [];
  let againAfterMs: number | undefined;
  for (const pod of pods) {
    const { name = '' } = pod.metadata;
    const since = budget.status?.disruptedPods?.[name];
    if (since === undefined || isTerminating(pod)) continue;
    const leftMs = limits.disruptedMs - (disruptedForMs.get(name) ?? 0);
    if (leftMs <= 0) {
      notDeleted.push(pod);
    } else {
      disrupted.set(name, since);
      againAfterMs = Math.min(againAfterMs ?? leftMs, leftMs);
    }
  }
  return { disrupted, notDeleted, againAfterMs };
}

function withAllowed(
  budget: PodDisruptionBudget,
  allowed: boolean,
  nowMs: number,
): readonly Condition[] {
  const status = allowed ? 'True' : 'False';
  const reason = allowed ? 'SufficientPods' : 'InsufficientPods';
  return withCondition(budget, { status, reason, message: '' }, nowMs);
}

type Saying = Pick<Condition, 'status' | 'reason' | 'message'>;

function withCondition(
  { metadata, status }: PodDisruptionBudget,
  next: Saying,
  nowMs: number,
): readonly Condition[] {
  const type = 'DisruptionAllowed';
  const conditions = status?.conditions ?? [];
  const before = conditions.find((one) => one.type === type);
  const isSame = before?.status === next.status;
  const lastTransitionTime = isSame ? before.lastTransitionTime : formatTime(nowMs);
  const whole = { type, ...next, observedGeneration: metadata.generation, lastTransitionTime };
  return [...conditions.filter((one) => one !== before), whole];
}

/** When the count failed: nothing may be disturbed until it succeeds. */
export function planFailSafe(
  budget: PodDisruptionBudget,
  message: string,
  nowMs: number,
): PodDisruptionBudgetStatus {
  const next = { status: 'False', reason: 'SyncFailed', message };
  return {
    ...budget.status,
    disruptionsAllowed: 0,
    conditions: withCondition(budget, next, nowMs),
  };
}

function unmanagedNote({ spec }: PodDisruptionBudget): Note {
  const message =
    `Pods selected by this PodDisruptionBudget (selector: ${formatSelector(spec?.selector)}) were found ` +
    'to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. ' +
    'To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.';
  return { type: 'Warning', reason: 'UnmanagedPods', message };
}

/** As Go prints it. */
function formatSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector = {}): string {
  const keys = Object.keys(matchLabels).sort();
  const labels = keys.map((key) => `${key}: ${matchLabels[key]},`).join('');
  const expressions = matchExpressions
    .map(({ key, operator, values = [] }) => {
      return `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(' ')}],},`;
    })
    .join('');
  return `&LabelSelector{MatchLabels:map[string]string{${labels}},MatchExpressions:[]LabelSelectorRequirement{${expressions}},}`;
}

/**
 * When a pod's condition DisruptionTarget has been there for too long without the pod going: then
 * whoever wanted it gone has changed their mind. Undefined where there is none; what the kubelet
 * says stays, and so does what an ended pod died of.
 */
export function staleFromMs(pod: Pod): number | undefined {
  if (isTerminating(pod) || isTerminated(pod)) return undefined;
  const condition = conditionOf(pod, 'DisruptionTarget');
  if (condition?.status !== 'True' || condition.reason === 'TerminationByKubelet') return undefined;
  return Date.parse(condition.lastTransitionTime ?? '') + limits.staleConditionMs;
}

export function withoutTarget(pod: Pod, nowMs: number): Pod {
  const type = 'DisruptionTarget';
  const others = (pod.status?.conditions ?? []).filter((one) => one.type !== type);
  const reset = { type, status: 'False', lastTransitionTime: formatTime(nowMs) };
  return { ...pod, status: { ...pod.status, conditions: [...others, reset] } };
}
