/**
 * A pod that says nothing about nodes that are not ready or not reachable stays on them for five
 * minutes, then is evicted.
 */
import type { KubeObject } from '#api/object.ts';
import type { Pod, Toleration } from '#resources/types/core-v1.ts';

const tolerationSeconds = 300;
const keys = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const;

export function addDefaultTolerations(hub: KubeObject): KubeObject {
  // The caller has checked the kind.
  const pod = hub as unknown as Pod;
  const tolerations = pod.spec?.tolerations ?? [];
  const missing = keys.filter((key) => !tolerations.some((given) => covers(given, key)));
  if (pod.spec === undefined || missing.length === 0) return hub;
  const added = missing.map(
    (key): Toleration => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds }),
  );
  return { ...hub, spec: { ...pod.spec, tolerations: [...tolerations, ...added] } } as KubeObject;
}

function covers({ key = '', effect = '' }: Toleration, wanted: string): boolean {
  return (key === wanted || key === '') && (effect === 'NoExecute' || effect === '');
}
