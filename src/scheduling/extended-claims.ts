/**
 * Extended resources that stand for devices: a container asks for `example.com/gpu: 2` as ever, a
 * DeviceClass says that this name means devices of its class, and on nodes whose own device plugin
 * does not count them the scheduler makes a ResourceClaim for the pod that asks for just that.
 *
 * Init containers run one after another before the others, so what they ask for is lent from the
 * containers that come after them; what is missing is asked for once, for the one that needs most.
 *
 * Worked example: init container asks for 3, the only container for 2: requests are
 * `container-1-request-0` for 2 and `container-0-request-0` for 1; the init container has both.
 *
 * The rule of devices calls it; `scheduler/device-writer.ts` makes the claim. Behaviour:
 * kubernetes.io, "Extended resource allocation by DRA"; KEP-5004.
 */
import {
  deviceClassFor,
  extendedClaimAnnotation,
  mayBeBacked,
  standsFor,
} from '#resources/resource/extended-device-class.ts';
import type {
  Container,
  ContainerExtendedResourceRequest,
  Pod,
  PodSpec,
} from '#resources/types/core-v1.ts';
import type { DeviceClass, DeviceRequest, ResourceClaim } from '#resources/types/resource-v1.ts';
import { type Amounts, amountOf } from './amounts.ts';
import type { ClaimToMake } from './plugin.ts';

/** Name of what is asked for → the class whose devices it means. */
export type BackedResources = ReadonlyMap<string, DeviceClass>;

const nothing: BackedResources = new Map();

/** Of what the pod asks for, that which stands for devices. */
export function backedResources(
  { others }: Readonly<Amounts>,
  classes: { list(): Iterable<DeviceClass> },
): BackedResources {
  const wanted = [...(others ?? [])].filter(([name, amount]) => amount > 0 && mayBeBacked(name));
  if (wanted.length === 0) return nothing;
  const all = [...classes.list()];
  const backed = new Map<string, DeviceClass>();
  for (const [name] of wanted) {
    const found = deviceClassFor(name, all);
    if (found !== undefined) backed.set(name, found);
  }
  return backed;
}

/** The class that a resource stands for; undefined where it stands for none. */
export function backingClass(
  name: string,
  classes: { list(): Iterable<DeviceClass> },
): DeviceClass | undefined {
  return mayBeBacked(name) ? deviceClassFor(name, classes.list()) : undefined;
}

/** The class stands for something that the pod asks for. */
export function backsRequest({ others }: Readonly<Amounts>, deviceClass: DeviceClass): boolean {
  return [...(others ?? [])].some(([name, amount]) => amount > 0 && standsFor(deviceClass, name));
}

/** A claim that was made for the pod by an earlier attempt. */
export function earlierClaim(
  { metadata }: Pod,
  claims: Iterable<ResourceClaim>,
): ResourceClaim | undefined {
  for (const claim of claims) {
    const { annotations, ownerReferences = [] } = claim.metadata;
    if (annotations?.[extendedClaimAnnotation] !== 'true') continue;
    const mine = ownerReferences.some(
      ({ controller, name, uid }) => controller && name === metadata.name && uid === metadata.uid,
    );
    if (mine) return claim;
  }
  return undefined;
}

/** Stands for the claim while it is not made; not a name that a claim could have. */
export function keyOfMade({
  namespace,
  uid,
}: {
  readonly namespace: string;
  readonly uid: string;
}) {
  return `${namespace}/<extended-resources>/${uid}`;
}

interface Asked {
  readonly request: DeviceRequest | undefined;
  readonly mappings: readonly ContainerExtendedResourceRequest[];
}

/** What the claim of a pod asks for where a node gives these resources as devices. */
export function planExtendedClaim(spec: PodSpec, backed: BackedResources): ClaimToMake {
  const requests: DeviceRequest[] = [];
  const mappings: ContainerExtendedResourceRequest[] = [];
  for (const [resource, { metadata }] of [...backed].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const planned = planOne(spec, resource, metadata.name ?? '');
    requests.push(...planned.requests);
    mappings.push(...planned.mappings);
  }
  requests.sort((left, right) => (left.name < right.name ? -1 : 1));
  return { requests, mappings };
}

function planOne(spec: PodSpec, resource: string, deviceClassName: string): ClaimToMake {
  const { initContainers = [], containers } = spec;
  const all = [...initContainers, ...containers];
  const isBrief = (container: Container, index: number): boolean =>
    index < initContainers.length && container.restartPolicy !== 'Always';
  const what = { resource, deviceClassName };
  const lasting = all.map((container, index): Asked => {
    if (isBrief(container, index)) return { request: undefined, mappings: [] };
    return askFor(container, index, { ...what, lent: [] });
  });
  const brief = all.flatMap((container, index) => {
    if (!isBrief(container, index)) return [];
    const lent = lasting.slice(index).flatMap(({ request }) => request ?? []);
    return [askFor(container, index, { ...what, lent })];
  });
  const most = brief
    .flatMap(({ request }) => request ?? [])
    .reduce<DeviceRequest | undefined>(
      (best, one) => (countOf(one) > (best === undefined ? 0 : countOf(best)) ? one : best),
      undefined,
    );
  const own = new Set(brief.flatMap(({ request }) => request?.name ?? []));
  const shared = brief
    .flatMap((one) => one.mappings)
    .map((mapping) => {
      const { requestName } = mapping;
      return most !== undefined && own.has(requestName)
        ? { ...mapping, requestName: most.name }
        : mapping;
    });
  return {
    requests: [
      ...(most === undefined ? [] : [most]),
      ...lasting.flatMap((one) => one.request ?? []),
    ],
    mappings: [...lasting.flatMap((one) => one.mappings), ...shared],
  };
}

/** What is missing after what others lend; they are numbered as upstream numbers them. */
function askFor(
  { name: containerName, resources }: Container,
  index: number,
  {
    resource: resourceName,
    deviceClassName,
    lent,
  }: {
    readonly resource: string;
    readonly deviceClassName: string;
    readonly lent: readonly DeviceRequest[];
  },
): Asked {
  const asked = resources?.requests ?? {};
  const wanted = amountOf(resourceName, asked[resourceName] ?? '0');
  const mappings: ContainerExtendedResourceRequest[] = [];
  let had = 0;
  for (const request of wanted === 0 ? [] : lent) {
    had += countOf(request);
    mappings.push({ containerName, resourceName, requestName: request.name });
    if (had >= wanted) break;
  }
  if (had >= wanted) return { request: undefined, mappings };
  const place = Object.keys(asked).sort().indexOf(resourceName);
  const requestName = `container-${index}-request-${place}`;
  mappings.push({ containerName, resourceName, requestName });
  const exactly = { deviceClassName, allocationMode: 'ExactCount', count: wanted - had };
  return { request: { name: requestName, exactly }, mappings };
}

function countOf({ exactly }: DeviceRequest): number {
  return exactly?.count ?? 0;
}
