/**
 * How many replicas a figure asks for. Pure.
 *
 * The ratio of what is measured to what is wanted, times the pods that are ready. Within the
 * tolerance (a tenth) nothing changes. Caution where not all is known: pods without a figure count
 * as idle when scaling up and as fully used when scaling down, pods that are not ready as idle when
 * scaling up; if that turns the direction round, nothing changes.
 *
 * Example: one pod requests 200m of CPU and uses 610m: 305 % where 50 % is wanted is a ratio of
 * 6.1, so 7 replicas. Behaviour: kubernetes.io, "Horizontal Pod Autoscaling", "Algorithm details".
 */
import { quantityMilliValue } from '#api/quantity.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import { conditionOf, isReady } from '../pod-state.ts';
import type { PodMetric, PodMetrics } from './metrics-source.ts';
import type { AutoscalingSettings } from './settings.ts';

export const limits = {
  replicasMax: 2 ** 31 - 1,
} as const;

/** How long a pod starts. */
export type Starting = Pick<AutoscalingSettings, 'cpuInitializationMs' | 'initialReadinessMs'>;

export interface Tolerances {
  readonly up: number;
  readonly down: number;
}

function isWithin(ratio: number, { up, down }: Tolerances): boolean {
  return 1 - down <= ratio && ratio <= 1 + up;
}

/** How much of the resource each pod asks for, in thousandths. */
export type Requests = ReadonlyMap<string, number>;

/** Throws, in upstream's words, where a container asks for none. */
export function requestsOf(
  pods: readonly Pod[],
  resource: string,
  container: string | undefined,
): Requests {
  const requests = new Map<string, number>();
  for (const { metadata, spec } of pods) {
    const { name = '' } = metadata;
    const whole = spec?.resources?.requests;
    if (whole !== undefined && container === undefined) {
      const request = whole[resource];
      if (request === undefined) {
        throw new Error(`missing pod-level request for ${resource} in Pod ${name}`);
      }
      requests.set(name, quantityMilliValue(request));
      continue;
    }
    const sidecars = spec?.initContainers?.filter(
      ({ restartPolicy }) => restartPolicy === 'Always',
    );
    const containers: readonly Container[] = [...(spec?.containers ?? []), ...(sidecars ?? [])];
    let sum = 0;
    for (const one of containers) {
      if (container !== undefined && one.name !== container) continue;
      const request = one.resources?.requests?.[resource];
      if (request === undefined) {
        throw new Error(`missing request for ${resource} in container ${one.name} of Pod ${name}`);
      }
      sum += quantityMilliValue(request);
    }
    requests.set(name, sum);
  }
  return requests;
}

interface Groups {
  readonly ready: number;
  readonly unready: readonly string[];
  readonly missing: readonly string[];
  readonly metrics: Map<string, PodMetric>;
}

function group(
  pods: readonly Pod[],
  metrics: PodMetrics,
  options: { readonly isCPU: boolean; readonly starting: Starting; readonly nowMs: number },
): Groups {
  const kept = new Map(metrics);
  const unready: string[] = [];
  const missing: string[] = [];
  let ready = 0;
  for (const pod of pods) {
    const { name = '', deletionTimestamp } = pod.metadata;
    const metric = metrics.get(name);
    if (deletionTimestamp !== undefined || pod.status?.phase === 'Failed') {
      kept.delete(name);
    } else if (pod.status?.phase === 'Pending') {
      kept.delete(name);
      unready.push(name);
    } else if (metric === undefined) {
      missing.push(name);
    } else if (options.isCPU && isStarting(pod, metric, options)) {
      kept.delete(name);
      unready.push(name);
    } else {
      ready += 1;
    }
  }
  return { ready, unready, missing, metrics: kept };
}

/** What it uses of the CPU says nothing yet. */
function isStarting(
  pod: Pod,
  { atMs, windowMs }: PodMetric,
  { starting, nowMs }: { readonly starting: Starting; readonly nowMs: number },
): boolean {
  const condition = conditionOf(pod, 'Ready');
  const { startTime } = pod.status ?? {};
  if (condition === undefined || startTime === undefined) return true;
  const startMs = Date.parse(startTime);
  const changedMs = Date.parse(condition.lastTransitionTime ?? startTime);
  const isUnready = condition.status === 'False';
  if (startMs + starting.cpuInitializationMs > nowMs) {
    return isUnready || atMs < changedMs + windowMs;
  }
  return isUnready && startMs + starting.initialReadinessMs > changedMs;
}

export interface Proposal {
  readonly replicas: number;
  /** What was measured, on average, in thousandths. */
  readonly averageMilli: number;
  /** Percent of what was asked for, where the target is one. */
  readonly utilization?: number;
}

interface Measured {
  readonly ratio: number;
  readonly averageMilli: number;
  readonly utilization?: number;
}

