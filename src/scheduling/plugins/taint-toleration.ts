/**
 * Taints keep pods away that do not tolerate them: NoSchedule and NoExecute rule a node out,
 * PreferNoSchedule makes it less wanted, the more such taints the less.
 *
 * Behaviour: kubernetes.io, "Taints and Tolerations".
 */
import type { Node, Taint } from '#resources/types/core-v1.ts';
import { fits, normalizeByMost, type Plugin, rejected } from '../plugin.ts';
import { tolerates, toleratesAll } from '../tolerations.ts';

const tainted = rejected('node(s) had untolerated taint(s)', { unresolvable: true });

export const taintToleration: Plugin = {
  name: 'TaintToleration',
  filter: ({ tolerations }) => ({
    do: 'ask',
    filter: {
      check: ({ hardTaints }) =>
        hardTaints.length === 0 || toleratesAll(tolerations, hardTaints) ? fits : tainted,
      remedies: ({ hardTaints }) =>
        hardTaints
          .filter((taint) => !tolerations.some((toleration) => tolerates(toleration, taint)))
          .map((taint) => `tolerate the taint ${formatTaint(taint)}`),
    },
  }),
  score: ({ softTolerations }) => ({
    score: ({ softTaints }) => {
      if (softTaints.length === 0) return 0;
      let count = 0;
      for (const taint of softTaints) {
        if (!softTolerations.some((toleration) => tolerates(toleration, taint))) count += 1;
      }
      return count;
    },
    normalize: (scores) => normalizeByMost(scores, { reverse: true }),
  }),
  helps: (change, { tolerations }) => {
    if (change.what === 'podChanged') return true;
    if (change.what !== 'nodeAdded' && change.what !== 'nodeChanged') return false;
    const bears = ({ spec }: Node): boolean =>
      toleratesAll(
        tolerations,
        (spec?.taints ?? []).filter((taint) => taint.effect !== 'PreferNoSchedule'),
      );
    if (change.what === 'nodeChanged' && bears(change.old)) return false;
    return bears(change.node);
  },
};

function formatTaint({ key, value, effect }: Taint): string {
  return `${key}${value ? `=${value}` : ''}:${effect}`;
}
