/**
 * A namespace never has more pods than its quota allows: each creation leaves the count within the
 * limit. One that was narrowed below what is there only forbids more, and holds from when its
 * status says it: until then its controller has not heard of it. Pods that are being deleted may be
 * left out: past their grace period they count no more, by a clock that may be wrong.
 */
import type { Pod, ResourceQuota } from '#resources/types/core-v1.ts';
import { isActive } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import { quotaNamespace } from '../workload/quotas.ts';
import type { Checker } from './checker.ts';
import { madeOf, writtenOf } from './written.ts';

/** A creation may have been counted before the quota was narrowed. */
const excuseMs = 2_000;

export class QuotaHeld implements Checker {
  readonly name = 'quota held';
  judged = 0;
  readonly #truth: Truth;
  #changedMs = Number.NEGATIVE_INFINITY;

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    if (event.what !== 'put' || event.object.metadata.namespace !== quotaNamespace)
      return undefined;
    const written = writtenOf<ResourceQuota>(event, 'ResourceQuota');
    if (limitOf(written?.object) !== limitOf(written?.before)) this.#changedMs = nowMs;
    if (madeOf<Pod>(event, 'Pod') === undefined) return undefined;
    const quota = this.#truth.find<ResourceQuota>('ResourceQuota', 'limit', quotaNamespace);
    if (quota === undefined || nowMs - this.#changedMs < excuseMs) return undefined;
    this.judged += 1;
    const count = [...this.#truth.of<Pod>('Pod', quotaNamespace)].filter(isActive).length;
    const most = limitOf(quota);
    return count <= most ? undefined : `pod number ${count} is made; the quota is ${most}`;
  }
}

function limitOf(quota: ResourceQuota | undefined): number {
  return Number(quota?.status?.hard?.['pods'] ?? Number.POSITIVE_INFINITY);
}
