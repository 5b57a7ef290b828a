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
  }

  forget(key: string): void {
    this.#awaited.delete(key);
  }
}
