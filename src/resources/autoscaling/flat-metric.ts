/**
 * Metrics in the flat shape of the old autoscaling APIs, as they stand in annotations of
 * autoscaling/v1, and their way to and from the nested shape of autoscaling/v2.
 */
import type { LabelSelector } from '#api/selectors.ts';
import type {
  CrossVersionObjectReference,
  MetricSpec,
  MetricStatus,
  MetricTarget,
} from '../types/autoscaling-v2.ts';

interface FlatSource {
  readonly name?: string;
  readonly container?: string;
  readonly target?: CrossVersionObjectReference;
  readonly metricName?: string;
  readonly metricSelector?: LabelSelector;
  readonly selector?: LabelSelector;
  readonly targetValue?: string;
  readonly averageValue?: string;
  readonly targetAverageValue?: string;
  readonly targetAverageUtilization?: number;
  readonly currentValue?: string;
  readonly currentAverageValue?: string;
  readonly currentAverageUtilization?: number;
}

type Place = 'resource' | 'containerResource' | 'pods' | 'object' | 'external';

export interface FlatMetric extends Readonly<Partial<Record<Place, FlatSource>>> {
  readonly type: string;
}
export type FlatStatus = FlatMetric;

/** Without the members that are not there, since the result is printed. */
function compact<T extends object>(value: { readonly [K in keyof T]: T[K] | undefined }): T {
  // Only absent members are left out, which T allows.
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as T;
}

export function flattenMetric(metric: MetricSpec): FlatMetric {
  const { type, resource, containerResource, pods, object, external } = metric;
  const flat: Partial<Record<Place, FlatSource>> = {};
  if (resource !== undefined) {
    flat.resource = compact<FlatSource>({ name: resource.name, ...flatTarget(resource.target) });
  }
  if (containerResource !== undefined) {
    const { name, container, target } = containerResource;
    flat.containerResource = compact<FlatSource>({ name, container, ...flatTarget(target) });
  }
  if (pods !== undefined) {
    flat.pods = compact<FlatSource>({
      metricName: pods.metric.name,
      selector: pods.metric.selector,
      targetAverageValue: pods.target.averageValue,
    });
  }
  if (object !== undefined) {
    flat.object = compact<FlatSource>({
      target: object.describedObject,
      metricName: object.metric.name,
      selector: object.metric.selector,
      targetValue: object.target.value ?? '0',
      averageValue: object.target.averageValue,
    });
  }
  if (external !== undefined) {
    flat.external = compact<FlatSource>({
      metricName: external.metric.name,
      metricSelector: external.metric.selector,
      targetValue: external.target.value,
      targetAverageValue: external.target.averageValue,
    });
  }
  return { type, ...flat };
}

function flatTarget({ averageUtilization, averageValue }: MetricTarget): {
  readonly targetAverageUtilization: number | undefined;
  readonly targetAverageValue: string | undefined;
} {
  return { targetAverageUtilization: averageUtilization, targetAverageValue: averageValue };
}

function targetOf(source: FlatSource): MetricTarget {
  const { targetAverageUtilization: averageUtilization, targetAverageValue: averageValue } = source;
  if (averageUtilization !== undefined) return { type: 'Utilization', averageUtilization };
  if (averageValue !== undefined) return { type: 'AverageValue', averageValue };
  if (source.averageValue !== undefined) {
    return { type: 'AverageValue', averageValue: source.averageValue };
  }
  return { type: 'Value', value: source.targetValue ?? '0' };
}

export function unflattenMetric({ type, ...flat }: FlatMetric): MetricSpec {
  const { resource, containerResource, pods, object, external } = flat;
  return {
    type,
    ...(resource && { resource: { name: resource.name ?? '', target: targetOf(resource) } }),
    ...(containerResource && {
      containerResource: {
        name: containerResource.name ?? '',
        container: containerResource.container ?? '',
        target: targetOf(containerResource),
      },
    }),
    ...(pods && { pods: { metric: metricOf(pods), target: targetOf(pods) } }),
    ...(object && {
      object: {
        describedObject: object.target ?? { kind: '', name: '' },
        metric: metricOf(object),
        target: targetOf(object),
      },
    }),
    ...(external && { external: { metric: metricOf(external), target: targetOf(external) } }),
  };
}

function metricOf({ metricName = '', selector, metricSelector }: FlatSource): {
  readonly name: string;
  readonly selector?: LabelSelector;
} {
  const chosen = selector ?? metricSelector;
  return chosen === undefined ? { name: metricName } : { name: metricName, selector: chosen };
}

export function flattenStatus(status: MetricStatus): FlatStatus {
  const { type, resource, containerResource, pods, object, external } = status;
  const flat: Partial<Record<Place, FlatSource>> = {};
  for (const [place, source] of [
    ['resource', resource],
    ['containerResource', containerResource],
  ] as const) {
    if (source === undefined) continue;
    flat[place] = compact<FlatSource>({
      name: source.name,
      container: 'container' in source ? source.container : undefined,
      currentAverageUtilization: source.current.averageUtilization,
      currentAverageValue: source.current.averageValue ?? '0',
    });
  }
  for (const [place, source] of [
    ['pods', pods],
    ['object', object],
    ['external', external],
  ] as const) {
    if (source === undefined) continue;
    flat[place] = compact<FlatSource>({
      target: 'describedObject' in source ? source.describedObject : undefined,
      metricName: source.metric.name,
      [place === 'external' ? 'metricSelector' : 'selector']: source.metric.selector,
      currentValue: source.current.value,
      [place === 'object' ? 'averageValue' : 'currentAverageValue']: source.current.averageValue,
    });
  }
  return { type, ...flat };
}

export function unflattenStatus({ type, ...flat }: FlatStatus): MetricStatus {
  const { resource, containerResource, pods, object, external } = flat;
  const current = (source: FlatSource) =>
    compact<{ averageUtilization?: number; averageValue?: string; value?: string }>({
      averageUtilization: source.currentAverageUtilization,
      averageValue: source.currentAverageValue ?? source.averageValue,
      value: source.currentValue,
    });
  return {
    type,
    ...(resource && { resource: { name: resource.name ?? '', current: current(resource) } }),
    ...(containerResource && {
      containerResource: {
        name: containerResource.name ?? '',
        container: containerResource.container ?? '',
        current: current(containerResource),
      },
    }),
    ...(pods && { pods: { metric: metricOf(pods), current: current(pods) } }),
    ...(object && {
      object: {
        describedObject: object.target ?? { kind: '', name: '' },
        metric: metricOf(object),
        current: current(object),
      },
    }),
    ...(external && { external: { metric: metricOf(external), current: current(external) } }),
  };
}
