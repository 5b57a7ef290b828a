/**
 * A cordoned node (`spec.unschedulable`) takes no new pods, except those that tolerate the taint
 * that cordoning stands for.
 */
import type { Node } from '#resources/types/core-v1.ts';
import { fits, type NodeFilter, type Plugin, rejected, skip } from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';
import { tolerates } from '../tolerations.ts';

const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' } as const;

const cordoned = rejected('node(s) were unschedulable', { unresolvable: true });

const filter: NodeFilter = {
  check: ({ isCordoned }) => (isCordoned ? cordoned : fits),
  remedies: ({ name }) => [`uncordon ${name}`],
};

export const nodeUnschedulable: Plugin = {
  name: 'NodeUnschedulable',
  filter: (pod) => (bears(pod) ? skip : { do: 'ask', filter }),
  helps: (change) => {
    const isOpen = ({ spec }: Node): boolean => spec?.unschedulable !== true;
    if (change.what === 'nodeAdded') return isOpen(change.node);
    if (change.what === 'nodeChanged') return !isOpen(change.old) && isOpen(change.node);
    return change.what === 'podChanged';
  },
};

function bears({ tolerations }: PodFacts): boolean {
  return tolerations.some((toleration) => tolerates(toleration, taint));
}
