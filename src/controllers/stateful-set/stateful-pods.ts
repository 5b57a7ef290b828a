/**
 * Performs what a StatefulSet's plan says about pods and claims, and tells it in Events.
 *
 * In order, one by one; with Parallel in growing batches (1, 2, 4, …), so that a template which the
 * server refuses costs one request. The first failure ends the turn. Called by `stateful-set.ts`.
 */
import { isReason } from '#api/errors.ts';
import type { Recorder } from '#client';
import { messageOf } from '#kit/error-message.ts';
import { persistentVolumeClaims as claimKind, pods as podKind } from '#resources/kinds.ts';
import type { StatefulSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isNamespaceEnding } from '../api-failure.ts';
import type { ControllerDeps } from '../controller.ts';
import { Expectations } from '../expectations.ts';
import type { Action, Claims } from './plan.ts';

export const limits = { batchMax: 500 } as const;

type Verb = 'Create' | 'Update' | 'Delete';

export class StatefulPods {
  readonly expectations: Expectations;
  readonly #deps: Pick<ControllerDeps, 'client' | 'clock'> & { readonly recorder: Recorder };

  constructor(deps: Pick<ControllerDeps, 'client' | 'clock'> & { readonly recorder: Recorder }) {
    this.#deps = deps;
    this.expectations = new Expectations(deps);
  }

  /** Gives the first failure. */
  async perform(
    key: string,
    set: StatefulSet,
    actions: readonly Action[],
    signal: AbortSignal,
  ): Promise<unknown> {
    if (actions.length === 0) return undefined;
    const isParallel = set.spec?.podManagementPolicy === 'Parallel';
    this.#expect(key, actions);
    for (let size = 1, next = 0; next < actions.length; next += size, size = grown(size)) {
      if (!isParallel) size = 1;
      const batch = actions.slice(next, next + size);
      const doing = batch.map((action) => this.#do(key, set, action, signal));
      const results = await Promise.allSettled(doing);
      signal.throwIfAborted();
      const failure = results.find((result) => result.status === 'rejected');
      if (failure === undefined) continue;
      // What was not tried will never be seen.
      for (const action of actions.slice(next + size)) this.#unexpect(key, action);
      return isNamespaceEnding(failure.reason) ? undefined : failure.reason;
    }
    return undefined;
  }

  #expect(key: string, actions: readonly Action[]): void {
    const creations = actions.filter((action) => action.do === 'create').length;
    const deletions = actions.flatMap((action) =>
      action.do === 'delete' ? [action.pod.metadata.uid ?? ''] : [],
    );
    this.expectations.expect(key, { creations, deletions });
  }

  #unexpect(key: string, action: Action): void {
    if (action.do === 'create') this.expectations.sawCreation(key);
    if (action.do === 'delete') this.expectations.sawDeletion(key, action.pod.metadata.uid ?? '');
  }

  async #do(key: string, set: StatefulSet, action: Action, signal: AbortSignal): Promise<void> {
    try {
      await this.#perform(set, action, signal);
    } catch (error) {
      this.#unexpect(key, action);
      // It may have been seen to go before it was awaited: then it is not seen again.
      if (action.do === 'delete' && isGone(error)) return;
      throw error;
    }
  }

  async #perform(set: StatefulSet, action: Action, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    switch (action.do) {
      case 'create':
        await this.#tell('Create', set, action.pod, signal, async () => {
          await this.#createClaims(set, action.pod, action.claims, signal);
          await client.create(podKind, action.pod, { signal });
        });
        break;
      case 'create-claims':
        await this.#createClaims(set, action.pod, action.claims, signal);
        break;
      case 'repair':
        await this.#tell('Update', set, action.pod, signal, () =>
          client.update(podKind, action.pod, { signal }),
        );
        break;
      case 'delete':
        await this.#tell('Delete', set, action.pod, signal, () => this.#delete(action.pod, signal));
        break;
      case 'own-claim':
        await this.#ownClaim(set, action, signal);
        break;
      default:
        action satisfies never;
    }
  }

  async #delete(pod: Pod, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid = '' } = pod.metadata;
    await this.#deps.client.delete(
      podKind,
      { namespace, name },
      { preconditions: { uid }, signal },
    );
  }

  async #createClaims(
    set: StatefulSet,
    pod: Pod,
    { missing, ending }: Claims,
    signal: AbortSignal,
  ): Promise<void> {
    for (const claim of missing) {
      const { name } = claim.metadata;
      const about = `Claim ${name}`;
      try {
        await this.#deps.client.create(claimKind, claim, { signal });
        const message = `Create ${about} Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name} success`;
        this.#record(set, 'Normal', 'SuccessfulCreate', message);
      } catch (error) {
        // Made in an earlier turn that the cache does not show yet.
        if (isReason(error, 'AlreadyExists')) continue;
        const text = `Create ${about} for Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`;
        if (!signal.aborted) {
          this.#record(set, 'Warning', 'FailedCreate', `${text} failed error: ${messageOf(error)}`);
        }
        throw new Error(`failed to create PVC ${name}: ${messageOf(error)}`, { cause: error });
      }
    }
    const [first] = ending;
    if (first !== undefined) throw new Error(`pvc ${first} is being deleted`);
  }

  async #ownClaim(
    set: StatefulSet,
    action: Extract<Action, { readonly do: 'own-claim' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const { claim, ownerReferences, conflict } = action;
    const { namespace, name = '', resourceVersion } = claim.metadata;
    if (conflict) {
      const message = `PersistentVolumeClaim ${name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim`;
      this.#record(set, 'Warning', 'ConflictingController', message);
    }
    const patch = { metadata: { resourceVersion, ownerReferences } };
    const options = { type: 'merge', signal } as const;
    await this.#deps.client.patch(claimKind, { namespace, name }, patch, options);
  }

  /** Does it, and says how it went. */
  async #tell(
    verb: Verb,
    set: StatefulSet,
    pod: Pod,
    signal: AbortSignal,
    write: () => Promise<unknown>,
  ): Promise<void> {
    const about = `${verb} Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`;
    try {
      await write();
      this.#record(set, 'Normal', `Successful${verb}`, `${about} successful`);
    } catch (error) {
      const isKnown =
        (verb === 'Create' && isReason(error, 'AlreadyExists')) ||
        (verb === 'Delete' && isGone(error));
      if (!signal.aborted && !isKnown && !isNamespaceEnding(error)) {
        const message = `${about} failed error: ${messageOf(error)}`;
        this.#record(set, 'Warning', `Failed${verb}`, message);
      }
      throw error;
    }
  }

  #record(set: StatefulSet, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#deps.recorder.record(set, { type, reason, message });
  }
}

/** Not found, or the name is another pod's by now. */
function isGone(error: unknown): boolean {
  return isReason(error, 'NotFound') || isReason(error, 'Conflict');
}

function grown(size: number): number {
  return Math.min(size * 2, limits.batchMax);
}
