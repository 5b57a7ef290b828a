/**
 * File systems on devices of this node (`local` volumes), as folders of the pods that use them.
 *
 * Each pod mounts a device for itself, so that it goes with the pod; the kernel has it once. One
 * after the other for each device: of two that find it empty at the same time, both would make a
 * file system on it. Called by `volumes.ts`; the mounting is in `#kit/mounts.ts`.
 */
import { mkdirSync, realpathSync } from 'node:fs';
import { Slots } from '#kit/slots.ts';
import type { Machine } from '../node/machine.ts';
import { VolumeError } from './payload.ts';
import type { LocalDevice } from './persistent-volume.ts';

export class LocalDevices {
  readonly #machine: Pick<Machine, 'isMounted' | 'mountDevice'>;
  /** By path of the device itself: as many as this node has had. */
  readonly #turns = new Map<string, Slots>();

  constructor({ machine }: { readonly machine: Pick<Machine, 'isMounted' | 'mountDevice'> }) {
    this.#machine = machine;
  }

  async mount(
    folder: string,
    device: LocalDevice,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<string> {
    if (this.#machine.isMounted(folder)) return folder;
    const path = realpathSync(device.path);
    const turns = this.#turns.get(path) ?? new Slots(1);
    this.#turns.set(path, turns);
    await turns.use(() => this.#mount(folder, device, signal), { signal });
    return folder;
  }

  async #mount(
    folder: string,
    { path, fsType, mountOptions }: LocalDevice,
    signal: AbortSignal,
  ): Promise<void> {
    // A pod may have two volumes of one claim.
    if (this.#machine.isMounted(folder)) return;
    mkdirSync(folder, { recursive: true });
    try {
      await this.#machine.mountDevice(path, folder, { fsType, mountOptions, signal });
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) throw error;
      throw new VolumeError(
        `local: failed to mount device ${path} at ${folder} (fstype: ${fsType}), ` +
          `error ${error.message}`,
        { cause: error },
      );
    }
  }
}
