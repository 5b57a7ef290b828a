/**
 * A pod that names its node fits that node only. The scheduler never sees such pods (they are
 * placed already); whoever checks a pod against one node, as a kubelet does, relies on it.
 */
import { fits, type Plugin, rejected, skip } from '../plugin.ts';

const otherNode = rejected("node(s) didn't match the requested node name", { unresolvable: true });

export const nodeName: Plugin = {
  name: 'NodeName',
  filter: ({ pod }) => {
    const wanted = pod.spec?.nodeName;
    if (!wanted) return skip;
    return { do: 'ask', filter: { check: ({ name }) => (name === wanted ? fits : otherNode) } };
  },
  helps: (change) => change.what === 'nodeAdded' || change.what === 'podChanged',
};
