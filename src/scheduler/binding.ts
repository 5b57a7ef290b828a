/**
 * Tells the API server where a pod goes, many pods at a time, while the next ones are decided.
 *
 * The place was reserved before. A refusal gives it back and the pod tries again after its
 * back-off. When no answer came at all the pod may be bound or not: the place stays reserved
 * through the back-off, and by then the informer has told, or the pod is decided anew. The API
 * server binds a pod once only, so a late first binding and a second one cannot both succeed.
 */
import { ApiError, isReason } from '#api/errors.ts';
import type { Client } from '#client';
import type { Logger } from '#kit/log.ts';
import type { Scope } from '#kit/scope.ts';
import { pods } from '#resources/kinds.ts';
import type { Binding, Pod } from '#resources/types/core-v1.ts';
import type { PodFacts } from '#scheduling';
import type { SchedulerCache } from './cache.ts';
import type { SchedulingQueue } from './queue.ts';
import type { Reporter } from './report.ts';

export interface BinderDeps {
  readonly client: Client;
  readonly log: Logger;
  readonly cache: SchedulerCache;
  readonly queue: SchedulingQueue;
  readonly reporter: Reporter;
  readonly scope: Scope;
}

export class Binder {
  readonly #deps: BinderDeps;
  #inFlight = 0;
  #onRoom: (() => void) | undefined;

  constructor(deps: BinderDeps) {
    this.#deps = deps;
  }

  /** Waits until fewer bindings than this are on their way. */
  room(options: { readonly signal: AbortSignal; readonly inFlightMax: number }): Promise<void> {
    const { signal, inFlightMax } = options;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#inFlight < inFlightMax) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#onRoom = () => {
        this.#onRoom = undefined;
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
    });
  }

  /** Starts the binding and returns at once. */
  bind(facts: PodFacts, nodeName: string, options: { readonly attempts: number }): void {
    this.#inFlight += 1;
    this.#deps.scope.spawn(async (signal) => {
      try {
        await this.#send(facts, nodeName, signal);
        this.#succeeded(facts, nodeName, options.attempts);
      } catch (error) {
        signal.throwIfAborted();
        this.#failed(facts, error);
      } finally {
        this.#inFlight -= 1;
        this.#onRoom?.();
      }
    });
  }

  async #send(facts: PodFacts, nodeName: string, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid } = facts.pod.metadata;
    const body: Binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: nodeName },
    };
    const at = { namespace, name };
    await this.#deps.client.createSubresource<Pod, Binding, unknown>(pods, at, 'binding', body, {
      signal,
    });
  }

  #succeeded(facts: PodFacts, nodeName: string, attempts: number): void {
    const { queue, log, reporter } = this.#deps;
    queue.remove(facts.uid);
    log.info('pod bound', { pod: facts.key, node: nodeName, attempts });
    reporter.scheduled(facts.pod, nodeName);
  }

  #failed(facts: PodFacts, error: unknown): void {
    const { cache, queue, log, reporter } = this.#deps;
    log.warn('pod was not bound', { pod: facts.key, error });
    if (error instanceof ApiError && cache.forget(facts.uid)) {
      queue.onChange({ what: 'podGone', pod: facts });
    }
    if (isReason(error, 'NotFound')) {
      queue.remove(facts.uid);
      return;
    }
    queue.backOff(facts.uid);
    // A conflict means that somebody else placed or deleted the pod: nothing to tell its owner.
    if (isReason(error, 'Conflict')) return;
    const message = error instanceof Error ? error.message : String(error);
    reporter.failed(facts.pod, { reason: 'SchedulerError', message });
  }
}
