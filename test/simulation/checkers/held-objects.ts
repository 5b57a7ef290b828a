/** An object with a finalizer that only the user knows stays until the user has taken it off. */
import type { WorldEvent } from '../trace.ts';
import { holdFinalizer } from '../workload/owners.ts';
import type { Checker } from './checker.ts';

export class HeldObjects implements Checker {
  readonly name = 'held objects';
  judged = 0;
  readonly #released = new Set<string>();

  onEvent(event: WorldEvent): string | undefined {
    if (event.what === 'released') this.#released.add(`${event.namespace}/${event.name}`);
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    const { object, before } = event;
    const held = (event.what === 'put' ? before : object)?.metadata.finalizers?.includes(
      holdFinalizer,
    );
    const stillHeld = event.what === 'put' && object.metadata.finalizers?.includes(holdFinalizer);
    if (!held || stillHeld) return undefined;
    this.judged += 1;
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    return this.#released.has(key) ? undefined : `${object.kind} ${key} lost its finalizer early`;
  }
}
