/**
 * The EndpointSlices of a Service. Pure.
 *
 * Given the service, the pods that it selects, the zones of nodes and the slices that exist: which
 * slices to create, change and delete. Endpoints stay in the slice where they are; new ones first
 * fill slices that change anyway, then others with room, then new slices of up to 100. A change of
 * one pod so writes one slice. `endpoint-slice.ts` gathers and performs; the service proxy and DNS
 * read the result (`proxy/proxy.ts` is next in the walk).
 *
 * Example: slices A (100) and B (40), 30 pods go from A and 60 come: A 70 + 30, B 40 + 30.
 */
import { services as serviceKind } from '#resources/kinds.ts';
import type { Node, Pod, Service } from '#resources/types/core-v1.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '#resources/types/discovery-v1.ts';
import { controllerReference } from '../ownership.ts';
import { isReady, isTerminated, isTerminating } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import { planHints, wantsAutomaticHints } from './hints.ts';
import { addressOf, hostnameOf, portsOf } from './pod-endpoints.ts';

export const limits = { endpointsPerSlice: 100 } as const;

export const labels = {
  serviceName: 'kubernetes.io/service-name',
  managedBy: 'endpointslice.kubernetes.io/managed-by',
  headless: 'service.kubernetes.io/headless',
} as const;
export const managerName = 'endpointslice-controller.k8s.io';

export type Action = { readonly do: 'create' | 'update' | 'delete'; readonly slice: EndpointSlice };

export interface Facts {
  readonly service: Service;
  /** Pods in the service's namespace that match its selector. */
  readonly pods: readonly Pod[];
  readonly nodeOf: (nodeName: string) => Node | undefined;
  readonly nodes: () => Iterable<Node>;
  /** Those of this service that this controller manages. */
  readonly slices: readonly EndpointSlice[];
  /** Endpoints that one slice holds at most. */
  readonly perSlice?: number | undefined;
}

interface Group {
  readonly addressType: string;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: Map<string, Endpoint>;
}

export interface Planned {
  readonly actions: readonly Action[];
  /** Of each address type why there are no hints by zone, empty where there are. */
  readonly hints: ReadonlyMap<string, string>;
}

export function planSlices(facts: Facts): Planned {
  const { service } = facts;
  const groups = groupEndpoints(facts);
  const hints = addHints(facts, groups);
  const actions: Action[] = [];
  const used = new Set<EndpointSlice>();
  for (const group of groups) {
    const own = facts.slices.filter(
      (slice) =>
        !used.has(slice) &&
        isOwned(slice, service) &&
        slice.addressType === group.addressType &&
        (isSameValue(slice.ports, group.ports) || (slice.endpoints?.length ?? 0) === 0),
    );
    // An empty slice can serve any ports; one with endpoints only its own.
    const same = own.filter((slice) => isSameValue(slice.ports, group.ports));
    const candidates = same.length > 0 ? same : own.slice(0, 1);
    for (const slice of candidates) used.add(slice);
    actions.push(...planGroup(facts, group, candidates));
  }
  for (const slice of facts.slices) if (!used.has(slice)) actions.push({ do: 'delete', slice });
  return { actions, hints };
}

/** Not of an earlier Service of the same name. */
function isOwned({ metadata }: EndpointSlice, service: Service): boolean {
  return metadata.ownerReferences?.some(({ uid }) => uid === service.metadata.uid) ?? false;
}

/** Hints are shared out among all endpoints of a family, whatever their ports. */
function addHints(
  { service, nodes }: Facts,
  groups: readonly Group[],
): ReadonlyMap<string, string> {
  const hints = new Map<string, string>();
  const isAutomatic = wantsAutomaticHints(service);
  for (const addressType of new Set(groups.map((group) => group.addressType))) {
    const family = groups.filter((group) => group.addressType === addressType);
    const before = family.flatMap(({ endpoints }) => [...endpoints.values()]);
    const { endpoints: after, refusal = '' } = planHints(service, before, nodes);
    const hinted = new Map(before.map((endpoint, index) => [endpoint, after[index] ?? endpoint]));
    for (const { endpoints } of family) {
      for (const [key, endpoint] of endpoints) endpoints.set(key, hinted.get(endpoint) ?? endpoint);
    }
    if (isAutomatic) hints.set(addressType, refusal);
  }
  return hints;
}

