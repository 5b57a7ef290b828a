/**
 * Takes finalizers off the pods that a Job has counted, and keeps which are on their way off: until
 * the cache shows a pod without it, it is not to be counted again.
 *
 * Called by `job.ts`; `counting.ts` says when a pod is counted.
 */
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import { pods as podKind } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isTracked, trackingFinalizer } from './pod-facts.ts';

export class Untracking {
  /** Uids of pods whose finalizer was asked to go. */
  readonly removing = new Set<string>();
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  saw(pod: Pod): void {
    if (!isTracked(pod)) this.removing.delete(pod.metadata.uid ?? '');
  }

  sawGone(pod: Pod): void {
    this.removing.delete(pod.metadata.uid ?? '');
  }

  /**
   * Takes the finalizer off; a pod that is gone has none. `asSeen`: only if the pod is still what
   * this copy says, for one that was not counted may have ended since.
   */
  async untrack(
    pod: Pod,
    { signal, asSeen }: { readonly signal: AbortSignal; readonly asSeen?: boolean },
  ): Promise<void> {
    const { namespace, name = '', uid = '', resourceVersion } = pod.metadata;
    this.removing.add(uid);
    try {
      // Says only what goes, so it needs no newest copy of the pod.
      const metadata = { uid, '$deleteFromPrimitiveList/finalizers': [trackingFinalizer] };
      const patch = { metadata: asSeen ? { ...metadata, resourceVersion } : metadata };
      const options = { type: 'strategic', signal } as const;
      await this.#client.patch(podKind, { namespace, name }, patch, options);
    } catch (error) {
      if (isReason(error, 'NotFound')) return;
      this.removing.delete(uid);
      throw error;
    }
  }
}
