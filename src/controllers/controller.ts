/**
 * The one loop that all controllers share: take a key, reconcile it, and on failure again later.
 *
 * A controller is a queue of keys and a function that brings one key's objects nearer to what is
 * wanted. The queue never hands out a key twice at a time, so `reconcile` needs no locks. A failure
 * is tried again after a delay that grows (5 ms, 10 ms, … 1,000 s); a broken assertion is a bug,
 * and trying again would only repeat it: the key is parked until something about it changes.
 *
 * Each folder beside this file is one controller, or several that share their rules: `<name>.ts`
 * gathers facts and performs, `plan.ts` decides where there is much to decide. The files beside
 * this one are what controllers share.
 */
import { AssertionError } from 'node:assert';
import { isReason } from '#api/errors.ts';
import type { Client, Informers, Recorder } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { WorkQueue } from '#kit/work-queue.ts';
import type { Figures } from './figures.ts';

/** What a controller is built from. */
export interface ControllerDeps {
  readonly client: Client;
  readonly informers: Informers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly figures: Figures;
  /** The recorder that speaks as this component. */
  readonly recorderFor: (component: string) => Recorder;
}

export interface Controller {
  /** As upstream names it: `replicaset-controller`. */
  readonly name: string;
  readonly queue: WorkQueue;
  /** Brings one key nearer to what is wanted; may write. Throws to be called again later. */
  readonly reconcile: (key: string, options: { readonly signal: AbortSignal }) => Promise<void>;
  /** Keys worked on at the same time. */
  readonly workers: number;
  /** Nothing is reconciled before these have their first list. */
  readonly sources: readonly {
    synced(options: { readonly signal: AbortSignal }): Promise<void>;
  }[];
}

export interface LoopDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each bug. Tests and the simulator throw here, which ends the run. */
  readonly onBug?: ((error: AssertionError) => void) | undefined;
}

/** Runs until the signal aborts; resolves when no key is being worked on any more. */
export async function runController(
  controller: Controller & LoopDeps,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const log = controller.log.child({ controller: controller.name });
  await Promise.all(controller.sources.map((source) => source.synced({ signal })));
  log.debug('controller started', { workers: controller.workers });
  const scope = new Scope(signal);
  for (let worker = 0; worker < controller.workers; worker++) {
    scope.spawn((inner) => work(controller, log, inner));
  }
  try {
    await scope.join();
  } finally {
    controller.queue[Symbol.dispose]();
  }
}

async function work(
  controller: Controller & LoopDeps,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const { queue } = controller;
  for (;;) {
    const key = await queue.take({ signal });
    const sinceMs = controller.clock.monotonic();
    try {
      await controller.reconcile(key, { signal });
      log.trace('reconciled', { key, milliseconds: controller.clock.monotonic() - sinceMs });
      queue.forget(key);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AssertionError) {
        log.error('bug: key is parked', { key, error, bugs_total: 1 });
        queue.forget(key);
        controller.onBug?.(error);
      } else {
        // Conflicts are how two writers of one object take turns.
        if (isReason(error, 'Conflict')) log.debug('will reconcile again', { key, error });
        else log.warn('reconcile failed, will try again', { key, error });
        queue.retry(key);
      }
    } finally {
      queue.done(key);
    }
  }
}
