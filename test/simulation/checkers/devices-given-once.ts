/** No device is given to two claims at the same time, and none is taken from a claim in use. */
import type { Pod } from '#resources/types/core-v1.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { hasEnded } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import { allocated } from '../workload/devices.ts';
import type { Checker } from './checker.ts';

export class DevicesGivenOnce implements Checker {
  readonly name = 'devices given once';
  judged = 0;
  readonly #truth: Truth;

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent): string | undefined {
    if (event.what === 'note' || !('object' in event)) return undefined;
    if (event.object.kind !== 'ResourceClaim') return undefined;
    // The kind says the type of what the store holds.
    const [claim, before] = [event.object as ResourceClaim, event.before as typeof event.object];
    const had = before === undefined ? [] : allocated([before as ResourceClaim]);
    const has = event.what === 'delete' ? [] : allocated([claim]);
    if (has.join() === had.join()) return undefined;
    this.judged += 1;
    return this.#doubled(claim, has) ?? this.#taken(claim, had, has);
  }

  #doubled({ metadata }: ResourceClaim, has: readonly string[]): string | undefined {
    for (const other of this.#truth.of<ResourceClaim>('ResourceClaim')) {
      if (other.metadata.uid === metadata.uid) continue;
      const both = allocated([other]).find((device) => has.includes(device));
      if (both !== undefined) {
        return `${both} is given to ${metadata.name} and ${other.metadata.name}`;
      }
    }
    return undefined;
  }

  /** Its pods may still run there. */
  #taken(
    { metadata, status }: ResourceClaim,
    had: readonly string[],
    has: readonly string[],
  ): string | undefined {
    if (had.length === 0 || had.every((device) => has.includes(device))) return undefined;
    for (const { uid } of status?.reservedFor ?? []) {
      const pod = this.#truth.get<Pod>('Pod', uid);
      if (pod === undefined || hasEnded(pod) || !pod.spec?.nodeName) continue;
      return `${had} is taken from ${metadata.name}, which ${pod.metadata.name} uses`;
    }
    return undefined;
  }
}
