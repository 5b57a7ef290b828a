/**
 * What disruption budgets say to an eviction, and the note in a budget's status that a pod is about
 * to go, which the disruption controller takes into account.
 *
 * `planEviction` decides, purely; `takeDisruption` writes the note with a compare, so that of two
 * evictions that race for the last allowed disruption one is refused. `eviction.ts` calls both.
 */
import type { Served } from '#api/catalog.ts';
import { ApiError, forbidden, tooManyRequests } from '#api/errors.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import { formatTime } from '#kit/clock.ts';
import type { Identity } from '#kit/transport.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Condition } from '#resources/types/meta-v1.ts';
import type { PodDisruptionBudget } from '#resources/types/policy-v1.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, prefixOf } from '../registry.ts';
import { changeObject } from '../verbs/update.ts';

/** Evictions that no controller has confirmed yet; more of them means that none is at work. */
const disruptedPodsMax = 2000;

export type EvictionPlan =
  /** Nothing objects. `unchanged`: as long as the pod stays as it was looked at. */
  | { readonly do: 'evict'; readonly unchanged: boolean }
  /** The budget must give a disruption first. */
  | { readonly do: 'ask'; readonly budget: PodDisruptionBudget }
  | { readonly do: 'refuse'; readonly error: ApiError };

export function planEviction(pod: Pod, budgets: readonly PodDisruptionBudget[]): EvictionPlan {
  const { phase } = pod.status ?? {};
  const over =
    phase === 'Succeeded' || phase === 'Failed' || pod.metadata.deletionTimestamp !== undefined;
  if (over) return { do: 'evict', unchanged: false };
  if (phase === 'Pending') return { do: 'evict', unchanged: true };
  const own = budgets.filter(({ spec }) =>
    labelSelectorMatches(spec?.selector, pod.metadata.labels),
  );
  const [budget] = own;
  if (own.length > 1) return { do: 'refuse', error: severalBudgets() };
  if (budget === undefined) return { do: 'evict', unchanged: false };
  if (!isReady(pod)) {
    const { currentHealthy = 0, desiredHealthy = 0 } = budget.status ?? {};
    const enough = currentHealthy >= desiredHealthy && desiredHealthy > 0;
    const always = budget.spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow';
    if (always || enough) return { do: 'evict', unchanged: true };
  }
  return { do: 'ask', budget };
}

function isReady({ status }: Pod): boolean {
  return (
    status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false
  );
}

function severalBudgets(): ApiError {
  return new ApiError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message:
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    code: 500,
  });
}

export function budgetsOf(parts: Parts, served: Served, namespace: string): PodDisruptionBudget[] {
  const { entries } = parts.store.list({ prefix: prefixOf(served.resource, namespace) });
  return entries.map((entry) => decodeEntry<PodDisruptionBudget>(entry));
}

export interface Disruption {
  readonly served: Served;
  readonly budget: PodDisruptionBudget;
  readonly pod: Pod;
  readonly identity: Identity;
  readonly dryRun: boolean;
}

/** Uses up one disruption of the budget, or throws what it says against it. */
export async function takeDisruption(parts: Parts, disruption: Disruption): Promise<void> {
  const { served, budget, pod, identity, dryRun } = disruption;
  const { name = '', namespace = '' } = budget.metadata;
  await changeObject(parts, {
    served,
    namespace,
    name,
    identity,
    subresource: 'status',
    dryRun,
    insists: false,
    next: (hub) => {
      // What is stored under the budget's key has this shape.
      const now = formatTime(parts.clock.now());
      return withDisruption(hub as PodDisruptionBudget, pod.metadata.name ?? '', now);
    },
  });
}

function withDisruption(
  budget: PodDisruptionBudget,
  podName: string,
  now: string,
): PodDisruptionBudget {
  const { name = '', generation = 0 } = budget.metadata;
  const { status = {} } = budget;
  const of = { group: 'policy', resource: 'poddisruptionbudget' };
  if ((status.observedGeneration ?? 0) < generation) throw beingProcessed(name);
  const { disruptionsAllowed = 0, disruptedPods = {} } = status;
  if (disruptionsAllowed < 0) throw forbidden(of, name, 'pdb disruptions allowed is negative');
  if (Object.keys(disruptedPods).length > disruptedPodsMax) {
    const why = 'DisruptedPods map too big - too many evictions not confirmed by PDB controller';
    throw forbidden(of, name, why);
  }
  if (disruptionsAllowed === 0) throw wouldViolate(0, whyNone(budget));
  const left = disruptionsAllowed - 1;
  return {
    ...budget,
    status: {
      ...status,
      disruptionsAllowed: left,
      disruptedPods: { ...disruptedPods, [podName]: now },
      ...(left === 0
        ? { conditions: withoutDisruptions(status.conditions ?? [], generation, now) }
        : {}),
    },
  };
}

/** The controller has not looked at the budget as it is now. */
export function beingProcessed(name: string): ApiError {
  return wouldViolate(10, `The disruption budget ${name} is still being processed by the server.`);
}

function wouldViolate(retryAfterSeconds: number, message: string): ApiError {
  const text = "Cannot evict pod as it would violate the pod's disruption budget.";
  const { status } = tooManyRequests(text, retryAfterSeconds);
  const causes = [{ reason: 'DisruptionBudget', message }];
  // Upstream leaves out a wait of zero seconds.
  const details = retryAfterSeconds === 0 ? { causes } : { ...status.details, causes };
  return new ApiError({ ...status, details });
}

function whyNone({ metadata, status = {} }: PodDisruptionBudget): string {
  const { name = '' } = metadata;
  const { currentHealthy = 0, desiredHealthy = 0, conditions = [] } = status;
  const condition = conditions.find(({ type }) => type === 'DisruptionAllowed');
  const says = condition?.status === 'False' && condition.message !== '';
  if (says && condition.reason === 'SyncFailed') {
    return `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${condition.message}`;
  }
  if (currentHealthy <= desiredHealthy) {
    return `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`;
  }
  const text = `The disruption budget ${name} does not allow evicting pods currently`;
  return says ? `${text} (${condition.reason}): ${condition.message}` : text;
}

function withoutDisruptions(
  conditions: readonly Condition[],
  observedGeneration: number,
  now: string,
): readonly Condition[] {
  const before = conditions.find(({ type }) => type === 'DisruptionAllowed');
  const condition: Condition = {
    type: 'DisruptionAllowed',
    status: 'False',
    reason: 'InsufficientPods',
    message: '',
    observedGeneration,
    lastTransitionTime: before?.status === 'False' ? before.lastTransitionTime : now,
  };
  return [...conditions.filter((one) => one !== before), condition];
}
