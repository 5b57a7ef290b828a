/**
 * Performs what a Job's plan says about pods: makes them in growing batches (1, 2, 4, …), so that a
 * template which the server refuses costs one request; deletes them; takes finalizers off.
 *
 * Keeps what was asked for and not yet seen: creations and deletions (`expectations.ts`), and the
 * uids whose finalizer is on its way off. Called by `job.ts`.
 */
import { isReason } from '#api/errors.ts';
import type { Recorder } from '#client';
import { pods as podKind } from '#resources/kinds.ts';
import type { Job } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { ignoreNotFound, isNamespaceEnding, messageOf } from '../api-failure.ts';
import type { ControllerDeps } from '../controller.ts';
import { Expectations } from '../expectations.ts';
import type { JobPlan, NewPod } from './plan.ts';
import { isTracked, trackingFinalizer } from './pod-facts.ts';
import { podOf } from './pod-template.ts';

export interface Performed {
  readonly created: number;
  readonly removed: readonly Pod[];
  /** Of the first request that failed; the turn goes on and counts, then fails with it. */
  readonly error: unknown;
}

export class JobPods {
  readonly expectations: Expectations;
  /** Uids of pods whose finalizer was asked to go. */
  readonly removing = new Set<string>();
  readonly #deps: Pick<ControllerDeps, 'client' | 'clock'> & { readonly recorder: Recorder };
  /** By uid of the pod whose deletion is awaited: the key of its Job. */
  readonly #deleting = new Map<string, string>();

  constructor(deps: Pick<ControllerDeps, 'client' | 'clock'> & { readonly recorder: Recorder }) {
    this.#deps = deps;
    this.expectations = new Expectations(deps);
  }

  async perform(key: string, job: Job, plan: JobPlan, signal: AbortSignal): Promise<Performed> {
    if (plan.remove.length > 0) return this.#remove(key, job, plan.remove, signal);
    if (plan.create.length > 0) return this.#create(key, job, plan.create, signal);
    return { created: 0, removed: [], error: undefined };
  }

  saw(pod: Pod): void {
    const { uid = '', deletionTimestamp } = pod.metadata;
    if (!isTracked(pod)) this.removing.delete(uid);
    if (deletionTimestamp !== undefined) this.#deletionSeen(uid);
  }

  sawDeletion(pod: Pod): void {
    const { uid = '' } = pod.metadata;
    this.removing.delete(uid);
    this.#deletionSeen(uid);
  }

  /** Takes the finalizer off; a pod that is gone has none. */
  async untrack(pod: Pod, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid = '' } = pod.metadata;
    this.removing.add(uid);
    try {
      // Says only what goes, so it needs no newest copy of the pod.
      const patch = {
        metadata: { uid, '$deleteFromPrimitiveList/finalizers': [trackingFinalizer] },
      };
      const options = { type: 'strategic', signal } as const;
      await this.#deps.client.patch(podKind, { namespace, name }, patch, options);
    } catch (error) {
      if (isReason(error, 'NotFound')) return;
      this.removing.delete(uid);
      throw error;
    }
  }

  async #create(
    key: string,
    job: Job,
    wanted: readonly NewPod[],
    signal: AbortSignal,
  ): Promise<Performed> {
    this.expectations.expect(key, { creations: wanted.length });
    let created = 0;
    for (let size = 1, next = 0; next < wanted.length; next += size, size *= 2) {
      const batch = wanted.slice(next, next + size);
      const creating = batch.map((one) => this.#createOne(job, one, signal));
      const results = await Promise.allSettled(creating);
      signal.throwIfAborted();
      const failures = results.filter((result) => result.status === 'rejected');
      created += batch.length - failures.length;
      const [first] = failures;
      if (first === undefined) continue;
      // What failed and what was not tried will never be seen.
      this.expectations.sawCreation(key, wanted.length - created);
      const error = isNamespaceEnding(first.reason) ? undefined : first.reason;
      return { created, removed: [], error };
    }
    return { created, removed: [], error: undefined };
  }

  async #createOne(job: Job, wanted: NewPod, signal: AbortSignal): Promise<void> {
    const { client, recorder } = this.#deps;
    try {
      const pod = await client.create(podKind, podOf(job, wanted), { signal });
      const message = `Created pod: ${pod.metadata.name}`;
      recorder.record(job, { type: 'Normal', reason: 'SuccessfulCreate', message });
    } catch (error) {
      if (!signal.aborted && !isNamespaceEnding(error)) {
        const message = `Error creating: ${messageOf(error)}`;
        recorder.record(job, { type: 'Warning', reason: 'FailedCreate', message });
      }
      throw error;
    }
  }

  async #remove(
    key: string,
    job: Job,
    pods: readonly Pod[],
    signal: AbortSignal,
  ): Promise<Performed> {
    const deletions = pods.map((pod) => pod.metadata.uid ?? '');
    this.expectations.expect(key, { deletions });
    for (const uid of deletions) this.#deleting.set(uid, key);
    const results = await Promise.allSettled(pods.map((pod) => this.#removeOne(job, pod, signal)));
    signal.throwIfAborted();
    const removed = pods.filter((_, index) => results[index]?.status === 'fulfilled');
    const failure = results.find((result) => result.status === 'rejected');
    return { created: 0, removed, error: failure?.reason };
  }

  async #removeOne(job: Job, pod: Pod, signal: AbortSignal): Promise<void> {
    const { client, recorder } = this.#deps;
    const { namespace, name = '', uid = '' } = pod.metadata;
    try {
      const options = { preconditions: { uid }, signal };
      await client.delete(podKind, { namespace, name }, options).catch((error: unknown) => {
        ignoreNotFound(error);
        this.#deletionSeen(uid);
      });
      const message = `Deleted pod: ${name}`;
      recorder.record(job, { type: 'Normal', reason: 'SuccessfulDelete', message });
    } catch (error) {
      this.#deletionSeen(uid);
      if (!signal.aborted) {
        const message = `Error deleting: ${messageOf(error)}`;
        recorder.record(job, { type: 'Warning', reason: 'FailedDelete', message });
      }
      throw error;
    }
  }

  #deletionSeen(uid: string): void {
    const key = this.#deleting.get(uid);
    if (key === undefined) return;
    this.#deleting.delete(uid);
    this.expectations.sawDeletion(key, uid);
  }
}
