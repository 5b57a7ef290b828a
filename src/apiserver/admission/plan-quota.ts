/**
 * Whether a write fits into the quotas of its namespace, as a pure decision: the quotas as they
 * would be afterwards, or why not.
 *
 * Example: a quota allows 3 pods and 2 are used. A new pod gives `used: {pods: 3}`; the next one is
 * refused with `exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3`. A change is
 * charged with what it adds; what it gives back is counted by the controller, later.
 *
 * `resource-quota.ts` calls this for each write of a batch and stores the outcome.
 */
import type { KubeObject } from '#api/object.ts';
import {
  type Amounts,
  addAmounts,
  exceededNames,
  formatAmounts,
  maskAmounts,
  negativeNames,
  subtractAmountsToZero,
  withoutZeros,
} from '#resources/quota/amounts.ts';
import {
  type CountedKind,
  constraintProblem,
  counts,
  isIgnored,
  matchesQuota,
  type QuotedWrite,
  resourcesOfKind,
  usageOf,
} from '#resources/quota/quota.ts';
import type { ResourceQuota } from '#resources/types/core-v1.ts';

export type QuotaPlan =
  | { readonly ok: true; readonly quotas: readonly ResourceQuota[] }
  | { readonly ok: false; readonly why: string };

/** Whether any quota could have a say; asked before anything is read. */
export function concernsQuota(write: QuotedWrite): boolean {
  return !isIgnored(write.kind) && counts(write);
}

/** The quotas in their order; those that the write changes nothing in are the same values. */
export function planQuota(
  quotas: readonly ResourceQuota[],
  write: QuotedWrite,
  nowMs: number,
): QuotaPlan {
  const { kind, next, old } = write;
  const concerned = new Set<ResourceQuota>();
  for (const quota of quotas) {
    if (!matchesQuota(kind, quota, next)) continue;
    const why = refusalBefore(kind, quota, next);
    if (why !== undefined) return { ok: false, why };
    concerned.add(quota);
  }
  if (concerned.size === 0) return { ok: true, quotas };
  const usage = usageOf(kind, next, nowMs);
  const negative = negativeNames(usage);
  if (negative.length > 0) {
    return { ok: false, why: `quota usage is negative for resource(s): ${negative.join(',')}` };
  }
  const before = old === undefined ? undefined : usageOf(kind, old, nowMs);
  const result: ResourceQuota[] = [];
  for (const quota of quotas) {
    if (!concerned.has(quota)) {
      result.push(quota);
      continue;
    }
    const counted = old !== undefined && matchesQuota(kind, quota, old);
    const added = counted && before !== undefined ? subtractAmountsToZero(usage, before) : usage;
    const charged = charge(quota, withoutZeros(added), write.subresource);
    if (typeof charged === 'string') return { ok: false, why: charged };
    result.push(charged);
  }
  return { ok: true, quotas: result };
}

function refusalBefore(
  kind: CountedKind,
  { metadata: { name }, status }: ResourceQuota,
  object: KubeObject,
): string | undefined {
  const names = resourcesOfKind(kind, Object.keys(status?.hard ?? {}));
  const problem = constraintProblem(kind, names, object);
  if (problem !== undefined) return `failed quota: ${name}: ${problem}`;
  if (names.every((one) => status?.used?.[one] !== undefined)) return undefined;
  return `status unknown for quota: ${name}, resources: ${names.toSorted().join(',')}`;
}

/** The quota with what is added, or why that is too much. */
function charge(quota: ResourceQuota, added: Amounts, subresource: string): ResourceQuota | string {
  const { hard = {}, used = {} } = quota.status ?? {};
  const requested = maskAmounts(added, Object.keys(hard));
  const names = Object.keys(requested);
  if (names.length === 0) return quota;
  const total = addAmounts(used, requested);
  // What a status says has happened already, and is only counted.
  const over = subresource === 'status' ? [] : exceededNames(maskAmounts(total, names), hard);
  if (over.length > 0) {
    const show = (amounts: Amounts): string => formatAmounts(maskAmounts(amounts, over));
    return `exceeded quota: ${quota.metadata.name}, requested: ${show(requested)}, used: ${show(used)}, limited: ${show(hard)}`;
  }
  return { ...quota, status: { ...quota.status, used: total } };
}
