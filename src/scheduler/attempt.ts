/**
 * The scheduling loop: takes the next pod, lets its profile's rules decide, and acts on the
 * decision: reserve and bind, make room, or wait with the reasons told.
 *
 * A decision is one synchronous stretch; between two of them other work of this thread gets its
 * turn when the last turn took long.
 */
import type { Informer } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { Scope } from '#kit/scope.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import {
  backedResources,
  type Cluster,
  claimOutOfReach,
  type Decision,
  earlierClaim,
  type FitFailure,
  fitMessage,
  type PodFacts,
  type PreemptionPlan,
  planPreemption,
  rejectingPlugins,
  type SchedulingCycle,
} from '#scheduling';
import type { Binder } from './binding.ts';
import { concerns, decideWithExtenders, preemptWithExtenders } from './consultation.ts';
import type { DeviceWriter } from './device-writer.ts';
import { isStillWanted } from './events.ts';
import type { Extender } from './extender.ts';
import type { FactInformers } from './fact-informers.ts';
import type { SchedulerMetrics } from './metrics.ts';
import type { Preemptor } from './preemptor.ts';
import type { QueuedPod, SchedulingQueue } from './queue.ts';
import type { Reporter } from './report.ts';

export interface AttemptDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly cluster: Cluster;
  readonly queue: SchedulingQueue;
  readonly cycle: SchedulingCycle;
  readonly binder: Binder;
  readonly preemptor: Preemptor;
  readonly reporter: Reporter;
  readonly metrics: SchedulerMetrics;
  readonly podInformer: Informer<Pod>;
  readonly factInformers: FactInformers;
  readonly extenders: readonly Extender[];
  readonly devices: DeviceWriter;
  readonly scope: Scope;
}

export interface LoopOptions {
  readonly signal: AbortSignal;
  readonly bindingsMax: number;
  readonly turnMsMax: number;
}

type Rejected = Extract<Decision, { do: 'reject' }>;

export class Attempts {
  readonly #deps: AttemptDeps;

  constructor(deps: AttemptDeps) {
    this.#deps = deps;
  }

  async run({ signal, bindingsMax, turnMsMax }: LoopOptions): Promise<never> {
    const { queue, binder, factInformers, podInformer, extenders } = this.#deps;
    const turn = new Turn(this.#deps.clock, turnMsMax);
    for (;;) {
      await binder.room({ signal, inFlightMax: bindingsMax });
      const taken = await queue.take({ signal });
      const ready = factInformers.ready(taken.facts);
      if (ready !== undefined) await ready;
      const queued = queue.renewed(taken);
      if (!isStillWanted(podInformer, queued.facts)) queue.remove(queued.facts.uid);
      // What the pod names may only now be known not to be there.
      else if (!queue.gate(queued.facts.uid)) {
        if (concerns(extenders, queued.facts)) await this.#consult(queued, { signal });
        else this.#attempt(queued);
      }
      await turn.yieldIfLong({ signal });
    }
  }

  #attempt(queued: QueuedPod): void {
    const { clock, cycle, metrics } = this.#deps;
    const { facts, profile } = queued;
    const startedMs = clock.monotonic();
    const moved = this.#leavePlace(facts);
    const decision = cycle.decide(facts, profile);
    metrics.algorithm((clock.monotonic() - startedMs) / 1000);
    moved(decision);
    this.#act(queued, decision, startedMs);
  }

