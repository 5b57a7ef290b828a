/**
 * The scheduler: gives each pod without a node the best node that takes it.
 *
 * Informers fill `queue.ts` (pods that wait) and `cache.ts` (nodes and what is on them). The loop
 * below takes one pod at a time: `cycle.ts` decides (filter → score → choose), the place is
 * reserved in the cache, and `binding.ts` tells the API server while the loop goes on with the
 * next pod. Next in the walk: the API server's binding sub-resource, then the kubelet of the
 * chosen node.
 *
 * A pod that fits nowhere waits with the reasons in its PodScheduled condition. Making room by
 * removing pods of lower priority (preemption) is not part of this scheduler yet.
 */
import type { Client, Informers } from '#client';
import { openRecorder } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { nodes, pods } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { PodFacts } from '#scheduling';
import { Binder } from './binding.ts';
import { SchedulerCache } from './cache.ts';
import { SchedulingCycle } from './cycle.ts';
import { followNodes, followPods } from './events.ts';
import { type FitFailure, fitMessage, rejectingPlugins } from './fit-error.ts';
import { SchedulingQueue } from './queue.ts';
import { Reporter } from './report.ts';

export interface SchedulerDeps {
  readonly client: Client;
  /** Shared by the controllers and the scheduler of one process; run by whoever made it. */
  readonly informers: Informers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface SchedulerOptions {
  readonly signal: AbortSignal;
  /** Takes the pods whose `spec.schedulerName` is this; default `default-scheduler`. */
  readonly schedulerName?: string | undefined;
}

export const limits = {
  /** Bindings on their way to the API server; the loop pauses at this number. */
  bindingsMax: 64,
  /** Time that decisions may take in a row before other work of this thread gets its turn. */
  turnMsMax: 4,
} as const;

export async function runScheduler(deps: SchedulerDeps, options: SchedulerOptions): Promise<void> {
  const schedulerName = options.schedulerName ?? 'default-scheduler';
  const nodeInformer = deps.informers.of(nodes);
  const podInformer = deps.informers.of(pods);
  const recorder = openRecorder({ ...deps, component: schedulerName });
  const cache = new SchedulerCache();
  using queue = new SchedulingQueue(deps);
  const cycle = new SchedulingCycle({ cache, random: deps.random });

  followNodes(nodeInformer, { cache, queue, signal: options.signal });
  await nodeInformer.synced(options);
  followPods(podInformer, { cache, queue, signal: options.signal }, { schedulerName });
  await podInformer.synced(options);

  const scope = new Scope(options.signal);
  scope.spawn((signal) => recorder.run(signal));
  const reporter = new Reporter({ ...deps, recorder, scope });
  const binder = new Binder({ ...deps, cache, queue, reporter, scope });
  scope.spawn(async (signal) => {
    const turn = new Turn(deps.clock);
    for (;;) {
      await binder.room({ signal, inFlightMax: limits.bindingsMax });
      const { facts, attempts } = await queue.take({ signal });
      const current = podInformer.get(facts.key);
      if (!isStillWanted(current, facts)) queue.remove(facts.uid);
      else scheduleOne(facts, attempts);
      await turn.yieldIfLong({ signal });
    }
  });

  function scheduleOne(facts: PodFacts, attempts: number): void {
    // A binding whose answer was lost kept its place until now.
    cache.forget(facts.uid);
    const decision = cycle.decide(facts);
    if (decision.chosen === undefined) {
      turnAway(facts, decision.failure);
      return;
    }
    cache.assume(facts, decision.chosen.name);
    binder.bind(facts, decision.chosen.name, { attempts });
  }

  function turnAway(facts: PodFacts, failure: FitFailure): void {
    queue.park(facts.uid, rejectingPlugins(failure));
    const message = fitMessage(failure);
    deps.log.info('pod fits no node', { pod: facts.key, message });
    reporter.failed(facts.pod, { reason: 'Unschedulable', message });
  }

  await scope.join();
}

/** The same pod, and without a node, as far as the informer knows by now. */
function isStillWanted(current: Pod | undefined, facts: PodFacts): boolean {
  return (
    current?.metadata.uid === facts.uid &&
    !current.spec?.nodeName &&
    current.metadata.deletionTimestamp === undefined
  );
}

/** Counts how long this thread has been busy in one go. */
class Turn {
  readonly #clock: Clock;
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonic();
  }

  async yieldIfLong({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#clock.monotonic() - this.#sinceMs < limits.turnMsMax) return;
    await this.#clock.sleep(0, { signal });
    this.#sinceMs = this.#clock.monotonic();
  }
}
