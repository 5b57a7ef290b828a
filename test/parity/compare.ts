/**
 * Two answers to one request: in what they differ, and how many of a kind's do not.
 */
import { jsonEqual } from '#kit/json-equal.ts';
import type { ParityAnswer, Recorded } from './request.ts';

export type Aspect = 'code' | 'reason' | 'causes' | 'message' | 'object' | 'warnings';

export interface Difference {
  readonly wanted: Recorded;
  readonly got: ParityAnswer;
  readonly aspects: readonly Aspect[];
}

export interface Comparison {
  readonly total: number;
  readonly equal: number;
  readonly byKind: ReadonlyMap<string, { readonly total: number; readonly equal: number }>;
  readonly differences: readonly Difference[];
}

interface Status {
  readonly kind?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
  readonly details?: { readonly causes?: unknown };
}

export function compare(wanted: readonly Recorded[], got: readonly Recorded[]): Comparison {
  const byKind = new Map<string, { total: number; equal: number }>();
  const differences: Difference[] = [];
  let total = 0;
  for (const [index, one] of wanted.entries()) {
    if (one.request.setup === true) continue;
    const answer = got[index]?.answer ?? { code: 0, warnings: [], body: null };
    const aspects = differingAspects(one.answer, answer);
    const count = byKind.get(one.kind) ?? { total: 0, equal: 0 };
    byKind.set(one.kind, count);
    count.total += 1;
    total += 1;
    if (aspects.length === 0) count.equal += 1;
    else differences.push({ wanted: one, got: answer, aspects });
  }
  return { total, equal: total - differences.length, byKind, differences };
}

export function differingAspects(wanted: ParityAnswer, got: ParityAnswer): readonly Aspect[] {
  const aspects: Aspect[] = [];
  if (wanted.code !== got.code) aspects.push('code');
  if (!jsonEqual(wanted.warnings, got.warnings)) aspects.push('warnings');
  if (jsonEqual(wanted.body, got.body)) return aspects;
  const one = statusOf(wanted.body);
  const other = statusOf(got.body);
  if (one === undefined || other === undefined) return [...aspects, 'object'];
  if (one.reason !== other.reason) aspects.push('reason');
  if (!jsonEqual(one.details?.causes, other.details?.causes)) aspects.push('causes');
  if (one.message !== other.message) aspects.push('message');
  if (aspects.length === 0) aspects.push('object');
  return aspects;
}

function statusOf(body: unknown): Status | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const status = body as Status;
  return status.kind === 'Status' ? status : undefined;
}

/** `99.1 %`. */
export function percent({
  total,
  equal,
}: {
  readonly total: number;
  readonly equal: number;
}): string {
  return `${((100 * equal) / Math.max(1, total)).toFixed(2)} %`;
}
