/**
 * A pod with scheduling gates is not tried before the last of them is removed.
 *
 * Behaviour: kubernetes.io, "Pod Scheduling Readiness".
 */
import type { Plugin } from '../plugin.ts';

export const schedulingGates: Plugin = {
  name: 'SchedulingGates',
  holdsBack: ({ pod }) => {
    const gates = (pod.spec?.schedulingGates ?? []).map(({ name }) => name);
    return gates.length === 0 ? undefined : `waiting for scheduling gates: [${gates.join(' ')}]`;
  },
  helps: (change) => change.what === 'podChanged',
};
