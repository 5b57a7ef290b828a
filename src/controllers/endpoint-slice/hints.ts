/**
 * Which endpoints a Service would rather be reached at, from where: `hints` of its slices. Pure.
 *
 * With `spec.trafficDistribution` each ready endpoint is meant for its own zone (PreferSameZone and
 * its older name PreferClose) and with PreferSameNode for its own node too. With the annotation
 * `service.kubernetes.io/topology-mode: Auto` endpoints are shared out between zones by the CPUs of
 * their nodes, as long as no zone gets overloaded; `plan.ts` applies what is decided here.
 *
 * Example: zones a and b with 6 and 2 CPUs, 2 ready endpoints in each: a wants 3 of 4, so one
 * endpoint of b is meant for a. Behaviour: kubernetes.io, "Topology Aware Routing".
 */
import { quantityMilliValue } from '#api/quantity.ts';
import type { Node, Service } from '#resources/types/core-v1.ts';
import type { Endpoint } from '#resources/types/discovery-v1.ts';

/** How much above its share a zone may be loaded. */
const overload = 0.2;

const refusals = {
  nodes:
    'Insufficient Node information: allocatable CPU or zone not specified on one or more nodes',
  few: 'Insufficient number of endpoints',
  overload:
    'Unable to allocate minimum required endpoints to each zone ' +
    'without exceeding overload threshold',
  zone: 'One or more endpoints do not have a zone specified',
} as const;

export interface Hinted {
  readonly endpoints: readonly Endpoint[];
  /** Why there are no hints although they were asked for. */
  readonly refusal?: string;
}

export function wantsAutomaticHints({ metadata }: Service): boolean {
  const { annotations = {} } = metadata;
  const mode =
    annotations['service.kubernetes.io/topology-aware-hints'] ??
    annotations['service.kubernetes.io/topology-mode'];
  return mode === 'Auto' || mode === 'auto';
}

export function planHints(
  service: Service,
  endpoints: readonly Endpoint[],
  nodes: () => Iterable<Node>,
): Hinted {
  if (wantsAutomaticHints(service)) return shareOut(endpoints, cpuRatios(nodes()));
  const wanted = service.spec?.trafficDistribution ?? '';
  const isZonal = ['PreferClose', 'PreferSameZone', 'PreferSameNode'].includes(wanted);
  if (!isZonal) return { endpoints };
  const forNode = wanted === 'PreferSameNode';
  return { endpoints: endpoints.map((endpoint) => ownZone(endpoint, { forNode })) };
}

function ownZone(endpoint: Endpoint, { forNode }: { readonly forNode: boolean }): Endpoint {
  const { zone, nodeName, conditions } = endpoint;
  if (conditions?.ready !== true) return endpoint;
  const hints = {
    ...(zone === undefined ? {} : { forZones: [{ name: zone }] }),
    ...(forNode && nodeName !== undefined ? { forNodes: [{ name: nodeName }] } : {}),
  };
  return Object.keys(hints).length === 0 ? endpoint : { ...endpoint, hints };
}

/** The share of each zone in the CPUs of all ready nodes; undefined where a node does not say. */
function cpuRatios(nodes: Iterable<Node>): ReadonlyMap<string, number> | undefined {
  const byZone = new Map<string, number>();
  let total = 0;
  for (const { metadata, status } of nodes) {
    const { labels = {} } = metadata;
    const isControlPlane =
      'node-role.kubernetes.io/control-plane' in labels ||
      'node-role.kubernetes.io/master' in labels;
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    if (isControlPlane || ready?.status !== 'True') continue;
    const zone = labels['topology.kubernetes.io/zone'] ?? '';
    const cpu = quantityMilliValue(status?.allocatable?.['cpu'] ?? '0');
    if (zone === '' || cpu === 0) return undefined;
    byZone.set(zone, (byZone.get(zone) ?? 0) + cpu);
    total += cpu;
  }
  if (byZone.size < 2) return undefined;
  return new Map(Array.from(byZone, ([zone, cpu]) => [zone, cpu / total]));
}

function shareOut(
  endpoints: readonly Endpoint[],
  ratios: ReadonlyMap<string, number> | undefined,
): Hinted {
  if (ratios === undefined) {
    return { endpoints, refusal: refusals.nodes };
  }
  const ready = endpoints.filter(({ conditions }) => conditions?.ready === true);
  const few = `(${ready.length} endpoints, ${ratios.size} zones)`;
  if (ready.length < ratios.size) {
    return { endpoints, refusal: `${refusals.few} ${few}` };
  }
  const shares = new Map<string, { readonly desired: number; readonly minimum: number }>();
  let minimumTotal = 0;
  for (const [zone, ratio] of ratios) {
    const desired = ratio * ready.length;
    const minimum = Math.ceil(desired / (1 + overload));
    minimumTotal += minimum;
    shares.set(zone, { desired, minimum });
  }
  if (minimumTotal > ready.length) {
    return { endpoints, refusal: `${refusals.overload} ${few}` };
  }
  if (ready.some(({ zone }) => zone === undefined)) {
    return { endpoints, refusal: refusals.zone };
  }
  const zones = new Map(ready.map((endpoint) => [endpoint, endpoint.zone ?? '']));
  moveSurplus(zones, shares);
  const hinted = endpoints.map((endpoint) => {
    const name = zones.get(endpoint);
    return name === undefined ? endpoint : { ...endpoint, hints: { forZones: [{ name }] } };
  });
  return { endpoints: hinted };
}

/** From zones with more than they want to those with less than they need, one at a time. */
function moveSurplus(
  zones: Map<Endpoint, string>,
  shares: ReadonlyMap<string, { readonly desired: number; readonly minimum: number }>,
): void {
  const counts = new Map<string, number>([...shares.keys()].map((zone) => [zone, 0]));
  for (const zone of zones.values()) counts.set(zone, (counts.get(zone) ?? 0) + 1);
  const surplusOf = (zone: string): number =>
    (counts.get(zone) ?? 0) - Math.max(shares.get(zone)?.desired ?? 0, 0);
  for (const [endpoint, from] of zones) {
    if (surplusOf(from) < 1) continue;
    const [to] = [...shares.keys()].toSorted((a, b) => surplusOf(a) - surplusOf(b));
    const needs =
      to !== undefined && (counts.get(to) ?? 0) < Math.max(1, shares.get(to)?.minimum ?? 0);
    if (to === undefined || to === from || !needs) continue;
    zones.set(endpoint, to);
    counts.set(from, (counts.get(from) ?? 0) - 1);
    counts.set(to, (counts.get(to) ?? 0) + 1);
  }
}
