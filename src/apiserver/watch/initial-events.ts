/**
 * The present state as ADDED events, in slices of a few milliseconds, and then the watch itself.
 * What changes meanwhile waits in the watcher; of Tables it may have the columns once more.
 *
 * An iterator by hand and not a generator: a watch lives for half an hour, and a generator would
 * keep the list that it began with, and so every old version of every object in it.
 * `verbs/watch.ts` makes it; `http-response.ts` and the other transports read it.
 */
import type { Clock } from '#kit/clock.ts';
import type { Entry } from '#store';
import { nextTurn, sliceMs } from '../output/list-body.ts';
import { decodeEntry } from '../registry.ts';
import type { Selection, Watcher } from './watcher.ts';

export interface InitialState {
  readonly entries: readonly Entry[];
  /** Marks the end of the state for those who asked for it. */
  readonly ending: ((mark: { readonly isFirst: boolean }) => Uint8Array) | undefined;
}

type Part = IteratorResult<Uint8Array, undefined>;

export class InitialEvents implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #watcher: Watcher;
  #state: InitialState | undefined;
  #next = 0;
  #isFirst = true;

  constructor(
    deps: { readonly clock: Pick<Clock, 'monotonic'> },
    watcher: Watcher,
    state: InitialState,
  ) {
    this.#clock = deps.clock;
    this.#watcher = watcher;
    this.#state = state;
  }

  next(): Promise<Part> {
    const state = this.#state;
    if (state === undefined) return this.#watcher.next();
    if (state.entries.length > 0 || state.ending !== undefined) return this.#nextSlice(state);
    // Nothing to begin with; an async function would be kept while the watch is idle.
    this.#state = undefined;
    return this.#watcher.next();
  }

  return(): Promise<Part> {
    this.#state = undefined;
    return this.#watcher.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #nextSlice({ entries, ending }: InitialState): Promise<Part> {
    if (this.#next > 0) await nextTurn();
    const { selection, frames } = this.#watcher.options;
    const lines: Uint8Array[] = [];
    let startedMs = this.#clock.monotonic();
    for (;;) {
      const entry = entries[this.#next];
      if (entry === undefined) break;
      this.#next += 1;
      if (matches(selection, entry)) {
        const encoder = frames.encoder(this.#takeFirst());
        lines.push(encoder.encode('ADDED', entry.value, entry.revision));
      }
      if (this.#clock.monotonic() - startedMs < sliceMs) continue;
      if (lines.length > 0) return { done: false, value: Buffer.concat(lines) };
      // A selector that nothing matches has nothing to write, and still lets others run.
      await nextTurn();
      startedMs = this.#clock.monotonic();
    }
    this.#state = undefined;
    if (ending !== undefined) lines.push(ending({ isFirst: this.#takeFirst() }));
    if (lines.length > 0) return { done: false, value: Buffer.concat(lines) };
    // Not waited for here, or an idle watch would keep this function's frame.
    return this.#watcher.next();
  }

  #takeFirst(): boolean {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (isFirst) this.#watcher.begun();
    return isFirst;
  }
}

function matches(selection: Selection, entry: Entry): boolean {
  if (selection.name !== '' && !entry.key.endsWith(`/${selection.name}`)) return false;
  return selection.matches === undefined || selection.matches(decodeEntry(entry));
}
