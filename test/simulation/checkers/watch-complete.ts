/**
 * A watch tells each change of its kind once, in order, from the revision of the list on: nothing
 * is left out, nothing repeated, and a bookmark is never ahead of what was told. Judged is what
 * `watchers.ts` is told over a connection without faults.
 */
import type { WorldEvent } from '../trace.ts';
import type { Checker } from './checker.ts';

interface Change {
  readonly revision: number;
  readonly type: string;
}

export class WatchComplete implements Checker {
  readonly name = 'watch complete';
  judged = 0;
  readonly #changes = new Map<string, Change[]>();
  readonly #counts = new Map<string, { readonly revision: number; readonly count: number }[]>();
  readonly #position = new Map<string, number>();

  onEvent(event: WorldEvent): string | undefined {
    if (event.what === 'watched') return this.#judge(event);
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    const { kind } = event.object;
    const isNew = event.before === undefined;
    const type = event.what === 'delete' ? 'DELETED' : isNew ? 'ADDED' : 'MODIFIED';
    this.#of(this.#changes, kind).push({ revision: event.revision, type });
    const counts = this.#of(this.#counts, kind);
    const more = type === 'ADDED' ? 1 : type === 'DELETED' ? -1 : 0;
    counts.push({ revision: event.revision, count: (counts.at(-1)?.count ?? 0) + more });
    return undefined;
  }

  #judge({
    kind,
    did,
    revision,
  }: Extract<WorldEvent, { readonly what: 'watched' }>): string | undefined {
    this.judged += 1;
    const position = this.#position.get(kind) ?? 0;
    const changes = this.#of(this.#changes, kind);
    if (did.startsWith('LISTED')) {
      this.#position.set(kind, revision);
      const counts = this.#of(this.#counts, kind);
      const count = counts.findLast((one) => one.revision <= revision)?.count ?? 0;
      if (did === `LISTED ${count}`) return undefined;
      return `a list of ${kind} at ${revision} says ${did}; there were ${count}`;
    }
    const next = changes.find((change) => change.revision > position);
    if (did === 'BOOKMARK') {
      if (next === undefined || next.revision > revision) return undefined;
      return `${kind} ${next.type} @${next.revision} was left out before bookmark ${revision}`;
    }
    this.#position.set(kind, revision);
    if (next?.revision === revision && next.type === did) return undefined;
    const expected = `${next?.type} @${next?.revision}`;
    return `a watch of ${kind} tells ${did} @${revision}; the next is ${expected}`;
  }

  #of<T>(map: Map<string, T[]>, kind: string): T[] {
    const found = map.get(kind) ?? [];
    map.set(kind, found);
    return found;
  }
}
