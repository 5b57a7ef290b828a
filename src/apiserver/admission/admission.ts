/**
 * Admission: what the cluster as a whole adds to, or refuses in, a write; in a fixed order.
 *
 * Each step is a plain function that answers with the object, changed or not, or throws. They read
 * the store's newest state and never wait. Called by create and update between defaults and
 * validation.
 */
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import type { Identity } from '#kit/transport.ts';
import type { Parts } from '../parts.ts';
import { addDefaultTolerations } from './default-tolerations.ts';
import { limitClaim, limitPod } from './limit-ranger.ts';
import { checkNamespaceAccepts } from './namespace-lifecycle.ts';
import { taintNewNode } from './node-taint.ts';
import { checkDefaultClass, keepPriority, resolvePriority } from './priority.ts';
import { applyRuntimeClass } from './runtime-class.ts';
import { addServiceAccount } from './service-account.ts';

export interface Admission {
  readonly resource: Resource;
  readonly hub: KubeObject;
  readonly namespace: string;
  readonly identity: Identity;
}

export interface UpdateAdmission {
  readonly resource: Resource;
  readonly hub: KubeObject;
  readonly old: KubeObject;
  readonly identity: Identity;
}

export function admitCreate(parts: Parts, admission: Admission): KubeObject {
  const { resource, namespace } = admission;
  if (resource.namespaced) checkNamespaceAccepts(parts, { ...admission, namespace });
  switch (resource.storagePrefix) {
    case 'pods':
      return admitPod(parts, admission);
    case 'minions':
      return taintNewNode(admission.hub);
    case 'persistentvolumeclaims':
      limitClaim(parts, admission);
      return admission.hub;
    case 'priorityclasses':
      checkDefaultClass(parts, admission.hub);
      return admission.hub;
    default:
      return admission.hub;
  }
}

function admitPod(parts: Parts, admission: Admission): KubeObject {
  let hub = limitPod(parts, admission);
  hub = addServiceAccount(parts, { ...admission, hub });
  hub = resolvePriority(parts, hub);
  hub = applyRuntimeClass(parts, hub);
  return addDefaultTolerations(hub);
}

export function admitUpdate(parts: Parts, admission: UpdateAdmission): KubeObject {
  const { resource, hub, old } = admission;
  if (resource.storagePrefix === 'priorityclasses') checkDefaultClass(parts, hub);
  if (resource.storagePrefix === 'persistentvolumeclaims') {
    // One that goes away is asked nothing any more.
    const { namespace = '', deletionTimestamp } = old.metadata;
    if (deletionTimestamp === undefined) limitClaim(parts, { hub, namespace });
  }
  if (resource.storagePrefix !== 'pods') return hub;
  return addDefaultTolerations(keepPriority(hub, old));
}
