/**
 * One metric of an autoscaler: asked for, weighed, and told in the status.
 *
 * Five sorts with upstream's names and texts. What goes wrong is a value: the reason for the
 * condition and the Event, and the text.
 */
import { formatQuantity, quantityMilliValue } from '#api/quantity.ts';
import { formatLabelSelector } from '#api/selectors.ts';
import { messageOf } from '#kit/error-message.ts';
import type {
  CrossVersionObjectReference,
  MetricIdentifier,
  MetricSpec,
  MetricStatus,
} from '#resources/types/autoscaling-v2.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Figures } from '../figures.ts';
import type { MetricsSource, PodMetrics } from './metrics-source.ts';
import {
  proposeByAverage,
  proposeByShare,
  proposeByUtilization,
  proposeByValue,
  requestsOf,
  type Starting,
  type Tolerances,
} from './replicas.ts';

export interface MetricFacts {
  readonly namespace: string;
  /** Of the pods, as text. */
  readonly selector: string;
  readonly pods: readonly Pod[];
  readonly specReplicas: number;
  readonly statusReplicas: number;
  readonly tolerances: Tolerances;
  readonly starting: Starting;
  readonly nowMs: number;
  /** As `ingresses.networking.k8s.io`; throws where there is no such kind. */
  readonly resourceOf: (reference: CrossVersionObjectReference) => string;
}

export type Weighed =
  | {
      readonly ok: true;
      readonly replicas: number;
      readonly name: string;
      readonly status: MetricStatus;
    }
  | {
      readonly ok: false;
      readonly reason: string;
      /** For the Event and the condition. */
      readonly why: string;
      /** The same, for the sum of all metrics. */
      readonly message: string;
    };

interface Deps {
  readonly source: MetricsSource;
  readonly signal: AbortSignal;
}

type Good = Omit<Extract<Weighed, { ok: true }>, 'ok'>;

export async function weighMetric(
  deps: Deps,
  spec: MetricSpec,
  facts: MetricFacts,
): Promise<Weighed> {
  try {
    return { ok: true, ...(await weigh(deps, spec, facts)) };
  } catch (error) {
    deps.signal.throwIfAborted();
    const why = messageOf(error);
    const reason = `FailedGet${spec.type}Metric`;
    return { ok: false, reason, why, message: `failed to get ${labelOf(spec)} value: ${why}` };
  }
}

/** How long one metric took, and what it asks for. */
export function noteMetric(
  figures: Figures,
  spec: MetricSpec,
  look: { readonly weighed: Weighed; readonly specReplicas: number; readonly seconds: number },
): void {
  const { weighed, specReplicas, seconds } = look;
  const more = weighed.ok ? weighed.replicas - specReplicas : 0;
  const action = more > 0 ? 'scale_up' : more < 0 ? 'scale_down' : 'none';
  const labels = [action, weighed.ok ? 'none' : 'internal', spec.type];
  figures.count('horizontal_pod_autoscaler_controller_metric_computation_total', labels);
  const name = 'horizontal_pod_autoscaler_controller_metric_computation_duration_seconds';
  figures.observe(name, labels, seconds);
}

function labelOf({ type, resource, containerResource, external }: MetricSpec): string {
  if (resource !== undefined) return `${resource.name} resource metric`;
  if (containerResource !== undefined) return `${containerResource.container} container metric`;
  if (external !== undefined) return `${external.metric.name} external metric`;
  return `${type.toLowerCase()} metric`;
}

function weigh(deps: Deps, spec: MetricSpec, facts: MetricFacts): Promise<Good> {
  const { resource, containerResource, pods, object, external } = spec;
  if (resource !== undefined) {
    return weighResource(deps, { ...resource, container: undefined }, facts);
  }
  if (containerResource !== undefined) return weighResource(deps, containerResource, facts);
  if (pods !== undefined) return weighPods(deps, pods, facts);
  if (object !== undefined) return weighObject(deps, object, facts);
  if (external !== undefined) return weighExternal(deps, external, facts);
  return Promise.reject(new Error(`unknown metric source type "${spec.type}"`));
}

interface ResourceAsked {
  readonly name: string;
  readonly container: string | undefined;
  readonly target: NonNullable<MetricSpec['resource']>['target'];
}

