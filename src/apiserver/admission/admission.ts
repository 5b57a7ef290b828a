/**
 * Admission: what the cluster as a whole adds to, or refuses in, a write; in a fixed order.
 *
 * `admitCreate` and `admitUpdate` may change the object, between defaults and validation;
 * `confirmCreate` and `confirmUpdate` only say no, after validation. Each step is a plain function
 * that answers with the object, changed or not, or throws. They read the store's newest state and
 * never wait; quotas, which have to, come last (`resource-quota.ts`). Which plugins are on is in
 * `api/admission-plugins.ts`; those that are off by themselves are in `optional.ts`.
 */
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import type { Identity } from '#kit/transport.ts';
import type { PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { Parts } from '../parts.ts';
import { signerProblem, subjectProblem } from './certificates.ts';
import { resizeProblem } from './claim-resize.ts';
import { setIngressClass, setStorageClass } from './default-class.ts';
import { addDefaultTolerations } from './default-tolerations.ts';
import { boundClaim, boundPod, defaultPod } from './limit-ranger.ts';
import { checkNamespaceAccepts } from './namespace-lifecycle.ts';
import { restrictNode } from './node-restriction.ts';
import { taintNewNode } from './node-taint.ts';
import { changePod, changePodAgain, confirm } from './optional.ts';
import { podResizeProblem } from './pod-resize.ts';
import { checkDefaultClass, keepPriority, resolvePriority } from './priority.ts';
import { checkPrivileged } from './privileged.ts';
import { refusal } from './refusal.ts';
import { applyRuntimeClass } from './runtime-class.ts';
import { addServiceAccount, ephemeralSecretProblem } from './service-account.ts';
import { addTopologyLabels } from './topology-labels.ts';
import { protectVolume } from './volume-protection.ts';

export interface Admission {
  readonly resource: Resource;
  readonly hub: KubeObject;
  readonly namespace: string;
  readonly identity: Identity;
  /** Whether the server made the name up. */
  readonly generated: boolean;
}

export interface UpdateAdmission {
  readonly resource: Resource;
  readonly hub: KubeObject;
  readonly old: KubeObject;
  readonly identity: Identity;
  /** Empty for the object itself. */
  readonly subresource: string;
}

export function admitCreate(parts: Parts, admission: Admission): KubeObject {
  return timed(parts, 'CREATE', () => admittedNew(parts, admission));
}

function timed(parts: Parts, operation: 'CREATE' | 'UPDATE', admit: () => KubeObject): KubeObject {
  const { clock, metrics } = parts;
  const startedMs = clock.monotonic();
  let isRejected = true;
  try {
    const hub = admit();
    isRejected = false;
    return hub;
  } finally {
    metrics.countAdmission(operation, isRejected, clock.monotonic() - startedMs);
  }
}

function admittedNew(parts: Parts, admission: Admission): KubeObject {
  const { resource, hub, namespace, identity } = admission;
  const { plugins } = parts;
  const looks = plugins.has('NamespaceLifecycle') || plugins.has('NamespaceExists');
  if (resource.namespaced && looks) checkNamespaceAccepts(parts, admission);
  const { name = '' } = hub.metadata;
  const write = { resource, identity, namespace, name, next: hub, subresource: '' };
  if (plugins.has('NodeRestriction')) restrictNode(parts, { ...write, operation: 'create' });
  switch (resource.storagePrefix) {
    case 'pods':
      return admitPod(parts, admission);
    case 'minions':
      return plugins.has('TaintNodesByCondition') ? taintNewNode(hub) : hub;
    case 'persistentvolumeclaims':
      return protect(parts, {
        resource,
        hub: plugins.has('DefaultStorageClass') ? setStorageClass(parts, hub) : hub,
      });
    case 'persistentvolumes':
    case 'volumeattributesclasses':
      return protect(parts, { resource, hub });
    case 'ingress':
      return plugins.has('DefaultIngressClass') ? setIngressClass(parts, hub) : hub;
    default:
      return hub;
  }
}

function protect(
  { plugins }: Parts,
  { resource, hub }: Pick<Admission, 'resource' | 'hub'>,
): KubeObject {
  return plugins.has('StorageObjectInUseProtection') ? protectVolume(resource, hub) : hub;
}

function admitPod(parts: Parts, admission: Admission): KubeObject {
  const { plugins, options } = parts;
  let { hub } = admission;
  if (plugins.has('LimitRanger')) hub = defaultPod(parts, admission);
  if (plugins.has('ServiceAccount')) hub = addServiceAccount(parts, { ...admission, hub });
  hub = changePod(parts, { ...admission, hub, subresource: '' });
  if (plugins.has('Priority')) hub = resolvePriority(parts, { ...admission, hub });
  if (plugins.has('DefaultTolerationSeconds')) {
    hub = addDefaultTolerations(hub, options.tolerationSeconds);
  }
  if (plugins.has('PodTopologyLabels')) hub = addTopologyLabels(parts, hub);
  return plugins.has('RuntimeClass') ? applyRuntimeClass(parts, { ...admission, hub }) : hub;
}

export function confirmCreate(parts: Parts, admission: Admission): void {
  const { resource, hub } = admission;
  const { plugins, options } = parts;
  if (options.allowPrivileged === false) checkPrivileged(resource, hub);
  confirm(parts, { ...admission, subresource: '' });
  switch (resource.storagePrefix) {
    case 'pods':
      if (plugins.has('LimitRanger')) boundPod(parts, admission);
      return;
    case 'persistentvolumeclaims':
      if (plugins.has('LimitRanger')) boundClaim(parts, admission);
      return;
    case 'priorityclasses':
      if (plugins.has('Priority')) checkDefaultClass(parts, hub);
      return;
    case 'certificatesigningrequests': {
      if (!plugins.has('CertificateSubjectRestriction')) return;
      const problem = subjectProblem(hub);
      if (problem !== undefined) throw refusal(admission, problem);
      return;
    }
    default:
  }
}

/** `hub` is what the writer wants, before the kind has taken out what he may not change. */
export function admitUpdate(parts: Parts, admission: UpdateAdmission): KubeObject {
  return timed(parts, 'UPDATE', () => admittedChange(parts, admission));
}

function admittedChange(parts: Parts, admission: UpdateAdmission): KubeObject {
  const { resource, hub, old, subresource, identity } = admission;
  const { name = '', namespace = '' } = old.metadata;
  const write = { resource, identity, namespace, name, subresource, next: hub, old };
  const { plugins, options } = parts;
  if (plugins.has('NodeRestriction')) restrictNode(parts, { ...write, operation: 'update' });
  if (subresource !== '') return hub;
  if (resource.storagePrefix !== 'pods') return hub;
  const kept = plugins.has('Priority') ? keepPriority(hub, old) : hub;
  const next = changePodAgain(parts, kept, old);
  if (!plugins.has('DefaultTolerationSeconds')) return next;
  return addDefaultTolerations(next, options.tolerationSeconds);
}

export function confirmUpdate(parts: Parts, admission: UpdateAdmission): void {
  const { resource, hub, old, subresource } = admission;
  const { namespace = '', deletionTimestamp } = old.metadata;
  const { plugins, options } = parts;
  if (options.allowPrivileged === false && subresource !== 'status') {
    checkPrivileged(resource, hub);
  }
  confirm(parts, { ...admission, namespace });
  switch (resource.storagePrefix) {
    case 'pods': {
      const isBounded = plugins.has('LimitRanger') && deletionTimestamp === undefined;
      if (subresource === 'resize') {
        if (isBounded) boundPod(parts, { ...admission, namespace });
        const refused = podResizeProblem(parts, admission);
        if (refused !== undefined) throw refused;
      }
      if (subresource !== 'ephemeralcontainers' || !plugins.has('ServiceAccount')) return;
      const problem = ephemeralSecretProblem(parts, hub, namespace);
      if (problem !== undefined) throw refusal(admission, problem);
      return;
    }
    case 'persistentvolumeclaims': {
      if (subresource !== '') return;
      // One that goes away is asked nothing any more.
      if (deletionTimestamp === undefined && plugins.has('LimitRanger')) {
        boundClaim(parts, { ...admission, namespace });
      }
      if (!plugins.has('PersistentVolumeClaimResize')) return;
      // The caller has checked the kind of both.
      const [next, before] = [hub as PersistentVolumeClaim, old as PersistentVolumeClaim];
      const problem = resizeProblem(parts, next, before);
      if (problem !== undefined) throw refusal(admission, problem);
      return;
    }
    case 'priorityclasses':
      if (subresource === '' && plugins.has('Priority')) checkDefaultClass(parts, hub);
      return;
    case 'certificatesigningrequests': {
      const plugin = subresource === 'approval' ? 'CertificateApproval' : 'CertificateSigning';
      if (!plugins.has(plugin)) return;
      const problem = signerProblem(parts, { ...admission, next: hub });
      if (problem !== undefined) throw refusal(admission, problem);
      return;
    }
    default:
  }
}
