/**
 * One kind that owns objects of another: what an owner manages from now on, and which owners an
 * object's change concerns.
 *
 * `Owned` is made once by each controller of owners (Deployments and their replica sets, the others
 * and their pods or revisions). It keeps the index that `ownership.ts` needs; what counts as
 * matching is the owner's to say. Owners of pods have more to notice: `owned-pods.ts`.
 */
import type { KindOf } from '#api/kind-of.ts';
import { controllerOf, type KubeObject } from '#api/object.ts';
import type { Client, Informer } from '#client';
import {
  type Claims,
  claimable,
  controllerIndex,
  controllerIndexValues,
  ownerIn,
  performClaims,
  planClaims,
} from './ownership.ts';

export interface OwnedOptions<Owner extends KubeObject, T extends KubeObject> {
  readonly kinds: { readonly owner: KindOf<Owner>; readonly object: KindOf<T> };
  readonly owners: Informer<Owner>;
  readonly objects: Informer<T>;
  /** Whether the owner selects it: such an orphan it adopts, and lets go what no longer is so. */
  readonly matches: (owner: Owner, object: T) => boolean;
}

export class Owned<Owner extends KubeObject, T extends KubeObject> {
  readonly #client: Client;
  readonly #options: OwnedOptions<Owner, T>;

  constructor(client: Client, options: OwnedOptions<Owner, T>) {
    this.#client = client;
    this.#options = options;
    options.objects.addIndex(controllerIndex, controllerIndexValues);
  }

  /** What the owner has, may adopt and must release, of those that `counts` lets pass. */
  plan(owner: Owner, counts: (object: T) => boolean = () => true): Claims<T> {
    const { objects, matches } = this.#options;
    const candidates: T[] = [];
    for (const object of claimable(objects, owner)) if (counts(object)) candidates.push(object);
    return planClaims(owner, candidates, (object) => matches(owner, object));
  }

  /** Adopts and releases; gives everything that the owner manages from now on. */
  async claim(
    owner: Owner,
    options: { readonly signal: AbortSignal; readonly finalizer?: string },
    claims: Claims<T> = this.plan(owner),
  ): Promise<readonly T[]> {
    return performClaims(this.#client, this.#options.kinds, owner, claims, options);
  }

  ownerOf(object: T): Owner | undefined {
    return ownerIn(this.#options.owners, this.#options.kinds.owner, object);
  }

  /** The owner that manages it, or, for an orphan, those that may adopt it. */
  *concerned(object: T): Generator<Owner> {
    const { owners, matches } = this.#options;
    if (controllerOf(object) !== undefined) {
      const owner = this.ownerOf(object);
      if (owner !== undefined) yield owner;
      return;
    }
    for (const owner of owners.listNamespace(object.metadata.namespace ?? '')) {
      if (matches(owner, object)) yield owner;
    }
  }
}
