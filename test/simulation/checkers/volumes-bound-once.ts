/**
 * A volume serves one claim and a claim has one volume: no two claims ever name the same volume,
 * and a volume that was given to a claim is given to another only after somebody took it back. And
 * a claim is gone only when no pod that may still run uses it.
 */
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import { hasEnded } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';

export class VolumesBoundOnce implements Checker {
  readonly name = 'volumes bound once';
  judged = 0;
  readonly #truth: Truth;

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent): string | undefined {
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    const { what, object, before } = event;
    // The kind says the type of what the store holds.
    if (object.kind === 'PersistentVolume' && what === 'put') {
      return this.#seeVolume(object as PersistentVolume, before as PersistentVolume | undefined);
    }
    if (object.kind !== 'PersistentVolumeClaim') return undefined;
    const claim = object as PersistentVolumeClaim;
    return what === 'delete' ? this.#seeGone(claim) : this.#seeClaim(claim);
  }

  #seeVolume(
    { metadata, spec }: PersistentVolume,
    before: PersistentVolume | undefined,
  ): string | undefined {
    const [now, then] = [spec?.claimRef?.uid, before?.spec?.claimRef?.uid];
    if (now === undefined || now === then) return undefined;
    this.judged += 1;
    if (then === undefined) return undefined;
    return `volume ${metadata.name} passes from one claim to another`;
  }

  #seeClaim({ metadata, spec }: PersistentVolumeClaim): string | undefined {
    const { volumeName } = spec ?? {};
    if (!volumeName) return undefined;
    this.judged += 1;
    for (const other of this.#truth.of<PersistentVolumeClaim>('PersistentVolumeClaim')) {
      if (other.metadata.uid === metadata.uid || other.spec?.volumeName !== volumeName) continue;
      return `claims ${other.metadata.name} and ${metadata.name} both have volume ${volumeName}`;
    }
    return undefined;
  }

  #seeGone({ metadata }: PersistentVolumeClaim): string | undefined {
    this.judged += 1;
    for (const pod of this.#truth.of<Pod>('Pod', metadata.namespace)) {
      const uses = (pod.spec?.volumes ?? []).some(
        ({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === metadata.name,
      );
      if (!uses || hasEnded(pod) || !pod.spec?.nodeName) continue;
      return `claim ${metadata.name} is gone while ${pod.metadata.name} uses it`;
    }
    return undefined;
  }
}