async function weighResource(
  { source, signal }: Deps,
  { name: resource, container, target }: ResourceAsked,
  facts: MetricFacts,
): Promise<Good> {
  const { averageValue, averageUtilization } = target;
  if (averageValue === undefined && averageUtilization === undefined) {
    throw new Error(
      'invalid resource metric source: neither an average utilization target ' +
        'nor an average value (usage) target was set',
    );
  }
  const which = averageValue === undefined ? 'utilization' : 'usage';
  const what = `${resource}${container === undefined ? '' : ' container'} resource`;
  const statusOf = (current: object): MetricStatus =>
    container === undefined
      ? { type: 'Resource', resource: { name: resource, current } }
      : { type: 'ContainerResource', containerResource: { name: resource, container, current } };
  try {
    const metrics = await source
      .resource({ ...facts, resource, container }, { signal })
      .catch((error: unknown) => {
        throw new Error(`unable to get metrics for resource ${resource}: ${messageOf(error)}`);
      });
    const of = { ...podsFacts(facts, metrics), isCPU: resource === 'cpu' };
    if (averageValue !== undefined) {
      const { replicas, averageMilli } = proposeByAverage(of, quantityMilliValue(averageValue));
      const status = statusOf({ averageValue: textOf(averageMilli) });
      return { replicas, name: what.replace(' container', ''), status };
    }
    const requests = requestsOf(facts.pods, resource, container);
    const proposal = proposeByUtilization(of, requests, averageUtilization ?? 0);
    const { replicas, utilization, averageMilli } = proposal;
    const current = { averageUtilization: utilization, averageValue: textOf(averageMilli) };
    const name = `${what} utilization (percentage of request)`;
    return { replicas, name, status: statusOf(current) };
  } catch (error) {
    throw new Error(`failed to get ${resource} ${which}: ${messageOf(error)}`);
  }
}

async function weighPods(
  { source, signal }: Deps,
  { metric, target }: NonNullable<MetricSpec['pods']>,
  facts: MetricFacts,
): Promise<Good> {
  const asked = { ...facts, metric: metric.name, metricSelector: metric.selector };
  const metrics = await source.pods(asked, { signal }).catch((error: unknown) => {
    throw new Error(`unable to get metric ${metric.name}: ${messageOf(error)}`);
  });
  const of = { ...podsFacts(facts, metrics), isCPU: false };
  const { replicas, averageMilli } = proposeByAverage(
    of,
    quantityMilliValue(target.averageValue ?? '0'),
  );
  const current = { averageValue: textOf(averageMilli) };
  const status = { type: 'Pods', pods: { metric, current } };
  return { replicas, name: `pods metric ${metric.name}`, status };
}

function podsFacts(facts: MetricFacts, metrics: PodMetrics) {
  const { pods, specReplicas: currentReplicas, tolerances, starting, nowMs } = facts;
  return { pods, metrics, currentReplicas, tolerances, starting, nowMs };
}

async function weighObject(
  { source, signal }: Deps,
  { metric, target, describedObject }: NonNullable<MetricSpec['object']>,
  facts: MetricFacts,
): Promise<Good> {
  const { namespace } = facts;
  const asked = {
    namespace,
    metric: metric.name,
    metricSelector: metric.selector,
    reference: describedObject,
  };
  const fetch = async (): Promise<number> => {
    const groupResource = facts.resourceOf(describedObject);
    return source.object({ ...asked, groupResource }, { signal });
  };
  const milli = await fetch().catch((error: unknown) => {
    const { kind, name } = describedObject;
    // Upstream's words, whose order was meant otherwise.
    const what = `${kind} on ${namespace} ${name}/${messageOf(error)}`;
    throw new Error(`unable to get metric ${metric.name}: ${what}`);
  });
  const { replicas, current, isShared } = weighFigure(milli, target, facts, 'object');
  const status = { type: 'Object', object: { metric, describedObject, current } };
  const name = isShared
    ? `external metric ${metric.name}(${selectorText(metric)})`
    : `${describedObject.kind} metric ${metric.name}`;
  return { replicas, name, status };
}

async function weighExternal(
  { source, signal }: Deps,
  { metric, target }: NonNullable<MetricSpec['external']>,
  facts: MetricFacts,
): Promise<Good> {
  const { namespace } = facts;
  const asked = { namespace, metric: metric.name, metricSelector: metric.selector };
  const values = await source.external(asked, { signal }).catch((error: unknown) => {
    const which = `${namespace}/${metric.name}/${selectorText(metric)}`;
    throw new Error(`unable to get external metric ${which}: ${messageOf(error)}`);
  });
  const milli = values.reduce((sum, value) => sum + value, 0);
  const { replicas, current } = weighFigure(milli, target, facts, 'external');
  const status = { type: 'External', external: { metric, current } };
  return { replicas, name: `external metric ${metric.name}(${selectorText(metric)})`, status };
}

function selectorText({ selector }: MetricIdentifier): string {
  return selector === undefined ? 'nil' : formatLabelSelector(selector);
}

/** A figure for all pods together, against a value for all or for each. */
function weighFigure(
  milli: number,
  { value, averageValue }: NonNullable<MetricSpec['external']>['target'],
  facts: MetricFacts,
  sort: 'object' | 'external',
) {
  if (averageValue !== undefined) {
    const proposal = proposeByShare(facts, milli, quantityMilliValue(averageValue));
    const current = { averageValue: textOf(proposal.averageMilli) };
    return { replicas: proposal.replicas, current, isShared: true };
  }
  if (value === undefined) {
    throw new Error(
      `invalid ${sort} metric source: neither a value target ` +
        'nor an average value target was set',
    );
  }
  const of = { ...facts, currentReplicas: facts.specReplicas };
  const replicas = proposeByValue(of, milli, quantityMilliValue(value));
  return { replicas, current: { value: textOf(milli) }, isShared: false };
}

function textOf(milli: number): string {
  return formatQuantity({ nano: BigInt(Math.trunc(milli)) * 1_000_000n, format: 'decimal' });
}
