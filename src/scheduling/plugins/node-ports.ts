/**
 * A host port can be taken once per address and protocol, where `0.0.0.0` means every address. So
 * 8080 on one address and 8080 on another go together, and neither goes with 8080 on all.
 */
import type { NodeInfo } from '../node-info.ts';
import { fits, type NodeFilter, type Plugin, rejected, skip } from '../plugin.ts';
import type { HostPort, PodFacts } from '../pod-facts.ts';

const taken = rejected("node(s) didn't have free ports for the requested pod ports", {
  unresolvable: false,
});

export const nodePorts: Plugin = {
  name: 'NodePorts',
  filter: ({ hostPorts }) => {
    if (hostPorts.length === 0) return skip;
    const filter: NodeFilter = {
      check: (node) => {
        for (const port of hostPorts) if (node.hasPort(port)) return taken;
        return fits;
      },
      remedies: (node) =>
        hostPorts
          .filter((port) => node.hasPort(port))
          .map((port) => `free host port ${port.port}/${port.protocol}${holder(node, port)}`),
    };
    return { do: 'ask', filter };
  },
  helps: (change, { hostPorts }) => {
    if (change.what === 'nodeAdded' || change.what === 'podChanged') return true;
    return change.what === 'podGone' && overlap(change.pod, hostPorts);
  },
};

function overlap(pod: PodFacts, ports: readonly HostPort[]): boolean {
  return pod.hostPorts.some((held) =>
    ports.some(
      ({ port, protocol, ip }) =>
        port === held.port &&
        protocol === held.protocol &&
        (ip === held.ip || ip === '0.0.0.0' || held.ip === '0.0.0.0'),
    ),
  );
}

function holder(node: NodeInfo, port: HostPort): string {
  for (const pod of node.pods.values()) {
    if (overlap(pod, [port])) return `, which ${pod.key} holds`;
  }
  return '';
}
