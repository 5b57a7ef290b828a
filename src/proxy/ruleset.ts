/**
 * The desired content of the proxy's table, and how it differs from what the kernel holds. Pure.
 *
 * Every Service claims items. Several may claim the same one: chains are shared, and two services
 * may name the same external address by mistake; then the first to claim it wins until it lets
 * go. Only what a changed Service claims or claimed is looked at, so one change costs the same
 * among ten services and ten thousand.
 *
 * `proxy.ts` feeds plans in; `nft.ts` turns `Changes` into one transaction.
 */
import { type Item, itemContent, itemId } from './item.ts';

/** One claim, or several by owner, the first one first: nearly all items have one owner. */
type Claims = { readonly owner: string; readonly item: Item } | Map<string, Item>;

export interface Changes {
  /** What is new or has other content; the old content's item beside it where there was one. */
  readonly put: readonly { readonly item: Item; readonly old: Item | undefined }[];
  readonly remove: readonly Item[];
}

export class Ruleset {
  readonly #claims = new Map<string, Claims>();
  readonly #idsOf = new Map<string, ReadonlySet<string>>();
  /** What the kernel holds, as far as we know. */
  readonly #applied = new Map<string, Item>();
  readonly #dirty = new Set<string>();

  /** Sets everything that one Service claims; an empty list forgets it. */
  replace(owner: string, items: readonly Item[]): void {
    const before = this.#idsOf.get(owner) ?? new Set();
    const after = new Map(items.map((item) => [itemId(item), item]));
    for (const id of before) {
      if (!after.has(id)) this.#withdraw(owner, id);
    }
    for (const [id, item] of after) this.#claim(owner, id, item);
    if (after.size === 0) this.#idsOf.delete(owner);
    else this.#idsOf.set(owner, new Set(after.keys()));
  }

  /** Everything that ought to be there. */
  *wanted(): Iterable<Item> {
    for (const claims of this.#claims.values()) {
      const item = firstOf(claims);
      if (item !== undefined) yield item;
    }
  }

  /** The item that ought to be there under this id (`service-addresses 10.43.0.1 . tcp . 443`). */
  find(id: string): Item | undefined {
    return firstOf(this.#claims.get(id));
  }

  /** Differences to what was applied. Call `applied` with them once the kernel has taken them. */
  changes(): Changes {
    const put: { item: Item; old: Item | undefined }[] = [];
    const remove: Item[] = [];
    for (const id of this.#dirty) {
      const item = this.find(id);
      const old = this.#applied.get(id);
      if (item === undefined) {
        if (old !== undefined) remove.push(old);
      } else if (old === undefined || itemContent(old) !== itemContent(item)) {
        put.push({ item, old });
      }
    }
    return { put, remove };
  }

  /** The kernel holds these changes now. Nothing may have been replaced since `changes`. */
  applied(changes: Changes): void {
    for (const { item } of changes.put) this.#applied.set(itemId(item), item);
    for (const item of changes.remove) this.#applied.delete(itemId(item));
    this.#dirty.clear();
  }

  /** The kernel holds exactly these, as after a load of the whole table. */
  appliedAll(items: readonly Item[]): void {
    this.#applied.clear();
    for (const item of items) this.#applied.set(itemId(item), item);
    this.#dirty.clear();
  }

  #claim(owner: string, id: string, item: Item): void {
    const claims = this.#claims.get(id);
    this.#dirty.add(id);
    if (claims instanceof Map) claims.set(owner, item);
    else if (claims === undefined || claims.owner === owner) this.#claims.set(id, { owner, item });
    else {
      const both: [string, Item][] = [
        [claims.owner, claims.item],
        [owner, item],
      ];
      this.#claims.set(id, new Map(both));
    }
  }

  #withdraw(owner: string, id: string): void {
    const claims = this.#claims.get(id);
    this.#dirty.add(id);
    if (claims instanceof Map) {
      claims.delete(owner);
      if (claims.size > 0) return;
    }
    this.#claims.delete(id);
  }
}

function firstOf(claims: Claims | undefined): Item | undefined {
  if (!(claims instanceof Map)) return claims?.item;
  for (const item of claims.values()) return item;
  return undefined;
}
