/**
 * Taints keep pods away that do not tolerate them: NoSchedule and NoExecute rule a node out,
 * PreferNoSchedule makes it less wanted, the more such taints the less.
 *
 * Behaviour: kubernetes.io, "Taints and Tolerations".
 */
import type { Node } from '#resources/types/core-v1.ts';
import { fits, type Plugin, type Verdict } from '../plugin.ts';
import { tolerates, toleratesAll } from '../tolerations.ts';

const tainted: Verdict = {
  fits: false,
  reasons: ['node(s) had untolerated taint(s)'],
  unresolvable: true,
};

export const taintToleration: Plugin = {
  name: 'TaintToleration',
  filter: ({ tolerations }, { hardTaints }) =>
    hardTaints.length === 0 || toleratesAll(tolerations, hardTaints) ? fits : tainted,
  score: {
    weight: 3,
    applies: () => true,
    of: ({ softTolerations }, { softTaints }) => {
      let count = 0;
      for (const taint of softTaints) {
        if (!softTolerations.some((toleration) => tolerates(toleration, taint))) count += 1;
      }
      return count;
    },
    scale: 'down',
  },
  helps: (change, { tolerations }) => {
    if (change.what === 'podChanged') return true;
    if (change.what === 'podGone') return false;
    const bears = ({ spec }: Node): boolean =>
      toleratesAll(
        tolerations,
        (spec?.taints ?? []).filter((taint) => taint.effect !== 'PreferNoSchedule'),
      );
    if (change.what === 'nodeChanged' && bears(change.old)) return false;
    return bears(change.node);
  },
};
