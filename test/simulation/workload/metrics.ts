/**
 * A stand-in for the program that measures pods: what the pods of a namespace use together stands
 * in a ConfigMap there, and each uses its share. Answers what autoscalers ask for, from the truth.
 */
import { formatTime } from '#kit/clock.ts';
import type { ConfigMap, Pod } from '#resources/types/core-v1.ts';
import { isPodReady } from '../trace.ts';
import type { Truth } from '../truth.ts';

export const loadName = 'load';

/** Of all pods together, in thousandths of a CPU; undefined where nobody measures. */
export function loadOf(truth: Truth, namespace: string): number | undefined {
  const found = truth.find<ConfigMap>('ConfigMap', loadName, namespace)?.data?.['cpu'];
  return found === undefined ? undefined : Number(found);
}

/** The answer to a request for metrics of pods; undefined for every other request. */
export function measure(truth: Truth, path: string, nowMs: number): object | undefined {
  const asked = /^\/apis\/metrics\.k8s\.io\/v1beta1\/namespaces\/([^/]+)\/pods(\?.*)?$/.exec(path);
  const namespace = asked?.[1];
  const milli = namespace === undefined ? undefined : loadOf(truth, namespace);
  if (namespace === undefined || milli === undefined) return undefined;
  const serving = [...truth.of<Pod>('Pod', namespace)].filter(isPodReady);
  const usage = { cpu: `${Math.round(milli / Math.max(1, serving.length))}m` };
  const items = serving.map(({ metadata }) => ({
    metadata: { name: metadata.name, namespace },
    timestamp: formatTime(nowMs),
    window: '15s',
    containers: [{ name: 'c', usage }],
  }));
  return { kind: 'PodMetricsList', apiVersion: 'metrics.k8s.io/v1beta1', metadata: {}, items };
}
