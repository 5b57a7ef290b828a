/**
 * What every cluster has from the first moment: four namespaces, the two priority classes of the
 * system, and the Service `kubernetes` with the address of this server. Written when the server
 * opens; what is there already stays, except the server's own address, which may have changed.
 */
import type { Served } from '#api/catalog.ts';
import { isReason } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { present } from '#kit/assert.ts';
import type { Identity } from '#kit/transport.ts';
import { systemPriorityClasses } from '#resources/scheduling/priority-class.ts';
import type { Parts } from './parts.ts';
import { keyOf } from './registry.ts';
import { createObject } from './verbs/create.ts';
import { changeObject } from './verbs/update.ts';

const namespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;
const servicePort = 443;

const self: Identity = { name: 'system:apiserver', groups: ['system:masters'] };

export async function bootstrap(parts: Parts): Promise<void> {
  const namespaceKind = find(parts, '', 'namespaces');
  if (namespaceKind === undefined) return;
  const classKind = find(parts, 'scheduling.k8s.io', 'priorityclasses');
  await Promise.all([
    ...namespaces.map((name) =>
      ensure(parts, namespaceKind, { kind: 'Namespace', apiVersion: 'v1', metadata: { name } }, ''),
    ),
    ...(classKind === undefined ? [] : priorityClasses()).map((object) =>
      ensure(parts, present(classKind, 'there are classes'), object, ''),
    ),
  ]);
  const serviceKind = find(parts, '', 'services');
  if (serviceKind !== undefined)
    await ensure(parts, serviceKind, kubernetesService(parts), 'default');
  const sliceKind = find(parts, 'discovery.k8s.io', 'endpointslices');
  if (sliceKind !== undefined) await publish(parts, sliceKind, kubernetesSlice(parts));
  const endpointsKind = find(parts, '', 'endpoints');
  if (endpointsKind !== undefined) await publish(parts, endpointsKind, kubernetesEndpoints(parts));
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
  if (parts.store.get(keyOf(served.resource, namespace, name)) !== undefined) return;
  try {
    await createObject(parts, { served, object, namespace, identity: self, dryRun: false });
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
  const service = {
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
  return service;
}

/** The endpoint of `kubernetes`, which no controller makes because the Service has no selector. */
function kubernetesSlice({ options }: Parts): KubeObject {
  const { address, port } = options.advertise;
  const slice = {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'kubernetes' },
    },
    addressType: 'IPv4',
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: [{ name: 'https', port, protocol: 'TCP' }],
  };
  return slice;
}

/** The same for readers of the older form; not mirrored, since the slice is there already. */
function kubernetesEndpoints({ options }: Parts): KubeObject {
  const { address, port } = options.advertise;
  const endpoints = {
    kind: 'Endpoints',
    apiVersion: 'v1',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    },
    subsets: [{ addresses: [{ ip: address }], ports: [{ name: 'https', port, protocol: 'TCP' }] }],
  };
  return endpoints;
}

/** Made, or put right after the address has changed. */
async function publish(parts: Parts, served: Served, object: KubeObject): Promise<void> {
  await ensure(parts, served, object, 'default');
  await changeObject(parts, {
    served,
    namespace: 'default',
    name: 'kubernetes',
    identity: self,
    subresource: '',
    dryRun: false,
    insists: false,
    next: (hub) => ({ ...object, metadata: { ...hub.metadata, ...object.metadata } }),
  });
}
