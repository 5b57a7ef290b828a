/**
 * Pods that are to leave their place at a time of their own, and what is to be done with each by
 * now. Time may bring the hour, and change its mind: whoever may stay after all is spared.
 *
 * For the controllers of taints on nodes and on devices. Who is due is evicted by `evict-pod.ts`.
 */
import { objectKey } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import type { WorkQueue } from '#kit/work-queue.ts';
import type { Pod } from '#resources/types/core-v1.ts';

export type Departure =
  | { readonly do: 'wait' }
  /** It was about to leave, and may stay. */
  | { readonly do: 'spare' }
  | { readonly do: 'evict'; readonly dueMs: number };

export class LeavingPods {
  readonly #clock: Clock;
  readonly #queue: WorkQueue;
  /** By namespace and name, their uids. */
  readonly #uids = new Map<string, string>();

  constructor({ clock, queue }: { readonly clock: Clock; readonly queue: WorkQueue }) {
    this.#clock = clock;
    this.#queue = queue;
  }

  has(pod: Pod): boolean {
    return this.#uids.has(objectKey(pod));
  }

  forget(pod: Pod): void {
    this.#uids.delete(objectKey(pod));
  }

  /** `leavesMs` is undefined for who may stay; whose hour is to come is looked at again then. */
  next(pod: Pod, leavesMs: number | undefined): Departure {
    const key = objectKey(pod);
    const { uid = '' } = pod.metadata;
    if (leavesMs === undefined) {
      if (this.#uids.get(key) !== uid) return { do: 'wait' };
      this.#uids.delete(key);
      return { do: 'spare' };
    }
    const waitMs = leavesMs - this.#clock.now();
    if (waitMs > 0) {
      this.#uids.set(key, uid);
      this.#queue.addAfter(key, waitMs);
      return { do: 'wait' };
    }
    this.#uids.delete(key);
    return { do: 'evict', dueMs: leavesMs };
  }
}
