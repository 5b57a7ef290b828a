/**
 * What a claim of a volume counts for in a quota: itself and the storage that it asks for, both
 * also under the name of its class (`gold.storageclass.storage.k8s.io/requests.storage`). While a
 * claim grows, what has been given counts where it is more than what is asked.
 */
import { compareQuantities, quantityValue } from '#api/quantity.ts';
import type { PersistentVolumeClaim } from '../types/core-v1.ts';
import { storageClassNameOf } from '../volumes/storage-class-name.ts';
import type { Amounts } from './amounts.ts';

const ofClass = '.storageclass.storage.k8s.io/';
const own = ['persistentvolumeclaims', 'requests.storage'] as const;

/** Whether a quota of this name counts claims, or those of some class. */
export function resourcesOfClaim(name: string): boolean {
  return own.some((one) => name === one || name.endsWith(`${ofClass}${one}`));
}

export function usageOfClaim(claim: PersistentVolumeClaim): Amounts {
  const className = storageClassNameOf(claim);
  const storage = storageOf(claim);
  const usage: Record<string, string> = {
    'count/persistentvolumeclaims': '1',
    persistentvolumeclaims: '1',
  };
  if (storage !== undefined) usage['requests.storage'] = storage;
  if (className === '') return usage;
  usage[`${className}${ofClass}persistentvolumeclaims`] = '1';
  if (storage !== undefined) usage[`${className}${ofClass}requests.storage`] = storage;
  return usage;
}

/** Whole bytes. */
function storageOf({ spec, status }: PersistentVolumeClaim): string | undefined {
  const request = spec?.resources?.requests?.['storage'];
  if (request === undefined) return undefined;
  const given = status?.allocatedResources?.['storage'] ?? '0';
  return wholeBytes(compareQuantities(given, request) > 0 ? given : request);
}

/** Canonical text has a fraction only by its suffix: `1500m`. */
function wholeBytes(amount: string): string {
  return /[num]$/.test(amount) ? String(quantityValue(amount)) : amount;
}

/** The classes of attributes that it has, will have, or is on the way to. */
export function claimClassNames({ spec, status }: PersistentVolumeClaim): readonly string[] {
  const names = [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ];
  return [...new Set(names)].flatMap((name) => (name === undefined || name === '' ? [] : [name]));
}

/** Whether a new status counts otherwise than the old. */
export function storageChanges(next: PersistentVolumeClaim, old: PersistentVolumeClaim): boolean {
  const given = ({ status }: PersistentVolumeClaim): string =>
    status?.allocatedResources?.['storage'] ?? '0';
  const names = (claim: PersistentVolumeClaim): string => claimClassNames(claim).toSorted().join();
  return compareQuantities(given(next), given(old)) !== 0 || names(next) !== names(old);
}
