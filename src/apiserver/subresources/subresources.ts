/**
 * Which sub-resources a kind has, as data: discovery prints it, routing looks it up.
 *
 * `status` and `scale` follow from the descriptor; a few kinds of the core have more.
 */
import type { Resource, ResourceView } from '#api/resource.ts';

export interface SubresourceFacts {
  readonly name: string;
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  readonly verbs: readonly string[];
}

const objectVerbs = ['get', 'patch', 'update'] as const;
const streamVerbs = ['create', 'get'] as const;
const proxyVerbs = ['create', 'delete', 'get', 'patch', 'update'] as const;

function core(kind: string): SubresourceFacts['kind'] {
  return { group: '', version: 'v1', kind };
}

const podSubresources: readonly SubresourceFacts[] = [
  { name: 'attach', kind: core('PodAttachOptions'), verbs: streamVerbs },
  { name: 'binding', kind: core('Binding'), verbs: ['create'] },
  { name: 'ephemeralcontainers', kind: core('Pod'), verbs: objectVerbs },
  {
    name: 'eviction',
    kind: { group: 'policy', version: 'v1', kind: 'Eviction' },
    verbs: ['create'],
  },
  { name: 'exec', kind: core('PodExecOptions'), verbs: streamVerbs },
  { name: 'log', kind: core('Pod'), verbs: ['get'] },
  { name: 'portforward', kind: core('PodPortForwardOptions'), verbs: streamVerbs },
  { name: 'proxy', kind: core('PodProxyOptions'), verbs: proxyVerbs },
  { name: 'resize', kind: core('Pod'), verbs: objectVerbs },
];

function approvalOf(version: string): readonly SubresourceFacts[] {
  const kind = { group: 'certificates.k8s.io', version, kind: 'CertificateSigningRequest' };
  return [{ name: 'approval', kind, verbs: objectVerbs }];
}

const extra: Readonly<Record<string, readonly SubresourceFacts[]>> = {
  '/v1/pods': podSubresources,
  'certificates.k8s.io/v1/certificatesigningrequests': approvalOf('v1'),
  'certificates.k8s.io/v1beta1/certificatesigningrequests': approvalOf('v1beta1'),
  '/v1/namespaces': [{ name: 'finalize', kind: core('Namespace'), verbs: ['update'] }],
  '/v1/nodes': [{ name: 'proxy', kind: core('NodeProxyOptions'), verbs: proxyVerbs }],
  '/v1/services': [{ name: 'proxy', kind: core('ServiceProxyOptions'), verbs: proxyVerbs }],
  '/v1/serviceaccounts': [
    {
      name: 'token',
      kind: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
      verbs: ['create'],
    },
  ],
};

/** In order of name. */
export function subresourcesOf(
  resource: Resource,
  { group, version }: ResourceView,
): readonly SubresourceFacts[] {
  const found = [...(extra[`${group}/${version}/${resource.plural}`] ?? [])];
  if (resource.scale !== undefined) {
    const kind = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
    found.push({ name: 'scale', kind, verbs: objectVerbs });
  }
  if (resource.hasStatus) {
    found.push({
      name: 'status',
      kind: { group, version, kind: resource.kind },
      verbs: objectVerbs,
    });
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}
