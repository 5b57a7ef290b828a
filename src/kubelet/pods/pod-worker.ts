/**
 * One worker per pod: look, plan, act, tell, wait; again until the pod is gone.
 *
 * A round reads the runtime's state (so that whatever the kubelet missed or forgot is found again),
 * starts or ends probes, asks `plan.ts`, publishes the status and performs the actions. Rounds
 * follow one another until there is nothing to do; then the worker sleeps until it is woken by a
 * change of the object, an event of the runtime, a probe's verdict, or a time that the plan named.
 * When the pod is deleted and nothing of it runs any more, its traces are removed and the API
 * object is deleted for good.
 */
import { isReason } from '#api/errors.ts';
import type { Scope } from '#kit/scope.ts';
import { pods } from '#resources/kinds.ts';
import type { ContainerStateWaiting, Pod, PodStatus } from '#resources/types/core-v1.ts';
import type { Refusal } from '../node/admission.ts';
import type { KubeletParts, PodState } from '../parts.ts';
import { PodProbes } from '../probes/pod-probes.ts';
import { forgetGone, performActions } from './act.ts';
import { AppliedResources } from './applied-resources.ts';
import { ClockJumps, moveTimes } from './clock-jumps.ts';
import { claimsIn, withOwnStatus } from './own-status.ts';
import { type Action, type Plan, planPod } from './plan.ts';
import {
  type Ending,
  graceSecondsOf,
  hasEnded,
  isAmong,
  isEvicted,
  isKnownState,
  latestOf,
  type PodFacts,
  type RuntimeFacts,
  readMade,
  readRuntime,
  unlessGone,
} from './pod-facts.ts';
import { podPaths } from './pod-paths.ts';
import { podCgroupPath } from './qos.ts';
import { resizingIn, tellCompleted } from './resize-events.ts';
import { type Room, roomOf } from './resize-order.ts';
import { podStatus } from './status.ts';
import { TerminationMessages } from './termination-message.ts';
import { WaitingEvents } from './waiting-events.ts';

/** Delay before a round that failed is repeated; doubles up to the limit. */
const limits = { retryMs: 500, retryMsMax: 10_000, roundsMax: 50, noticeMs: 1000 } as const;

/** Given to containers of a pod that was removed from the API at once. */
const graceSecondsGone = 2;

export class PodWorker {
  readonly #parts: KubeletParts;
  readonly #probes: PodProbes;
  readonly #messages: TerminationMessages;
  readonly #waitingEvents: WaitingEvents;
  readonly #state: PodState;
  readonly #clockJumps: ClockJumps;
  #pod: Pod;
  /** As last published; the API may still show an older one. */
  #status: PodStatus | undefined;
  /** The object is not in the API any more. */
  #isGone = false;
  /** The manifest of a static pod is gone. */
  #isRetired = false;
  #ending: Ending | undefined;
  /** Ends the sleep between two rounds. */
  #wake: (() => void) | undefined;
  /** Somebody has asked for a round since the last one began. */
  #isDirty = false;
  #volumesStale = true;
  /** Rounds that failed one after the other. */
  #errors = 0;
  /** Why nothing of the pod is begun until then. */
  #podFailure: { readonly untilMs: number } | undefined;
  /** Breaks off what a round is doing when the pod is to end. */
  #interrupt = new AbortController();
  #runtime: RuntimeFacts = { sandboxes: [], containers: [] };
  /** The runtime cannot have anything of it. */
  #isNew: boolean;
  #isMaking = false;
  readonly #stopped = Promise.withResolvers<void>();
  /** It is to end and nothing of it runs; what it left may still be there. */
  #hasStopped = false;

