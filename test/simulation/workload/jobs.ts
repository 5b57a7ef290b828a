/**
 * Jobs: counted, indexed and without a number; with pods that fail, with policies for that and for
 * success, with deadlines and with a time to live; suspended, resumed, widened and deleted in the
 * middle.
 */
import { jobs } from '#resources/kinds.ts';
import type { Job, JobSpec } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { hasEnded, isJobOver } from '../states.ts';
import { Made, type Named } from './made.ts';
import { type Actor, containersOf, type User } from './user.ts';

const namespace = 'jobs';
/** So many are under way when the faults begin. */
const firstJobs = 3;
const steps = ['create', 'create', 'create', 'suspend', 'widen', 'delete'] as const;
/** In the name of what goes by itself. */
const shortLived = 'ttl-job';

export class Jobs implements Actor {
  readonly #user: User;
  readonly #jobs: Made<Job>;
  readonly #suspended = new Set<string>();

  constructor(user: User) {
    this.#user = user;
    const make = (metadata: Named): Job => this.#newJob(metadata);
    this.#jobs = new Made(user, { kind: jobs, namespace, most: 5, stem: 'job', make });
  }

  async begin(signal: AbortSignal): Promise<void> {
    await this.#jobs.begin(signal);
    while (this.#jobs.names.length < firstJobs) await this.#jobs.create(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    const name = this.#jobs.any();
    if (step === 'create' || name === undefined) {
      return this.#jobs.create(signal, user.happens(0.2) ? shortLived : undefined);
    }
    switch (step) {
      case 'suspend': {
        const suspend = !this.#suspended.delete(name);
        if (suspend) this.#suspended.add(name);
        return this.#jobs.patch(name, { spec: { suspend } }, signal);
      }
      case 'widen': {
        const spec = { parallelism: user.between(0, 4) };
        if (spec.parallelism === 0) this.#suspended.add(name);
        return this.#jobs.patch(name, { spec }, signal);
      }
      case 'delete':
        this.#suspended.delete(name);
        return this.#jobs.delete(name, signal, user.choose(['Background', 'Foreground']));
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    for (const name of this.#suspended) {
      await this.#jobs.patch(name, { spec: { suspend: false, parallelism: 2 } }, signal);
    }
    this.#suspended.clear();
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems = this.#jobs
      .missing()
      .filter((text) => !text.includes(shortLived) || !text.endsWith('is lost'));
    for (const job of truth.of<Job>('Job', namespace)) {
      if (job.metadata.deletionTimestamp !== undefined || isJobOver(job)) continue;
      problems.push(`job ${job.metadata.name} is not over: ${JSON.stringify(job.status)}`);
    }
    for (const pod of truth.of<Pod>('Pod', namespace)) {
      const held = pod.metadata.finalizers ?? [];
      if (held.length > 0) problems.push(`pod ${pod.metadata.name} is held by ${held}`);
      if (!hasEnded(pod)) problems.push(`pod ${pod.metadata.name} of a job runs`);
    }
    return problems;
  }

  #newJob(metadata: Named): Job {
    const user = this.#user;
    const suspend = user.happens(0.1);
    if (suspend) this.#suspended.add(metadata.name);
    const annotations = {
      'hollow.coracle.dev/run-seconds': String(user.between(1, user.choose([10, 40, 80]))),
      ...(user.happens(0.2) ? { 'hollow.coracle.dev/exit-code': '1' } : {}),
    };
    const spec = { restartPolicy: 'Never', containers: containersOf('20m') };
    return {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata,
      spec: {
        parallelism: user.between(1, 4),
        backoffLimit: user.between(0, 3),
        ...(suspend ? { suspend } : {}),
        ...completionOf(user),
        ...(user.happens(0.1) ? { activeDeadlineSeconds: user.between(5, 90) } : {}),
        ...(metadata.name.startsWith(shortLived)
          ? { ttlSecondsAfterFinished: user.between(0, 60) }
          : {}),
        ...(user.happens(0.3) ? { podReplacementPolicy: 'Failed' } : {}),
        ...(user.happens(0.2) ? { podReplacementPolicy: 'Failed', ...failurePolicyOf(user) } : {}),
        template: { metadata: { annotations }, spec },
      },
    };
  }
}

/** Without a number, counted, or indexed and then perhaps with indexes that fail or suffice. */
function completionOf(user: User): Partial<JobSpec> {
  const completions = user.choose([undefined, user.between(1, 6), user.between(1, 6)]);
  if (completions === undefined) return {};
  if (!user.happens(0.5)) return { completions };
  const indexed = { completions, completionMode: 'Indexed' };
  const fails = { backoffLimitPerIndex: 1, backoffLimit: 100 };
  const rules = [{ succeededIndexes: '0' }, { succeededCount: 1 }];
  return {
    ...indexed,
    ...user.choose([
      {},
      fails,
      { ...fails, maxFailedIndexes: user.between(0, completions) },
      { successPolicy: { rules: [user.choose(rules)] } },
    ]),
  };
}

/** What a disruption ended is made again; what failed by itself counts, or fails the Job. */
function failurePolicyOf(user: User): Partial<JobSpec> {
  const onExitCodes = { operator: 'In', values: [1] };
  const onPodConditions = [{ type: 'DisruptionTarget', status: 'True' }];
  const rules = [
    { action: 'Ignore', onPodConditions },
    { action: user.choose(['FailJob', 'Count']), onExitCodes },
  ];
  return { podFailurePolicy: { rules } };
}
