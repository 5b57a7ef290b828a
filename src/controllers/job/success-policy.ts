/**
 * Whether an Indexed Job has succeeded before all of its indexes have. Pure.
 *
 * The first rule that is met decides: so many indexes (`succeededCount`), these indexes
 * (`succeededIndexes`), or so many of these. Behaviour: kubernetes.io, Jobs, "Success policy";
 * KEP-3998.
 */
import type { SuccessPolicy } from '#resources/types/batch-v1.ts';
import { parseIndexes } from './index-set.ts';

/** What the condition says; undefined while no rule is met. */
export function metSuccessRule(
  policy: SuccessPolicy | undefined,
  completions: number,
  succeeded: ReadonlySet<number>,
): string | undefined {
  for (const [index, rule] of (policy?.rules ?? []).entries()) {
    const wanted =
      rule.succeededIndexes === undefined
        ? undefined
        : parseIndexes(rule.succeededIndexes, completions);
    const matching =
      wanted === undefined
        ? succeeded.size
        : [...wanted].filter((one) => succeeded.has(one)).length;
    const needed = rule.succeededCount ?? wanted?.size;
    if (needed !== undefined && matching >= needed) return `Matched rules at index ${index}`;
  }
  return undefined;
}
