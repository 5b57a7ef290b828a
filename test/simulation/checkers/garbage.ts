/**
 * The garbage collector takes only what has no living owner, or whose owners all wait for it to go.
 * Judged are ConfigMaps with owners (`workload/owners.ts`), which nobody but the collector and the
 * user deletes, and the user deletes none that has an owner without saying so.
 */
import type { KubeObject } from '#api/object.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import { ownersNamespace } from '../workload/owners.ts';
import type { Checker } from './checker.ts';

export class Garbage implements Checker {
  readonly name = 'garbage';
  judged = 0;
  readonly #truth: Truth;
  /** Owners that have waited for their dependants, as some may still do when they are judged. */
  readonly #haveWaited = new Set<string>();

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent): string | undefined {
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    const { object, before } = event;
    if (waits(object)) this.#haveWaited.add(object.metadata.uid ?? '');
    if (object.metadata.namespace !== ownersNamespace || object.kind !== 'ConfigMap') {
      return undefined;
    }
    // What ends slowly was judged when its end began; the root of a circle is the user's.
    const begins = event.what === 'put' ? isEnding(object) && !isEnding(before) : !isEnding(before);
    const { name, ownerReferences = [] } = object.metadata;
    if (!begins || ownerReferences.length === 0 || !name?.includes('-', 'tree-'.length)) {
      return undefined;
    }
    this.judged += 1;
    const living = ownerReferences
      .map(({ uid }) => this.#truth.byUid(uid))
      .filter((owner) => owner !== undefined)
      .filter((owner) => !this.#haveWaited.has(owner.metadata.uid ?? ''));
    if (living.length === 0) return undefined;
    return `${name} is collected, and its owner ${living[0]?.metadata.name} lives`;
  }
}

/** An owner in the foreground is gone after what it owns. */
export class ForegroundOwners implements Checker {
  readonly name = 'foreground owners';
  judged = 0;
  readonly #truth: Truth;

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent): string | undefined {
    if (event.what !== 'delete' || !waits(event.object)) return undefined;
    const { uid = '', name } = event.object.metadata;
    this.judged += 1;
    for (const other of this.#truth.of<KubeObject>('ConfigMap', ownersNamespace)) {
      const blocks = other.metadata.ownerReferences?.some(
        (one) => one.uid === uid && one.blockOwnerDeletion === true,
      );
      if (blocks) return `${name} is gone before ${other.metadata.name}, which it waits for`;
    }
    return undefined;
  }
}

function isEnding(object: KubeObject | undefined): boolean {
  return object?.metadata.deletionTimestamp !== undefined;
}

function waits({ metadata }: KubeObject): boolean {
  return (
    metadata.deletionTimestamp !== undefined &&
    (metadata.finalizers ?? []).includes('foregroundDeletion')
  );
}
