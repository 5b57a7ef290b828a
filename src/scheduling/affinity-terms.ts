/**
 * The terms of pod affinity and anti-affinity, read once from a pod.
 *
 * A term selects pods by label in certain namespaces and says in which topology (the value of a
 * node label) they count. Without namespaces and namespace selector the pod's own namespace is
 * meant. `matchLabelKeys` asks for the pod's own values of these labels, `mismatchLabelKeys` for
 * other values.
 *
 * Behaviour: kubernetes.io, "Assigning Pods to Nodes", inter-pod affinity and anti-affinity.
 */
import type { Labels } from '#api/selectors.ts';
import type { Pod, PodAffinityTerm } from '#resources/types/core-v1.ts';
import { type LabelMatcher, labelMatcher, pickLabels, withLabels } from './label-matcher.ts';

export interface AffinityTerm {
  readonly topologyKey: string;
  readonly namespaces: ReadonlySet<string>;
  readonly namespaceMatcher: LabelMatcher;
  readonly matcher: LabelMatcher;
  /** 1 for required terms; negative for anti-affinity that is only preferred. */
  readonly weight: number;
  /** The same for terms that select the same pods; the weight is not in it. */
  readonly signature: string;
}

export interface AffinityTerms {
  readonly required: readonly AffinityTerm[];
  readonly requiredAnti: readonly AffinityTerm[];
  /** Both sorts; the weight has the sign. */
  readonly preferred: readonly AffinityTerm[];
  /** The pod prefers to be near, or away from, others (not only: must). */
  readonly prefers: boolean;
}

const noTerms: AffinityTerms = {
  required: [],
  requiredAnti: [],
  preferred: [],
  prefers: false,
};

export function affinityTerms(pod: Pod): AffinityTerms {
  const near = pod.spec?.affinity?.podAffinity;
  const apart = pod.spec?.affinity?.podAntiAffinity;
  if (near === undefined && apart === undefined) return noTerms;
  const required = (terms: readonly PodAffinityTerm[] | undefined): readonly AffinityTerm[] =>
    (terms ?? []).map((term) => termOf(pod, term, 1));
  const preferred = [
    ...(near?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
      ({ podAffinityTerm, weight }) => termOf(pod, podAffinityTerm, weight),
    ),
    ...(apart?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
      ({ podAffinityTerm, weight }) => termOf(pod, podAffinityTerm, -weight),
    ),
  ];
  return {
    required: required(near?.requiredDuringSchedulingIgnoredDuringExecution),
    requiredAnti: required(apart?.requiredDuringSchedulingIgnoredDuringExecution),
    preferred,
    prefers: preferred.length > 0,
  };
}

/** Whether the term selects a pod of this namespace; `namespaceLabels` are that namespace's. */
export function termMatches(
  term: AffinityTerm,
  pod: { readonly namespace: string; readonly labels: Labels },
  namespaceLabels: Labels,
): boolean {
  if (!term.namespaces.has(pod.namespace) && !term.namespaceMatcher.matches(namespaceLabels)) {
    return false;
  }
  return term.matcher.matches(pod.labels);
}

function termOf(pod: Pod, term: PodAffinityTerm, weight: number): AffinityTerm {
  const { labels, namespace = '' } = pod.metadata;
  const named = term.namespaces ?? [];
  const own = named.length === 0 && term.namespaceSelector === undefined;
  const namespaces = new Set(own ? [namespace] : named);
  const namespaceMatcher = labelMatcher(term.namespaceSelector);
  const matching = withLabels(term.labelSelector, 'In', pickLabels(labels, term.matchLabelKeys));
  const matcher = labelMatcher(
    withLabels(matching, 'NotIn', pickLabels(labels, term.mismatchLabelKeys)),
  );
  const where = [term.topologyKey, [...namespaces].sort(), namespaceMatcher.signature];
  const signature = JSON.stringify([...where, matcher.signature]);
  const { topologyKey } = term;
  return { topologyKey, namespaces, namespaceMatcher, matcher, weight, signature };
}
