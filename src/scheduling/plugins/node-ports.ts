/**
 * A host port can be taken once per address and protocol, where `0.0.0.0` means every address. So
 * 8080 on one address and 8080 on another go together, and neither goes with 8080 on all.
 */
import { fits, type Plugin, type Verdict } from '../plugin.ts';

const taken: Verdict = {
  fits: false,
  reasons: ["node(s) didn't have free ports for the requested pod ports"],
  unresolvable: false,
};

export const nodePorts: Plugin = {
  name: 'NodePorts',
  filter: ({ hostPorts }, node) => {
    for (const port of hostPorts) if (node.hasPort(port)) return taken;
    return fits;
  },
  helps: (change, { hostPorts }) => {
    if (change.what !== 'podGone') return change.what !== 'nodeChanged';
    return change.pod.hostPorts.some((gone) =>
      hostPorts.some((port) => port.port === gone.port && port.protocol === gone.protocol),
    );
  },
};
