/**
 * A pod that says nothing about nodes that are not ready or not reachable stays on them for five
 * minutes, or as long as the server was told, then is evicted.
 */
import type { KubeObject } from '#api/object.ts';
import type { Pod, Toleration } from '#resources/types/core-v1.ts';

export interface TolerationSeconds {
  readonly notReady: number;
  readonly unreachable: number;
}

const defaultSeconds: TolerationSeconds = { notReady: 300, unreachable: 300 };
const keys = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const;

export function addDefaultTolerations(
  hub: KubeObject,
  { notReady, unreachable }: TolerationSeconds = defaultSeconds,
): KubeObject {
  // The caller has checked the kind.
  const pod = hub as Pod;
  const tolerations = pod.spec?.tolerations ?? [];
  const missing = keys.filter((key) => !tolerations.some((given) => covers(given, key)));
  if (pod.spec === undefined || missing.length === 0) return hub;
  const added = missing.map(
    (key): Toleration => ({
      key,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: key === keys[0] ? notReady : unreachable,
    }),
  );
  return { ...hub, spec: { ...pod.spec, tolerations: [...tolerations, ...added] } };
}

function covers({ key = '', effect = '' }: Toleration, wanted: string): boolean {
  return (key === wanted || key === '') && (effect === 'NoExecute' || effect === '');
}
