/**
 * Makes and deletes the pods of a controller, tells it in Events of the owner, and keeps what was
 * asked for and not yet seen.
 *
 * Pods are made in growing batches (1, 2, 4, …), so that a template which the server refuses costs
 * one request and not hundreds. Until the cache shows everything (`expectations.ts`) the owner
 * plans nothing. Used by ReplicaSets, ReplicationControllers, DaemonSets and Jobs.
 */
import { ApiError, isReason } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Recorder } from '#client';
import { messageOf } from '#kit/error-message.ts';
import { pods as podKind } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isNamespaceEnding } from './api-failure.ts';
import type { ControllerDeps } from './controller.ts';
import { Expectations } from './expectations.ts';

export interface PodChanges {
  readonly create?: readonly Pod[];
  readonly remove?: readonly Pod[];
}

/** The first request that failed, for conditions and for the loop to try again. */
export interface Failed {
  readonly reason: 'FailedCreate' | 'FailedDelete';
  readonly message: string;
  readonly error: unknown;
}

export interface Performed {
  readonly created: number;
  readonly removed: readonly Pod[];
  readonly failed: Failed | undefined;
}

export class PodRequests {
  readonly expectations: Expectations;
  readonly #deps: Pick<ControllerDeps, 'client' | 'clock'> & { readonly recorder: Recorder };

  constructor(deps: Pick<ControllerDeps, 'client' | 'clock'> & { readonly recorder: Recorder }) {
    this.#deps = deps;
    this.expectations = new Expectations(deps);
  }

  async perform(
    key: string,
    owner: KubeObject,
    { create = [], remove = [] }: PodChanges,
    signal: AbortSignal,
  ): Promise<Performed> {
    if (create.length + remove.length === 0) return { created: 0, removed: [], failed: undefined };
    const deletions = remove.map((pod) => pod.metadata.uid ?? '');
    this.expectations.expect(key, { creations: create.length, deletions });
    const { created, uncreated } = await this.#createAll(key, owner, create, signal);
    const { removed, undeleted } = await this.#deleteAll(key, owner, remove, signal);
    return { created, removed, failed: uncreated ?? undeleted };
  }

  async #createAll(
    key: string,
    owner: KubeObject,
    pods: readonly Pod[],
    signal: AbortSignal,
  ): Promise<{ readonly created: number; readonly uncreated?: Failed }> {
    let created = 0;
    for (let size = 1, next = 0; next < pods.length; next += size, size *= 2) {
      const batch = pods.slice(next, next + size);
      const creating = batch.map((pod) => this.#create(owner, pod, signal));
      const results = await Promise.allSettled(creating);
      signal.throwIfAborted();
      const failed = results.filter((result) => result.status === 'rejected');
      created += batch.length - failed.length;
      const [first] = failed;
      if (first === undefined) continue;
      // What failed and what was not tried will never be seen.
      this.expectations.sawCreation(key, pods.length - created);
      if (failed.every(({ reason }) => isNamespaceEnding(reason))) return { created };
      const message = messageOf(first.reason);
      return { created, uncreated: { reason: 'FailedCreate', message, error: first.reason } };
    }
    return { created };
  }

  async #create(owner: KubeObject, pod: Pod, signal: AbortSignal): Promise<void> {
    const { client, recorder } = this.#deps;
    try {
      const created = await client.create(podKind, pod, { signal });
      const message = `Created pod: ${created.metadata.name}`;
      recorder.record(owner, { type: 'Normal', reason: 'SuccessfulCreate', message });
    } catch (error) {
      if (!signal.aborted && !isNamespaceEnding(error)) {
        const message = `Error creating: ${messageOf(error)}`;
        recorder.record(owner, { type: 'Warning', reason: 'FailedCreate', message });
      }
      throw error;
    }
  }

  async #deleteAll(
    key: string,
    owner: KubeObject,
    pods: readonly Pod[],
    signal: AbortSignal,
  ): Promise<{ readonly removed: readonly Pod[]; readonly undeleted?: Failed }> {
    const deleting = pods.map((pod) => this.#delete(key, owner, pod, signal));
    const results = await Promise.allSettled(deleting);
    signal.throwIfAborted();
    const removed = pods.filter((_, index) => results[index]?.status === 'fulfilled');
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return { removed };
    const message = messageOf(failed.reason);
    return { removed, undeleted: { reason: 'FailedDelete', message, error: failed.reason } };
  }

  async #delete(key: string, owner: KubeObject, pod: Pod, signal: AbortSignal): Promise<void> {
    const { client, recorder } = this.#deps;
    const { namespace, name = '', uid = '' } = pod.metadata;
    try {
      await client.delete(podKind, { namespace, name }, { preconditions: { uid }, signal });
      const message = `Deleted pod: ${name}`;
      recorder.record(owner, { type: 'Normal', reason: 'SuccessfulDelete', message });
    } catch (error) {
      if (error instanceof ApiError) this.expectations.sawDeletion(key, uid);
      else this.expectations.lostDeletion(key, uid);
      // Gone, or the name is another pod's by now: the cache will say so.
      if (isReason(error, 'NotFound') || isReason(error, 'Conflict')) return;
      if (!signal.aborted) {
        const message = `Error deleting: ${messageOf(error)}`;
        recorder.record(owner, { type: 'Warning', reason: 'FailedDelete', message });
      }
      throw error;
    }
  }
}
