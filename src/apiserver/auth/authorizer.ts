/**
 * Who may do what: one fixed table, until roles come as objects.
 *
 * Administrators and the control plane's own components may do what they are for; a node may touch
 * itself, its pods and what these refer to; a service account may read its own namespace except
 * Secrets; everybody authenticated may read discovery and ask about themselves; anybody may ask
 * whether the server lives. Everything else is a no. Called by `stages/authorize.ts` and the
 * reviews.
 */
import type { Identity } from '#kit/transport.ts';
import { type NodeAuthorizerDeps, nodeMay } from './node-authorizer.ts';

export type Attributes =
  | { readonly type: 'path'; readonly verb: string; readonly path: string }
  | {
      readonly type: 'resource';
      readonly verb: string;
      readonly group: string;
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
      /** Of a list, watch or delete of many. */
      readonly fieldSelector?: string;
    };

export type ResourceAttributes = Extract<Attributes, { type: 'resource' }>;

export type Verdict =
  | { readonly allowed: true; readonly reason: string }
  | { readonly allowed: false; readonly reason: string };

export type AuthorizerDeps = NodeAuthorizerDeps;

const publicPaths: ReadonlySet<string> = new Set(['/healthz', '/livez', '/readyz', '/version']);
const discoveryRoots = ['/api', '/apis', '/openapi', '/version', '/.well-known', '/openid'];
const readVerbs: ReadonlySet<string> = new Set(['get', 'list', 'watch']);
const writeVerbs: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete']);

/** Components that may do anything: their work touches every kind. */
const trustedUsers: ReadonlySet<string> = new Set([
  'system:apiserver',
  'system:kube-controller-manager',
]);

/** Whoever may do anything, whatever it is. */
export function mayAll({ name, groups }: Identity): boolean {
  return groups.includes('system:masters') || trustedUsers.has(name);
}

export function decide(deps: AuthorizerDeps, identity: Identity, attributes: Attributes): Verdict {
  const { name, groups } = identity;
  if (mayAll(identity)) {
    return yes(groups.includes('system:masters') ? '' : `built-in component ${name}`);
  }
  const authenticated = groups.includes('system:authenticated');
  const known = authenticated || groups.includes('system:unauthenticated');
  if (attributes.type === 'path') return decidePath({ authenticated, known }, attributes);
  if (authenticated && isSelfReview(attributes)) return yes('anybody may ask about themselves');
  if (name === 'system:kube-scheduler') return verdict(schedulerMay(attributes), name);
  if (name === 'system:kube-proxy') return verdict(networkMay(attributes), name);
  if (name === 'system:node-proxy') return verdict(isNodeProxy(attributes), name);
  if (isClusterInfo(attributes)) return yes('anybody may ask what cluster this is');
  if (groups.includes('system:bootstrappers') && isOwnRequest(attributes, 'nodeclient')) {
    return yes('a node that joins asks for its certificate');
  }
  if (groups.includes('system:nodes') && name.startsWith('system:node:')) {
    const node = name.slice('system:node:'.length);
    const may =
      networkMay(attributes) ||
      nodeMay(deps, node, attributes) ||
      isClusterConfig(attributes) ||
      isOwnRequest(attributes, 'selfnodeclient');
    return verdict(may, name);
  }
  return verdict(serviceAccountMay(identity, attributes), 'own namespace');
}

function yes(reason: string): Verdict {
  return { allowed: true, reason };
}

function verdict(allowed: boolean, reason: string): Verdict {
  return allowed ? yes(reason) : { allowed: false, reason: '' };
}

function decidePath(
  { authenticated, known }: { readonly authenticated: boolean; readonly known: boolean },
  { verb, path }: Extract<Attributes, { type: 'path' }>,
): Verdict {
  if (verb !== 'get' && verb !== 'head') return verdict(false, '');
  const [, root = ''] = path.split('/');
  if (known && publicPaths.has(`/${root}`)) return yes('public');
  const open = discoveryRoots.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
  return verdict(authenticated && (open || path === '/'), 'discovery');
}

function isSelfReview({ verb, group, resource }: ResourceAttributes): boolean {
  if (verb !== 'create') return false;
  if (group === 'authentication.k8s.io') return resource === 'selfsubjectreviews';
  if (group !== 'authorization.k8s.io') return false;
  return resource === 'selfsubjectaccessreviews' || resource === 'selfsubjectrulesreviews';
}

