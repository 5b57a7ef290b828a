/**
 * The EndpointSlices that one controller keeps for each key (a Service, or Endpoints of its name):
 * found by their labels, written, and awaited.
 *
 * A slice that was made and is not in the cache yet is waited for, so that none is made twice.
 * Used by `endpoint-slice.ts` and by the mirroring of Endpoints.
 */
import type { Client, Informer } from '#client';
import type { WorkQueue } from '#kit/work-queue.ts';
import { endpointSlices as sliceKind } from '#resources/kinds.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { ignoreNotFound, isNamespaceEnding } from '../api-failure.ts';
import type { ControllerDeps } from '../controller.ts';
import { Expectations } from '../expectations.ts';
import { type Action, labels } from './plan.ts';

export interface ManagedSlicesOptions {
  /** What stands in the label `managed-by`. */
  readonly manager: string;
  /** Woken by each change of a slice. */
  readonly queue: WorkQueue;
}

export class ManagedSlices {
  readonly informer: Informer<EndpointSlice>;
  readonly #client: Client;
  readonly #manager: string;
  readonly #index: string;
  readonly #expectations: Expectations;

  constructor(deps: ControllerDeps, { manager, queue }: ManagedSlicesOptions) {
    this.#client = deps.client;
    this.#manager = manager;
    this.#index = `slices of ${manager}`;
    this.#expectations = new Expectations(deps);
    this.informer = deps.informers.of(sliceKind);
    this.informer.addIndex(this.#index, (slice) => {
      const key = this.#keyOf(slice);
      return key === undefined ? [] : [key];
    });
    const wake = (slice: EndpointSlice): void => {
      const key = this.#keyOf(slice);
      if (key !== undefined) queue.add(key);
    };
    this.informer.addHandler({
      onAdd: (slice) => {
        this.#expectations.sawCreation(this.#keyOf(slice) ?? '');
        wake(slice);
      },
      onUpdate: (slice, old) => {
        wake(slice);
        if (this.#keyOf(old) !== this.#keyOf(slice)) wake(old);
      },
      onDelete: (slice) => {
        this.#expectations.sawDeletion(this.#keyOf(slice) ?? '', slice.metadata.uid ?? '');
        wake(slice);
      },
    });
  }

  of(key: string): readonly EndpointSlice[] {
    return [...this.informer.byIndex(this.#index, key)];
  }

  /** Of whatever key. */
  *all(): Generator<EndpointSlice> {
    for (const slice of this.informer.list()) if (this.#keyOf(slice) !== undefined) yield slice;
  }

  /** Whether the cache shows everything that was written. */
  areSeen(key: string): boolean {
    return this.#expectations.areMet(key);
  }

  forget(key: string): void {
    this.#expectations.forget(key);
  }

  async perform(
    key: string,
    actions: readonly Action[],
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    const deletions = actions.filter((action) => action.do === 'delete');
    this.#expectations.expect(key, {
      creations: actions.filter((action) => action.do === 'create').length,
      deletions: deletions.map(({ slice }) => slice.metadata.uid ?? ''),
    });
    try {
      for (const action of actions) await this.#write(action, { signal });
    } catch (error) {
      // The next attempt starts from what the cache then shows.
      this.#expectations.forget(key);
      if (!isNamespaceEnding(error)) throw error;
    }
  }

  async #write(action: Action, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { namespace, name = '' } = action.slice.metadata;
    switch (action.do) {
      case 'create':
        await this.#client.create(sliceKind, action.slice, { signal });
        break;
      case 'update':
        await this.#client.update(sliceKind, action.slice, { signal });
        break;
      case 'delete':
        await this.#client.delete(sliceKind, { namespace, name }, { signal }).catch(ignoreNotFound);
        break;
      default:
        action.do satisfies never;
    }
  }

  #keyOf({ metadata }: EndpointSlice): string | undefined {
    if (metadata.labels?.[labels.managedBy] !== this.#manager) return undefined;
    const name = metadata.labels[labels.serviceName];
    return name === undefined ? undefined : `${metadata.namespace}/${name}`;
  }
}
