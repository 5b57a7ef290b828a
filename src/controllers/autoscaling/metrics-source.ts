/**
 * Where the autoscaler gets its figures: the three metrics APIs, which programs outside serve.
 *
 * `MetricsSource` is the seam; `openMetricsSource` asks `metrics.k8s.io`, `custom.metrics.k8s.io`
 * and `external.metrics.k8s.io` through the API server. All figures are in thousandths (milli).
 * Behaviour: kubernetes.io, "Horizontal Pod Autoscaling", "Support for metrics APIs".
 */

import { isReason } from '#api/errors.ts';
import { quantityMilliValue } from '#api/quantity.ts';
import { formatLabelSelector, type LabelSelector } from '#api/selectors.ts';
import { type Client, withQuery } from '#client';
import { messageOf } from '#kit/error-message.ts';
import type { CrossVersionObjectReference } from '#resources/types/autoscaling-v2.ts';

export interface PodMetric {
  readonly milli: number;
  readonly atMs: number;
  readonly windowMs: number;
}

export type PodMetrics = ReadonlyMap<string, PodMetric>;

export interface PodsAsked {
  readonly namespace: string;
  /** Of the pods, as text. */
  readonly selector: string;
}

export interface MetricsSource {
  resource(
    of: PodsAsked & { readonly resource: string; readonly container: string | undefined },
    options: { readonly signal: AbortSignal },
  ): Promise<PodMetrics>;
  pods(of: PodsAsked & MetricAsked, options: { readonly signal: AbortSignal }): Promise<PodMetrics>;
  object(
    of: MetricAsked & {
      readonly namespace: string;
      readonly reference: CrossVersionObjectReference;
      /** As `ingresses.networking.k8s.io`. */
      readonly groupResource: string;
    },
    options: { readonly signal: AbortSignal },
  ): Promise<number>;
  external(
    of: MetricAsked & { readonly namespace: string },
    options: { readonly signal: AbortSignal },
  ): Promise<readonly number[]>;
}

export interface MetricAsked {
  readonly metric: string;
  readonly metricSelector: LabelSelector | undefined;
}

interface Api {
  readonly what: string;
  /** What is said where nobody serves it. */
  readonly missing: string;
}

const notFound = 'the server could not find the requested resource';

const apis = {
  resource: { what: 'resource metrics', missing: `${notFound} (get pods.metrics.k8s.io)` },
  custom: {
    what: 'custom metrics',
    missing: 'no custom metrics API (custom.metrics.k8s.io) registered',
  },
} as const satisfies Readonly<Record<string, Api>>;

function externalApi(metric: string): Api {
  const missing = `${notFound} (get ${metric}.external.metrics.k8s.io)`;
  return { what: 'external metrics', missing };
}

const minuteMs = 60_000;

export function openMetricsSource(client: Client): MetricsSource {
  /** Gets a list, and says which API failed to give it. */
  const ask = async (
    { what, missing }: Api,
    path: string,
    query: Readonly<Record<string, string | undefined>>,
    signal: AbortSignal,
  ): Promise<readonly Item[]> => {
    let list: { readonly items?: readonly Item[] };
    try {
      list = await client.getPath(withQuery(path, query), { signal });
    } catch (error) {
      signal.throwIfAborted();
      const why = isReason(error, 'NotFound') ? missing : messageOf(error);
      throw new Error(`unable to fetch metrics from ${what} API: ${why}`);
    }
    if (list.items === undefined || list.items.length === 0) {
      throw new Error(`no metrics returned from ${what} API`);
    }
    return list.items;
  };
  return {
    resource: async ({ namespace, selector, resource, container }, { signal }) => {
      const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods`;
      const items = await ask(apis.resource, path, { labelSelector: selector }, signal);
      return resourceMetrics(items, resource, container);
    },
    pods: async ({ namespace, selector, metric, metricSelector }, { signal }) => {
      const path = `${customPath(namespace)}/pods/*/${metric}`;
      const query = { labelSelector: selector, metricLabelSelector: textOf(metricSelector) };
      const items = await ask(apis.custom, path, query, signal);
      return new Map(
        items.map((item) => [
          item.describedObject?.name ?? '',
          { milli: milliOf(item), atMs: timeOf(item), windowMs: (item.windowSeconds ?? 60) * 1000 },
        ]),
      );
    },
    object: async ({ namespace, reference, groupResource, ...of }, { signal }) => {
      const path =
        reference.kind === 'Namespace'
          ? `${customPath(reference.name)}/metrics/${of.metric}`
          : `${customPath(namespace)}/${groupResource}/${reference.name}/${of.metric}`;
      const query = { metricLabelSelector: textOf(of.metricSelector) };
      const [item] = await ask(apis.custom, path, query, signal);
      return item === undefined ? 0 : milliOf(item);
    },
    external: async ({ namespace, metric, metricSelector }, { signal }) => {
      const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${metric}`;
      const query = { labelSelector: textOf(metricSelector) };
      const items = await ask(externalApi(metric), path, query, signal);
      return items.map(milliOf);
    },
  };
}

function customPath(namespace: string): string {
  return `/apis/custom.metrics.k8s.io/v1beta2/namespaces/${namespace}`;
}

/** An item of any of the three lists, as the servers write them. */
interface Item {
  readonly metadata?: { readonly name?: string };
  readonly describedObject?: { readonly name?: string };
  readonly timestamp?: string;
  /** A Go duration (`30s`) in the resource metrics. */
  readonly window?: string;
  readonly windowSeconds?: number;
  readonly value?: string;
  readonly containers?: readonly {
    readonly name: string;
    readonly usage?: Readonly<Record<string, string>>;
  }[];
}

function textOf(selector: LabelSelector | undefined): string | undefined {
  return selector === undefined ? undefined : formatLabelSelector(selector);
}

function milliOf({ value = '0' }: Item): number {
  return quantityMilliValue(value);
}

function timeOf({ timestamp = '' }: Item): number {
  return Date.parse(timestamp);
}

/** Pods of which a container does not say are left out. */
function resourceMetrics(
  items: readonly Item[],
  resource: string,
  container: string | undefined,
): PodMetrics {
  const metrics = new Map<string, PodMetric>();
  for (const item of items) {
    const containers = (item.containers ?? []).filter(
      ({ name }) => container === undefined || name === container,
    );
    const usages = containers.map(({ usage }) => usage?.[resource]);
    if (usages.length === 0 || usages.includes(undefined)) continue;
    const milli = usages.reduce((sum, usage) => sum + quantityMilliValue(usage ?? '0'), 0);
    const seconds = /^([\d.]+)s$/.exec(item.window ?? '')?.[1];
    const windowMs = seconds === undefined ? minuteMs : Number(seconds) * 1000;
    metrics.set(item.metadata?.name ?? '', { milli, atMs: timeOf(item), windowMs });
  }
  return metrics;
}