/**
 * Who needs a node's certificate asks for it and waits; the sub-resource is the right to have the
 * request approved without a person: of any node for who joins, of itself for a node.
 */
function isOwnRequest(
  { verb, group, resource, subresource }: ResourceAttributes,
  approval: 'nodeclient' | 'selfnodeclient',
): boolean {
  if (group !== 'certificates.k8s.io' || resource !== 'certificatesigningrequests') return false;
  if (subresource === approval) return verb === 'create';
  return subresource === '' && (verb === 'create' || readVerbs.has(verb));
}

/** What kubeadm lets everybody read, signed with the tokens of nodes that join. */
function isClusterInfo(attributes: ResourceAttributes): boolean {
  return isMapRead(attributes, 'kube-public', 'cluster-info');
}

/** What a node must know of its cluster. */
function isClusterConfig(attributes: ResourceAttributes): boolean {
  return isMapRead(attributes, 'kube-system', 'coracle-config');
}

function isMapRead(attributes: ResourceAttributes, space: string, map: string): boolean {
  const { verb, group, resource, subresource, namespace, name } = attributes;
  const isMap = group === '' && resource === 'configmaps' && subresource === '';
  return isMap && verb === 'get' && namespace === space && name === map;
}

function isNodeProxy({ resource, subresource }: ResourceAttributes): boolean {
  return resource === 'nodes' && subresource !== '' && subresource !== 'status';
}

function isEventWrite({ verb, group, resource }: ResourceAttributes): boolean {
  if (resource !== 'events' || (group !== '' && group !== 'events.k8s.io')) return false;
  return verb === 'create' || verb === 'patch' || verb === 'update';
}

function isLease({ group, resource }: ResourceAttributes): boolean {
  return group === 'coordination.k8s.io' && resource === 'leases';
}

const schedulerClaims: ReadonlySet<string> = new Set([
  '/persistentvolumes',
  '/persistentvolumeclaims',
  'resource.k8s.io/resourceclaims',
  'resource.k8s.io/resourceclaims/status',
]);

/** Reads all but Secrets; binds, evicts and reports on pods; holds its lease. */
function schedulerMay(attributes: ResourceAttributes): boolean {
  const { verb, group, resource, subresource, namespace } = attributes;
  if (readVerbs.has(verb)) return !(group === '' && resource === 'secrets');
  if (isEventWrite(attributes)) return true;
  if (isLease(attributes)) return namespace === 'kube-system' && writeVerbs.has(verb);
  const changes = verb === 'update' || verb === 'patch';
  const claimed =
    subresource === '' ? `${group}/${resource}` : `${group}/${resource}/${subresource}`;
  // Volumes and devices become a pod's before the pod is bound.
  if (schedulerClaims.has(claimed) && changes) return true;
  // For extended resources that stand for devices it makes claims itself.
  if (claimed === 'resource.k8s.io/resourceclaims') return verb === 'create' || verb === 'delete';
  if (group !== '' || resource !== 'pods') return false;
  if (subresource === 'binding') return verb === 'create';
  if (subresource === 'status') return changes;
  return subresource === '' && verb === 'delete';
}

const networkResources: ReadonlySet<string> = new Set([
  '/services',
  '/endpoints',
  '/nodes',
  '/namespaces',
  'discovery.k8s.io/endpointslices',
  'networking.k8s.io/servicecidrs',
  'networking.k8s.io/networkpolicies',
]);

/** What the service proxy, DNS and network policy of a node read. */
function networkMay(attributes: ResourceAttributes): boolean {
  const { verb, group, resource } = attributes;
  if (readVerbs.has(verb)) return networkResources.has(`${group}/${resource}`);
  return isEventWrite(attributes);
}

/** Reads its own namespace, except Secrets; known by its groups, since questions may name those. */
function serviceAccountMay({ groups }: Identity, attributes: ResourceAttributes): boolean {
  const { verb, group, resource, subresource, namespace } = attributes;
  if (namespace === '' || !groups.includes(`system:serviceaccounts:${namespace}`)) return false;
  if (!readVerbs.has(verb) || (group === '' && resource === 'secrets')) return false;
  // Reading through to a node (exec, port-forward by GET) is no reading.
  return subresource === '' || subresource === 'status' || subresource === 'log';
}
