/**
 * The keys whose values nobody can read: they were encrypted, and the key for them is not known.
 *
 * Such an entry stays in its place, with the value as it was kept. To read it, alone or in a list,
 * is an error; everything else goes on. It ends by being removed, or by its key being told. Since
 * nobody was shown it, its removal is no event; so whoever wants to go on from before that moment
 * has to list again. `state.ts` owns it; in nearly every store it is empty.
 */
import { ValueUnreadable } from './errors.ts';
import type { Entry } from './store.ts';

export class Unreadable {
  readonly #whys = new Map<string, string>();
  /** By key, the revision at which it was removed. As many at most as were unreadable once. */
  readonly #removed = new Map<string, number>();

  get size(): number {
    return this.#whys.size;
  }

  keys(): readonly string[] {
    return [...this.#whys.keys()];
  }

  why(key: string): string | undefined {
    return this.#whys.get(key);
  }

  note(key: string, why: string): void {
    this.#whys.set(key, why);
  }

  /** It can be read now. */
  forget(key: string): void {
    this.#whys.delete(key);
  }

  /** Something is written to the key; whether that puts an end to a value nobody could read. */
  replaced(key: string, revision: number): boolean {
    if (!this.#whys.delete(key)) return false;
    this.#removed.set(key, revision);
    return true;
  }

  /** Throws for an entry that cannot be shown by itself. */
  check(key: string): void {
    const why = this.#whys.get(key);
    if (why !== undefined) throw new ValueUnreadable(why);
  }

  /** Throws for the first of a list that cannot be shown. */
  checkAll(entries: readonly Pick<Entry, 'key'>[]): void {
    for (const { key } of entries) {
      const why = this.#whys.get(key);
      if (why === undefined) continue;
      throw new ValueUnreadable(`unable to transform key ${JSON.stringify(key)}: ${why}`);
    }
  }

  /** Whether something below the prefix went unseen after this revision. */
  wentSince(prefix: string, revision: number): boolean {
    for (const [key, at] of this.#removed) if (at > revision && key.startsWith(prefix)) return true;
    return false;
  }
}
