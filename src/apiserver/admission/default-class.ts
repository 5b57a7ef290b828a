/**
 * DefaultStorageClass and DefaultIngressClass: a claim or an Ingress that names no class gets the
 * one that is marked as default; of several the newest, then the first by name.
 *
 * An empty name is a name: who gives one wants no class at all.
 */
import type { KubeObject } from '#api/object.ts';
import type { PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { Ingress } from '#resources/types/networking-v1.ts';
import { namesStorageClass } from '#resources/volumes/storage-class-name.ts';
import type { Store } from '#store';
import { storedObjects } from '../registry.ts';

interface Deps {
  readonly store: Store;
}

export function setStorageClass({ store }: Deps, hub: KubeObject): KubeObject {
  // The caller has checked the kind.
  const claim = hub as PersistentVolumeClaim;
  const { spec } = claim;
  if (spec === undefined || namesStorageClass(claim)) return hub;
  const storageClassName = defaultClass(store, 'storageclasses', [
    'storageclass.kubernetes.io/is-default-class',
    'storageclass.beta.kubernetes.io/is-default-class',
  ]);
  if (storageClassName === undefined) return hub;
  return { ...hub, spec: { ...spec, storageClassName } };
}

export function setIngressClass({ store }: Deps, hub: KubeObject): KubeObject {
  // The caller has checked the kind.
  const { spec = {}, metadata } = hub as Ingress;
  const old = metadata.annotations?.['kubernetes.io/ingress.class'];
  if (spec.ingressClassName !== undefined || old !== undefined) return hub;
  const ingressClassName = defaultClass(store, 'ingressclasses', [
    'ingressclass.kubernetes.io/is-default-class',
  ]);
  if (ingressClassName === undefined) return hub;
  return { ...hub, spec: { ...spec, ingressClassName } };
}

function defaultClass(store: Store, prefix: string, marks: readonly string[]): string | undefined {
  const marked = storedObjects(store, `${prefix}/`).filter(({ metadata }) =>
    marks.some((mark) => metadata.annotations?.[mark] === 'true'),
  );
  const timeOf = ({ metadata }: KubeObject): string => metadata.creationTimestamp ?? '';
  // They come in order of name, and sorting keeps that order among equals.
  marked.sort((a, b) => (timeOf(a) === timeOf(b) ? 0 : timeOf(a) > timeOf(b) ? -1 : 1));
  return marked[0]?.metadata.name;
}
