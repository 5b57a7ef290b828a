/**
 * Volumes and devices that the scheduler has promised to a pod and that nobody has written yet.
 *
 * Taken together with the pod's place, so that the next decision does not promise them again.
 * Given back when the pod could not be bound, which is told like a change of the object: nobody
 * else would tell those who wait for it. A promise that has been written shows in the object
 * itself, and is dropped here as soon as that is seen.
 */
import type { AllocatedDevice, BindStep, ClusterChange, DeviceAllocation } from './plugin.ts';

export class Assumptions {
  /** Pod uid → what was promised to it. */
  readonly #steps = new Map<string, readonly BindStep[]>();
  /** Volume → `namespace/name` of the claim. */
  readonly #claimOf = new Map<string, string>();
  readonly #volumeOf = new Map<string, string>();
  /** Claim → node on which its volume will be made. */
  readonly #nodeOf = new Map<string, string>();
  readonly #devicesOf = new Map<string, DeviceAllocation>();

  take(uid: string, steps: readonly BindStep[]): void {
    if (steps.length === 0) return;
    this.#steps.set(uid, steps);
    for (const step of steps) {
      if (step.do === 'bindVolume') {
        this.#claimOf.set(step.volume, step.claim);
        this.#volumeOf.set(step.claim, step.volume);
      } else if (step.do === 'selectNode') {
        this.#nodeOf.set(step.claim, step.node);
      } else if (step.allocation !== undefined) {
        this.#devicesOf.set(step.claim, step.allocation);
      }
    }
  }

  /** Gives what may be promised to others by now. */
  giveBack(uid: string): readonly ClusterChange[] {
    const free: ClusterChange[] = [];
    for (const step of this.#steps.get(uid) ?? []) {
      if (step.do === 'bindVolume') {
        const { volume } = step;
        if (this.#claimOf.delete(volume)) free.push(changed('volume', volume));
        this.#volumeOf.delete(step.claim);
      } else if (step.do === 'selectNode') {
        this.#nodeOf.delete(step.claim);
      } else if (this.#devicesOf.delete(step.claim)) {
        free.push(changed('deviceClaim', step.claim));
      }
    }
    this.#steps.delete(uid);
    return free;
  }

  /** The pod is bound: what was promised is its own. */
  settle(uid: string): void {
    this.#steps.delete(uid);
  }

  claimOf(volume: string): string | undefined {
    return this.#claimOf.get(volume);
  }

  volumeOf(claim: string): string | undefined {
    return this.#volumeOf.get(claim);
  }

  nodeOf(claim: string): string | undefined {
    return this.#nodeOf.get(claim);
  }

  devicesOf(claim: string): DeviceAllocation | undefined {
    return this.#devicesOf.get(claim);
  }

  *devices(): Iterable<AllocatedDevice> {
    for (const { devices } of this.#devicesOf.values()) yield* devices;
  }

  /** The volume names its claim by now. */
  volumeWritten(volume: string): void {
    const claim = this.#claimOf.get(volume);
    this.#claimOf.delete(volume);
    if (claim !== undefined) this.#volumeOf.delete(claim);
  }

  /** The claim has a volume, or names a node, by now. */
  claimWritten(claim: string): void {
    this.#nodeOf.delete(claim);
  }

  devicesWritten(claim: string): void {
    this.#devicesOf.delete(claim);
  }
}

function changed(kind: 'volume' | 'deviceClaim', key: string): ClusterChange {
  return { what: 'fact', kind, key, action: 'Update' };
}