/** Endpoints by address type and by ports: a named port may have another number in each pod. */
function groupEndpoints({ service, pods, nodeOf }: Facts): readonly Group[] {
  const groups = new Map<string, Group>();
  const families =
    service.spec?.type === 'ExternalName' ? [] : (service.spec?.ipFamilies ?? ['IPv4']);
  for (const addressType of families) {
    let isEmpty = true;
    for (const pod of pods) {
      const address = addressOf(pod, addressType);
      if (address === undefined || isTerminated(pod)) continue;
      const node = nodeOf(pod.spec?.nodeName ?? '');
      // A node that is gone takes its pods along, unless all that there is shall be published.
      if (node === undefined && service.spec?.publishNotReadyAddresses !== true) continue;
      isEmpty = false;
      const ports = portsOf(service, pod);
      const name = `${addressType} ${JSON.stringify(ports)}`;
      const group = groups.get(name) ?? { addressType, ports, endpoints: new Map() };
      groups.set(name, group);
      group.endpoints.set(pod.metadata.uid ?? address, endpointOf(service, pod, address, node));
    }
    // Without pods there still is a slice, so that readers know that there are none.
    if (isEmpty) groups.set(addressType, { addressType, ports: [], endpoints: new Map() });
  }
  return [...groups.values()];
}

function planGroup(
  { service, perSlice = limits.endpointsPerSlice }: Facts,
  group: Group,
  slices: readonly EndpointSlice[],
): readonly Action[] {
  const waiting = new Map(group.endpoints);
  const kept = slices.map((slice) => {
    const endpoints: Endpoint[] = [];
    for (const { targetRef, addresses } of slice.endpoints ?? []) {
      const key = targetRef?.uid ?? addresses[0] ?? '';
      const endpoint = waiting.get(key);
      if (endpoint === undefined) continue;
      waiting.delete(key);
      endpoints.push(endpoint);
    }
    return { slice, endpoints, isChanged: !isSameValue(endpoints, slice.endpoints) };
  });
  const fill = (endpoints: Endpoint[]): void => {
    for (const [key, endpoint] of waiting) {
      if (endpoints.length >= perSlice) return;
      endpoints.push(endpoint);
      waiting.delete(key);
    }
  };
  for (const { endpoints, isChanged } of kept) if (isChanged) fill(endpoints);
  // The fullest slice that takes all of the rest, else whichever has room.
  const room = ({ endpoints }: (typeof kept)[number]) => perSlice - endpoints.length;
  const byRoom = kept.toSorted((a, b) => room(a) - room(b));
  const fitting = byRoom.find((slice) => waiting.size > 0 && room(slice) >= waiting.size);
  for (const { endpoints } of fitting === undefined ? byRoom : [fitting]) fill(endpoints);

  const actions: Action[] = [];
  // Of slices that are all empty the first one stays.
  const isEmpty = kept.every(({ endpoints }) => endpoints.length === 0);
  for (const [index, { slice, endpoints }] of kept.entries()) {
    const isLast = isEmpty && index === 0;
    if (endpoints.length === 0 && !isLast) {
      actions.push({ do: 'delete', slice });
      continue;
    }
    const next = sliceOf(service, group, endpoints, slice);
    if (!isSameValue(next, slice)) actions.push({ do: 'update', slice: next });
  }
  while (waiting.size > 0 || (kept.length === 0 && actions.length === 0)) {
    const endpoints: Endpoint[] = [];
    fill(endpoints);
    actions.push({ do: 'create', slice: sliceOf(service, group, endpoints, undefined) });
  }
  return actions;
}

function sliceOf(
  service: Service,
  { addressType, ports }: Group,
  endpoints: readonly Endpoint[],
  before: EndpointSlice | undefined,
): EndpointSlice {
  const { namespace, name = '' } = service.metadata;
  const isHeadless = !service.spec?.clusterIP || service.spec.clusterIP === 'None';
  const { [labels.headless]: _, ...others } = service.metadata.labels ?? {};
  const metadata = before?.metadata ?? { namespace, generateName: `${name}-` };
  return {
    ...(before ?? { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }),
    metadata: {
      ...metadata,
      labels: {
        ...others,
        [labels.serviceName]: name,
        [labels.managedBy]: managerName,
        ...(isHeadless ? { [labels.headless]: '' } : {}),
      },
      ownerReferences: [controllerReference(service, serviceKind)],
    },
    addressType,
    ports,
    endpoints,
  };
}

function endpointOf(service: Service, pod: Pod, address: string, node: Node | undefined): Endpoint {
  const { namespace, name, uid } = pod.metadata;
  const { nodeName } = pod.spec ?? {};
  const hostname = hostnameOf(pod, service);
  const serving = isReady(pod);
  const terminating = isTerminating(pod);
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const zone = node?.metadata.labels?.['topology.kubernetes.io/zone'];
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
}
