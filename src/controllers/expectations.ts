/**
 * What a controller has asked for and not yet seen in its cache.
 *
 * Between a write and its event the cache is stale: counting objects then would create them twice.
 * So a controller notes how many creations, and which deletions (by uid), it awaits for a key, and
 * counts again only when all have been seen, or after five minutes, should one never show up.
 */
import type { Clock } from '#kit/clock.ts';

const forgottenAfterMs = 5 * 60 * 1000;

interface Awaited {
  creations: number;
  readonly deletions: Set<string>;
  readonly sinceMs: number;
}

export class Expectations {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #awaited = new Map<string, Awaited>();
  /** Key → uids whose deletion was asked for, and nobody knows whether it is carried out. */
  readonly #uncertain = new Map<string, Set<string>>();

  constructor(deps: { readonly clock: Pick<Clock, 'monotonic'> }) {
    this.#clock = deps.clock;
  }

  /** Whether the cache shows everything that was asked for. */
  areMet(key: string): boolean {
    const awaited = this.#awaited.get(key);
    if (awaited === undefined) return true;
    if (awaited.creations <= 0 && awaited.deletions.size === 0) return true;
    return this.#clock.monotonic() - awaited.sinceMs > forgottenAfterMs;
  }

  /** To be called before the first request is sent: its event may overtake the answer. */
  expect(key: string, what: { readonly creations?: number; readonly deletions?: string[] }): void {
    this.#awaited.set(key, {
      creations: what.creations ?? 0,
      deletions: new Set(what.deletions),
      sinceMs: this.#clock.monotonic(),
    });
  }

  /** A creation was seen, or will never be, because it failed. */
  sawCreation(key: string, count = 1): void {
    const awaited = this.#awaited.get(key);
    if (awaited !== undefined) awaited.creations -= count;
  }

  sawDeletion(key: string, uid: string): void {
    this.#awaited.get(key)?.deletions.delete(uid);
    const uncertain = this.#uncertain.get(key);
    if (uncertain?.delete(uid) && uncertain.size === 0) this.#uncertain.delete(key);
  }

  /** No answer came: it may still be carried out, so the next choice has to be the same one. */
  lostDeletion(key: string, uid: string): void {
    this.#awaited.get(key)?.deletions.delete(uid);
    const uncertain = this.#uncertain.get(key) ?? new Set();
    this.#uncertain.set(key, uncertain.add(uid));
  }

  /** Its deletion was asked for and, for all that is known, is carried out. */
  isDeleted(key: string, uid: string): boolean {
    return this.#awaited.get(key)?.deletions.has(uid) ?? false;
  }

  /** Its deletion was asked for, and nothing has been heard of it since. */
  mayBeDeleted(key: string, uid: string): boolean {
    return this.#uncertain.get(key)?.has(uid) ?? false;
  }

  forget(key: string): void {
    this.#awaited.delete(key);
    this.#uncertain.delete(key);
  }
}
