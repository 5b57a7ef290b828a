/**
 * A pod that uses something which not every node can do goes only to nodes that declare it
 * (`status.declaredFeatures`): restarting all containers when one ends by a rule, and user
 * namespaces together with the host's network.
 *
 * Behaviour: KEP-5328.
 */
import type { PodSpec } from '#resources/types/core-v1.ts';
import type { NodeInfo } from '../node-info.ts';
import { fits, type NodeFilter, type Plugin, rejected, skip } from '../plugin.ts';

const lacking = rejected("node(s) didn't match Pod's required features", { unresolvable: true });

export const nodeDeclaredFeatures: Plugin = {
  name: 'NodeDeclaredFeatures',
  filter: ({ pod }) => {
    const needed = neededBy(pod.spec);
    if (needed.length === 0) return skip;
    const missingOn = ({ node }: NodeInfo): readonly string[] =>
      needed.filter((feature) => !node?.status?.declaredFeatures?.includes(feature));
    const filter: NodeFilter = {
      check: (node) => (missingOn(node).length === 0 ? fits : lacking),
      remedies: (node) => missingOn(node).map((feature) => `a node that has ${feature}`),
    };
    return { do: 'ask', filter };
  },
  helps: (change, { pod }) => {
    if (change.what === 'podChanged') return true;
    if (change.what !== 'nodeAdded' && change.what !== 'nodeChanged') return false;
    const declared = change.node.status?.declaredFeatures ?? [];
    return neededBy(pod.spec).every((feature) => declared.includes(feature));
  },
};

function neededBy(spec: PodSpec | undefined): readonly string[] {
  const needed: string[] = [];
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const restartsAll = containers.some(({ restartPolicyRules }) =>
    restartPolicyRules?.some(({ action }) => action === 'RestartAllContainers'),
  );
  if (restartsAll) needed.push('RestartAllContainersOnContainerExits');
  if (spec?.hostNetwork === true && spec.hostUsers === false) {
    needed.push('UserNamespacesHostNetworkSupport');
  }
  return needed;
}
