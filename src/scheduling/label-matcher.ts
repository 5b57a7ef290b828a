/**
 * A label selector made ready to be compared with many pods, and named so that equal ones meet.
 *
 * Pods of one template carry the same selectors in their affinity and spread rules. The signature
 * is the same for the same requirements in whatever order, so that what is counted for one pod
 * (`selections.ts`) serves all its siblings.
 *
 * No selector at all matches nothing; an empty one matches everything.
 */
import { type LabelSelector, type Labels, labelSelectorMatches } from '#api/selectors.ts';

export interface LabelMatcher {
  readonly signature: string;
  /** Without requirements: matches everything. */
  readonly empty: boolean;
  matches(labels: Labels): boolean;
}

const nothing: LabelMatcher = { signature: 'nothing', empty: false, matches: () => false };

export function labelMatcher(selector: LabelSelector | undefined): LabelMatcher {
  if (selector === undefined) return nothing;
  const labels = Object.entries(selector.matchLabels ?? {}).sort(byText);
  const expressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values = [] }) => [key, operator, [...values].sort()] as const,
  );
  const signature = JSON.stringify([labels, expressions.map((e) => JSON.stringify(e)).sort()]);
  const empty = labels.length + expressions.length === 0;
  if (expressions.length > 0) {
    return { signature, empty, matches: (of) => labelSelectorMatches(selector, of) };
  }
  return {
    signature,
    empty,
    matches: (of) => {
      for (const [key, value] of labels) if (of?.[key] !== value) return false;
      return true;
    },
  };
}

/** The selector with one more requirement per label. */
export function withLabels(
  selector: LabelSelector | undefined,
  operator: 'In' | 'NotIn',
  labels: Readonly<Record<string, string>>,
): LabelSelector | undefined {
  const more = Object.entries(labels).map(([key, value]) => ({ key, operator, values: [value] }));
  if (selector === undefined || more.length === 0) return selector;
  return { ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...more] };
}

/** The labels of these keys, as far as they are there. */
export function pickLabels(
  labels: Labels,
  keys: readonly string[] | undefined,
): Readonly<Record<string, string>> {
  const picked: Record<string, string> = {};
  for (const key of keys ?? []) {
    const value = labels?.[key];
    if (value !== undefined) picked[key] = value;
  }
  return picked;
}

function byText([left]: readonly [string, string], [right]: readonly [string, string]): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
