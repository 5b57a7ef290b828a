/**
 * Who depends on whom: for each owner's uid the objects that refer to it. Objects are named, not
 * held, and those without owners take no room at all; the copies themselves are the informers'.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { objectKey } from '#api/object.ts';

/** Which object, whatever its kind. The uid tells a new object from an old one of the same name. */
export interface Identity {
  readonly kind: KindOf<KubeObject>;
  /** `namespace/name`, or `name`. */
  readonly key: string;
  readonly uid: string;
}

export function identityOf(kind: KindOf<KubeObject>, object: KubeObject): Identity {
  return { kind, key: objectKey(object), uid: object.metadata.uid ?? '' };
}

export class Dependents {
  readonly #byOwner = new Map<string, Map<string, Identity>>();

  of(ownerUid: string): readonly Identity[] {
    return [...(this.#byOwner.get(ownerUid)?.values() ?? [])];
  }

  has(ownerUid: string): boolean {
    return this.#byOwner.has(ownerUid);
  }

  /** Gives the uids of owners that the object no longer names. */
  replace(
    dependent: Identity,
    old: KubeObject | undefined,
    next: KubeObject | undefined,
  ): readonly string[] {
    const before = ownerUids(old);
    const after = ownerUids(next);
    const dropped = before.filter((uid) => !after.includes(uid));
    for (const uid of dropped) {
      const dependents = this.#byOwner.get(uid);
      dependents?.delete(dependent.uid);
      if (dependents?.size === 0) this.#byOwner.delete(uid);
    }
    for (const uid of after) {
      const dependents = this.#byOwner.get(uid);
      if (dependents === undefined) this.#byOwner.set(uid, new Map([[dependent.uid, dependent]]));
      else dependents.set(dependent.uid, dependent);
    }
    return dropped;
  }
}

function ownerUids(object: KubeObject | undefined): readonly string[] {
  return object?.metadata.ownerReferences?.map(({ uid }) => uid) ?? [];
}
