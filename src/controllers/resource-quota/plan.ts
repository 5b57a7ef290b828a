/**
 * What the status of a ResourceQuota shall say. Pure.
 *
 * `hard` repeats the spec; `used` is what was counted of each name in it (`quota.ts` of
 * `resources/quota/` counts). Names that no kind has a part in stay without `used`.
 */
import { type Amounts, equalAmounts, maskAmounts, maxAmounts } from '#resources/quota/amounts.ts';
import type { CountedObjects } from '#resources/quota/quota.ts';
import { totalUsage } from '#resources/quota/quota.ts';
import type { ResourceQuota } from '#resources/types/core-v1.ts';
import { isSameValue } from '../same-value.ts';

export const limits = {
  /** Everything is counted anew this often, however little seems to happen. */
  resyncMs: 5 * 60 * 1000,
  /** A count is lowered only when nobody has charged the quota for so long. */
  settleMs: 1000,
} as const;

export interface QuotaStatus {
  readonly hard: Amounts;
  readonly used: Amounts;
}

/** Undefined where the status says so already. */
export function planQuotaStatus(
  quota: ResourceQuota,
  objects: Iterable<CountedObjects>,
  nowMs: number,
): QuotaStatus | undefined {
  const hard = quota.spec?.hard ?? {};
  const used = totalUsage(quota, objects, nowMs);
  const { status } = quota;
  const isSame =
    status?.hard !== undefined &&
    status.used !== undefined &&
    isSameValue(status.hard, hard) &&
    equalAmounts(status.used, used);
  return isSame ? undefined : { hard, used };
}

/**
 * What can be written at once: nothing lower than what is there. A lower count may only mean that
 * something was charged for that is not to be seen yet; then the quota would be given twice.
 */
export function raisedStatus(quota: ResourceQuota, counted: QuotaStatus): QuotaStatus | undefined {
  const before = maskAmounts(quota.status?.used ?? {}, Object.keys(counted.used));
  const used = { ...counted.used, ...maxAmounts(counted.used, before) };
  const isSame =
    isSameValue(quota.status?.hard, counted.hard) && equalAmounts(quota.status?.used ?? {}, used);
  return isSame ? undefined : { hard: counted.hard, used };
}

/** Whether the count has less of anything than the status says. */
export function lowers(quota: ResourceQuota, { used }: QuotaStatus): boolean {
  const before = maskAmounts(quota.status?.used ?? {}, Object.keys(used));
  return !equalAmounts(used, { ...used, ...maxAmounts(used, before) });
}
