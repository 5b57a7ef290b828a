/**
 * What a node may do: report on itself and its pods, and read what these need. By the path alone
 * where that says enough; else by what the pods on the node refer to (`node-graph.ts`), directly or
 * through a claim. What an object says, and not its name, is looked at later
 * (`admission/node-restriction.ts`).
 *
 * Behaviour: kubernetes.io, "Using Node Authorization".
 */
import type { PersistentVolume } from '#resources/types/core-v1.ts';
import type { ResourceSlice } from '#resources/types/resource-v1.ts';
import type { VolumeAttachment } from '#resources/types/storage-v1.ts';
import type { Store } from '#store';
import { registryRoot, storedObject } from '../registry.ts';
import type { ResourceAttributes } from './authorizer.ts';
import type { NodeGraph, ReferenceKind } from './node-graph.ts';

export interface NodeAuthorizerDeps {
  readonly nodeGraph: NodeGraph;
  readonly store: Store;
}

const readVerbs: ReadonlySet<string> = new Set(['get', 'list', 'watch']);
const writeVerbs: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete']);
const changeVerbs: ReadonlySet<string> = new Set(['update', 'patch']);

export function nodeMay(
  deps: NodeAuthorizerDeps,
  node: string,
  attributes: ResourceAttributes,
): boolean {
  const { group } = attributes;
  return group === '' ? coreMay(deps, node, attributes) : groupMay(deps, node, attributes);
}

function coreMay(deps: NodeAuthorizerDeps, node: string, attributes: ResourceAttributes): boolean {
  const { verb, resource, subresource } = attributes;
  const refers = (kind: ReferenceKind): boolean => refersTo(deps, node, kind, attributes);
  switch (resource) {
    case 'nodes':
      return nodeObjectMay(attributes);
    case 'pods':
      return podsMay(deps, node, attributes);
    case 'secrets':
    case 'configmaps':
      return subresource === '' && readVerbs.has(verb) && refers(resource);
    case 'serviceaccounts':
      if (subresource === 'token') return verb === 'create' && refers(resource);
      return subresource === '' && verb === 'get' && refers(resource);
    case 'persistentvolumeclaims':
      if (subresource === 'status') {
        return (verb === 'get' || changeVerbs.has(verb)) && refers(resource);
      }
      return subresource === '' && verb === 'get' && refers(resource);
    case 'persistentvolumes':
      return subresource === '' && verb === 'get' && volumeIsUsed(deps, node, attributes.name);
    default:
      return false;
  }
}

function groupMay(deps: NodeAuthorizerDeps, node: string, attributes: ResourceAttributes): boolean {
  const { verb, group, resource, subresource, name, namespace } = attributes;
  if (subresource !== '') return false;
  switch (`${resource}.${group}`) {
    case 'leases.coordination.k8s.io': {
      const own = namespace === 'kube-node-lease' && (name === node || verb === 'create');
      return own && (verb === 'get' || writeVerbs.has(verb));
    }
    case 'csinodes.storage.k8s.io':
      return (name === node || verb === 'create') && (verb === 'get' || writeVerbs.has(verb));
    case 'runtimeclasses.node.k8s.io':
    case 'csidrivers.storage.k8s.io':
      return readVerbs.has(verb);
    case 'volumeattachments.storage.k8s.io':
      return verb === 'get' && attachmentIsOf(deps, node, name);
    case 'resourceclaims.resource.k8s.io':
      return verb === 'get' && refersTo(deps, node, 'resourceclaims', attributes);
    case 'resourceslices.resource.k8s.io':
      return slicesMay(deps, node, attributes);
    case 'certificatesigningrequests.certificates.k8s.io':
      return verb === 'create' || readVerbs.has(verb);
    case 'tokenreviews.authentication.k8s.io':
    case 'subjectaccessreviews.authorization.k8s.io':
    case 'localsubjectaccessreviews.authorization.k8s.io':
      return verb === 'create';
    default:
      return false;
  }
}

/** A node makes, reads and reports on nodes; that it is itself, admission sees to. */
function nodeObjectMay({ verb, subresource }: ResourceAttributes): boolean {
  if (subresource === 'status') return changeVerbs.has(verb);
  if (subresource !== '') return false;
  return verb === 'create' || changeVerbs.has(verb);
}

function podsMay(deps: NodeAuthorizerDeps, node: string, attributes: ResourceAttributes): boolean {
  const { verb, subresource, fieldSelector = '' } = attributes;
  if (verb === 'list' || verb === 'watch') {
    return subresource === '' && fieldSelector.split(',').includes(`spec.nodeName=${node}`);
  }
  // Mirror pods, of which admission looks at the whole.
  if (verb === 'create' && subresource === '') return true;
  const own = refersTo(deps, node, 'pods', attributes);
  if (subresource === '' && verb === 'get') return own;
  // Of one that is gone a node has to hear just that: else it would tell of it for ever.
  if (!own && isStored(deps, attributes)) return false;
  if (subresource === 'status') return changeVerbs.has(verb);
  if (subresource === 'eviction') return verb === 'create';
  return subresource === '' && verb === 'delete';
}

function isStored({ store }: NodeAuthorizerDeps, { namespace, name }: ResourceAttributes): boolean {
  return store.get(`${registryRoot}pods/${namespace}/${name}`) !== undefined;
}

/** One object by name, also as list or watch of just that name. */
function refersTo(
  { nodeGraph }: NodeAuthorizerDeps,
  node: string,
  kind: ReferenceKind,
  { namespace, name, fieldSelector = '' }: ResourceAttributes,
): boolean {
  const prefix = 'metadata.name=';
  const selected = fieldSelector.startsWith(prefix) ? fieldSelector.slice(prefix.length) : '';
  return nodeGraph.refers(node, kind, namespace, name === '' ? selected : name);
}

/** Whether the volume belongs to a claim that a pod of the node has. */
function volumeIsUsed({ store, nodeGraph }: NodeAuthorizerDeps, node: string, name: string) {
  const volume = storedObject<PersistentVolume>(store, `persistentvolumes/${name}`);
  if (volume === undefined) return false;
  const { namespace = '', name: claim = '' } = volume.spec?.claimRef ?? {};
  return nodeGraph.refers(node, 'persistentvolumeclaims', namespace, claim);
}

function attachmentIsOf({ store }: NodeAuthorizerDeps, node: string, name: string): boolean {
  const attachment = storedObject<VolumeAttachment>(store, `volumeattachments/${name}`);
  return attachment !== undefined && attachment.spec.nodeName === node;
}

function slicesMay({ store }: NodeAuthorizerDeps, node: string, attributes: ResourceAttributes) {
  const { verb, name, fieldSelector = '' } = attributes;
  if (verb === 'create') return true;
  if (verb === 'list' || verb === 'watch' || verb === 'deletecollection') {
    return fieldSelector.split(',').includes(`spec.nodeName=${node}`);
  }
  const slice = storedObject<ResourceSlice>(store, `resourceslices/${name}`);
  return slice === undefined || slice.spec.nodeName === node;
}
