/**
 * What checkers may have to excuse: when something last happened that makes a component act on old
 * news or twice, without any fault of its own. Not an invariant; checkers ask it.
 *
 * A lost answer, a request carried out late or twice, a crash: the sender cannot know what has
 * become of its write, and neither can the next copy of it. Nor can two copies that both lead know
 * of each other's, however long that lasts: it is quiet again some time after the last one ended.
 */
import type { WorldEvent } from '../trace.ts';

const uncertain = new Set([
  'loseAnswer',
  'late',
  'repeat',
  'crash',
  'mistake',
  'mistakeOver',
  'disk',
]);

export class Disturbances {
  readonly #lastOf = new Map<string, number>();
  /** Copies that run by mistake now. */
  readonly #mistaken = new Set<string>();

  onEvent(event: WorldEvent, nowMs: number): void {
    if (event.what !== 'disturbed' || !uncertain.has(event.by)) return;
    if (event.method === 'GET') return;
    if (event.by === 'mistake') this.#mistaken.add(event.component);
    if (event.by === 'mistakeOver') this.#mistaken.delete(event.component);
    this.#lastOf.set(event.component, nowMs);
  }

  /** No writes of any copy of this component, and nothing of the server itself, for so long. */
  quietOf(component: 'controllers' | 'scheduler', ms: number, nowMs: number): boolean {
    const copies = [component, `${component}-2`, `${component}-mistake`, 'apiserver'];
    return copies.every(
      (one) =>
        !this.#mistaken.has(one) &&
        nowMs - (this.#lastOf.get(one) ?? Number.NEGATIVE_INFINITY) >= ms,
    );
  }
}
