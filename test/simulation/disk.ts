/**
 * The disk below the simulated store. It outlives crashes of the API server.
 */
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { openMemoryStore, type Store } from '#store';
import type { DiskRates } from './options.ts';

export class Disk {
  #store: Store | undefined;

  constructor(_deps: { readonly clock: Clock; readonly random: Random }, _rates: DiskRates) {}

  async open(deps: { readonly clock: Clock; readonly log: Logger }): Promise<Store> {
    this.#store ??= openMemoryStore(deps);
    return this.#store;
  }

  async crash(_store: Store): Promise<void> {}
}
