/**
 * What objects count for in a ResourceQuota, as pure functions: one table with the few kinds that
 * count more than themselves (pods, Services, claims of volumes and of devices), and one rule for
 * all others (`count/deployments.apps: 1`, with the old names of four kinds of the core).
 *
 * Two callers: admission (`apiserver/admission/resource-quota.ts`) asks `counts`, `matchesQuota`,
 * `constraintProblem` and `usageOf` for one object; the controller asks `resourcesOfKind` to learn
 * which kinds it has to look at, and `totalUsage` for what a namespace uses in all.
 *
 * Behaviour: kubernetes.io, "Resource Quotas".
 */
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import type {
  PersistentVolumeClaim,
  Pod,
  ResourceQuota,
  ScopedResourceSelectorRequirement,
  Service,
} from '../types/core-v1.ts';
import type { ResourceClaim } from '../types/resource-v1.ts';
import { type Amounts, addAmounts, maskAmounts } from './amounts.ts';
import { claimClassNames, resourcesOfClaim, storageChanges, usageOfClaim } from './claim-usage.ts';
import {
  type DeviceFacts,
  resourcesOfDeviceClaim,
  usageOfDeviceClaim,
} from './device-claim-usage.ts';
import { isBounded, podConstraintProblem, podIsInScope, usageOfPod } from './pod-usage.ts';
import { resourcesOfService, usageOfService } from './service-usage.ts';

/** The group of the kind's storage version, and its plural. */
export interface CountedKind {
  readonly group: string;
  readonly plural: string;
  /** Of claims of devices: what has to be known beside them. */
  readonly devices?: DeviceFacts | undefined;
}

export function countedKindOf({ views, plural }: Resource): CountedKind {
  return { group: views[0]?.group ?? '', plural };
}

/** `count/pods`, `count/deployments.apps`. */
function countNameOf({ group, plural }: CountedKind): string {
  return group === '' ? `count/${plural}` : `count/${plural}.${group}`;
}

/** Kinds that no quota counts. */
export function isIgnored({ group, plural }: CountedKind): boolean {
  return plural === 'events' && (group === '' || group === 'events.k8s.io');
}

/** The kinds of the core that could be counted before there was `count/…`. */
const oldNames: ReadonlySet<string> = new Set([
  'configmaps',
  'resourcequotas',
  'replicationcontrollers',
  'secrets',
]);

type Special = 'pods' | 'services' | 'persistentvolumeclaims' | 'resourceclaims' | '';

function specialOf({ group, plural }: CountedKind): Special {
  if (group === 'resource.k8s.io') return plural === 'resourceclaims' ? plural : '';
  if (group !== '') return '';
  return plural === 'pods' || plural === 'services' || plural === 'persistentvolumeclaims'
    ? plural
    : '';
}

/** Which of the names of a quota this kind has a part in. */
export function resourcesOfKind(kind: CountedKind, names: readonly string[]): readonly string[] {
  const count = countNameOf(kind);
  switch (specialOf(kind)) {
    case 'pods':
      return names.filter((name) => name === count || isOfPods(name));
    case 'services':
      return names.filter((name) => name === count || resourcesOfService.has(name));
    case 'persistentvolumeclaims':
      return names.filter((name) => name === count || resourcesOfClaim(name));
    case 'resourceclaims':
      return names.filter((name) => name === count || resourcesOfDeviceClaim(name, kind.devices));
    default:
      return names.filter((name) => name === count || (name === kind.plural && isOld(kind)));
  }
}

function isOld({ group, plural }: CountedKind): boolean {
  return group === '' && oldNames.has(plural);
}

const podNames: ReadonlySet<string> = new Set([
  'pods',
  ...['cpu', 'memory', 'ephemeral-storage'].flatMap((name) => [
    name,
    `requests.${name}`,
    `limits.${name}`,
  ]),
]);

function isOfPods(name: string): boolean {
  if (podNames.has(name)) return true;
  if (name.startsWith('hugepages-') || name.startsWith('requests.hugepages-')) return true;
  if (!name.startsWith('requests.')) return false;
  const isNative = !name.includes('/') || name.includes('kubernetes.io/');
  return !isNative || name.startsWith('requests.deviceclass.resource.kubernetes.io/');
}

/** What one object counts for. */
export function usageOf(kind: CountedKind, object: KubeObject, nowMs: number): Amounts {
  // Objects of these kinds were decoded along their schemas.
  switch (specialOf(kind)) {
    case 'pods':
      return usageOfPod(object as Pod, nowMs);
    case 'services':
      return usageOfService(object as Service);
    case 'persistentvolumeclaims':
      return usageOfClaim(object as PersistentVolumeClaim);
    case 'resourceclaims':
      return usageOfDeviceClaim(object as ResourceClaim, kind.devices, nowMs);
    default:
      return { [countNameOf(kind)]: '1', ...(isOld(kind) ? { [kind.plural]: '1' } : {}) };
  }
}

