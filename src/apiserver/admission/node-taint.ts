/**
 * A new node takes no pods until the node lifecycle controller has seen it ready.
 */
import type { KubeObject } from '#api/object.ts';
import type { Node } from '#resources/types/core-v1.ts';

const key = 'node.kubernetes.io/not-ready';

export function taintNewNode(hub: KubeObject): KubeObject {
  // The caller has checked the kind.
  const { spec = {} } = hub as Node;
  const { taints = [] } = spec;
  if (taints.some((taint) => taint.key === key && taint.effect === 'NoSchedule')) return hub;
  const added = { key, effect: 'NoSchedule' };
  return { ...hub, spec: { ...spec, taints: [...taints, added] } };
}
