/**
 * How many pods the managing owner of a pod wants: the Deployment above its ReplicaSet, or whatever
 * has a `scale`.
 *
 * The kinds that are common are in the cache; any other (a custom resource) is asked by its
 * sub-resource. Called by `disruption.ts` for each owner once.
 */
import { isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import {
  controllerOf,
  type KubeObject,
  type OwnerReference,
  parseGroupVersion,
} from '#api/object.ts';
import { type Informer, objectPath } from '#client';
import {
  deployments as deploymentKind,
  replicaSets as replicaSetKind,
  replicationControllers as replicationControllerKind,
  statefulSets as statefulSetKind,
} from '#resources/kinds.ts';
import type { Deployment, ReplicaSet, StatefulSet } from '#resources/types/apps-v1.ts';
import type { ReplicationController } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { ControllerDeps } from '../controller.ts';

/** The owner that counts, and its size. */
export interface OwnerScale {
  readonly uid: string;
  readonly replicas: number;
}

type Sized = Deployment | ReplicaSet | StatefulSet | ReplicationController;

interface Scale {
  readonly metadata?: { readonly uid?: string };
  readonly spec?: { readonly replicas?: number };
}

export class OwnerScales {
  readonly deployments: Informer<Deployment>;
  readonly replicaSets: Informer<ReplicaSet>;
  readonly statefulSets: Informer<StatefulSet>;
  readonly replicationControllers: Informer<ReplicationController>;
  readonly #deps: ControllerDeps;
  readonly #kinds: () => readonly KindOf<KubeObject>[];

  constructor(deps: ControllerDeps, kinds: () => readonly KindOf<KubeObject>[]) {
    this.#deps = deps;
    this.#kinds = kinds;
    this.deployments = deps.informers.of(deploymentKind);
    this.replicaSets = deps.informers.of(replicaSetKind);
    this.statefulSets = deps.informers.of(statefulSetKind);
    this.replicationControllers = deps.informers.of(replicationControllerKind);
  }

  /** Undefined where there is no such owner any more. */
  async of(
    owner: OwnerReference,
    namespace: string,
    signal: AbortSignal,
  ): Promise<OwnerScale | undefined> {
    const { group } = parseGroupVersion(owner.apiVersion);
    const inApps = group === 'apps' || group === 'extensions';
    if (owner.kind === 'ReplicationController' && group === '') {
      return sizeOf(this.replicationControllers, owner, namespace);
    }
    if (owner.kind === 'StatefulSet' && group === 'apps') {
      return sizeOf(this.statefulSets, owner, namespace);
    }
    if (owner.kind !== 'ReplicaSet' || !inApps) return this.#ask(owner, namespace, signal);
    const set = found(this.replicaSets, owner, namespace);
    const above = set && controllerOf(set);
    if (above?.kind !== 'Deployment') return sizeOf(this.replicaSets, owner, namespace);
    return sizeOf(this.deployments, above, namespace);
  }

  async #ask(
    owner: OwnerReference,
    namespace: string,
    signal: AbortSignal,
  ): Promise<OwnerScale | undefined> {
    const { group, version } = parseGroupVersion(owner.apiVersion);
    const kind = this.#kinds().find((one) => one.kind === owner.kind && one.group === group);
    if (kind === undefined) {
      const where = group === '' ? version : `${group}/${version}`;
      throw new Error(`no matches for kind "${owner.kind}" in version "${where}"`);
    }
    const at = { namespace, name: owner.name };
    try {
      const path = objectPath(kind, at, 'scale');
      const scale = await this.#deps.client.getPath<Scale>(path, { signal });
      if (scale.metadata?.uid !== owner.uid) return undefined;
      return { uid: owner.uid, replicas: scale.spec?.replicas ?? 0 };
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      // Either the object is gone, or its kind has no scale.
      const exists = await this.#exists(kind, at, signal);
      if (!exists) return undefined;
      const resource = group === '' ? kind.plural : `${kind.plural}.${group}`;
      throw new Error(`${resource} does not implement the scale subresource`, { cause: error });
    }
  }

  async #exists(
    kind: KindOf<KubeObject>,
    at: { readonly namespace: string; readonly name: string },
    signal: AbortSignal,
  ): Promise<boolean> {
    const found = await this.#deps.client.get(kind, at, { signal }).catch(ignoreNotFound);
    return found !== undefined;
  }
}

function found<T extends Sized>(
  owners: Informer<T>,
  { name, uid }: OwnerReference,
  namespace: string,
): T | undefined {
  const owner = owners.get(`${namespace}/${name}`);
  return owner?.metadata.uid === uid ? owner : undefined;
}

function sizeOf<T extends Sized>(
  owners: Informer<T>,
  reference: OwnerReference,
  namespace: string,
): OwnerScale | undefined {
  const owner = found(owners, reference, namespace);
  return owner && { uid: reference.uid, replicas: owner.spec?.replicas ?? 1 };
}
