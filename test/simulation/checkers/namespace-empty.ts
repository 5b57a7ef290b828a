/** A namespace is gone only when nothing is in it any more, not even what was told in it. */
import type { KubeObject } from '#api/object.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';

export class NamespaceEmpty implements Checker {
  readonly name = 'namespace empty';
  judged = 0;
  readonly #truth: Truth;
  /** Namespace → uids of Events, which the truth does not keep. */
  readonly #told = new Map<string, Set<string>>();

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent): string | undefined {
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    const { kind, metadata } = event.object;
    if (kind === 'Event') this.#see(event.what, metadata);
    if (event.what !== 'delete' || kind !== 'Namespace') return undefined;
    this.judged += 1;
    const { name = '' } = metadata;
    const left = this.#truth.countIn(name) + (this.#told.get(name)?.size ?? 0);
    return left === 0 ? undefined : `namespace ${name} is gone with ${left} objects in it`;
  }

  #see(what: 'put' | 'delete', { namespace = '', uid = '' }: KubeObject['metadata']): void {
    const told = this.#told.get(namespace) ?? new Set();
    this.#told.set(namespace, told);
    if (what === 'put') told.add(uid);
    else told.delete(uid);
  }
}