  /** The same with the extenders' say: the next pod waits meanwhile. */
  async #consult(queued: QueuedPod, options: { readonly signal: AbortSignal }): Promise<void> {
    const { clock, queue, podInformer } = this.#deps;
    const { facts, profile } = queued;
    const startedMs = clock.monotonic();
    const moved = this.#leavePlace(facts);
    queue.watch(facts.uid);
    const decision = await decideWithExtenders(this.#deps, facts, profile, options);
    if (!isStillWanted(podInformer, facts)) {
      queue.remove(facts.uid);
      moved(undefined);
      return;
    }
    moved(decision);
    if (decision.do !== 'reject') {
      this.#act(queued, decision, startedMs);
      return;
    }
    const preemption = this.#preemptionFacts(queued, decision);
    const plan =
      preemption === undefined
        ? undefined
        : await preemptWithExtenders(this.#deps, preemption, options);
    this.#turnAway(queued, decision, { startedMs, plan });
  }

  /**
   * A binding whose answer was lost kept its place until now. Others learn that it is free when the
   * pod is not decided to go there again, or not wanted any more (undefined).
   */
  #leavePlace({ uid }: PodFacts): (decision: Decision | undefined) => void {
    const { cluster, queue } = this.#deps;
    const place = cluster.placeOf(uid);
    const free = cluster.forget(uid);
    return (decision) => {
      if (decision?.do === 'place' && decision.node.name === place) return;
      for (const change of free) queue.onChange(change);
    };
  }

