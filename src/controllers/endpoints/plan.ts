/**
 * The Endpoints of a Service, the older form of its EndpointSlices. Pure.
 *
 * Addresses of pods with the same ports make one subset, ready and others apart; pods that are
 * ending are left out (in slices they are marked). At most 1,000 addresses are told, ready ones
 * first, and an annotation says when there are more.
 *
 * Example: a Service with port `http`, which is 80 in pods a and b and 8080 in c, which is not
 * ready: one subset {a, b}:80 and one {not ready: c}:8080. Behaviour: kubernetes.io, "Service".
 */
import type {
  EndpointAddress,
  EndpointPort,
  EndpointSubset,
  Endpoints,
  Pod,
  Service,
} from '#resources/types/core-v1.ts';
import { addressOf, hostnameOf, portsOf } from '../endpoint-slice/pod-endpoints.ts';
import { isReady, isTerminated, isTerminating } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';

export const limits = { addressesMax: 1000 } as const;

const managedByLabel = 'endpoints.kubernetes.io/managed-by';
export const managerName = 'endpoint-controller';
const overCapacityAnnotation = 'endpoints.kubernetes.io/over-capacity';
const headlessLabel = 'service.kubernetes.io/headless';

/** What is to be written; undefined where that is there already. */
export function planEndpoints(facts: {
  readonly service: Service;
  /** Pods in the service's namespace that match its selector. */
  readonly pods: readonly Pod[];
  readonly before: Endpoints | undefined;
}): Endpoints | undefined {
  const { service, before } = facts;
  const all = subsetsOf(service, facts.pods);
  const { subsets, isTruncated } = truncated(all);
  const labels = labelsOf(service);
  const { [overCapacityAnnotation]: mark, ...others } = before?.metadata.annotations ?? {};
  const isMarked = (mark !== undefined) === isTruncated;
  if (before !== undefined && isMarked && isSameValue(before.metadata.labels, labels)) {
    if (isSameValue(before.subsets, subsets)) return undefined;
  }
  const annotations = isTruncated ? { ...others, [overCapacityAnnotation]: 'truncated' } : others;
  const { namespace, name } = service.metadata;
  return {
    ...(before ?? { apiVersion: 'v1', kind: 'Endpoints' }),
    metadata: { ...(before?.metadata ?? { namespace, name }), labels, annotations },
    subsets,
  };
}

function labelsOf(service: Service): Readonly<Record<string, string>> {
  const { [headlessLabel]: _, ...labels } = service.metadata.labels ?? {};
  const isHeadless = !service.spec?.clusterIP || service.spec.clusterIP === 'None';
  const headless = isHeadless ? { [headlessLabel]: '' } : {};
  return { ...labels, ...headless, [managedByLabel]: managerName };
}

interface Subset {
  readonly ports: readonly EndpointPort[];
  readonly addresses: EndpointAddress[];
  readonly notReadyAddresses: EndpointAddress[];
}

function subsetsOf(service: Service, pods: readonly Pod[]): readonly Subset[] {
  const publishesAll = service.spec?.publishNotReadyAddresses === true;
  const isHeadless = service.spec?.clusterIP === 'None';
  const hasPorts = (service.spec?.ports ?? []).length > 0;
  const byPorts = new Map<string, Subset>();
  for (const pod of pods) {
    const address = addressOfPod(service, pod);
    if (address === undefined || isTerminated(pod)) continue;
    if (isTerminating(pod) && !publishesAll) continue;
    const ports = portsOf(service, pod);
    if (ports.length === 0 && (hasPorts || !isHeadless)) continue;
    const key = JSON.stringify(ports);
    const subset = byPorts.get(key) ?? { ports, addresses: [], notReadyAddresses: [] };
    byPorts.set(key, subset);
    const list = publishesAll || isReady(pod) ? subset.addresses : subset.notReadyAddresses;
    list.push(address);
  }
  const sorted = [...byPorts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, subset]) => subset);
  for (const subset of sorted) {
    subset.addresses.sort(byAddress);
    subset.notReadyAddresses.sort(byAddress);
  }
  return sorted;
}

function addressOfPod(service: Service, pod: Pod): EndpointAddress | undefined {
  const [family = 'IPv4'] = service.spec?.ipFamilies ?? [];
  const ip = addressOf(pod, family);
  if (ip === undefined) return undefined;
  const { namespace, name, uid } = pod.metadata;
  const hostname = hostnameOf(pod, service);
  return {
    ip,
    ...(hostname === undefined ? {} : { hostname }),
    ...(pod.spec?.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
}

function byAddress(a: EndpointAddress, b: EndpointAddress): number {
  const key = ({ ip }: EndpointAddress): string =>
    ip
      .split('.')
      .map((part) => part.padStart(3, '0'))
      .join('.');
  if (key(a) !== key(b)) return key(a) < key(b) ? -1 : 1;
  return (a.targetRef?.uid ?? '') < (b.targetRef?.uid ?? '') ? -1 : 1;
}

/** Each subset keeps its share, rounded up, of what may be told: ready ones before others. */
function truncated(all: readonly Subset[]): {
  readonly subsets: readonly EndpointSubset[];
  readonly isTruncated: boolean;
} {
  let ready = 0;
  let total = 0;
  for (const { addresses, notReadyAddresses } of all) {
    ready += addresses.length;
    total += addresses.length + notReadyAddresses.length;
  }
  if (total <= limits.addressesMax) return { subsets: all, isTruncated: false };
  const cutsReady = ready > limits.addressesMax;
  const room = cutsReady ? limits.addressesMax : limits.addressesMax - ready;
  const among = cutsReady ? ready : total - ready;
  let left = room;
  const keep = (list: readonly EndpointAddress[]): readonly EndpointAddress[] => {
    const count = Math.min(left, Math.ceil((list.length / among) * room));
    const kept = list.slice(0, count);
    left -= kept.length;
    return kept;
  };
  const subsets = all.map(({ ports, addresses, notReadyAddresses }) => ({
    ports,
    addresses: cutsReady ? keep(addresses) : addresses,
    notReadyAddresses: cutsReady ? [] : keep(notReadyAddresses),
  }));
  return { subsets, isTruncated: true };
}
