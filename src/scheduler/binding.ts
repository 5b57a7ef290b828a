/**
 * From a reserved place to a bound pod, many pods at a time, while the next ones are decided:
 * permit (which may wait) → write what the pod needs (`bind-steps.ts`) → bind → tell.
 *
 * A refusal gives the place back and the pod tries again after its back-off. When no answer came
 * at all the pod may be bound or not: the place stays reserved through the back-off, and by then
 * the informer has told, or the pod is decided anew. The API server binds a pod once only, so a
 * late first binding and a second one cannot both succeed; and a request that arrives twice is
 * refused the second time although the pod is bound, so after a conflict the pod is read again.
 * So it is after a failure of the server: what it was about to do may have happened, or still may.
 */
import { ApiError, isReason } from '#api/errors.ts';
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import type { Logger } from '#kit/log.ts';
import type { Scope } from '#kit/scope.ts';
import { pods } from '#resources/kinds.ts';
import type { Binding, Pod } from '#resources/types/core-v1.ts';
import { type BindStep, type Cluster, type ClusterChange, fitMessage } from '#scheduling';
import type { StepPerformer, Written } from './bind-steps.ts';
import type { Extender } from './extender.ts';
import type { Placement, SchedulerExtension } from './extension.ts';
import type { SchedulerMetrics } from './metrics.ts';
import type { QueuedPod, SchedulingQueue } from './queue.ts';
import type { Reporter } from './report.ts';
import { whereabouts } from './whereabouts.ts';

/** How often a pod that changes while it is bound is read again. */
const attemptsMax = 5;

export interface BinderDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly cluster: Cluster;
  readonly queue: SchedulingQueue;
  readonly reporter: Reporter;
  readonly scope: Scope;
  readonly metrics: SchedulerMetrics;
  readonly steps: StepPerformer;
  readonly extensions: readonly SchedulerExtension[];
  readonly extenders: readonly Extender[];
}

export interface BindOptions {
  readonly steps: readonly BindStep[];
  /** When the try began, by the monotonic clock. */
  readonly startedMs: number;
}

/** How far a binding has come. */
interface Progress {
  readonly written: Written;
  /** The API server may have been asked to bind the pod. */
  sent: boolean;
}

interface Underway extends BindOptions {
  readonly progress: Progress;
}

/** What became of a pod whose binding ended with an error. */
type Fate = 'unbound' | 'gone' | 'bound here' | 'bound elsewhere' | 'unknown';

interface Failure {
  readonly error: unknown;
  readonly progress: Progress;
  readonly fate: Fate;
}

export class Binder {
  readonly #deps: BinderDeps;
  /** Pods on their way, by uid; aborting one gives its place up, if it is not too late. */
  readonly #underWay = new Map<string, AbortController>();
  #inFlight = 0;
  #onRoom: (() => void) | undefined;

  constructor(deps: BinderDeps) {
    this.#deps = deps;
  }

