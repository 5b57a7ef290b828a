/**
 * What every cluster has from the first moment: four namespaces, the two priority classes of the
 * system, the block of addresses for Services, and the Service `kubernetes` with the address of
 * this server. Written when the server opens; what is there already stays, except the server's own
 * address, which may have changed. `kept-objects.ts` does the same when some of it was deleted.
 */
import type { Served } from '#api/catalog.ts';
import { isReason } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { present } from '#kit/assert.ts';
import { formatTime } from '#kit/clock.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { systemPriorityClasses } from '#resources/scheduling/priority-class.ts';
import type { ServiceCIDR } from '#resources/types/networking-v1.ts';
import { ownIdentity } from './auth/own-identity.ts';
import { dayOf } from './auth/token-uses.ts';
import type { Parts } from './parts.ts';
import { decodeEntry, keyOf } from './registry.ts';
import { familyOf } from './services/ip-families.ts';
import { serviceRanges } from './services/service-allocator.ts';
import { createObject } from './verbs/create.ts';
import { changeObject } from './verbs/update.ts';

const namespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;
const servicePort = 443;

/** Who owns the fields of what is written here. */
const manager = 'kube-apiserver';
const change = { identity: ownIdentity, dryRun: false, insists: false, manager };

export async function bootstrap(parts: Parts): Promise<void> {
  const namespaceKind = find(parts, '', 'namespaces');
  if (namespaceKind === undefined) return;
  const classKind = find(parts, 'scheduling.k8s.io', 'priorityclasses');
  const rangeKind = find(parts, 'networking.k8s.io', 'servicecidrs');
  await Promise.all([
    ...namespaces.map((name) =>
      ensure(parts, namespaceKind, { kind: 'Namespace', apiVersion: 'v1', metadata: { name } }, ''),
    ),
    ...(classKind === undefined ? [] : priorityClasses()).map((object) =>
      ensure(parts, present(classKind, 'there are classes'), object, ''),
    ),
    ...(rangeKind === undefined ? [] : [publishRange(parts, rangeKind)]),
  ]);
  const serviceKind = find(parts, '', 'services');
  if (serviceKind !== undefined)
    await ensure(parts, serviceKind, kubernetesService(parts), 'default');
  const mapKind = find(parts, '', 'configmaps');
  const sliceKind = find(parts, 'discovery.k8s.io', 'endpointslices');
  const endpointsKind = find(parts, '', 'endpoints');
  await Promise.all([
    ...(mapKind === undefined ? [] : [ensure(parts, mapKind, tokenTracking(parts), 'kube-system')]),
    ...(sliceKind === undefined ? [] : [publish(parts, sliceKind, ownSlice(parts))]),
    ...(endpointsKind === undefined ? [] : [publish(parts, endpointsKind, ownEndpoints(parts))]),
  ]);
}

/** Keys in the store of what is made again if it goes; other things are made at the start alone. */
export function keptKeys(parts: Parts): ReadonlySet<string> {
  const kept: readonly (readonly [string, string, string, string])[] = [
    ...namespaces.map((name) => ['', 'namespaces', '', name] as const),
    ['', 'services', 'default', 'kubernetes'],
    ['', 'endpoints', 'default', 'kubernetes'],
    ['discovery.k8s.io', 'endpointslices', 'default', 'kubernetes'],
    ['networking.k8s.io', 'servicecidrs', '', 'kubernetes'],
  ];
  const keys = kept.map(([group, plural, namespace, name]) => {
    const served = find(parts, group, plural);
    return served === undefined ? '' : keyOf(served.resource, namespace, name);
  });
  return new Set(keys);
}

function find({ catalog }: Parts, group: string, plural: string): Served | undefined {
  return catalog.findPlural({ group, version: 'v1' }, plural);
}

async function ensure(
  parts: Parts,
  served: Served,
  object: KubeObject,
  namespace: string,
): Promise<void> {
  const name = present(object.metadata.name, 'bootstrap objects have names');
  const key = keyOf(served.resource, namespace, name);
  if (isUnreadable(parts, key) || parts.store.get(key) !== undefined) return;
  try {
    await createObject(parts, {
      served,
      object,
      namespace,
      identity: ownIdentity,
      dryRun: false,
      manager,
    });
  } catch (error) {
    // Another server on the same store was faster.
    if (!isReason(error, 'AlreadyExists')) throw error;
  }
}

function priorityClasses(): KubeObject[] {
  return systemPriorityClasses.map(({ name, ...fields }) => {
    const object = {
      kind: 'PriorityClass',
      apiVersion: 'scheduling.k8s.io/v1',
      metadata: { name },
      preemptionPolicy: 'PreemptLowerPriority',
      ...fields,
    };
    return object;
  });
}

const labels = { component: 'apiserver', provider: 'kubernetes' };

function kubernetesService({ services, options }: Parts): KubeObject {
  return {
    kind: 'Service',
    apiVersion: 'v1',
    metadata: { name: 'kubernetes', namespace: 'default', labels },
    spec: {
      type: 'ClusterIP',
      clusterIP: services.firstAddress,
      ipFamilyPolicy: 'SingleStack',
      ports: [
        { name: 'https', port: servicePort, protocol: 'TCP', targetPort: options.advertise.port },
      ],
    },
  };
}

