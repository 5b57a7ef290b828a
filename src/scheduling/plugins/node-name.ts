/**
 * A pod that names its node fits that node only. The scheduler never sees such pods (they are
 * placed already); whoever checks a pod against one node, as a kubelet does, relies on it.
 */
import { fits, type Plugin, type Verdict } from '../plugin.ts';

const otherNode: Verdict = {
  fits: false,
  reasons: ["node(s) didn't match the requested node name"],
  unresolvable: true,
};

export const nodeName: Plugin = {
  name: 'NodeName',
  filter: ({ pod }, node) => {
    const wanted = pod.spec?.nodeName;
    return !wanted || wanted === node.name ? fits : otherNode;
  },
  helps: (change) => change.what === 'nodeAdded' || change.what === 'podChanged',
};
