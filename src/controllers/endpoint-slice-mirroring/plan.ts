/**
 * EndpointSlices for Endpoints that somebody wrote by hand. Pure.
 *
 * One slice per subset and address family, of at most 1,000 addresses; labels and annotations of
 * the Endpoints come along. What is no address is left out and told. `endpoint-slice-mirroring.ts`
 * gathers and performs. Behaviour: kubernetes.io, "EndpointSlices", "EndpointSlice mirroring".
 */
import { isIP, isIPv6 } from 'node:net';
import { endpoints as endpointsKind } from '#resources/kinds.ts';
import type { EndpointAddress, EndpointSubset, Endpoints } from '#resources/types/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#resources/types/discovery-v1.ts';
import { changeTimeAnnotation } from '../endpoint-slice/change-times.ts';
import { type Action, labels } from '../endpoint-slice/plan.ts';
import { controllerReference } from '../ownership.ts';
import { isSameValue } from '../same-value.ts';

export const limits = { addressesPerSubset: 1000 } as const;
export const mirrorName = 'endpointslicemirroring-controller.k8s.io';

const appliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

export interface Mirrored {
  readonly actions: readonly Action[];
  /** Texts that are no addresses. */
  readonly invalid: number;
  /** Left out, invalid or because there were too many. */
  readonly skipped: number;
}

interface Wanted {
  readonly addressType: string;
  readonly ports: EndpointSlice['ports'];
  readonly endpoints: Endpoint[];
}

export function planMirror(
  endpoints: Endpoints,
  existing: readonly EndpointSlice[],
  perSubset: number = limits.addressesPerSubset,
): Mirrored {
  const wanted = new Map<string, Wanted>();
  let invalid = 0;
  let skipped = 0;
  for (const subset of endpoints.subsets ?? []) {
    const taken = addSubset(wanted, subset, perSubset);
    invalid += taken.invalid;
    skipped += taken.skipped;
  }
  const actions: Action[] = [];
  const spare = existing.filter((slice) => !wanted.has(keyOf(slice)));
  for (const [key, one] of wanted) {
    const [first, ...more] = existing.filter((slice) => keyOf(slice) === key);
    for (const slice of more) actions.push({ do: 'delete', slice });
    // The address type of a slice can never change, but its ports can.
    const reusable = spare.findIndex(({ addressType }) => addressType === one.addressType);
    const before = first ?? (reusable < 0 ? undefined : spare.splice(reusable, 1)[0]);
    const slice = sliceOf(endpoints, one, before);
    if (before === undefined) actions.push({ do: 'create', slice });
    else if (!isSameValue(slice, before)) actions.push({ do: 'update', slice });
  }
  for (const slice of spare) actions.push({ do: 'delete', slice });
  return { actions, invalid, skipped };
}

function keyOf({ addressType, ports }: Pick<EndpointSlice, 'addressType' | 'ports'>): string {
  const sorted = (ports ?? [])
    .map(({ name = '', port, protocol = 'TCP', appProtocol = '' }) =>
      JSON.stringify([name, port, protocol, appProtocol]),
    )
    .toSorted();
  return `${addressType} ${sorted.join(' ')}`;
}

function addSubset(
  wanted: Map<string, Wanted>,
  { addresses = [], notReadyAddresses = [], ports = [] }: EndpointSubset,
  perSubset: number,
): { readonly invalid: number; readonly skipped: number } {
  const all: readonly [EndpointAddress, boolean][] = [
    ...addresses.map((address): [EndpointAddress, boolean] => [address, true]),
    ...notReadyAddresses.map((address): [EndpointAddress, boolean] => [address, false]),
  ];
  let invalid = 0;
  let added = 0;
  for (const [address, ready] of all) {
    if (added >= perSubset) break;
    if (isIP(address.ip) === 0) {
      invalid += 1;
      continue;
    }
    added += 1;
    const addressType = isIPv6(address.ip) ? 'IPv6' : 'IPv4';
    const slicePorts = ports.map(({ name = '', protocol = 'TCP', ...rest }) => ({
      name,
      protocol,
      ...rest,
    }));
    const key = keyOf({ addressType, ports: slicePorts });
    const group = wanted.get(key) ?? { addressType, ports: slicePorts, endpoints: [] };
    wanted.set(key, group);
    group.endpoints.push(endpointOf(address, ready));
  }
  return { invalid, skipped: all.length - added };
}

function endpointOf(address: EndpointAddress, ready: boolean): Endpoint {
  const { ip, hostname, nodeName, targetRef } = address;
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname ? { hostname } : {}),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef }),
  };
}

function sliceOf(
  source: Endpoints,
  { addressType, ports, endpoints }: Wanted,
  before: EndpointSlice | undefined,
): EndpointSlice {
  const { namespace, name = '' } = source.metadata;
  const {
    [changeTimeAnnotation]: _,
    [appliedAnnotation]: __,
    ...annotations
  } = source.metadata.annotations ?? {};
  return {
    ...(before ?? { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }),
    metadata: {
      ...(before?.metadata ?? { namespace, generateName: `${name}-` }),
      labels: {
        ...source.metadata.labels,
        [labels.serviceName]: name,
        [labels.managedBy]: mirrorName,
      },
      annotations,
      ownerReferences: [controllerReference(source, endpointsKind)],
    },
    addressType,
    ports,
    endpoints,
  };
}
