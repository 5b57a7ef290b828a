/**
 * Topology spread constraints, read once from a pod.
 *
 * `maxSkew` bounds by how much a topology value may have more matching pods than the one with the
 * fewest. By default only nodes count that the pod's node selector and affinity allow
 * (`nodeAffinityPolicy: Honor`), tainted ones too (`nodeTaintsPolicy: Ignore`).
 *
 * Behaviour: kubernetes.io, "Pod Topology Spread Constraints".
 */
import type { LabelSelector } from '#api/selectors.ts';
import type { Pod, TopologySpreadConstraint } from '#resources/types/core-v1.ts';
import { type LabelMatcher, labelMatcher, pickLabels, withLabels } from './label-matcher.ts';

export interface SpreadConstraint {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  readonly matcher: LabelMatcher;
  readonly honorsAffinity: boolean;
  readonly honorsTaints: boolean;
}

export interface SpreadConstraints {
  /** DoNotSchedule. */
  readonly hard: readonly SpreadConstraint[];
  /** ScheduleAnyway. */
  readonly soft: readonly SpreadConstraint[];
}

export const noConstraints: SpreadConstraints = { hard: [], soft: [] };

/** Undefined where the pod says nothing of spreading, so that defaults apply. */
export function spreadConstraints(pod: Pod): SpreadConstraints | undefined {
  const constraints = pod.spec?.topologySpreadConstraints ?? [];
  if (constraints.length === 0) return undefined;
  const { labels } = pod.metadata;
  return split(constraints, ({ labelSelector, matchLabelKeys }) =>
    labelMatcher(withLabels(labelSelector, 'In', pickLabels(labels, matchLabelKeys))),
  );
}

/** Constraints that a profile gives to pods without any of their own. */
export function defaultConstraints(
  constraints: readonly TopologySpreadConstraint[],
  selector: LabelSelector,
): SpreadConstraints {
  const matcher = labelMatcher(selector);
  return split(constraints, () => matcher);
}

function split(
  constraints: readonly TopologySpreadConstraint[],
  matcherOf: (constraint: TopologySpreadConstraint) => LabelMatcher,
): SpreadConstraints {
  const of = (action: string): readonly SpreadConstraint[] =>
    constraints
      .filter(({ whenUnsatisfiable }) => whenUnsatisfiable === action)
      .map((constraint) => ({
        topologyKey: constraint.topologyKey,
        maxSkew: constraint.maxSkew,
        minDomains: constraint.minDomains ?? 1,
        matcher: matcherOf(constraint),
        honorsAffinity: (constraint.nodeAffinityPolicy ?? 'Honor') === 'Honor',
        honorsTaints: constraint.nodeTaintsPolicy === 'Honor',
      }));
  return { hard: of('DoNotSchedule'), soft: of('ScheduleAnyway') };
}