export interface QuotedWrite {
  readonly kind: CountedKind;
  /** Empty for the object itself. */
  readonly subresource: string;
  readonly next: KubeObject;
  /** Absent for a new object. */
  readonly old: KubeObject | undefined;
}

/** Whether such a write can change what is used at all. */
export function counts({ kind, subresource, next, old }: QuotedWrite): boolean {
  const isNew = old === undefined;
  // Objects of these kinds were decoded along their schemas.
  switch (specialOf(kind)) {
    case 'pods':
      if (subresource === 'resize') return !isNew;
      if (subresource !== '') return false;
      return isNew || isBounded(next as Pod) !== isBounded(old as Pod);
    case 'persistentvolumeclaims':
      if (subresource === '') return true;
      if (subresource !== 'status' || isNew) return false;
      return storageChanges(next as PersistentVolumeClaim, old as PersistentVolumeClaim);
    case 'services':
    case 'resourceclaims':
      return subresource === '';
    default:
      return subresource === '' && isNew;
  }
}

/**
 * Why an object cannot be counted by a quota of these names: it leaves out what they bound.
 * Undefined when all is said.
 */
export function constraintProblem(
  kind: CountedKind,
  names: readonly string[],
  object: KubeObject,
): string | undefined {
  // Objects of this kind were decoded along its schema.
  return specialOf(kind) === 'pods' ? podConstraintProblem(names, object as Pod) : undefined;
}

/** The quota's scopes and its selector, as one list. */
function scopeSelectorsOf({
  spec = {},
}: ResourceQuota): readonly ScopedResourceSelectorRequirement[] {
  const scopes = (spec.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' }));
  return [...scopes, ...(spec.scopeSelector?.matchExpressions ?? [])];
}

/** Whether the quota speaks of this object: of its kind, and of what it is. */
export function matchesQuota(kind: CountedKind, quota: ResourceQuota, object: KubeObject): boolean {
  const names = Object.keys(quota.status?.hard ?? {});
  return resourcesOfKind(kind, names).length > 0 && matchesScopes(kind, quota, object);
}

function matchesScopes(kind: CountedKind, quota: ResourceQuota, object: KubeObject): boolean {
  return scopeSelectorsOf(quota).every((selector) => isInScope(kind, selector, object));
}

/** Only pods and volume claims know scopes; no other object is in any. */
function isInScope(
  kind: CountedKind,
  selector: ScopedResourceSelectorRequirement,
  object: KubeObject,
): boolean {
  const { scopeName } = selector;
  // Objects of these kinds were decoded along their schemas.
  switch (specialOf(kind)) {
    case 'pods': {
      const pod = object as Pod;
      if (scopeName !== 'PriorityClass') return podIsInScope(pod, scopeName);
      const name = pod.spec?.priorityClassName ?? '';
      return selects(selector, name === '' ? [] : [name]);
    }
    case 'persistentvolumeclaims':
      if (scopeName !== 'VolumeAttributesClass') return false;
      return selects(selector, claimClassNames(object as PersistentVolumeClaim));
    default:
      return false;
  }
}

/** Any of the names will do; without one, only what asks for none. */
function selects(
  { operator, values = [] }: ScopedResourceSelectorRequirement,
  names: readonly string[],
): boolean {
  switch (operator) {
    case 'Exists':
      return names.length > 0;
    case 'DoesNotExist':
      return names.length === 0;
    case 'In':
      return names.some((name) => values.includes(name));
    case 'NotIn':
      return names.length === 0 || names.some((name) => !values.includes(name));
    default:
      return false;
  }
}

export interface CountedObjects {
  readonly kind: CountedKind;
  /** All of one namespace. */
  readonly objects: Iterable<KubeObject>;
}

/**
 * What a quota finds used: `status.used` for the names of its `spec.hard` that any of the kinds has
 * a part in. Kinds without a part (`resourcesOfKind` is empty) need not be given.
 */
export function totalUsage(
  quota: ResourceQuota,
  given: Iterable<CountedObjects>,
  nowMs: number,
): Amounts {
  const names = Object.keys(quota.spec?.hard ?? {});
  let total: Amounts = {};
  for (const { kind, objects } of given) {
    const own = resourcesOfKind(kind, names);
    if (own.length === 0) continue;
    total = addAmounts(Object.fromEntries(own.map((name) => [name, '0'])), total);
    for (const object of objects) {
      if (!matchesScopes(kind, quota, object)) continue;
      total = addAmounts(total, maskAmounts(usageOf(kind, object, nowMs), own));
    }
  }
  return total;
}

export type { DeviceFacts } from './device-claim-usage.ts';
