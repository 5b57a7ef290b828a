/**
 * Jobs: pods that run until so many have succeeded. Gathers the facts, asks `plan.ts` and
 * `counting.ts`, and performs.
 *
 * A turn makes or deletes pods, writes what ended into the status, takes the finalizers of the
 * counted pods off, and writes the counters. It begins only with a Job at least as new as the one
 * written last: from an older status, pods whose finalizer is gone would be missing from every
 * count. Pods whose Job is gone or over lose their finalizer under a key of their own.
 * `ttl-after-finished` is what deletes Jobs in the end.
 */
import { controllerOf, objectKey } from '#api/object.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { Informer, Recorder } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import { jobs as jobKind, pods as podKind } from '#resources/kinds.ts';
import type { Job, JobStatus } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { OwnWrites } from '../own-writes.ts';
import { Owned } from '../owned.ts';
import { watchOwnedPods } from '../owned-pods.ts';
import { controllerIndex, ownerIn } from '../ownership.ts';
import { PodRequests } from '../pod-requests.ts';
import { isReady } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import { type Backoff, noBackoff } from './backoff.ts';
import { type Outcome, planCounting, settle, stillTracked } from './counting.ts';
import { factsOf, type JobFacts } from './facts.ts';
import { noteCreations, notePod, noteStatus, noteSync } from './job-figures.ts';
import {
  completionOf,
  type Ending,
  isSuspended,
  type JobPlan,
  planJob,
  trueCondition,
} from './plan.ts';
import { isTracked, trackingFinalizer } from './pod-facts.ts';
import { podOf } from './pod-template.ts';
import { Untracking } from './untracking.ts';

const ownName = 'kubernetes.io/job-controller';
const orphanPrefix = 'pod ';

export function openJobController(deps: ControllerDeps): Controller {
  const controller = new JobController(deps);
  return {
    name: 'job-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options.signal),
    workers: 5,
    sources: [controller.jobs, controller.pods],
  };
}

