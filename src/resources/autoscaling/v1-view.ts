/**
 * autoscaling/v1 of a HorizontalPodAutoscaler: one target, average cpu, has a field; everything
 * else of v2 travels in annotations, so that a client of v1 can read and write without losing it.
 *
 * The annotations hold lists in the flat shape of the old API (`targetAverageUtilization`, …).
 */
import type { KubeObject, ObjectMeta } from '#api/object.ts';
import type { ResourceView } from '#api/resource.ts';
import { fillIn } from '../fill-in.ts';
import type { HorizontalPodAutoscaler as V1 } from '../types/autoscaling-v1.ts';
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus } from '../types/autoscaling-v2.ts';
import {
  type FlatMetric,
  type FlatStatus,
  flattenMetric,
  flattenStatus,
  unflattenMetric,
  unflattenStatus,
} from './flat-metric.ts';

const prefix = 'autoscaling.alpha.kubernetes.io';
const metricsKey = `${prefix}/metrics`;
const currentMetricsKey = `${prefix}/current-metrics`;
const conditionsKey = `${prefix}/conditions`;
const behaviorKey = `${prefix}/behavior`;

export function autoscalingV1View(): ResourceView<HorizontalPodAutoscaler> {
  const definition = 'io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler';
  return {
    group: 'autoscaling',
    version: 'v1',
    definition,
    schema: { ref: definition },
    // In this and the next function the view's schema has checked the shape.
    setDefaults: (object) => {
      const autoscaler = object as V1;
      if (autoscaler.spec === undefined) return object;
      const next: V1 = { ...autoscaler, spec: fillIn(autoscaler.spec, { minReplicas: 1 }) };
      return next;
    },
    toHub: (object) => toV2(object as V1),
    fromHub: fromV2,
  };
}

function toV2(autoscaler: V1): HorizontalPodAutoscaler {
  const { metadata, spec, status } = autoscaler;
  const metrics = (readList<FlatMetric>(metadata, metricsKey) ?? []).map(unflattenMetric);
  const target = spec?.targetCPUUtilizationPercentage;
  const utilization = target ?? (metrics.length === 0 ? 80 : undefined);
  if (utilization !== undefined) metrics.push(cpuMetric(utilization));
  const { targetCPUUtilizationPercentage: _, ...same } = spec ?? {
    maxReplicas: 0,
    scaleTargetRef: { kind: '', name: '' },
  };
  const behavior = read<HorizontalPodAutoscaler['spec']['behavior']>(metadata, behaviorKey);
  return {
    apiVersion: 'autoscaling/v2',
    kind: autoscaler.kind,
    metadata: withoutAnnotations(metadata),
    spec: { ...same, metrics, behavior },
    ...(status === undefined ? {} : { status: statusToV2(status, metadata) }),
  };
}

function statusToV2(
  status: NonNullable<V1['status']>,
  metadata: ObjectMeta,
): NonNullable<HorizontalPodAutoscaler['status']> {
  const { currentCPUUtilizationPercentage: percentage, ...same } = status;
  const listed = readList<FlatStatus>(metadata, currentMetricsKey);
  const currentMetrics = (listed ?? []).map(unflattenStatus);
  if (listed === undefined && percentage !== undefined) {
    const current = { averageUtilization: percentage };
    currentMetrics.push({ type: 'Resource', resource: { name: 'cpu', current } });
  }
  type Conditions = NonNullable<HorizontalPodAutoscaler['status']>['conditions'];
  const conditions = read<Conditions>(metadata, conditionsKey);
  return { ...same, currentMetrics, conditions };
}

function fromV2(hub: HorizontalPodAutoscaler): KubeObject {
  const { metrics = [], behavior, ...same } = hub.spec;
  const cpu = metrics.find(isCpuUtilization);
  const others = metrics.filter((metric) => metric !== cpu).map(flattenMetric);
  const {
    currentMetrics: listed,
    conditions = [],
    ...sameStatus
  } = hub.status ?? {
    desiredReplicas: 0,
  };
  const annotations = { ...hub.metadata.annotations };
  if (others.length > 0) annotations[metricsKey] = JSON.stringify(others);
  const currentMetrics = listed ?? [];
  if (currentMetrics.length > 0) {
    annotations[currentMetricsKey] = JSON.stringify(currentMetrics.map(flattenStatus));
  }
  if (conditions.length > 0) annotations[conditionsKey] = JSON.stringify(conditions);
  if (behavior !== undefined) annotations[behaviorKey] = JSON.stringify(behavior);
  const view: V1 = {
    apiVersion: 'autoscaling/v1',
    kind: hub.kind,
    metadata: Object.keys(annotations).length > 0 ? { ...hub.metadata, annotations } : hub.metadata,
    spec: {
      ...same,
      targetCPUUtilizationPercentage: cpu?.resource?.target.averageUtilization,
    },
    status: {
      ...sameStatus,
      currentReplicas: sameStatus.currentReplicas ?? 0,
      currentCPUUtilizationPercentage:
        currentMetrics.find(isCpuStatus)?.resource?.current.averageUtilization,
    },
  };
  return view;
}

function cpuMetric(averageUtilization: number): MetricSpec {
  const target = { type: 'Utilization', averageUtilization };
  return { type: 'Resource', resource: { name: 'cpu', target } };
}

function isCpuUtilization({ type, resource }: MetricSpec): boolean {
  return (
    type === 'Resource' &&
    resource?.name === 'cpu' &&
    resource.target.averageUtilization !== undefined
  );
}

function isCpuStatus({ type, resource }: MetricStatus): boolean {
  return type === 'Resource' && resource?.name === 'cpu';
}

function withoutAnnotations(metadata: ObjectMeta): ObjectMeta {
  const keys = [metricsKey, currentMetricsKey, conditionsKey, behaviorKey];
  if (!keys.some((key) => metadata.annotations?.[key] !== undefined)) return metadata;
  const kept = Object.entries(metadata.annotations ?? {}).filter(([key]) => !keys.includes(key));
  const { annotations: _, ...rest } = metadata;
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) };
}

/** What an annotation holds; undefined where it is absent or not JSON, as upstream ignores it. */
function read<T>(metadata: ObjectMeta, key: string): T | undefined {
  const text = metadata.annotations?.[key];
  if (text === undefined) return undefined;
  try {
    // Written by `fromV2`; validation looks at the result like at any other input.
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}

function readList<T>(metadata: ObjectMeta, key: string): readonly T[] | undefined {
  const value = read<unknown>(metadata, key);
  return Array.isArray(value) ? value : undefined;
}
