/** A namespace is gone only when nothing is in it any more. */
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';

export class NamespaceEmpty implements Checker {
  readonly name = 'namespace empty';
  judged = 0;
  readonly #truth: Truth;

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent): string | undefined {
    if (event.what !== 'delete' || event.object.kind !== 'Namespace') return undefined;
    this.judged += 1;
    const { name = '' } = event.object.metadata;
    const left = this.#truth.countIn(name);
    return left === 0 ? undefined : `namespace ${name} is gone with ${left} objects in it`;
  }
}
