/**
 * CronJobs: Jobs by the clock. Gathers the facts, asks `plan.ts`, and performs.
 *
 * A turn removes finished Jobs beyond the limits, ends those to be replaced, starts the one that is
 * due, and writes the status. It begins only with a CronJob at least as new as the one written
 * last, or a Job just started would look like a stranger's. The Jobs run by `job/job.ts`.
 */
import { isReason } from '#api/errors.ts';
import { controllerOf, objectKey } from '#api/object.ts';
import type { Informer, Recorder } from '#client';
import { formatTime } from '#kit/clock.ts';
import { parseCron } from '#kit/cron.ts';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { cronJobs as cronJobKind, jobs as jobKind } from '#resources/kinds.ts';
import type { CronJob, CronJobStatus, Job } from '#resources/types/batch-v1.ts';
import type { ObjectReference } from '#resources/types/core-v1.ts';
import { ignoreNotFound, isNamespaceEnding } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { OwnWrites } from '../own-writes.ts';
import { controllerIndex, controllerIndexValues, ownerIn } from '../ownership.ts';
import { updateStatus } from '../status-update.ts';
import { jobOf } from './job-template.ts';
import { type CronJobPlan, planCronJob } from './plan.ts';
import { nextLookMs } from './schedule.ts';

export function openCronJobController(deps: ControllerDeps): Controller {
  const controller = new CronJobController(deps);
  return {
    name: 'cronjob-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options.signal),
    workers: 5,
    sources: [controller.cronJobs, controller.jobs],
  };
}

class CronJobController {
  readonly queue: WorkQueue;
  readonly cronJobs: Informer<CronJob>;
  readonly jobs: Informer<Job>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  /** What was written last: no turn begins with an older object. */
  readonly #written = new OwnWrites();

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('cronjob-controller');
    this.queue = new WorkQueue(deps);
    this.cronJobs = deps.informers.of(cronJobKind);
    this.jobs = deps.informers.of(jobKind);
    this.jobs.addIndex(controllerIndex, controllerIndexValues);
    this.cronJobs.addHandler({
      onAdd: (cronJob) => this.queue.add(objectKey(cronJob)),
      onUpdate: (cronJob, old) => this.#updated(cronJob, old),
      onDelete: (cronJob) => {
        this.#written.forget(cronJob);
      },
    });
    this.jobs.addHandler({
      onAdd: (job) => this.#wake(job),
      onUpdate: (job, old) => {
        if (controllerOf(old)?.uid !== controllerOf(job)?.uid) this.#wake(old);
        this.#wake(job);
      },
      onDelete: (job) => this.#wake(job),
    });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<void> {
    const cronJob = this.cronJobs.get(key);
    if (cronJob === undefined || this.#written.isStale(cronJob)) return;
    const jobs = [...this.jobs.byIndex(controllerIndex, cronJob.metadata.uid ?? '')];
    const missing = await this.#missing(cronJob, jobs, signal);
    const now = this.#deps.clock.now();
    const plan = planCronJob({ cronJob, jobs, missing }, now);
    for (const note of plan.notes) this.#recorder.record(cronJob, note);
    for (const job of plan.remove) await this.#delete(cronJob, job, signal);
    const { status, error } = await this.#start(cronJob, plan, signal);
    await this.#writeStatus(cronJob, status, signal);
    if (plan.againAtMs !== undefined) this.queue.addAfter(key, plan.againAtMs - now);
    if (error !== undefined) throw error;
  }

  /** Uids of active Jobs that neither the cache nor the server knows. */
  async #missing(
    cronJob: CronJob,
    jobs: readonly Job[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    const known = new Set(jobs.map(({ metadata }) => metadata.uid));
    const missing = new Set<string>();
    for (const { uid = '', name = '', namespace } of cronJob.status?.active ?? []) {
      if (known.has(uid)) continue;
      const at = { namespace, name };
      const found = await this.#deps.client.get(jobKind, at, { signal }).catch(ignoreNotFound);
      if (found?.metadata.uid !== uid) missing.add(uid);
    }
    return missing;
  }

  /** Gives the status afterwards, and what stood in the way. */
  async #start(
    cronJob: CronJob,
    plan: CronJobPlan,
    signal: AbortSignal,
  ): Promise<{ readonly status: CronJobStatus; readonly error?: unknown }> {
    let { status } = plan;
    if (plan.startAtMs === undefined) return { status };
    try {
      for (const reference of plan.replace) {
        const job = await this.#find(cronJob, reference, signal);
        await this.#delete(cronJob, job, signal);
        const active = status.active?.filter(({ uid }) => uid !== reference.uid);
        status = { ...status, active };
      }
      const job = await this.#create(cronJob, plan.startAtMs, signal);
      if (job === undefined || status.active?.some(({ uid }) => uid === job.metadata.uid)) {
        return { status };
      }
      const active = [...(status.active ?? []), referenceTo(job)];
      return { status: { ...status, active, lastScheduleTime: formatTime(plan.startAtMs) } };
    } catch (error) {
      signal.throwIfAborted();
      return isNamespaceEnding(error) ? { status } : { status, error };
    }
  }

