/**
 * Service: one name and address for a set of pods. Addresses and node ports are given out by the
 * API server; EndpointSlices say who stands behind it.
 */
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { formatLabelSelector } from '#api/selectors.ts';
import { ageColumn, nameColumn } from '#resources/columns.ts';
import type { Service } from '#resources/types/core-v1.ts';
import { hubView } from '#resources/view.ts';
import { agreeClusterIPs, keepAllocated, setServiceDefaults } from './defaults.ts';
import { setIngressDefaults, validateServiceStatus } from './status-validation.ts';
import { validateService, validateServiceUpdate } from './validation.ts';
import { serviceWarnings } from './warnings.ts';

export function serviceResource(): Resource {
  return defineResource<Service>({
    kind: 'Service',
    plural: 'services',
    singular: 'service',
    shortNames: ['svc'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'services/specs',
    allowCreateOnUpdate: true,
    metadataRechecked: 'change',
    views: [
      hubView<Service>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.Service',
        setDefaults: (service) => setIngressDefaults(setServiceDefaults(service)),
      }),
    ],
    hasStatus: true,
    nameRule: 'label',
    specChanged: () => false,
    prepareForCreate: (service) => ({
      ...service,
      spec: agreeClusterIPs(service.spec ?? {}, undefined),
      status: { loadBalancer: {} },
    }),
    prepareForUpdate: (next, old) => {
      const before = old.spec ?? {};
      const spec = keepAllocated(agreeClusterIPs(next.spec ?? {}, before), before);
      const wasBalanced = before.type === 'LoadBalancer' && spec.type !== 'LoadBalancer';
      return { ...next, spec, status: wasBalanced ? { loadBalancer: {} } : old.status };
    },
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateService,
    validateUpdate: validateServiceUpdate,
    validateStatusUpdate: validateServiceStatus,
    warnings: (service) => serviceWarnings(service),
    columns: serviceColumns(),
    selectableFields: {
      'spec.clusterIP': ({ spec }) => spec?.clusterIP ?? '',
      'spec.type': ({ spec }) => spec?.type ?? '',
    },
  });
}

function serviceColumns(): readonly Column<Service>[] {
  return [
    nameColumn(),
    {
      name: 'Type',
      type: 'string',
      description: 'How the service is exposed.',
      priority: 0,
      cell: ({ spec }) => spec?.type ?? '',
    },
    {
      name: 'Cluster-IP',
      type: 'string',
      description: 'Address inside the cluster.',
      priority: 0,
      cell: ({ spec }) => spec?.clusterIPs?.[0] ?? spec?.clusterIP ?? '<none>',
    },
    {
      name: 'External-IP',
      type: 'string',
      description: 'Addresses from outside.',
      priority: 0,
      cell: externalIPText,
    },
    {
      name: 'Port(s)',
      type: 'string',
      description: 'Ports, with node ports.',
      priority: 0,
      cell: portsText,
    },
    ageColumn(),
    {
      name: 'Selector',
      type: 'string',
      description: 'Labels of the pods behind the service.',
      priority: 1,
      cell: ({ spec }) => formatLabelSelector({ matchLabels: spec?.selector }) || '<none>',
    },
  ];
}

function externalIPText({ spec, status }: Service): string {
  const external = spec?.externalIPs ?? [];
  switch (spec?.type) {
    case 'ClusterIP':
    case 'NodePort':
      return external.join(',') || '<none>';
    case 'LoadBalancer': {
      const ingress = (status?.loadBalancer?.ingress ?? [])
        .map(({ ip, hostname }) => ip || hostname || '')
        .filter((text) => text !== '');
      return [...new Set(ingress)].sort().concat(external).join(',') || '<pending>';
    }
    case 'ExternalName':
      return spec.externalName ?? '';
    default:
      return '<unknown>';
  }
}

function portsText({ spec }: Service): string {
  const texts = (spec?.ports ?? []).map(({ port, nodePort, protocol }) =>
    nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`,
  );
  return texts.join(',') || '<none>';
}
