/**
 * A cordoned node (`spec.unschedulable`) takes no new pods, except those that tolerate the taint
 * that cordoning stands for.
 */
import { fits, type Plugin, type Verdict } from '../plugin.ts';
import { tolerates } from '../tolerations.ts';

const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' } as const;

const cordoned: Verdict = {
  fits: false,
  reasons: ['node(s) were unschedulable'],
  unresolvable: true,
};

export const nodeUnschedulable: Plugin = {
  name: 'NodeUnschedulable',
  filter: (pod, { node }) => {
    if (node?.spec?.unschedulable !== true) return fits;
    return pod.tolerations.some((toleration) => tolerates(toleration, taint)) ? fits : cordoned;
  },
  helps: (change) => {
    if (change.what === 'nodeAdded') return change.node.spec?.unschedulable !== true;
    if (change.what !== 'nodeChanged') return change.what === 'podChanged';
    return change.old.spec?.unschedulable === true && change.node.spec?.unschedulable !== true;
  },
};
