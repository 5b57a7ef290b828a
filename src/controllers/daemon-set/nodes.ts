/**
 * On which nodes a DaemonSet runs a pod: the rules of the scheduler for node name, selector and
 * affinity, and taints. Pure.
 *
 * A pod that is there already stays as long as it bears the NoExecute taints; a NoSchedule taint
 * keeps new ones away only. Behaviour: kubernetes.io, DaemonSet.
 */

import type { DaemonSet } from '#resources/types/apps-v1.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { matchesRequired, toleratesAll } from '#scheduling';
import { tolerationsOf } from './pod.ts';

export interface Suits {
  readonly shouldRun: boolean;
  readonly mayStay: boolean;
}

const neither: Suits = { shouldRun: false, mayStay: false };

export function suits(set: DaemonSet, node: Node): Suits {
  const spec = set.spec?.template?.spec;
  const { name = '', labels = {} } = node.metadata;
  if (spec?.nodeName && spec.nodeName !== name) return neither;
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec };
  if (!matchesRequired(pod, { name, labels })) return neither;
  const taints = node.spec?.taints ?? [];
  if (taints.length === 0) return { shouldRun: true, mayStay: true };
  const tolerations = tolerationsOf(set);
  const bears = (effects: readonly string[]): boolean =>
    toleratesAll(
      tolerations,
      taints.filter(({ effect }) => effects.includes(effect)),
    );
  return { shouldRun: bears(['NoSchedule', 'NoExecute']), mayStay: bears(['NoExecute']) };
}