export interface PodsFacts {
  readonly pods: readonly Pod[];
  readonly metrics: PodMetrics;
  readonly currentReplicas: number;
  readonly tolerances: Tolerances;
  readonly isCPU: boolean;
  readonly starting: Starting;
  readonly nowMs: number;
}

/** By percent of what the pods request. */
export function proposeByUtilization(
  facts: PodsFacts,
  requests: Requests,
  targetPercent: number,
): Proposal {
  return propose(facts, {
    measure: (metrics) => utilizationOf(metrics, requests, targetPercent),
    fallback: (name) => ((requests.get(name) ?? 0) * Math.max(100, targetPercent)) / 100,
  });
}

/** By an average of so much per pod. */
export function proposeByAverage(facts: PodsFacts, targetMilli: number): Proposal {
  return propose(facts, {
    measure: (metrics) => {
      let total = 0;
      for (const { milli } of metrics.values()) total += milli;
      const averageMilli = Math.trunc(total / metrics.size);
      return { ratio: averageMilli / targetMilli, averageMilli };
    },
    fallback: () => targetMilli,
  });
}

function utilizationOf(metrics: PodMetrics, requests: Requests, targetPercent: number): Measured {
  let used = 0;
  let requested = 0;
  let count = 0;
  for (const [name, { milli }] of metrics) {
    const request = requests.get(name);
    if (request === undefined) continue;
    used += milli;
    requested += request;
    count += 1;
  }
  if (requested === 0) throw new Error('no metrics returned matched known pods');
  const utilization = Math.trunc((used * 100) / requested);
  return {
    ratio: utilization / targetPercent,
    utilization,
    averageMilli: Math.trunc(used / count),
  };
}

function propose(
  facts: PodsFacts,
  by: {
    readonly measure: (metrics: PodMetrics) => Measured;
    readonly fallback: (name: string) => number;
  },
): Proposal {
  const { currentReplicas, tolerances } = facts;
  if (facts.pods.length === 0) {
    throw new Error('no pods returned by selector while calculating replica count');
  }
  const { ready, unready, missing, metrics } = group(facts.pods, facts.metrics, facts);
  if (metrics.size === 0) {
    throw new Error('did not receive metrics for targeted pods (pods might be unready)');
  }
  const { ratio, ...measured } = by.measure(metrics);
  const isCautious = unready.length > 0 && ratio > 1;
  if (!isCautious && missing.length === 0) {
    const replicas = isWithin(ratio, tolerances) ? currentReplicas : Math.ceil(ratio * ready);
    return { replicas, ...measured };
  }
  const unknown = (milli: number): PodMetric => ({ milli, atMs: 0, windowMs: 0 });
  for (const name of missing) {
    if (ratio < 1) metrics.set(name, unknown(by.fallback(name)));
    else if (ratio > 1) metrics.set(name, unknown(0));
  }
  if (isCautious) for (const name of unready) metrics.set(name, unknown(0));
  const again = by.measure(metrics).ratio;
  const turns = (ratio < 1 && again > 1) || (ratio > 1 && again < 1);
  if (isWithin(again, tolerances) || turns) return { replicas: currentReplicas, ...measured };
  const replicas = Math.ceil(again * metrics.size);
  const isAgainst =
    (again < 1 && replicas > currentReplicas) || (again > 1 && replicas < currentReplicas);
  return { replicas: isAgainst ? currentReplicas : replicas, ...measured };
}

/** By one figure for all: the ratio times the ready pods; from nothing, the ratio alone. */
export function proposeByValue(
  facts: Pick<PodsFacts, 'pods' | 'currentReplicas' | 'tolerances'>,
  valueMilli: number,
  targetMilli: number,
): number {
  const ratio = valueMilli / targetMilli;
  if (facts.currentReplicas === 0) return Math.min(Math.ceil(ratio), limits.replicasMax);
  if (isWithin(ratio, facts.tolerances)) return facts.currentReplicas;
  if (facts.pods.length === 0) {
    const why = 'no pods returned by selector while calculating replica count';
    throw new Error(`unable to calculate ready pods: ${why}`);
  }
  const ready = facts.pods.filter((pod) => pod.status?.phase === 'Running' && isReady(pod));
  return Math.min(Math.ceil(ratio * ready.length), limits.replicasMax);
}

/** By one figure that the pods share. */
export function proposeByShare(
  facts: { readonly statusReplicas: number; readonly tolerances: Tolerances },
  valueMilli: number,
  targetMilli: number,
): Proposal {
  const { statusReplicas } = facts;
  const ratio = valueMilli / (targetMilli * statusReplicas);
  const replicas = isWithin(ratio, facts.tolerances)
    ? statusReplicas
    : Math.min(Math.ceil(valueMilli / targetMilli), limits.replicasMax);
  return { replicas, averageMilli: Math.ceil(valueMilli / statusReplicas) };
}
