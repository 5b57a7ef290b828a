/**
 * When watches end: each has its time, and one timer serves all.
 *
 * Times are rounded up to whole seconds and watches kept by them, because a timer for each would be
 * a large part of what an idle watch costs. `watch-hub.ts` adds watches and takes them out.
 */
import type { Clock } from '#kit/clock.ts';
import type { Watcher } from './watcher.ts';

export class WatchEnds {
  readonly #clock: Pick<Clock, 'monotonic' | 'after'>;
  readonly #bySecond = new Map<number, Set<Watcher>>();
  #nextSecond = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(deps: { readonly clock: Pick<Clock, 'monotonic' | 'after'> }) {
    this.#clock = deps.clock;
  }

  add(watcher: Watcher, limitMs: number): void {
    const second = Math.ceil((this.#clock.monotonic() + limitMs) / 1000);
    watcher.endSecond = second;
    let watchers = this.#bySecond.get(second);
    if (watchers === undefined) {
      watchers = new Set();
      this.#bySecond.set(second, watchers);
    }
    watchers.add(watcher);
    if (second < this.#nextSecond) this.#schedule(second);
  }

  delete(watcher: Watcher): void {
    const watchers = this.#bySecond.get(watcher.endSecond);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#bySecond.delete(watcher.endSecond);
    if (this.#bySecond.size === 0) this.close();
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#nextSecond = Number.POSITIVE_INFINITY;
  }

  #schedule(second: number): void {
    this.#cancel?.();
    this.#nextSecond = second;
    const delayMs = second * 1000 - this.#clock.monotonic();
    this.#cancel = this.#clock.after(delayMs, () => this.#run());
  }

  #run(): void {
    // A timer may come a little early.
    const due = Math.max(this.#nextSecond, Math.floor(this.#clock.monotonic() / 1000));
    this.close();
    let next = Number.POSITIVE_INFINITY;
    for (const [second, watchers] of [...this.#bySecond]) {
      if (second > due) next = Math.min(next, second);
      else for (const watcher of [...watchers]) watcher.end();
    }
    if (next < this.#nextSecond) this.#schedule(next);
  }
}
