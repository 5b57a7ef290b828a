/**
 * The disk below the simulated store: slow by chance, failing by chance, and outliving crashes of
 * the API server. After a crash the store is opened anew from what was durable; the commit that
 * was under way is there or is lost. A commit that failed may have reached the disk all the same,
 * and shows after the next crash.
 */
import type { Clock } from '#kit/clock.ts';
import { type Logger, silentLog } from '#kit/log.ts';
import { type Random, seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { type FaultyDisk, openFaultyDisk, openStoreOver, type Store } from '#store';
import type { DiskRates } from './options.ts';

export interface DiskDeps {
  readonly clock: Clock;
  readonly random: Random;
}

/** Loads the modules that opening needs: loading takes real time, which a simulation must not. */
export async function loadDisk(): Promise<void> {
  const deps = { clock: new VirtualClock(), random: seededRandom(0), log: silentLog };
  const disk = await openFaultyDisk(deps, { delayMsMax: 0, failRate: 0, lingerRate: 0 });
  await using _ = await openStoreOver(deps, { backing: disk.connect() });
}

export class Disk {
  readonly #deps: DiskDeps;
  readonly #rates: DiskRates;
  #disk: FaultyDisk | undefined;
  #areOn = false;
  #isFull = false;

  constructor(deps: DiskDeps, rates: DiskRates) {
    this.#deps = deps;
    this.#rates = rates;
  }

  async open(deps: { readonly clock: Clock; readonly log: Logger }): Promise<Store> {
    this.#disk ??= await openFaultyDisk(this.#deps, this.#calm);
    return openStoreOver(deps, { backing: this.#disk.connect() });
  }

  /** As the loss of power: what was not durable is gone, or has just become so. */
  crash(): void {
    this.#disk?.crash();
  }

  /** Called when faults begin and end. */
  setFaults(areOn: boolean): void {
    this.#areOn = areOn;
    this.#setRates();
  }

  /** A full disk takes no commit at all. */
  fill(isFull: boolean): void {
    this.#isFull = isFull;
    this.#setRates();
  }

  #setRates(): void {
    if (this.#disk === undefined) return;
    const failRate = this.#isFull ? 1 : this.#areOn ? this.#rates.fail : 0;
    const lingerRate = this.#isFull ? 0 : this.#calm.lingerRate;
    this.#disk.rates = { ...this.#calm, failRate, lingerRate };
  }

  get #calm(): FaultyDisk['rates'] {
    return { delayMsMax: this.#rates.delayMsMax, failRate: 0, lingerRate: 0.5 };
  }
}
