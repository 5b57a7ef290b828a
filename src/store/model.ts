/**
 * A store as one would write it without a thought for speed: every event ever, and the state found
 * by reading them all. Fuzz tests hold the real ones against it.
 */
import { assert } from '#kit/assert.ts';
import type { Entry, Expectation, StoreEvent } from './store.ts';

export class Model {
  readonly events: StoreEvent[] = [];

  get revision(): number {
    return this.events.at(-1)?.revision ?? 0;
  }

  stateAt(revision: number): ReadonlyMap<string, Entry> {
    const state = new Map<string, Entry>();
    for (const event of this.events) {
      if (event.revision > revision) break;
      const { key, value } = event;
      const createRevision = state.get(key)?.createRevision ?? event.revision;
      if (value === undefined) state.delete(key);
      else state.set(key, { key, value, revision: event.revision, createRevision });
    }
    return state;
  }

  listAt(revision: number, prefix: string): readonly Entry[] {
    const entries = [...this.stateAt(revision).values()];
    return entries
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  eventsAfter(revision: number, prefix: string): readonly StoreEvent[] {
    return this.events.filter((event) => event.revision > revision && event.key.startsWith(prefix));
  }

  /** Takes an event that a store told of, which has to fit what was before. */
  add(event: StoreEvent): void {
    assert(event.revision > this.revision, 'events come in order of revision, once each');
    const before = this.stateAt(this.revision).get(event.key);
    assert(isSame(before, event.previous), `event ${event.revision} says what was there before`);
    assert(event.value !== undefined || before !== undefined, 'only what is there is deleted');
    this.events.push(event);
  }
}

export function isSame(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.key === b.key &&
    a.revision === b.revision &&
    a.createRevision === b.createRevision &&
    Buffer.compare(a.value, b.value) === 0
  );
}

export function isMet(expect: Expectation, current: Entry | undefined): boolean {
  if (expect === 'any') return true;
  return expect === 'absent' ? current === undefined : current?.revision === expect.revision;
}
