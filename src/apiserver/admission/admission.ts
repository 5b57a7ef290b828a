/**
 * Admission: what the cluster as a whole adds to, or refuses in, a write; in a fixed order.
 *
 * `admitCreate` and `admitUpdate` may change the object, between defaults and validation;
 * `confirmCreate` and `confirmUpdate` only say no, after validation. Each step is a plain function
 * that answers with the object, changed or not, or throws. They read the store's newest state and
 * never wait; quotas, which have to, come last (`resource-quota.ts`).
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
import { checkDefaultClass, keepPriority, resolvePriority } from './priority.ts';
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
  if (resource.namespaced) checkNamespaceAccepts(parts, admission);
  const { name = '' } = hub.metadata;
  const write = { resource, identity, namespace, name, next: hub, subresource: '' };
  restrictNode(parts, { ...write, operation: 'create' });
  switch (resource.storagePrefix) {
    case 'pods':
      return admitPod(parts, admission);
    case 'minions':
      return taintNewNode(hub);
    case 'persistentvolumeclaims':
      return protectVolume(resource, setStorageClass(parts, hub));
    case 'persistentvolumes':
    case 'volumeattributesclasses':
      return protectVolume(resource, hub);
    case 'ingress':
      return setIngressClass(parts, hub);
    default:
      return hub;
  }
}

function admitPod(parts: Parts, admission: Admission): KubeObject {
  let hub = defaultPod(parts, admission);
  hub = addServiceAccount(parts, { ...admission, hub });
  hub = resolvePriority(parts, { ...admission, hub });
  hub = addTopologyLabels(parts, addDefaultTolerations(hub));
  return applyRuntimeClass(parts, { ...admission, hub });
}

export function confirmCreate(parts: Parts, admission: Admission): void {
  const { resource, hub } = admission;
  switch (resource.storagePrefix) {
    case 'pods':
      boundPod(parts, admission);
      return;
    case 'persistentvolumeclaims':
      boundClaim(parts, admission);
      return;
    case 'priorityclasses':
      checkDefaultClass(parts, hub);
      return;
    case 'certificatesigningrequests': {
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
  restrictNode(parts, { ...write, operation: 'update' });
  if (subresource !== '') return hub;
  if (resource.storagePrefix !== 'pods') return hub;
  return addDefaultTolerations(keepPriority(hub, old));
}

export function confirmUpdate(parts: Parts, admission: UpdateAdmission): void {
  const { resource, hub, old, subresource } = admission;
  const { namespace = '', deletionTimestamp } = old.metadata;
  switch (resource.storagePrefix) {
    case 'pods': {
      if (subresource === 'resize' && deletionTimestamp === undefined) {
        boundPod(parts, { ...admission, namespace });
      }
      if (subresource !== 'ephemeralcontainers') return;
      const problem = ephemeralSecretProblem(parts, hub, namespace);
      if (problem !== undefined) throw refusal(admission, problem);
      return;
    }
    case 'persistentvolumeclaims': {
      if (subresource !== '') return;
      // One that goes away is asked nothing any more.
      if (deletionTimestamp === undefined) boundClaim(parts, { ...admission, namespace });
      // The caller has checked the kind of both.
      const [next, before] = [hub as PersistentVolumeClaim, old as PersistentVolumeClaim];
      const problem = resizeProblem(parts, next, before);
      if (problem !== undefined) throw refusal(admission, problem);
      return;
    }
    case 'priorityclasses':
      if (subresource === '') checkDefaultClass(parts, hub);
      return;
    case 'certificatesigningrequests': {
      const problem = signerProblem(parts, { ...admission, next: hub });
      if (problem !== undefined) throw refusal(admission, problem);
      return;
    }
    default:
  }
}
