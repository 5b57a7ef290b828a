/**
 * `nodeSelector` and required node affinity must both hold; preferred affinity adds its weights. A
 * profile may add an affinity of its own for all its pods.
 *
 * Where every required term names nodes by `metadata.name` (as the pods of a DaemonSet do), only
 * those nodes are looked at, which is what makes a DaemonSet of thousands cheap.
 *
 * Behaviour: kubernetes.io, "Assigning Pods to Nodes".
 */
import type { Node, NodeAffinity, Pod, PreferredSchedulingTerm } from '#resources/types/core-v1.ts';
import {
  matchesChoice,
  matchesRequirement,
  matchesSelector,
  matchesTerm,
  type Selectable,
} from '../node-selector.ts';
import {
  type ClusterChange,
  fits,
  type NodeFilter,
  normalizeByMost,
  type Plugin,
  rejected,
  skip,
} from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';

export interface NodeAffinityArgs {
  readonly addedAffinity: NodeAffinity | undefined;
}

const mismatch = rejected("node(s) didn't match Pod's node affinity/selector", {
  unresolvable: true,
});
const enforced = rejected("node(s) didn't match scheduler-enforced node affinity", {
  unresolvable: true,
});
const conflict = rejected('pod affinity terms conflict', { unresolvable: true });

export function nodeAffinity(args: NodeAffinityArgs = { addedAffinity: undefined }): Plugin {
  const added = args.addedAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const addedTerms = args.addedAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return {
    name: 'NodeAffinity',
    filter: (facts) => {
      if (added === undefined && !facts.choosesNodes) return skip;
      const { pod } = facts;
      const onlyNodes = namedNodes(pod);
      if (onlyNodes?.size === 0) return { do: 'reject', rejection: conflict };
      const filter: NodeFilter = {
        check: (node) => {
          if (added !== undefined && !matchesSelector(added, node)) return enforced;
          return matchesChoice(pod, node) ? fits : mismatch;
        },
        remedies: (node) => remedies(pod, node),
      };
      return { do: 'ask', filter, onlyNodes };
    },
    score: ({ pod }) => {
      const terms = [...addedTerms, ...preferredTerms(pod)];
      if (terms.length === 0) return undefined;
      return {
        score: (node) => {
          let sum = 0;
          for (const { preference, weight } of terms) {
            if (weight !== 0 && matchesTerm(preference, node)) sum += weight;
          }
          return sum;
        },
        normalize: (scores) => normalizeByMost(scores, { reverse: false }),
      };
    },
    helps: (change, facts) => helps(change, facts, added),
  };
}

function helps(
  change: ClusterChange,
  { pod }: PodFacts,
  added: NonNullable<NodeAffinity['requiredDuringSchedulingIgnoredDuringExecution']> | undefined,
): boolean {
  if (change.what === 'podChanged') return true;
  if (change.what !== 'nodeAdded' && change.what !== 'nodeChanged') return false;
  const matches = ({ metadata }: Node): boolean => {
    const node = { name: metadata.name ?? '', labels: metadata.labels ?? {} };
    return matchesChoice(pod, node) && (added === undefined || matchesSelector(added, node));
  };
  if (change.what === 'nodeChanged' && matches(change.old)) return false;
  return matches(change.node);
}

function preferredTerms({ spec }: Pod): readonly PreferredSchedulingTerm[] {
  return spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
}

/** Names that every alternative insists on; undefined as soon as one alternative names none. */
function namedNodes({ spec }: Pod): ReadonlySet<string> | undefined {
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined || required.nodeSelectorTerms.length === 0) return undefined;
  const names = new Set<string>();
  for (const { matchFields } of required.nodeSelectorTerms) {
    const fields = (matchFields ?? []).filter(
      ({ key, operator }) => key === 'metadata.name' && operator === 'In',
    );
    const [first, ...others] = fields.map(({ values }) => new Set(values));
    if (first === undefined) return undefined;
    const both = others.reduce((left, right) => left.intersection(right), first);
    for (const name of both) names.add(name);
  }
  return names;
}

/** Labels of the node that are missing or different, for the alternative that lacks the fewest. */
function remedies({ spec }: Pod, node: Selectable): readonly string[] {
  const labels: string[] = [];
  for (const [key, value] of Object.entries(spec?.nodeSelector ?? {})) {
    if (node.labels[key] !== value) labels.push(`label the node ${key}=${value}`);
  }
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined || matchesSelector(required, node)) return labels;
  const lacking = required.nodeSelectorTerms.map((term) => [
    ...(term.matchExpressions ?? [])
      .filter((one) => !matchesRequirement(one, node.labels[one.key]))
      .map(({ key, operator, values = [] }) =>
        operator === 'In'
          ? `label the node ${key}=${values.join(' or ')}`
          : `satisfy ${key} ${operator} ${values.join(',')}`.trim(),
      ),
    ...(term.matchFields ?? [])
      .filter((one) => !matchesRequirement(one, node.name))
      .map(({ values = [] }) => `let its node affinity name ${node.name}, not ${values.join()}`),
  ]);
  const [least] = lacking.sort((left, right) => left.length - right.length);
  return [...labels, ...(least ?? [])];
}
