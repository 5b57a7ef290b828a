/**
 * A stand-in for the program that measures pods: what the pods of a namespace use together stands
 * in a ConfigMap there, and each uses its share. Answers what autoscalers ask for, from the truth.
 */
import { formatTime } from '#kit/clock.ts';
import type { ConfigMap, Pod } from '#resources/types/core-v1.ts';
import { isPodReady } from '../states.ts';
import type { Truth } from '../truth.ts';

export const loadName = 'load';

/** Of all pods together, in thousandths of a CPU; undefined where nobody measures. */
export function loadOf(truth: Truth, namespace: string): number | undefined {
  const found = truth.find<ConfigMap>('ConfigMap', loadName, namespace)?.data?.['cpu'];
  return found === undefined ? undefined : Number(found);
}

/** What pods use, what pods say of themselves, and what is known outside of all of them. */
const paths =
  /^\/apis\/(metrics|custom\.metrics|external\.metrics)\.k8s\.io\/\w+\/namespaces\/([^/?]+)/;

/** The answer to a request for metrics; undefined for every other request. */
export function measure(truth: Truth, path: string, nowMs: number): object | undefined {
  const [, group, namespace] = paths.exec(path) ?? [];
  const milli = namespace === undefined ? undefined : loadOf(truth, namespace);
  if (namespace === undefined || milli === undefined) return undefined;
  const timestamp = formatTime(nowMs);
  if (group === 'external.metrics') {
    const kind = 'ExternalMetricValueList';
    const items = [{ metricName: loadName, metricLabels: {}, timestamp, value: `${milli}m` }];
    return { kind, apiVersion: 'external.metrics.k8s.io/v1beta1', metadata: {}, items };
  }
  const serving = [...truth.of<Pod>('Pod', namespace)].filter(isPodReady);
  const value = `${Math.round(milli / Math.max(1, serving.length))}m`;
  if (group === 'custom.metrics') {
    const items = serving.map(({ metadata }) => {
      const describedObject = { kind: 'Pod', namespace, name: metadata.name, apiVersion: '/v1' };
      return { describedObject, metric: { name: loadName }, timestamp, value };
    });
    const kind = 'MetricValueList';
    return { kind, apiVersion: 'custom.metrics.k8s.io/v1beta2', metadata: {}, items };
  }
  const items = serving.map(({ metadata }) => ({
    metadata: { name: metadata.name, namespace },
    timestamp,
    window: '15s',
    containers: [{ name: 'c', usage: { cpu: value } }],
  }));
  return { kind: 'PodMetricsList', apiVersion: 'metrics.k8s.io/v1beta1', metadata: {}, items };
}