class JobController {
  readonly queue: WorkQueue;
  readonly jobs: Informer<Job>;
  readonly pods: Informer<Pod>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  readonly #requests: PodRequests;
  readonly #untracking: Untracking;
  readonly #owned: Owned<Job, Pod>;
  readonly #backoffs = new Map<string, Backoff>();
  /** What was written last: no turn begins with an older object. */
  readonly #written = new OwnWrites();

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('job-controller');
    this.#requests = new PodRequests({ ...deps, recorder: this.#recorder });
    this.#untracking = new Untracking(deps.client);
    this.queue = new WorkQueue(deps);
    this.jobs = deps.informers.of(jobKind);
    this.pods = deps.informers.of(podKind);
    const { jobs, pods, queue } = this;
    this.#owned = new Owned(deps.client, {
      kinds: { owner: jobKind, object: podKind },
      owners: jobs,
      objects: pods,
      matches: ({ spec }, { metadata }) => labelSelectorMatches(spec?.selector, metadata.labels),
    });
    const { expectations } = this.#requests;
    watchOwnedPods({ owners: jobs, pods, owned: this.#owned, queue, expectations });
    jobs.addHandler({
      onAdd: (job) => {
        const external = 'job_controller_jobs_by_external_controller_total';
        if (!isManagedHere(job)) deps.figures.count(external, [job.spec?.managedBy ?? '']);
      },
      onDelete: (job) => this.#gone(job),
    });
    pods.addHandler({
      onAdd: (pod) => {
        notePod(deps.figures, undefined, pod);
        this.#wakeOrphan(pod);
      },
      onUpdate: (pod, old) => {
        notePod(deps.figures, old, pod);
        this.#untracking.saw(pod);
        this.#wakeOrphan(pod);
      },
      onDelete: (pod) => {
        notePod(deps.figures, pod, undefined);
        this.#untracking.sawGone(pod);
      },
    });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<void> {
    if (key.startsWith(orphanPrefix)) {
      await this.#releaseOrphan(key.slice(orphanPrefix.length), signal);
      return;
    }
    const job = this.jobs.get(key);
    if (job === undefined || !isManagedHere(job) || this.#written.isStale(job)) return;
    if (isOver(job)) {
      this.#backoffs.delete(key);
      this.#letGo(job);
      return;
    }
    // Asked before the pods are gathered: what is seen in between is in the cache already.
    const fromMs = this.#deps.clock.monotonic();
    const mayAct = this.#requests.expectations.areMet(key);
    // A copy of the same moment as the pods: one whose finalizer is seen to go meanwhile is in
    // these pods still with it, and would be counted again.
    const removing = new Set(this.#untracking.removing);
    const pods = await this.#owned.claim(job, { signal, finalizer: trackingFinalizer });
    const backoff = this.#backoffs.get(key) ?? noBackoff;
    const facts = factsOf({ job, pods, removing, backoff });
    const { clock, figures } = this.#deps;
    const plan = planJob(facts, mayAct, clock.now());
    let isDone = false;
    try {
      const { outcome, error } = await this.#act(key, facts, plan, mayAct, signal);
      await this.#count(key, facts, outcome, signal);
      if (plan.againAtMs !== undefined) this.queue.addAfter(key, plan.againAtMs - clock.now());
      if (error !== undefined) throw error;
      isDone = true;
    } finally {
      const seconds = (clock.monotonic() - fromMs) / 1000;
      noteSync(figures, job, { plan: mayAct ? plan : undefined, isDone, seconds });
    }
  }

  async #act(
    key: string,
    facts: JobFacts,
    plan: JobPlan,
    mayAct: boolean,
    signal: AbortSignal,
  ): Promise<{ readonly outcome: Outcome; readonly error: unknown }> {
    const { job } = facts;
    // Pods that are too many have not failed: untracked, they are never counted. Those that end
    // with their Job are.
    const { remove, kept } =
      plan.ending === undefined
        ? await this.#untrackAll(plan.remove, signal)
        : { remove: plan.remove, kept: [] };
    // What must go, goes first: the next turn sees what is left to make.
    const changes =
      plan.remove.length > 0 ? { remove } : { create: plan.create.map((one) => podOf(job, one)) };
    const { created, removed, failed } = await this.#requests.perform(key, job, changes, signal);
    const wanted = changes.create?.length ?? 0;
    if (wanted > 0) noteCreations(this.#deps.figures, facts, { wanted, created });
    const active = facts.active.length + created - removed.length;
    const counts = {
      active,
      ready: facts.ready - removed.filter(isReady).length,
      terminating: facts.terminating + removed.length,
    };
    const managed = mayAct && job.metadata.deletionTimestamp === undefined;
    let ending: Ending | undefined = plan.ending;
    if (ending === undefined) ending = completionOf(facts, active);
    // There may be pods that the cache does not show yet, or that could not be deleted.
    else if (!mayAct || active > 0) ending = undefined;
    return { outcome: { ...counts, ending, managed }, error: kept[0] ?? failed?.error };
  }

  /** `kept`: why some could not be; they must not be deleted then. */
  async #untrackAll(
    pods: readonly Pod[],
    signal: AbortSignal,
  ): Promise<{ readonly remove: readonly Pod[]; readonly kept: readonly unknown[] }> {
    const untracking = pods.map((pod) =>
      isTracked(pod) ? this.#untracking.untrack(pod, { signal, asSeen: true }) : undefined,
    );
    const results = await Promise.allSettled(untracking);
    signal.throwIfAborted();
    return {
      remove: pods.filter((_, index) => results[index]?.status === 'fulfilled'),
      kept: results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : [])),
    };
  }

  async #count(key: string, facts: JobFacts, outcome: Outcome, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const { job } = facts;
    const { status, release, more } = planCounting(facts, outcome, clock.now());
    const noted = await this.#writeStatus(job, status, signal);
    this.#backoffs.set(key, facts.backoff);
    const results = await Promise.allSettled(
      release.map((pod) => this.#untracking.untrack(pod, { signal })),
    );
    const left = new Set(stillTracked(facts));
    for (const [index, pod] of release.entries()) {
      if (results[index]?.status === 'fulfilled') left.delete(pod.metadata.uid ?? '');
    }
    const settled = settle(noted.status ?? {}, left, outcome.ending, clock.now());
    await this.#writeStatus(noted, settled, signal);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    if (more) this.queue.add(key);
  }

  /** Gives the Job as the server has it; writes nothing where nothing changes. */
  async #writeStatus(job: Job, status: JobStatus, signal: AbortSignal): Promise<Job> {
    if (isSameStatus(status, job.status ?? {})) return job;
    const options = { subresource: 'status', signal };
    const next = { ...job, status: withoutZeros(status) };
    const written = await this.#deps.client.update(jobKind, next, options);
    this.#written.note(written);
    this.#announce(job, written);
    noteStatus(this.#deps.figures, job, written);
    return written;
  }

  #announce(before: Job, after: Job): void {
    const isNew = (type: string): boolean =>
      trueCondition(after, type) !== undefined && trueCondition(before, type) === undefined;
    const say = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
      this.#recorder.record(after, { type, reason, message });
    if (isNew('Suspended')) say('Normal', 'Suspended', 'Job suspended');
    if (trueCondition(before, 'Suspended') !== undefined && !isSuspended(after)) {
      if (trueCondition(after, 'Suspended') === undefined) say('Normal', 'Resumed', 'Job resumed');
    }
    if (isNew('Complete')) say('Normal', 'Completed', 'Job completed');
    if (isNew('Failed')) {
      const { reason = '', message = '' } = trueCondition(after, 'Failed') ?? {};
      say('Warning', reason, message);
    }
  }

  /** Its Job is gone or over, so nobody will count it. */
  async #releaseOrphan(key: string, signal: AbortSignal): Promise<void> {
    const pod = this.pods.get(key);
    if (pod === undefined || !isTracked(pod)) return;
    const job = ownerIn(this.jobs, jobKind, pod);
    if (job !== undefined && !(isOver(job) && isManagedHere(job))) return;
    if (job === undefined && (await this.#ownerLives(pod, signal))) return;
    await this.#untracking.untrack(pod, { signal });
  }

  /** The cache may not have it yet. */
  async #ownerLives(pod: Pod, signal: AbortSignal): Promise<boolean> {
    const owner = controllerOf(pod);
    if (owner?.kind !== jobKind.kind) return false;
    const at = { namespace: pod.metadata.namespace, name: owner.name };
    const live = await this.#deps.client.get(jobKind, at, { signal }).catch(ignoreNotFound);
    return live?.metadata.uid === owner.uid;
  }

  #podsOf(job: Job): Iterable<Pod> {
    return this.pods.byIndex(controllerIndex, job.metadata.uid ?? '');
  }

  #gone(job: Job): void {
    const key = objectKey(job);
    this.#backoffs.delete(key);
    this.#written.forget(job);
    this.#letGo(job);
  }

  #letGo(job: Job): void {
    for (const pod of this.#podsOf(job)) this.#queueOrphan(pod);
  }

  #wakeOrphan(pod: Pod): void {
    if (this.#owned.ownerOf(pod) === undefined) this.#queueOrphan(pod);
  }

  #queueOrphan(pod: Pod): void {
    if (isTracked(pod)) this.queue.add(orphanPrefix + objectKey(pod));
  }
}

/** Another program says by `managedBy` that it looks after this Job. */
function isManagedHere(job: Job): boolean {
  return (job.spec?.managedBy ?? ownName) === ownName;
}

function isOver(job: Job): boolean {
  return trueCondition(job, 'Complete') !== undefined || trueCondition(job, 'Failed') !== undefined;
}

/** As upstream writes them; `ready` and `terminating` are there even so. */
function withoutZeros(status: JobStatus): JobStatus {
  const { active, succeeded, failed } = status;
  return {
    ...status,
    active: active || undefined,
    succeeded: succeeded || undefined,
    failed: failed || undefined,
  };
}

/** Zero and absent are the same counter; no uids are no list. */
function isSameStatus(a: JobStatus, b: JobStatus): boolean {
  const counted = (status: JobStatus): JobStatus => ({
    ...status,
    active: status.active ?? 0,
    succeeded: status.succeeded ?? 0,
    failed: status.failed ?? 0,
  });
  return isSameValue(counted(a), counted(b));
}
