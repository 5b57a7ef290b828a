/**
 * NodeRestriction: what a node's own identity may write, beyond what the authorizer knows from the
 * path: itself (not its taints, owners or other people's labels), mirror pods and the pods on it,
 * tokens of these pods, its lease, its CSINode and its ResourceSlices.
 *
 * Called before anything is changed in an object, for every write; others than nodes pass at once.
 */
import { forbidden, notFound } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { requestSubject } from '#kit/request-subject.ts';
import type { Identity } from '#kit/transport.ts';
import { isMirror, mirrorAnnotation } from '#resources/core/pod/mirror.ts';
import { namedKind } from '#resources/core/pod/references.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';
import type { Node, PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import type { ResourceSlice } from '#resources/types/resource-v1.ts';
import type { Store } from '#store';
import { storedObject } from '../registry.ts';
import { forbiddenLabels } from './node-labels.ts';
import { groupResourceOf } from './refusal.ts';

export interface NodeWrite {
  readonly resource: Resource;
  readonly identity: Identity;
  readonly operation: 'create' | 'update' | 'delete';
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Absent for a delete. */
  readonly next?: KubeObject | undefined;
  /** Absent for a new object. */
  readonly old?: KubeObject | undefined;
}

interface Deps {
  readonly store: Store;
}

const userPrefix = 'system:node:';
const nodeSigners: ReadonlySet<string> = new Set([
  'kubernetes.io/kubelet-serving',
  'kubernetes.io/kube-apiserver-client-kubelet',
]);

/** The node that an identity is; undefined where it is none. */
export function nodeOf({ name, groups }: Identity): string | undefined {
  if (!name.startsWith(userPrefix) || !groups.includes('system:nodes')) return undefined;
  return name.slice(userPrefix.length);
}

/** Throws 403 where a node may not do this. */
export function restrictNode(deps: Deps, write: NodeWrite): void {
  const node = nodeOf(write.identity);
  if (node === undefined) return;
  const { resource, name } = write;
  const why =
    node === ''
      ? `could not determine node from user ${JSON.stringify(write.identity.name)}`
      : problemOf(deps, node, write);
  if (why !== undefined) throw forbidden(groupResourceOf(resource), name, why);
}

function problemOf(deps: Deps, node: string, write: NodeWrite): string | undefined {
  const { group, resource } = groupResourceOf(write.resource);
  switch (group === '' ? resource : `${resource}.${group}`) {
    case 'pods':
      return podProblem(deps, node, write);
    case 'nodes':
      return nodeProblem(node, write);
    case 'persistentvolumeclaims':
      return write.subresource === 'status'
        ? claimProblem(node, write)
        : 'may only update PVC status';
    case 'leases.coordination.k8s.io':
      if (write.namespace !== 'kube-node-lease') {
        return 'can only access leases in the "kube-node-lease" system namespace';
      }
      if (write.name === node) return undefined;
      return 'can only access node lease with the same name as the requesting node';
    case 'csinodes.storage.k8s.io':
      if (write.name === node) return undefined;
      return 'can only access CSINode with the same name as the requesting node';
    case 'resourceslices.resource.k8s.io':
      return sliceProblem(node, write);
    case 'certificatesigningrequests.certificates.k8s.io':
      return certificateProblem(node, write);
    default:
      return undefined;
  }
}

function podProblem(deps: Deps, node: string, write: NodeWrite): string | undefined {
  const { operation, subresource } = write;
  // The caller has checked the kind.
  const [next, old] = [write.next as Pod | undefined, write.old as Pod | undefined];
  switch (subresource) {
    case '':
      if (operation === 'create') return mirrorPodProblem(deps, node, next);
      if (operation === 'delete') {
        if (old?.spec?.nodeName === node) return undefined;
        return `node "${node}" can only delete pods with spec.nodeName set to itself`;
      }
      return `unexpected operation "${operation.toUpperCase()}", node "${node}" can only create and delete mirror pods`;
    case 'status':
      return podStatusProblem(node, next, old);
    case 'eviction':
      if (old?.spec?.nodeName === node) return undefined;
      return `node ${node} can only evict pods with spec.nodeName set to itself`;
    default:
      return `unexpected pod subresource "${subresource}", only 'status' and 'eviction' are allowed`;
  }
}

function mirrorPodProblem({ store }: Deps, node: string, pod: Pod | undefined): string | undefined {
  if (pod === undefined || !isMirror(pod)) {
    return `pod does not have "${mirrorAnnotation}" annotation, node "${node}" can only create mirror pods`;
  }
  if (pod.spec?.nodeName !== node) {
    return `node "${node}" can only create pods with spec.nodeName set to itself`;
  }
  const [owner, ...more] = pod.metadata.ownerReferences ?? [];
  if (more.length > 0) {
    return `node "${node}" can only create pods with a single owner reference set to itself`;
  }
  if (owner?.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) {
    return `node "${node}" can only create pods with an owner reference set to itself`;
  }
  if (owner.controller !== true) {
    return `node "${node}" can only create pods with a controller owner reference set to itself`;
  }
  if (owner.blockOwnerDeletion === true) {
    return `node "${node}" must not set blockOwnerDeletion on an owner reference`;
  }
  const found = storedObject(store, `minions/${node}`);
  if (found === undefined) throw notFound({ group: '', resource: 'nodes' }, node);
  const { uid = '' } = found.metadata;
  if (owner.uid !== uid) return `node ${node} UID mismatch: expected ${owner.uid} got ${uid}`;
  const kind = namedKind(pod.spec);
  return kind === undefined
    ? undefined
    : `node "${node}" can not create pods that reference ${kind}`;
}

function podStatusProblem(
  node: string,
  next: Pod | undefined,
  old: Pod | undefined,
): string | undefined {
  if (old?.spec?.nodeName !== node) {
    return `node "${node}" can only update pod status for pods with spec.nodeName set to itself`;
  }
  if (!jsonEqual(next?.metadata.labels ?? {}, old.metadata.labels ?? {})) {
    return `node "${node}" cannot update labels through pod status`;
  }
  const [after, before] = [next?.status, old.status];
  if (!jsonEqual(after?.resourceClaimStatuses ?? [], before?.resourceClaimStatuses ?? [])) {
    return `node "${node}" cannot update resource claim statues`;
  }
  const [claim, given] = [after?.extendedResourceClaimStatus, before?.extendedResourceClaimStatus];
  if (!jsonEqual(claim ?? null, given ?? null)) {
    return `node "${node}" cannot update extended resource claim status`;
  }
  return undefined;
}

function nodeProblem(node: string, { operation, name, next, old }: NodeWrite): string | undefined {
  if (name !== node) return `node "${node}" is not allowed to modify node "${name}"`;
  if (next === undefined) return undefined;
  // The caller has checked the kind.
  const [after, before] = [next as Node, old as Node | undefined];
  if (operation === 'create') {
    if (after.spec?.configSource !== undefined) {
      return `node "${node}" is not allowed to create pods with a non-nil configSource`;
    }
    const labels = forbiddenLabels(after.metadata.labels ?? {}, {});
    if (labels.length === 0) return undefined;
    return `node "${node}" is not allowed to set the following labels: ${labels.join(', ')}`;
  }
  const config = after.spec?.configSource;
  if (config !== undefined && !jsonEqual(config, before?.spec?.configSource ?? null)) {
    return `node "${node}" is not allowed to update configSource to a new non-nil configSource`;
  }
  if (!jsonEqual(after.spec?.taints ?? [], before?.spec?.taints ?? [])) {
    return `node "${node}" is not allowed to modify taints`;
  }
  if (!jsonEqual(after.metadata.ownerReferences ?? [], before?.metadata.ownerReferences ?? [])) {
    return `node "${node}" is not allowed to modify ownerReferences`;
  }
  const labels = forbiddenLabels(after.metadata.labels ?? {}, before?.metadata.labels ?? {});
  if (labels.length === 0) return undefined;
  return `is not allowed to modify labels: ${labels.join(', ')}`;
}

/** Only what tells how large the claim is. */
function claimProblem(node: string, { next, old }: NodeWrite): string | undefined {
  const rest = (hub: KubeObject | undefined): unknown => {
    // The caller has checked the kind.
    const { metadata, spec, status } = (hub ?? { metadata: {} }) as PersistentVolumeClaim;
    const { resourceVersion: _revision, managedFields: _fields, ...meta } = metadata;
    const {
      capacity: _capacity,
      conditions: _conditions,
      allocatedResources: _allocated,
      allocatedResourceStatuses: _statuses,
      ...others
    } = status ?? {};
    return { meta, spec, others };
  };
  if (jsonEqual(rest(next), rest(old))) return undefined;
  return `node "${node}" is not allowed to update fields other than status.quantity and status.conditions`;
}

function sliceProblem(node: string, { operation, next, old }: NodeWrite): string | undefined {
  if (operation === 'update') return undefined;
  // The caller has checked the kind.
  const slice = (operation === 'create' ? next : old) as ResourceSlice | undefined;
  if (slice?.spec.nodeName === node) return undefined;
  return `can only ${operation} ResourceSlice with the same NodeName as the requesting node`;
}

function certificateProblem(node: string, { operation, next }: NodeWrite): string | undefined {
  if (operation !== 'create') return undefined;
  // The caller has checked the kind.
  const { spec } = next as CertificateSigningRequest;
  if (!nodeSigners.has(spec.signerName)) return undefined;
  const subject = requestSubject(Buffer.from(spec.request, 'base64').toString('latin1'));
  if (subject === undefined) {
    return 'unable to parse csr: PEM block type must be CERTIFICATE REQUEST';
  }
  if (subject.commonName === `${userPrefix}${node}`) return undefined;
  return `can only create a node CSR with CN=${userPrefix}${node}`;
}