/** Since when the use of tokens that stand in Secrets is noted (`auth/token-uses.ts`). */
function tokenTracking({ clock }: Parts): KubeObject {
  const name = 'kube-apiserver-legacy-service-account-token-tracking';
  const data = { since: dayOf(clock.now()) };
  const map = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name }, data };
  return map;
}

/**
 * The blocks that Services get their addresses from. Once they are there, they stay as they are;
 * but a cluster of one family can get the other as well.
 */
async function publishRange(parts: Parts, served: Served): Promise<void> {
  const cidrs = serviceRanges(parts.options);
  const object = {
    kind: 'ServiceCIDR',
    apiVersion: 'networking.k8s.io/v1',
    metadata: { name: 'kubernetes' },
    spec: { cidrs },
  };
  // The kind was looked up by its name.
  const stored = read(parts, served, '', 'kubernetes') as ServiceCIDR | undefined;
  const isGrown = grows(stored?.spec?.cidrs ?? [], cidrs);
  if ((stored?.status?.conditions ?? []).length > 0 && !isGrown) return;
  await ensure(parts, served, object, '');
  if (isGrown) {
    await changeObject(parts, {
      ...change,
      ...{ served, namespace: '', name: 'kubernetes', subresource: '' },
      // The kind was looked up by its name.
      next: (hub) => ({ ...hub, spec: { ...(hub as ServiceCIDR).spec, cidrs } }),
    });
  }
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: '',
    message: 'Kubernetes default Service CIDR is ready',
    lastTransitionTime: formatTime(parts.clock.now()),
  };
  await changeObject(parts, {
    ...change,
    served,
    namespace: '',
    name: 'kubernetes',
    subresource: 'status',
    next: (hub) => {
      // The kind was looked up by its name.
      const { spec, status, metadata } = hub as ServiceCIDR;
      const { conditions = [] } = status ?? {};
      const isOurs = jsonEqual(spec?.cidrs ?? [], cidrs);
      const isJudged = conditions.some(({ type }) => type === 'Ready');
      if (!isOurs || isJudged || metadata.deletionTimestamp !== undefined) return hub;
      return { ...hub, status: { ...status, conditions: [...conditions, ready] } };
    },
  });
}

function grows(stored: readonly string[], wanted: readonly string[]): boolean {
  return stored.length === 1 && wanted.length === 2 && stored[0] === wanted[0];
}

/** The endpoints of `kubernetes`, which no controller makes because the Service has no selector. */
function ownSlice({ options }: Parts): KubeObject {
  const { address, port } = options.advertise;
  const slice = {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'kubernetes' },
    },
    addressType: familyOf(address),
    endpoints: isLoopback(address) ? [] : [{ addresses: [address], conditions: { ready: true } }],
    ports: [{ name: 'https', port, protocol: 'TCP' }],
  };
  return slice;
}

/** On a machine without a network: nobody else can reach it, and no endpoint may say so. */
function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** The same in the older form, which says that it needs no mirror. */
function ownEndpoints({ options }: Parts): KubeObject {
  const { address, port } = options.advertise;
  const endpoints = {
    kind: 'Endpoints',
    apiVersion: 'v1',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    },
    subsets: isLoopback(address)
      ? []
      : [{ addresses: [{ ip: address }], ports: [{ name: 'https', port, protocol: 'TCP' }] }],
  };
  return endpoints;
}

/** It is there, and what becomes of it is for people to say. */
function isUnreadable({ store }: Parts, key: string): boolean {
  return store.atRest?.why(key) !== undefined;
}

function read({ store }: Parts, { resource }: Served, namespace: string, name: string) {
  const entry = store.get(keyOf(resource, namespace, name));
  return entry === undefined ? undefined : decodeEntry(entry);
}

/** Whether the stored object has all that is wanted of it. */
function says(stored: KubeObject, wanted: KubeObject): boolean {
  const { metadata, ...rest } = wanted;
  const labels = { ...stored.metadata.labels, ...metadata.labels };
  if (!jsonEqual(labels, stored.metadata.labels ?? {})) return false;
  return jsonEqual({ ...stored, ...rest }, stored);
}

/** Makes it, or brings it up to date where the server's address has changed. */
async function publish(parts: Parts, served: Served, object: KubeObject): Promise<void> {
  if (isUnreadable(parts, keyOf(served.resource, 'default', 'kubernetes'))) return;
  const stored = read(parts, served, 'default', 'kubernetes');
  // A start that changes nothing loads no descriptor.
  if (stored !== undefined && says(stored, object)) return;
  await ensure(parts, served, object, 'default');
  await changeObject(parts, {
    ...change,
    served,
    namespace: 'default',
    name: 'kubernetes',
    subresource: '',
    next: (hub) => ({ ...object, metadata: { ...hub.metadata, ...object.metadata } }),
  });
}