  get inFlight(): number {
    return this.#inFlight;
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

  /** Stops a pod that waits for its permit or preparation; false where it cannot be stopped. */
  cancel(uid: string, reason: string): boolean {
    const controller = this.#underWay.get(uid);
    if (controller === undefined) return false;
    controller.abort(new Cancelled(reason));
    return true;
  }

  /** Starts the binding and returns at once. */
  bind(queued: QueuedPod, nodeName: string, options: BindOptions): void {
    const placement = { pod: queued.facts, nodeName };
    const sinceMs = this.#deps.clock.monotonic();
    const refusal = this.#reserve(placement);
    const reserved = refusal === undefined ? 'Success' : 'Unschedulable';
    this.#tell(queued, 'Reserve', reserved, sinceMs);
    if (refusal !== undefined) {
      this.#rejected(queued, placement, { ...refusal, startedMs: options.startedMs });
      return;
    }
    this.#inFlight += 1;
    const progress: Progress = { written: { claims: [] }, sent: false };
    this.#deps.scope.spawn(async (signal) => {
      try {
        await this.#run(queued, placement, { ...options, progress }, signal);
      } catch (error) {
        signal.throwIfAborted();
        const fate = await this.#fateOf(placement, error, { progress, signal });
        const failure = { error, progress, fate };
        // Before it is tried again: a second try would take the reservation for its own.
        await this.#undo(placement, options.steps, failure, signal);
        this.#failed(queued, placement, failure);
        if (fate === 'bound here') await this.#keepUntilSeen(placement, progress, signal);
      } finally {
        this.#inFlight -= 1;
        this.#onRoom?.();
      }
    });
  }

  async #run(
    queued: QueuedPod,
    placement: Placement,
    options: Underway,
    signal: AbortSignal,
  ): Promise<void> {
    const { steps, startedMs, progress } = options;
    const { extensions } = this.#deps;
    const slow = steps.length > 0 || extensions.some((one) => one.permit ?? one.preBind);
    if (slow && !(await this.#prepare(queued, placement, options, signal))) return;
    const { clock, metrics } = this.#deps;
    if (!slow) for (const point of ['Permit', 'PreBind']) this.#tell(queued, point);
    const sinceMs = clock.monotonic();
    progress.sent = true;
    await this.#send(placement, progress.written, signal);
    this.#tell(queued, 'Bind', 'Success', sinceMs);
    metrics.plugin('DefaultBinder', 'Bind', 'Success', (clock.monotonic() - sinceMs) / 1000);
    this.#succeeded(queued, placement, startedMs);
    await this.#keepUntilSeen(placement, progress, signal);
  }

  /**
   * The pod was bound and went at once: nobody would end what it was promised. Its devices are
   * others' only after the informers have had the time to show that they are in a claim.
   */
  async #keepUntilSeen(
    { pod: { uid } }: Placement,
    { written }: Progress,
    signal: AbortSignal,
  ): Promise<void> {
    const { cluster, steps } = this.#deps;
    if (cluster.placeOf(uid) !== undefined) return;
    await steps.untilSeen(uid, { written, signal });
    this.#tellFree(cluster.assumptions.giveBack(uid));
  }

  #tellFree(changes: readonly ClusterChange[]): void {
    for (const change of changes) this.#deps.queue.onChange(change);
  }

  #tell(
    { profile }: QueuedPod,
    point: string,
    status: 'Success' | 'Unschedulable' = 'Success',
    sinceMs?: number,
  ): void {
    const { clock, metrics } = this.#deps;
    const seconds = sinceMs === undefined ? 0 : (clock.monotonic() - sinceMs) / 1000;
    metrics.extensionPoint(point, status, profile.schedulerName, seconds);
  }

  /** False where a permit was refused. */
  async #prepare(
    queued: QueuedPod,
    placement: Placement,
    { steps, startedMs, progress: { written } }: Underway,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { extensions, reporter, clock } = this.#deps;
    const { pod, nodeName } = placement;
    const controller = new AbortController();
    this.#underWay.set(pod.uid, controller);
    const both = { signal: AbortSignal.any([signal, controller.signal]) };
    try {
      // What follows may take a while: who looks at the pod sees where it is to go.
      reporter.nominated(pod.pod, nodeName);
      const sinceMs = clock.monotonic();
      for (const extension of extensions) {
        const refusal = await this.#permit(extension, placement, both);
        if (refusal === undefined) continue;
        this.#tell(queued, 'Permit', 'Unschedulable', sinceMs);
        this.#rejected(queued, placement, { by: extension.name, message: refusal, startedMs });
        return false;
      }
      this.#tell(queued, 'Permit', 'Success', sinceMs);
      const preparingMs = clock.monotonic();
      const { schedulerName } = queued.profile;
      const onDevices = (): void => reporter.waitsForDevices(pod.pod, nodeName, schedulerName);
      const options = { ...both, writing: signal, onDevices, written };
      await this.#deps.steps.perform(placement, steps, options);
      for (const extension of extensions) await extension.preBind?.(placement, both);
      both.signal.throwIfAborted();
      this.#tell(queued, 'PreBind', 'Success', preparingMs);
      return true;
    } finally {
      this.#underWay.delete(pod.uid);
    }
  }

  async #permit(
    extension: SchedulerExtension,
    placement: Placement,
    options: { readonly signal: AbortSignal },
  ): Promise<string | undefined> {
    if (extension.permit === undefined) return undefined;
    const { clock, metrics } = this.#deps;
    const sinceMs = clock.monotonic();
    const permission = await extension.permit(placement, options);
    const result = permission.do === 'allow' ? 'Success' : 'Unschedulable';
    metrics.permitWaited(result, (clock.monotonic() - sinceMs) / 1000);
    return permission.do === 'allow' ? undefined : permission.message;
  }

  #reserve(placement: Placement): { readonly by: string; readonly message: string } | undefined {
    for (const extension of this.#deps.extensions) {
      const message = extension.reserve?.(placement);
      if (message !== undefined) return { by: extension.name, message };
    }
    return undefined;
  }

  async #send(placement: Placement, written: Written, signal: AbortSignal): Promise<void> {
    const { pod, nodeName } = placement;
    for (const extension of this.#deps.extensions) {
      if (await extension.bind?.({ pod, nodeName }, { signal })) return;
    }
    for (const extender of this.#deps.extenders) {
      if (!extender.binds || !extender.isInterested(pod.pod)) continue;
      await extender.bind(pod.pod, nodeName, { signal });
      return;
    }
    await this.#post(placement, written.pod, signal);
  }

  /**
   * A pod that names a claim is bound only as long as it names this one: a request that comes too
   * late would otherwise bind it to a node on which it has no devices.
   */
  async #post(
    { pod: { pod, namespace, uid }, nodeName }: Placement,
    naming: Pod | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { client } = this.#deps;
    const { name = '' } = pod.metadata;
    const at = { namespace, name };
    let version = naming?.metadata.resourceVersion;
    for (let attempt = 1; ; attempt++) {
      const seen = version === undefined ? {} : { resourceVersion: version };
      const body: Binding = {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { namespace, name, uid, ...seen },
        target: { apiVersion: 'v1', kind: 'Node', name: nodeName },
      };
      try {
        await client.createSubresource<Pod, Binding, unknown>(pods, at, 'binding', body, {
          signal,
        });
        return;
      } catch (error) {
        const isOld = naming !== undefined && attempt < attemptsMax && isReason(error, 'Conflict');
        if (!isOld) throw error;
        const place = await whereabouts(client, { namespace, name, uid }, { signal });
        if (place.is !== 'unbound' || !namesSameClaim(place.pod, naming)) throw error;
        version = place.pod.metadata.resourceVersion;
      }
    }
  }

  #succeeded(queued: QueuedPod, placement: Placement, startedMs: number): void {
    const { queue, log, reporter, metrics, clock } = this.#deps;
    const { facts, attempts, profile, sinceMs, flushed } = queued;
    queue.remove(facts.uid);
    log.info('pod bound', { pod: facts.key, node: placement.nodeName, attempts });
    reporter.scheduled(facts.pod, placement.nodeName, profile.schedulerName);
    const nowMs = clock.monotonic();
    metrics.attempt('scheduled', profile.schedulerName, (nowMs - startedMs) / 1000);
    metrics.bound(attempts, (nowMs - sinceMs) / 1000, flushed);
    for (const extension of this.#deps.extensions) extension.postBind?.(placement);
    this.#tell(queued, 'PostBind', 'Success', nowMs);
  }

  /** Somebody who was asked does not want the pod there now. */
  #rejected(
    { facts, profile }: QueuedPod,
    placement: Placement,
    refusal: { readonly by: string; readonly message: string; readonly startedMs: number },
  ): void {
    const { queue, reporter, metrics, clock } = this.#deps;
    this.#giveBack(placement);
    this.#tellFree(this.#forget(placement));
    queue.park(facts.uid, new Set([refusal.by, 'Extender']));
    const rejection = { fits: false, reasons: [refusal.message], unresolvable: false } as const;
    const objections = new Map([[placement.nodeName, { plugin: refusal.by, verdict: rejection }]]);
    const message = fitMessage({ nodeCount: 1, objections, narrowedBy: [] }, '');
    reporter.failed(facts.pod, { reason: 'Unschedulable', message }, profile.schedulerName);
    const seconds = (clock.monotonic() - refusal.startedMs) / 1000;
    metrics.attempt('unschedulable', profile.schedulerName, seconds);
  }

  /** The answer itself says it, but for a conflict, a failure of the server, and for silence. */
  async #fateOf(
    { pod: { pod, namespace, uid }, nodeName }: Placement,
    error: unknown,
    { progress, signal }: { readonly progress: Progress; readonly signal: AbortSignal },
  ): Promise<Fate> {
    if (!(error instanceof ApiError || error instanceof Cancelled)) return 'unknown';
    if (!progress.sent) return 'unbound';
    if (isReason(error, 'NotFound')) return 'gone';
    if (!isReason(error, 'Conflict') && !isServersFailure(error)) return 'unbound';
    const { client, log } = this.#deps;
    try {
      const { name = '' } = pod.metadata;
      const place = await whereabouts(client, { namespace, name, uid }, { signal });
      // Where the server has only stopped waiting for itself, the binding may come yet.
      if (place.is === 'unbound' && isReason(error, 'Timeout')) return 'unknown';
      if (place.is !== 'bound') return place.is;
      return place.nodeName === nodeName ? 'bound here' : 'bound elsewhere';
    } catch (failure) {
      signal.throwIfAborted();
      log.warn('pod could not be read', {
        pod: `${namespace}/${pod.metadata.name}`,
        error: failure,
      });
      return 'unknown';
    }
  }

  #failed(
    { facts, profile }: QueuedPod,
    placement: Placement,
    { error, fate, progress }: Failure,
  ): void {
    const { queue, log, reporter, metrics } = this.#deps;
    if (fate === 'bound here') {
      log.info('pod is bound already', { pod: facts.key, node: placement.nodeName });
      // The place is the pod's: the informer will say so.
      queue.remove(facts.uid);
      return;
    }
    log.warn('pod was not bound', { pod: facts.key, fate, error });
    this.#giveBack(placement);
    if (fate !== 'unknown') this.#tellFree(this.#forget(placement));
    if (fate === 'gone' || fate === 'bound elsewhere') {
      queue.remove(facts.uid);
      return;
    }
    // Its deletion was seen meanwhile: there is nobody to tell.
    if (!queue.has(facts.uid)) return;
    queue.backOff(facts.uid);
    metrics.attempt('error', profile.schedulerName, 0);
    // The pod is on its way out: nothing to tell its owner.
    if (progress.sent && isReason(error, 'Conflict')) return;
    const message = messageOf(error);
    reporter.failed(facts.pod, { reason: 'SchedulerError', message }, profile.schedulerName);
  }

  /** What was written for a pod that will not come is taken back. */
  async #undo(
    placement: Placement,
    steps: readonly BindStep[],
    { fate, progress: { written } }: Failure,
    signal: AbortSignal,
  ): Promise<void> {
    if (fate === 'unknown') return;
    const isUnbound = fate === 'unbound' || fate === 'gone';
    // Of a pod that is bound only what was made for it here and what it does not name.
    const mine = steps.filter((one) => isUnbound || (one.do === 'allocateDevices' && one.make));
    if (mine.length === 0) return;
    try {
      await this.#deps.steps.undo(placement, mine, { written, signal });
    } catch (failure) {
      signal.throwIfAborted();
      const { log } = this.#deps;
      log.warn('claims were not given back', { pod: placement.pod.key, error: failure });
    }
  }

  /** Also where an event has ended the assumption: promises last as long as the binding. */
  #forget({ pod: { uid } }: Placement): readonly ClusterChange[] {
    const { cluster } = this.#deps;
    return [...cluster.forget(uid), ...cluster.assumptions.giveBack(uid)];
  }

  #giveBack(placement: Placement): void {
    for (const extension of this.#deps.extensions.toReversed()) extension.unreserve?.(placement);
  }
}

/** Its answer then says nothing about the pod. */
function isServersFailure(error: unknown): boolean {
  return error instanceof ApiError && (error.status.code ?? 500) >= 500;
}

function namesSameClaim({ status }: Pod, other: Pod): boolean {
  const { resourceClaimName } = status?.extendedResourceClaimStatus ?? {};
  return resourceClaimName === other.status?.extendedResourceClaimStatus?.resourceClaimName;
}

/** A pod of higher priority needs the place of one that was not bound yet, or it is deleted. */
class Cancelled extends Error {
  override readonly name = 'Cancelled';
}