  async #find(cronJob: CronJob, { namespace, name = '' }: ObjectReference, signal: AbortSignal) {
    try {
      return await this.#deps.client.get(jobKind, { namespace, name }, { signal });
    } catch (error) {
      if (!signal.aborted) this.#warn(cronJob, 'FailedGet', `Get job: ${messageOf(error)}`);
      throw error;
    }
  }

  /** Undefined where somebody else's Job has the name. */
  async #create(cronJob: CronJob, atMs: number, signal: AbortSignal): Promise<Job | undefined> {
    const { client } = this.#deps;
    const wanted = jobOf(cronJob, atMs);
    try {
      const job = await client.create(jobKind, wanted, { signal });
      const { creationTimestamp = '' } = job.metadata;
      const skewSeconds = Math.max(0, (Date.parse(creationTimestamp) - atMs) / 1000);
      const skew = 'cronjob_controller_job_creation_skew_duration_seconds';
      this.#deps.figures.observe(skew, [], skewSeconds);
      const message = `Created job ${job.metadata.name}`;
      this.#recorder.record(cronJob, { type: 'Normal', reason: 'SuccessfulCreate', message });
      return job;
    } catch (error) {
      if (isReason(error, 'AlreadyExists')) {
        const { namespace, name = '' } = wanted.metadata;
        const found = await client.get(jobKind, { namespace, name }, { signal });
        return controllerOf(found)?.uid === cronJob.metadata.uid ? found : undefined;
      }
      if (!signal.aborted && !isNamespaceEnding(error)) {
        this.#warn(cronJob, 'FailedCreate', `Error creating job: ${messageOf(error)}`);
      }
      throw error;
    }
  }

  async #delete(cronJob: CronJob, job: Job, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid = '' } = job.metadata;
    const options = { propagationPolicy: 'Background', preconditions: { uid }, signal } as const;
    try {
      await this.#deps.client.delete(jobKind, { namespace, name }, options);
      const message = `Deleted job ${name}`;
      this.#recorder.record(cronJob, { type: 'Normal', reason: 'SuccessfulDelete', message });
    } catch (error) {
      if (isReason(error, 'NotFound')) return;
      if (!signal.aborted) this.#warn(cronJob, 'FailedDelete', `Deleted job: ${messageOf(error)}`);
      throw error;
    }
  }

  #warn(cronJob: CronJob, reason: string, message: string): void {
    this.#recorder.record(cronJob, { type: 'Warning', reason, message });
  }

  async #writeStatus(cronJob: CronJob, status: CronJobStatus, signal: AbortSignal): Promise<void> {
    const change = { before: cronJob, after: { ...cronJob, status } };
    const written = await updateStatus(this.#deps.client, cronJobKind, change, { signal });
    if (written !== undefined) this.#written.note(written);
  }

  /** A changed schedule does not start what its times before now would have been. */
  #updated(cronJob: CronJob, old: CronJob): void {
    const { schedule = '', timeZone } = cronJob.spec ?? {};
    const isSame = schedule === old.spec?.schedule && timeZone === old.spec.timeZone;
    const parsed = isSame ? undefined : parseCron(schedule, timeZone);
    if (parsed?.ok !== true) {
      this.queue.add(objectKey(cronJob));
      return;
    }
    const now = this.#deps.clock.now();
    this.queue.addAfter(objectKey(cronJob), nextLookMs(cronJob, parsed.cron, now) - now);
  }

  #wake(job: Job): void {
    const cronJob = ownerIn(this.cronJobs, cronJobKind, job);
    if (cronJob !== undefined) this.queue.add(objectKey(cronJob));
  }
}

function referenceTo({ apiVersion, kind, metadata }: Job): ObjectReference {
  const { namespace, name, uid, resourceVersion } = metadata;
  return { apiVersion, kind, namespace, name, uid, resourceVersion };
}