  #act(queued: QueuedPod, decision: Decision, startedMs: number): void {
    const { cluster, binder } = this.#deps;
    switch (decision.do) {
      case 'place': {
        const { node, steps } = decision;
        cluster.nominations.remove(queued.facts.uid);
        cluster.assume(queued.facts, node.name, steps);
        binder.bind(queued, node.name, { steps, startedMs });
        break;
      }
      case 'reject':
        this.#turnAway(queued, decision, {
          startedMs,
          plan: this.#planPreemption(queued, decision),
        });
        break;
      case 'fail':
        this.#fail(queued, decision.message);
        break;
      default:
        decision satisfies never;
    }
  }

  #turnAway(
    queued: QueuedPod,
    { failure }: Rejected,
    outcome: { readonly startedMs: number; readonly plan: PreemptionPlan | undefined },
  ): void {
    const { clock, log, metrics, queue, reporter } = this.#deps;
    const { facts, profile } = queued;
    const { schedulerName } = profile;
    const { startedMs, plan } = outcome;
    queue.park(facts.uid, rejectingPlugins(failure));
    const { afterwards, nominatedNodeName } = this.#makeRoom(queued, failure, plan);
    const message = fitMessage(failure, afterwards);
    log.info('pod fits no node', { pod: facts.key, message });
    const told = { reason: 'Unschedulable', message, nominatedNodeName } as const;
    reporter.failed(facts.pod, told, schedulerName);
    const seconds = (clock.monotonic() - startedMs) / 1000;
    metrics.attempt('unschedulable', schedulerName, seconds);
  }

  #planPreemption(queued: QueuedPod, rejected: Rejected): PreemptionPlan | undefined {
    const { clock, metrics } = this.#deps;
    const facts = this.#preemptionFacts(queued, rejected);
    if (facts === undefined) return undefined;
    const sinceMs = clock.monotonic();
    const plan = planPreemption(facts);
    const status = plan.do === 'preempt' ? 'Success' : 'Unschedulable';
    const seconds = (clock.monotonic() - sinceMs) / 1000;
    metrics.extensionPoint('PostFilter', status, queued.profile.schedulerName, seconds);
    return plan;
  }

  /** Undefined where nothing is tried. */
  #preemptionFacts({ facts, profile }: QueuedPod, { failure, trial }: Rejected) {
    const { cluster, random, clock, metrics } = this.#deps;
    const { preemption: args } = profile;
    // Devices are asked first whether claims could be freed; they cannot tell about a pod that
    // was turned away before they were asked, and nobody is asked after them.
    const early = profile.deallocates && failure.whole?.early === true;
    if (failure.nodeCount === 0 || args === undefined || early) return undefined;
    metrics.preemptionTried();
    return { cluster, pod: facts, failure, trial, args, random, nowMs: clock.now() };
  }

  /** What the attempts to make room came to, in words, and the node that is being cleared. */
  #makeRoom(
    queued: QueuedPod,
    failure: FitFailure,
    plan: PreemptionPlan | undefined,
  ): { readonly afterwards: string; readonly nominatedNodeName?: string } {
    const { cluster, preemptor } = this.#deps;
    const { facts, profile } = queued;
    if (failure.nodeCount === 0) return { afterwards: '', nominatedNodeName: '' };
    if (plan === undefined && !profile.deallocates) return { afterwards: '' };
    if (plan === undefined && failure.whole?.early === true) return { afterwards: 'not found' };
    const freed = profile.deallocates ? this.#freeDevices(facts, failure) : '';
    if (plan === undefined) return { afterwards: freed };
    if (plan.do === 'preempt') {
      preemptor.preempt(queued, plan.victims);
      return { afterwards: '', nominatedNodeName: plan.victims.node.name };
    }
    if (plan.clears) cluster.nominations.remove(facts.uid);
    const before = profile.deallocates ? `${freed}, ` : '';
    const afterwards = `${before}preemption: ${plan.message}`;
    return plan.clears ? { afterwards, nominatedNodeName: '' } : { afterwards };
  }

  /** A claim whose devices no fitting node reaches gives them back, if nobody else uses it. */
  #freeDevices(facts: PodFacts, { objections, whole }: FitFailure): string {
    const { pod, namespace, uid, requests } = facts;
    const { factInformers, devices } = this.#deps;
    const { resourceClaims, deviceClasses } = factInformers.facts;
    const wanted = pod.spec?.resourceClaims ?? [];
    const backed = backedResources(requests, deviceClasses).size > 0;
    // Turned away as such, it has not come to its claims.
    if (whole !== undefined || (wanted.length === 0 && !backed)) {
      return 'no new claims to deallocate';
    }
    const away = [...objections.values()].some(({ verdict }) =>
      verdict.reasons.includes(claimOutOfReach),
    );
    const made = pod.status?.resourceClaimStatuses ?? [];
    for (const { name, resourceClaimName } of away ? wanted : []) {
      const claimName =
        resourceClaimName ?? made.find((one) => one.name === name)?.resourceClaimName;
      const claim = resourceClaims.get(`${namespace}/${claimName}`);
      const users = claim?.status?.reservedFor ?? [];
      if (claim?.status?.allocation === undefined) continue;
      if (users.some((one) => one.uid !== uid)) continue;
      this.#beside(facts, (signal) => devices.free(claim, { signal, uid }));
      return 'deallocation of ResourceClaim completed';
    }
    const leftOver = backed
      ? earlierClaim(pod, resourceClaims.listNamespace(namespace))
      : undefined;
    if (leftOver === undefined) return 'still not schedulable';
    this.#beside(facts, (signal) => devices.remove(leftOver, { signal }));
    return 'deletion of ResourceClaim completed';
  }

  /** Claims are written beside the loop; that they changed, or could not be, wakes the pod. */
  #beside({ key, uid }: PodFacts, write: (signal: AbortSignal) => Promise<void>): void {
    const { scope, log, queue } = this.#deps;
    scope.spawn(async (signal) => {
      try {
        await write(signal);
      } catch (error) {
        signal.throwIfAborted();
        log.warn('devices were not freed', { pod: key, error });
        queue.retry(uid);
      }
    });
  }

  #fail({ facts, profile }: QueuedPod, message: string): void {
    const { log, metrics, queue, reporter } = this.#deps;
    log.warn('pod could not be decided', { pod: facts.key, message });
    queue.backOff(facts.uid);
    reporter.failed(facts.pod, { reason: 'SchedulerError', message }, profile.schedulerName);
    metrics.attempt('error', profile.schedulerName, 0);
  }
}

/** Counts how long this thread has been busy in one go. */
class Turn {
  readonly #clock: Clock;
  readonly #msMax: number;
  #sinceMs: number;

  constructor(clock: Clock, msMax: number) {
    this.#clock = clock;
    this.#msMax = msMax;
    this.#sinceMs = clock.monotonic();
  }

  async yieldIfLong({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#clock.monotonic() - this.#sinceMs < this.#msMax) return;
    await this.#clock.sleep(0, { signal });
    this.#sinceMs = this.#clock.monotonic();
  }
}
