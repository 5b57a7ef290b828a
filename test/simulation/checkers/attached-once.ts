/**
 * A volume for one node is attached to one node at a time: nobody asks for it on a second one while
 * the first still has it, for two machines that write to one disk spoil it.
 *
 * Two copies of the controllers that both believe to lead cannot know of each other's.
 */
import type { PersistentVolume } from '#resources/types/core-v1.ts';
import type { VolumeAttachment } from '#resources/types/storage-v1.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';
import type { Disturbances } from './disturbances.ts';
import { madeOf } from './written.ts';

const excuseMs = 20_000;

export class AttachedOnce implements Checker {
  readonly name = 'attached once';
  judged = 0;
  readonly #truth: Truth;
  readonly #disturbances: Disturbances;

  constructor(truth: Truth, disturbances: Disturbances) {
    this.#truth = truth;
    this.#disturbances = disturbances;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    const made = madeOf<VolumeAttachment>(event, 'VolumeAttachment');
    if (made === undefined) return undefined;
    if (!this.#disturbances.quietOf('controllers', excuseMs, nowMs)) return undefined;
    const { spec } = made;
    const name = spec.source.persistentVolumeName ?? '';
    const volume = this.#truth.find<PersistentVolume>('PersistentVolume', name);
    const modes = volume?.spec?.accessModes ?? [];
    if (!modes.some((mode) => mode.startsWith('ReadWriteOnce'))) return undefined;
    this.judged += 1;
    for (const other of this.#truth.of<VolumeAttachment>('VolumeAttachment')) {
      const isSame = other.spec.source.persistentVolumeName === name;
      if (!isSame || other.spec.nodeName === spec.nodeName) continue;
      return `${name} is attached to ${spec.nodeName} while ${other.spec.nodeName} has it`;
    }
    return undefined;
  }
}
