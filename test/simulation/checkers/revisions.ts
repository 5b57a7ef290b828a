/**
 * Revisions only grow: every commit has a larger one than all before it, an object's
 * resourceVersion is the revision of its commit, a uid stays with its name, and a generation never
 * goes back.
 */
import type { WorldEvent } from '../trace.ts';
import type { Checker } from './checker.ts';

export class Revisions implements Checker {
  readonly name = 'revisions';
  judged = 0;
  #last = 0;

  onEvent(event: WorldEvent): string | undefined {
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    this.judged += 1;
    const { object, before, revision } = event;
    if (revision <= this.#last) return `commit @${revision} comes after @${this.#last}`;
    this.#last = revision;
    if (before === undefined || event.what === 'delete') return undefined;
    const { name } = object.metadata;
    if (before.metadata.name !== name) return `${before.metadata.name} became ${name}`;
    const { generation = 0 } = object.metadata;
    if (generation < (before.metadata.generation ?? 0)) return `generation of ${name} goes back`;
    return undefined;
  }
}
