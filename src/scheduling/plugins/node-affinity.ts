/**
 * `nodeSelector` and required node affinity must both hold; preferred affinity adds its weights.
 *
 * Where every required term names nodes by `metadata.name` (as the pods of a DaemonSet do), only
 * those nodes are looked at, which is what makes a DaemonSet of thousands cheap.
 *
 * Behaviour: kubernetes.io, "Assigning Pods to Nodes".
 */
import type { Node, Pod, PreferredSchedulingTerm } from '#resources/types/core-v1.ts';
import { matchesSelector, matchesTerm, type Selectable } from '../node-selector.ts';
import { fits, type Plugin, type Verdict } from '../plugin.ts';

const mismatch: Verdict = {
  fits: false,
  reasons: ["node(s) didn't match Pod's node affinity/selector"],
  unresolvable: true,
};

export const nodeAffinity: Plugin = {
  name: 'NodeAffinity',
  onlyNodes: ({ pod }) => namedNodes(pod),
  filter: ({ pod }, node) => (matchesRequired(pod, node) ? fits : mismatch),
  score: {
    weight: 2,
    applies: ({ pod }) => preferredTerms(pod).length > 0,
    of: ({ pod }, node) => {
      let sum = 0;
      for (const { preference, weight } of preferredTerms(pod)) {
        if (weight !== 0 && matchesTerm(preference, node)) sum += weight;
      }
      return sum;
    },
    scale: 'up',
  },
  helps: (change, { pod }) => {
    if (change.what === 'podChanged') return true;
    if (change.what === 'podGone') return false;
    const matches = ({ metadata }: Node): boolean =>
      matchesRequired(pod, { name: metadata.name ?? '', labels: metadata.labels ?? {} });
    if (change.what === 'nodeChanged' && matches(change.old)) return false;
    return matches(change.node);
  },
};

/** The node selector and what the affinity requires; also asked for the pods of DaemonSets. */
export function matchesRequired({ spec }: Pick<Pod, 'spec'>, node: Selectable): boolean {
  for (const [key, value] of Object.entries(spec?.nodeSelector ?? {})) {
    if (node.labels[key] !== value) return false;
  }
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || matchesSelector(required, node);
}

function preferredTerms({ spec }: Pod): readonly PreferredSchedulingTerm[] {
  return spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
}

/** Names that every alternative insists on; undefined as soon as one alternative names none. */
function namedNodes({ spec }: Pod): ReadonlySet<string> | undefined {
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined) return undefined;
  const names = new Set<string>();
  for (const { matchFields } of required.nodeSelectorTerms) {
    const field = matchFields?.find((f) => f.key === 'metadata.name' && f.operator === 'In');
    if (field === undefined) return undefined;
    for (const name of field.values ?? []) names.add(name);
  }
  return names;
}
