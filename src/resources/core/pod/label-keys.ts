/**
 * `matchLabelKeys` and `mismatchLabelKeys` of a new pod: keys whose values are taken from its own
 * labels. They become requirements of the selector beside them, once, when the pod is created.
 */

import { changeMember, mapItems } from '#resources/fill-in.ts';
import type { Affinity, Pod, PodAffinityTerm, PodSpec } from '#resources/types/core-v1.ts';
import type { LabelSelector, LabelSelectorRequirement } from '#resources/types/meta-v1.ts';

type Labels = Readonly<Record<string, string>>;

interface Keyed {
  readonly labelSelector?: LabelSelector | undefined;
  readonly matchLabelKeys?: readonly string[] | undefined;
  readonly mismatchLabelKeys?: readonly string[] | undefined;
}

export function withLabelKeys(spec: PodSpec, { metadata }: Pod): PodSpec {
  const labels = metadata.labels ?? {};
  const spread = changeMember(spec, 'topologySpreadConstraints', (constraints) =>
    mapItems(constraints, (constraint) => withRequirements(constraint, labels)),
  );
  return changeMember(spread, 'affinity', (affinity) => withAffinity(affinity, labels));
}

function withAffinity(affinity: Affinity, labels: Labels): Affinity {
  const term = (one: PodAffinityTerm): PodAffinityTerm => withRequirements(one, labels);
  let next = affinity;
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    next = changeMember(next, kind, (rules) => {
      const required = changeMember(
        rules,
        'requiredDuringSchedulingIgnoredDuringExecution',
        (terms) => mapItems(terms, term),
      );
      return changeMember(required, 'preferredDuringSchedulingIgnoredDuringExecution', (terms) =>
        mapItems(terms, (one) => changeMember(one, 'podAffinityTerm', term)),
      );
    });
  }
  return next;
}

function withRequirements<T extends Keyed>(keyed: T, labels: Labels): T {
  const { labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] } = keyed;
  // No selector matches nothing, whatever the labels.
  if (labelSelector === undefined) return keyed;
  const added = [
    ...requirements(matchLabelKeys, 'In', labels),
    ...requirements(mismatchLabelKeys, 'NotIn', labels),
  ];
  if (added.length === 0) return keyed;
  const matchExpressions = [...(labelSelector.matchExpressions ?? []), ...added];
  return { ...keyed, labelSelector: { ...labelSelector, matchExpressions } };
}

function requirements(
  keys: readonly string[],
  operator: 'In' | 'NotIn',
  labels: Labels,
): readonly LabelSelectorRequirement[] {
  return keys.flatMap((key) => {
    const value = labels[key];
    return value === undefined ? [] : [{ key, operator, values: [value] }];
  });
}
