/**
 * Deletes what nobody owns any more.
 *
 * Watches every kind (metadata alone, where nobody in this process keeps the whole kind) and knows
 * from owner references who depends on whom. When an owner goes, its dependants are looked at; what
 * has no living owner left is deleted. Before anything is deleted because an owner is missing here,
 * the server itself is asked whether the owner is gone: a cache that lags must not kill.
 *
 * Foreground deletion: the owner stays until the dependants that block it are gone. Orphaning: the
 * owner's name is removed from its dependants, then the owner goes.
 */
import type { KindOf } from '#api/kind-of.ts';
import { type KubeObject, type OwnerReference, parseGroupVersion } from '#api/object.ts';
import type { Cancel, Informer, Recorder } from '#client';
import { assert } from '#kit/assert.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { Dependents, type Identity, identityOf } from './dependents.ts';
import {
  type Action,
  awaits,
  foregroundFinalizer,
  type OwnerState,
  orphanFinalizer,
  planCollection,
  wrongNamespaceNote,
} from './plan.ts';

const limits = {
  /** Owners remembered to be gone, so that many dependants ask only once. */
  absentMax: 500,
} as const;

export function openGarbageCollector(
  deps: ControllerDeps,
  options: { readonly kinds: readonly KindOf<KubeObject>[] },
): Controller {
  const collector = new GarbageCollector(deps, options.kinds);
  return {
    name: 'garbage-collector-controller',
    queue: collector.queue,
    reconcile: (key, cancel) => collector.reconcile(key, cancel),
    workers: 10,
    sources: collector.informers,
  };
}

class GarbageCollector {
  readonly queue: WorkQueue;
  readonly #deps: ControllerDeps;
  readonly #kinds = new Map<string, KindOf<KubeObject>>();
  readonly #informers = new Map<KindOf<KubeObject>, Informer<KubeObject>>();
  readonly #dependents = new Dependents();
  /** Owners that the server does not know; true for those that live in another namespace. */
  readonly #absent = new Map<string, boolean>();
  readonly #recorder: Recorder;