  /** A pod that is refused fails without having begun; of a new one the runtime has nothing. */
  constructor(
    parts: KubeletParts,
    pod: Pod,
    scope: Scope,
    { refusal, isNew }: { readonly refusal: Refusal | undefined; readonly isNew: boolean },
  ) {
    this.#parts = parts;
    this.#pod = pod;
    this.#isNew = isNew;
    this.#clockJumps = new ClockJumps(parts.clock);
    if (refusal !== undefined) this.refuse(refusal);
    this.#probes = new PodProbes(parts, scope, {
      pod: () => this.#pod,
      onChange: () => {
        this.wake();
        // No round begins before its containers have stopped, which may take all their grace.
        if (this.#ending !== undefined) this.#publish(this.#facts(this.#runtime), new Map());
      },
    });
    this.#messages = new TerminationMessages(parts);
    this.#waitingEvents = new WaitingEvents(parts);
    this.#state = {
      ...{ failures: new Map(), backoffs: new Map(), preStopped: new Set(), volumes: new Map() },
      made: { sandboxes: [], containers: [] },
      applied: new AppliedResources(podPaths(parts.paths, pod).resources, pod),
      resizing: resizingIn(pod),
    };
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** What it takes of the node, and whether it waits for more. */
  get room(): Room {
    return roomOf(this.#pod, this.#state, this.#runtime, () => this.wake());
  }

  wake(): void {
    this.#isDirty = true;
    this.#wake?.();
  }

  /** A ConfigMap, a Secret or the pod itself has changed. */
  refreshVolumes(): void {
    this.#volumesStale = true;
    this.#podFailure = undefined;
    for (const [name, failure] of this.#state.failures) {
      if (failure.waiting.reason !== 'CreateContainerConfigError') continue;
      this.#state.failures.delete(name);
    }
    this.wake();
  }

  update(pod: Pod): void {
    const old = this.#pod;
    this.#pod = withOwnStatus(pod, this.#status);
    this.#parts.statuses.seen(pod);
    this.#parts.counts.resizes.asked(old, pod);
    // Labels may be in its volumes, and a container that was added may be the first to use one.
    if (wishOf(old) !== wishOf(pod)) this.refreshVolumes();
    if (pod.metadata.deletionTimestamp !== undefined) {
      this.#end(pod.metadata.deletionGracePeriodSeconds ?? graceSecondsOf(pod));
    }
    if ((pod.spec?.readinessGates ?? []).length > 0) this.wake();
  }

  /** The object was removed from the API: what still runs is ended. */
  gone(): void {
    this.#isGone = true;
    this.#parts.statuses.forget(this.#uid);
    this.#end(this.#ending?.graceSeconds ?? graceSecondsGone);
    this.wake();
  }

  /** The manifest of a static pod is gone: it ends as if it had been deleted. */
  retire(): void {
    this.#isRetired = true;
    this.#end(graceSecondsOf(this.#pod));
  }

  #end(graceSeconds: number): void {
    this.wake();
    if (this.#ending !== undefined && this.#ending.graceSeconds <= graceSeconds) return;
    this.#ending = { ...this.#ending, graceSeconds };
    this.#interrupt.abort(new Error('the pod is to end'));
  }

  /** Resolves when nothing of the pod is left on the node and in the API. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#pod.metadata.deletionTimestamp !== undefined) this.update(this.#pod);
    try {
      for (;;) {
        signal.throwIfAborted();
        const untilMs = await this.#roundSafely(signal);
        if (untilMs === 'done') return;
        await this.#sleep(untilMs, signal);
      }
    } finally {
      this.#probes.stop();
      this.#stopped.resolve();
    }
  }

  /** Before it runs. */
  refuse(failure: Refusal): void {
    this.#ending = { graceSeconds: 0, failure, isRefused: true };
    this.#parts.recorder.record(this.#pod, { type: 'Warning', ...failure });
  }

  /** It takes room on the node: it has been taken, and its end has not come. */
  get isActive(): boolean {
    return !hasEnded(this.#pod) && this.#ending?.isRefused !== true && !this.#hasStopped;
  }

  /** Removed from the API: it may still be ending, but its place is promised to others by now. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** This node ends the pod, which fails. Resolves when nothing of it runs any more. */
  async evict(
    failure: Refusal,
    {
      graceSeconds,
      disruption,
    }: {
      readonly graceSeconds?: number | undefined;
      readonly disruption: string | undefined;
    },
  ): Promise<void> {
    const grace = graceSeconds ?? graceSecondsOf(this.#pod);
    this.#ending = { graceSeconds: grace, ...this.#ending, failure, disruption };
    this.#interrupt.abort(new Error('the pod is to end'));
    this.wake();
    await this.#stopped.promise;
  }

  async #sleep(untilMs: number, signal: AbortSignal): Promise<void> {
    if (this.#isDirty || signal.aborted) return;
    const { clock } = this.#parts;
    const restMs = untilMs - clock.now();
    const onAbort = (): void => this.#wake?.();
    signal.addEventListener('abort', onAbort, { once: true });
    await new Promise<void>((resolve) => {
      const cancel = Number.isFinite(restMs) ? clock.after(restMs, resolve) : () => {};
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    signal.removeEventListener('abort', onAbort);
    this.#wake = undefined;
  }

  async #roundSafely(signal: AbortSignal): Promise<number | 'done'> {
    const { clock, log } = this.#parts;
    const { name, namespace } = this.#pod.metadata;
    try {
      const result = await this.#rounds(signal);
      this.#errors = 0;
      return result;
    } catch (error) {
      this.#volumesStale = true;
      if (signal.aborted) throw error;
      if (this.#interrupt.signal.aborted) return clock.now();
      const delayMs = Math.min(limits.retryMs * 2 ** this.#errors, limits.retryMsMax);
      this.#errors += 1;
      this.#isDirty = false;
      this.#podFailure = { untilMs: clock.now() + delayMs };
      log.warn('a pod could not be brought forward', { pod: name, namespace, error, delayMs });
      return this.#podFailure.untilMs;
    }
  }

  /** Rounds until there is nothing left to do at once. */
  async #rounds(signal: AbortSignal): Promise<number | 'done'> {
    const { clock } = this.#parts;
    let isOurs = this.#isNew;
    this.#isNew = false;
    for (let round = 0; round < limits.roundsMax; round++) {
      const isWhole = !isOurs || this.#isDirty;
      this.#isDirty = false;
      this.#renewInterrupt();
      this.#followClock();
      const runtime = await this.#look({ isWhole, signal });
      this.#remember(runtime);
      this.#checkDeadline();
      if (this.#ending !== undefined) this.#probes.end();
      this.#probes.follow(runtime);
      await this.#refreshVolumes(runtime, signal);
      // What came meanwhile is in the facts: it interrupts nothing that follows from them.
      this.#renewInterrupt();
      const facts = this.#facts(runtime);
      const plan = planPod(facts, clock.now());
      this.#publish(facts, plan.waiting, { isPassing: isBeginning(facts, plan) });
      if (plan.ended) {
        this.#hasStopped = this.#ending !== undefined;
        if (this.#hasStopped) this.#stopped.resolve();
        const removed = await this.#finish(facts, signal);
        return removed ? 'done' : Number.POSITIVE_INFINITY;
      }
      const actions = plan.actions.filter((action) => action.do !== 'wait');
      if (actions.length === 0) return this.#nextMs(plan);
      const before = this.#state.failures.size;
      const options = { signal, interrupt: this.#interruptOf(signal) };
      // No sandbox comes without its volumes; what changes from here on makes them stale again.
      this.#volumesStale &&= actions.every((action) => action.do !== 'createSandbox');
      isOurs = actions.every(makesOnly);
      this.#isMaking = isOurs;
      await performActions(this.#parts, this.#state, facts, actions, options).finally(() => {
        this.#isMaking = false;
      });
      if (this.#state.failures.size > before) {
        // What went wrong is shown for a moment before it turns into waiting.
        const after = await readRuntime(this.#parts.runtime, this.#uid, { signal });
        this.#publish(this.#facts(after), new Map());
        return clock.now() + limits.noticeMs;
      }
    }
    return clock.now() + limits.noticeMs;
  }

  /** Whole, or only what we have made since, when nobody else can have changed anything. */
  async #look(options: {
    readonly isWhole: boolean;
    readonly signal: AbortSignal;
  }): Promise<RuntimeFacts> {
    const { runtime } = this.#parts;
    const { made } = this.#state;
    this.#runtime = options.isWhole
      ? await readRuntime(runtime, this.#uid, options)
      : await readMade(runtime, this.#runtime, made, options);
    made.sandboxes.length = 0;
    made.containers.length = 0;
    return this.#runtime;
  }

  /** Something of it is being made and nothing ended; it is looked at as soon as it is there. */
  get isMaking(): boolean {
    return this.#isMaking;
  }

  /** Whether a list of the runtime says nothing new of a sandbox or container. */
  hasSeen(id: string, state: string): boolean {
    return isKnownState(this.#runtime, id, state);
  }

  /** A sandbox or container that was there at the last look, or was made since. */
  owns(id: string): boolean {
    const { sandboxes, containers } = this.#state.made;
    return isAmong(this.#runtime, id) || sandboxes.includes(id) || containers.includes(id);
  }

  #followClock(): void {
    const jumpMs = this.#clockJumps.take();
    if (jumpMs !== 0) moveTimes(this.#state, jumpMs, this.#parts.clock.now());
  }

  get #uid(): string {
    return this.#pod.metadata.uid ?? '';
  }

  #renewInterrupt(): void {
    if (this.#interrupt.signal.aborted) this.#interrupt = new AbortController();
  }

  #interruptOf(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#interrupt.signal]);
  }

  #remember(runtime: RuntimeFacts): void {
    forgetGone(this.#state, runtime);
    this.#messages.read(this.#pod, runtime);
  }

  #facts(runtime: RuntimeFacts): PodFacts {
    return {
      pod: this.#pod,
      runtime,
      verdicts: this.#probes.verdicts,
      backoffs: this.#state.backoffs,
      failures: this.#state.failures,
      podFailure: this.#podFailure,
      applied: this.#state.applied.current(runtime.containers),
      resizeFailure: this.#state.resizeFailure,
      clockSetAtMs: this.#state.clockSetAtMs,
      ending: this.#ending,
    };
  }

  /** A pod that has run longer than it may is ended and fails. */
  #checkDeadline(): void {
    if (hasEnded(this.#pod) || this.#parts.clock.now() < this.#deadlineMs()) return;
    this.#ending = {
      graceSeconds: graceSecondsOf(this.#pod),
      failure: {
        reason: 'DeadlineExceeded',
        message: 'Pod was active on the node longer than the specified deadline',
      },
    };
  }

  async #refreshVolumes(runtime: RuntimeFacts, signal: AbortSignal): Promise<void> {
    const dueMs = this.#parts.volumes.refreshAtMs(this.#uid) ?? Number.POSITIVE_INFINITY;
    const stale = this.#volumesStale || dueMs <= this.#parts.clock.now();
    const active = runtime.sandboxes[0]?.ready === true && this.#ending === undefined;
    if (!stale || !active) return;
    this.#volumesStale = false;
    const either = { signal: this.#interruptOf(signal) };
    this.#state.volumes = await this.#parts.volumes.prepare(this.#pod, either);
  }

  #publish(
    facts: PodFacts,
    waiting: ReadonlyMap<string, ContainerStateWaiting>,
    { isPassing = false }: { readonly isPassing?: boolean } = {},
  ): void {
    if (this.#isGone) return;
    const { clock, node, statuses, devices } = this.#parts;
    const { messages } = this.#messages;
    const plain = podStatus({ ...facts, waiting, hostIPs: node.hostIPs, messages }, clock.now());
    const status = devices().withHealth(this.#pod, plain);
    statuses.set(this.#pod, status, { isPassing });
    // Conditions keep their times and an end stays an end: both are read from the pod's status.
    this.#status = status;
    this.#pod = { ...this.#pod, status: { ...claimsIn(this.#pod.status), ...status } };
    this.#waitingEvents.tell(this.#pod, waiting);
    tellCompleted(this.#parts, this.#state, facts);
  }

  #nextMs(plan: Plan): number {
    const waits = plan.actions.map((action) => (action.do === 'wait' ? action.untilMs : Infinity));
    const tokenMs = this.#parts.volumes.refreshAtMs(this.#uid) ?? Infinity;
    return Math.min(...waits, tokenMs, this.#deadlineMs());
  }

  /** Infinity: it has none, or is ending anyway. */
  #deadlineMs(): number {
    const seconds = this.#pod.spec?.activeDeadlineSeconds;
    const startedAt = this.#pod.status?.startTime;
    const isBound = seconds !== undefined && startedAt !== undefined && this.#ending === undefined;
    return isBound ? Date.parse(startedAt) + seconds * 1000 : Infinity;
  }

  /** True when nothing is left to do for this pod, ever. */
  async #finish(facts: PodFacts, signal: AbortSignal): Promise<boolean> {
    this.#probes.stop();
    await this.#parts.devices().unprepare(this.#uid, { signal });
    const isDeleted = this.#pod.metadata.deletionTimestamp !== undefined || this.#isGone;
    const isKept = !isDeleted && !this.#isRetired;
    const { machine, node, statuses, images } = this.#parts;
    const cgroup = podCgroupPath(node.cgroupRoot, this.#pod);
    // Whoever waits for the object to go may count on its volumes being gone.
    await this.#parts.volumes.remove(this.#pod, { signal });
    if (isKept) {
      await machine.cgroups.remove(cgroup);
      // What was evicted is to leave its room on the disk as well; of others one may read the end.
      if (isEvicted(this.#pod)) await this.#freeRoom(facts, signal);
      return false;
    }
    if (!this.#isGone) {
      await this.#parts.statuses.settled(this.#uid);
      if (!this.#isRetired) await this.#deleteObject(signal);
    }
    await this.#freeRoom(facts, signal);
    await machine.cgroups.remove(cgroup);
    images.release(this.#uid);
    statuses.forget(this.#uid);
    return true;
  }

  async #deleteObject(signal: AbortSignal): Promise<void> {
    const { namespace, name = '' } = this.#pod.metadata;
    const options = { gracePeriodSeconds: 0, preconditions: { uid: this.#uid }, signal };
    try {
      await this.#parts.client.delete(pods, { namespace, name }, options);
    } catch (error) {
      // Gone already, or replaced by another pod of the same name.
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
  }

  async #freeRoom({ runtime: facts }: PodFacts, signal: AbortSignal): Promise<void> {
    const { runtime, paths, machine } = this.#parts;
    const { dir, logs } = podPaths(paths, this.#pod);
    for (const { id } of facts.sandboxes) {
      await unlessGone(runtime.removePodSandbox(id, { signal }));
    }
    for (const folder of [dir, logs]) machine.removeFolder(folder);
  }

  /** For the node's server: the container of this name that runs or ran last. */
  async findContainer(name: string, signal: AbortSignal) {
    const runtime = await readRuntime(this.#parts.runtime, this.#uid, { signal });
    return { runtime, latest: latestOf(runtime, name) };
  }
}

function wishOf({ metadata: { labels, annotations }, spec }: Pod): string {
  return JSON.stringify([labels, annotations, spec]);
}

/** Nothing of it has run yet, and the next thing is done now. */
function isBeginning({ ending, runtime }: PodFacts, { actions }: Plan): boolean {
  const isIdle = actions.every((action) => action.do === 'wait');
  return !isIdle && ending === undefined && runtime.containers.length === 0;
}

/** It ends and removes nothing. */
function makesOnly(action: Action): boolean {
  return action.do === 'createSandbox' || action.do === 'startContainer';
}
