/**
 * The column TARGETS: each metric as it is and as it should be, `cpu: 10%/80%`.
 * Two metrics are shown at most, then a count of the others.
 */
import type {
  HorizontalPodAutoscaler,
  MetricSpec,
  MetricStatus,
  MetricTarget,
  MetricValueStatus,
} from '../types/autoscaling-v2.ts';

const shownMax = 2;

export function targetsText({ spec, status }: HorizontalPodAutoscaler): string {
  const metrics = spec.metrics ?? [];
  if (metrics.length === 0) return '<none>';
  const texts = metrics
    .slice(0, shownMax)
    .map((metric, index) => metricText(metric, status?.currentMetrics?.[index]));
  const shown = texts.join(', ');
  const more = metrics.length - shownMax;
  return more > 0 ? `${shown} + ${more} more...` : shown;
}

function metricText(metric: MetricSpec, status: MetricStatus | undefined): string {
  const { resource, containerResource, pods, object, external } = metric;
  switch (metric.type) {
    case 'Resource':
      return resource === undefined
        ? '<unknown>'
        : `${resource.name}: ${amounts(resource.target, status?.resource?.current)}`;
    case 'ContainerResource':
      return containerResource === undefined
        ? '<unknown>'
        : `${containerResource.name}: ${amounts(containerResource.target, status?.containerResource?.current)}`;
    case 'Pods':
      return pairText(status?.pods?.current.averageValue, pods?.target.averageValue);
    case 'Object':
      return valueOrAverage(object?.target, status?.object?.current);
    case 'External':
      return valueOrAverage(external?.target, status?.external?.current);
    default:
      return '<unknown type>';
  }
}

function amounts(target: MetricTarget, current: MetricValueStatus | undefined): string {
  if (target.averageValue !== undefined) {
    return pairText(current?.averageValue, target.averageValue);
  }
  const percent = (value: number | undefined): string | undefined =>
    value === undefined ? undefined : `${value}%`;
  const wanted = percent(target.averageUtilization) ?? '<auto>';
  return pairText(percent(current?.averageUtilization), wanted);
}

function valueOrAverage(
  target: MetricTarget | undefined,
  current: MetricValueStatus | undefined,
): string {
  if (target?.averageValue === undefined) return pairText(current?.value, target?.value);
  return `${pairText(current?.averageValue, target.averageValue)} (avg)`;
}

function pairText(current: string | undefined, target: string | undefined): string {
  return `${current ?? '<unknown>'}/${target ?? '<unknown>'}`;
}