  constructor(deps: ControllerDeps, kinds: readonly KindOf<KubeObject>[]) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('garbage-collector-controller');
    this.queue = new WorkQueue(deps);
    for (const kind of kinds) {
      this.#kinds.set(nameOf(kind.group, kind.kind), kind);
      const informer = deps.informers.of(kind, { metadataOnly: true });
      this.#informers.set(kind, informer);
      informer.addHandler({
        onAdd: (object) => this.#changed(kind, undefined, object),
        onUpdate: (object, old) => this.#changed(kind, old, object),
        onDelete: (object) => this.#gone(kind, object),
      });
    }
  }

  get informers(): readonly Informer<KubeObject>[] {
    return [...this.#informers.values()];
  }

  async reconcile(key: string, { signal }: Cancel): Promise<void> {
    const identity = this.#parseKey(key);
    const object = this.#find(identity);
    if (object === undefined) return;
    const waitsFor = awaits(object);
    if (waitsFor === 'orphan') await this.#orphan(identity, object, { signal });
    else if (waitsFor === 'foreground') await this.#finishForeground(identity, object, { signal });
    else await this.#collect(identity, object, { signal });
  }

  async #collect(identity: Identity, object: KubeObject, { signal }: Cancel): Promise<void> {
    const { ownerReferences = [], deletionTimestamp, namespace } = object.metadata;
    if (ownerReferences.length === 0 || deletionTimestamp !== undefined) return;
    const states = new Map<string, OwnerState>();
    for (const owner of ownerReferences) {
      states.set(owner.uid, await this.#ownerState(owner, namespace, { signal }));
    }
    this.#tellWrongOwners(object);
    const dependents = this.#dependents.of(identity.uid);
    const action = planCollection({
      object,
      stateOf: (owner) => states.get(owner.uid) ?? 'unknown',
      hasDependents: dependents.length > 0,
      hasWaitingDependents: dependents.some((one) => awaits(this.#find(one)) === 'foreground'),
    });
    switch (action.do) {
      case 'nothing':
        return;
      case 'drop-references':
        await this.#writeReferences(identity.kind, object, action.kept, { signal });
        return;
      case 'delete':
        await this.#delete(identity, object, action, { signal });
        return;
      default:
        action satisfies never;
    }
  }

  async #delete(
    identity: Identity,
    object: KubeObject,
    action: Extract<Action, { do: 'delete' }>,
    { signal }: Cancel,
  ): Promise<void> {
    const { kind, key, uid } = identity;
    this.#deps.log.debug('collecting', { kind: kind.kind, object: key });
    const { namespace, name = '', ownerReferences = [] } = object.metadata;
    let next: KubeObject | undefined = object;
    if (action.unblock) {
      const freed = ownerReferences.map((owner) => ({ ...owner, blockOwnerDeletion: false }));
      next = await this.#writeReferences(kind, object, freed, { signal });
    }
    const resourceVersion = next?.metadata.resourceVersion;
    const preconditions = resourceVersion === undefined ? { uid } : { uid, resourceVersion };
    const options = { propagationPolicy: action.propagation, preconditions, signal };
    await this.#deps.client.delete(kind, { namespace, name }, options).catch(ignoreNotFound);
  }

  async #ownerState(
    owner: OwnerReference,
    namespace: string | undefined,
    { signal }: Cancel,
  ): Promise<OwnerState> {
    const kind = this.#kindOf(owner);
    // Nothing is known about such a kind, so nothing is deleted for it.
    if (kind === undefined) return 'unknown';
    const cached = this.#cachedOwner(kind, owner, namespace);
    if (cached !== undefined) return awaits(cached) === 'foreground' ? 'waiting' : 'solid';
    if (kind.namespaced && namespace === undefined) return 'unknown';
    const name = absentName(owner, kind.namespaced ? namespace : undefined);
    if (this.#absent.has(name)) return 'absent';
    const at = kind.namespaced ? { namespace, name: owner.name } : { name: owner.name };
    const live = await this.#deps.client.get(kind, at, { signal }).catch(ignoreNotFound);
    if (live?.metadata.uid === owner.uid) {
      return awaits(live) === 'foreground' ? 'waiting' : 'solid';
    }
    this.#rememberAbsent(name, this.#livesElsewhere(kind, owner));
    return 'absent';
  }

  /** An owner may be alive, and yet own nothing here: it is in another namespace. */
  #tellWrongOwners(object: KubeObject): void {
    const { ownerReferences = [], namespace } = object.metadata;
    for (const owner of ownerReferences) {
      const kind = this.#kindOf(owner);
      if (kind?.namespaced !== true) continue;
      const isWrong =
        namespace === undefined
          ? this.#livesElsewhere(kind, owner)
          : (this.#absent.get(absentName(owner, namespace)) ?? false);
      if (isWrong) this.#recorder.record(object, wrongNamespaceNote(object, owner));
    }
  }

  #livesElsewhere(kind: KindOf<KubeObject>, owner: OwnerReference): boolean {
    if (!kind.namespaced) return false;
    for (const { metadata } of this.#informers.get(kind)?.list() ?? []) {
      if (metadata.uid === owner.uid) return true;
    }
    return false;
  }

  /** Removes the owner's name from its dependants, then lets it go. */
  async #orphan(owner: Identity, object: KubeObject, { signal }: Cancel): Promise<void> {
    for (const identity of this.#dependents.of(owner.uid)) {
      const dependent = this.#find(identity);
      if (dependent === undefined) continue;
      const references = dependent.metadata.ownerReferences ?? [];
      const kept = references.filter(({ uid }) => uid !== owner.uid);
      await this.#writeReferences(identity.kind, dependent, kept, { signal });
    }
    await this.#removeFinalizer(owner.kind, object, orphanFinalizer, { signal });
  }

  /** Lets the owner go once no dependant blocks it; else sees to it that they go. */
  async #finishForeground(owner: Identity, object: KubeObject, { signal }: Cancel): Promise<void> {
    let isBlocked = false;
    for (const identity of this.#dependents.of(owner.uid)) {
      const dependent = this.#find(identity);
      isBlocked ||= blockedBy(dependent).includes(owner.uid);
      // One that is deleted already wakes the owner when it is gone; in a circle of owners, to ask
      // again and again would never end.
      if (dependent?.metadata.deletionTimestamp === undefined) this.#enqueue(identity);
    }
    if (!isBlocked) {
      await this.#removeFinalizer(owner.kind, object, foregroundFinalizer, { signal });
    }
  }

  async #writeReferences(
    kind: KindOf<KubeObject>,
    object: KubeObject,
    ownerReferences: readonly OwnerReference[],
    { signal }: Cancel,
  ): Promise<KubeObject | undefined> {
    const { namespace, name = '', uid, resourceVersion } = object.metadata;
    const patch = { metadata: { uid, resourceVersion, ownerReferences } };
    return await this.#deps.client
      .patch(kind, { namespace, name }, patch, { type: 'merge', signal })
      .catch(ignoreNotFound);
  }

  async #removeFinalizer(
    kind: KindOf<KubeObject>,
    object: KubeObject,
    finalizer: string,
    { signal }: Cancel,
  ): Promise<void> {
    const { namespace, name = '', uid, resourceVersion, finalizers = [] } = object.metadata;
    const kept = finalizers.filter((other) => other !== finalizer);
    const patch = { metadata: { uid, resourceVersion, finalizers: kept } };
    await this.#deps.client
      .patch(kind, { namespace, name }, patch, { type: 'merge', signal })
      .catch(ignoreNotFound);
  }

  #changed(kind: KindOf<KubeObject>, old: KubeObject | undefined, object: KubeObject): void {
    const identity = identityOf(kind, object);
    const dropped = this.#dependents.replace(identity, old, object);
    // An owner that waits may have waited for this one.
    const blocked = blockedBy(object);
    const freed = blockedBy(old).filter((uid) => !blocked.includes(uid));
    for (const uid of new Set([...dropped, ...freed])) this.#wakeOwner(old, uid);
    if (awaits(object) !== undefined && awaits(old) === undefined) {
      this.#enqueue(identity);
      for (const dependent of this.#dependents.of(identity.uid)) this.#enqueue(dependent);
    }
    const { ownerReferences = [], namespace } = object.metadata;
    const isUncertain = ownerReferences.some((owner) => {
      const ownerKind = this.#kindOf(owner);
      if (ownerKind === undefined) return false;
      const cached = this.#cachedOwner(ownerKind, owner, namespace);
      return cached === undefined || awaits(cached) !== undefined;
    });
    if (isUncertain) this.#enqueue(identity);
  }

  #gone(kind: KindOf<KubeObject>, object: KubeObject): void {
    const identity = identityOf(kind, object);
    this.#dependents.replace(identity, object, undefined);
    for (const { uid } of object.metadata.ownerReferences ?? []) this.#wakeOwner(object, uid);
    for (const dependent of this.#dependents.of(identity.uid)) this.#enqueue(dependent);
  }

  #wakeOwner(dependent: KubeObject | undefined, uid: string): void {
    const owner = dependent?.metadata.ownerReferences?.find((reference) => reference.uid === uid);
    const kind = owner && this.#kindOf(owner);
    if (owner === undefined || kind === undefined) return;
    const cached = this.#cachedOwner(kind, owner, dependent?.metadata.namespace);
    if (cached !== undefined && awaits(cached)) this.#enqueue(identityOf(kind, cached));
  }

  #cachedOwner(
    kind: KindOf<KubeObject>,
    owner: OwnerReference,
    namespace: string | undefined,
  ): KubeObject | undefined {
    const key = kind.namespaced ? `${namespace}/${owner.name}` : owner.name;
    return this.#find({ kind, key, uid: owner.uid });
  }

  #find({ kind, key, uid }: Identity): KubeObject | undefined {
    const object = this.#informers.get(kind)?.get(key);
    return object?.metadata.uid === uid ? object : undefined;
  }

  #kindOf(owner: OwnerReference): KindOf<KubeObject> | undefined {
    return this.#kinds.get(nameOf(parseGroupVersion(owner.apiVersion).group, owner.kind));
  }

  #rememberAbsent(name: string, elsewhere: boolean): void {
    this.#absent.set(name, elsewhere);
    if (this.#absent.size <= limits.absentMax) return;
    for (const oldest of this.#absent.keys()) {
      this.#absent.delete(oldest);
      return;
    }
  }

  #enqueue({ kind, key, uid }: Identity): void {
    this.queue.add(`${nameOf(kind.group, kind.kind)} ${key} ${uid}`);
  }

  #parseKey(text: string): Identity {
    const [name = '', key = '', uid = ''] = text.split(' ');
    const kind = this.#kinds.get(name);
    assert(kind !== undefined, 'only known kinds are put on the queue');
    return { kind, key, uid };
  }
}

/** With all that the reference says: one that is wrong must not speak for one that is right. */
function absentName(owner: OwnerReference, namespace: string | undefined): string {
  const { apiVersion, kind, name, uid } = owner;
  return [apiVersion, kind, namespace ?? '', name, uid].join(' ');
}

/** The uids of the owners that may not go before the object does. */
function blockedBy(object: KubeObject | undefined): readonly string[] {
  const references = object?.metadata.ownerReferences ?? [];
  return references
    .filter(({ blockOwnerDeletion }) => blockOwnerDeletion === true)
    .map(({ uid }) => uid);
}

function nameOf(group: string, kind: string): string {
  return `${group}/${kind}`;
}
