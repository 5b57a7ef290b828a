/**
 * An eviction never takes a healthy pod that its disruption budget needs: so many as the budget
 * names stay ready.
 *
 * Excused is what the budget could not know: a pod that lost its readiness by itself, or was
 * deleted in another way, or a budget that was raised, a moment ago.
 */
import type { Pod } from '#resources/types/core-v1.ts';
import type { PodDisruptionBudget } from '#resources/types/policy-v1.ts';
import { isPodReady } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import { budgetsNamespace } from '../workload/drains.ts';
import type { Checker } from './checker.ts';

const excuseMs = 30_000;

export class Budgets implements Checker {
  readonly name = 'budgets';
  judged = 0;
  readonly #truth: Truth;
  #excusedMs = Number.NEGATIVE_INFINITY;

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    const { object } = event;
    if (object.metadata.namespace !== budgetsNamespace) return undefined;
    // The kind says the type of what the store holds.
    if (object.kind === 'PodDisruptionBudget') {
      const budget = object as PodDisruptionBudget;
      this.#seeBudget(budget, event.before as typeof budget, nowMs);
      return undefined;
    }
    if (object.kind !== 'Pod') return undefined;
    return this.#seePod(object as Pod, event.before as Pod | undefined, nowMs);
  }

  #seeBudget(
    budget: PodDisruptionBudget,
    before: PodDisruptionBudget | undefined,
    nowMs: number,
  ): void {
    if (budget.spec?.minAvailable !== before?.spec?.minAvailable) this.#excusedMs = nowMs;
  }

  #seePod(pod: Pod, before: Pod | undefined, nowMs: number): string | undefined {
    if (before === undefined || !isHealthy(before)) return undefined;
    if (isEvicted(pod) && !isEvicted(before)) return this.#judge(pod, nowMs);
    if (!isEvicted(pod) && !isHealthy(pod)) this.#excusedMs = nowMs;
    return undefined;
  }

  #judge(pod: Pod, nowMs: number): string | undefined {
    if (nowMs - this.#excusedMs < excuseMs) return undefined;
    this.judged += 1;
    const [budget] = this.#truth.of<PodDisruptionBudget>('PodDisruptionBudget', budgetsNamespace);
    const needed = Number(budget?.spec?.minAvailable ?? 0);
    let healthy = 0;
    for (const other of this.#truth.of<Pod>('Pod', budgetsNamespace)) {
      if (isHealthy(other) && !isEvicted(other)) healthy += 1;
    }
    if (healthy >= needed) return undefined;
    return `${pod.metadata.name} is evicted: ${healthy} healthy pods are left of ${needed} needed`;
  }
}

function isHealthy(pod: Pod): boolean {
  return isPodReady(pod) && pod.metadata.deletionTimestamp === undefined;
}

function isEvicted({ status }: Pod): boolean {
  return (status?.conditions ?? []).some(
    ({ type, reason }) => type === 'DisruptionTarget' && reason === 'EvictionByEvictionAPI',
  );
}
