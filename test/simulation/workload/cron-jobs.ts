/**
 * CronJobs that start every minute or two, under each concurrency policy and in several time zones,
 * suspended and resumed, while clocks jump and the controllers are away at the very minute.
 */
import { cronJobs } from '#resources/kinds.ts';
import type { CronJob } from '#resources/types/batch-v1.ts';
import { Made, type Named } from './made.ts';
import { type Actor, containersOf, type User } from './user.ts';

const namespace = 'crons';
const steps = ['create', 'suspend', 'resume', 'reschedule', 'delete'] as const;
const schedules = ['* * * * *', '*/2 * * * *', '@every 90s'] as const;

export class CronJobs implements Actor {
  readonly #user: User;
  readonly #crons: Made<CronJob>;

  constructor(user: User) {
    this.#user = user;
    const make = (metadata: Named): CronJob => newCron(metadata, user);
    this.#crons = new Made(user, { kind: cronJobs, namespace, most: 2, stem: 'cron', make });
  }

  begin(signal: AbortSignal): Promise<void> {
    return this.#crons.begin(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const step = this.#user.choose(steps);
    const name = this.#crons.any();
    if (step === 'create' || name === undefined) return this.#crons.create(signal);
    switch (step) {
      case 'suspend':
      case 'resume':
        return this.#crons.patch(name, { spec: { suspend: step === 'suspend' } }, signal);
      case 'reschedule': {
        const schedule = this.#user.choose(schedules);
        return this.#crons.patch(name, { spec: { schedule } }, signal);
      }
      case 'delete':
        return this.#crons.delete(name, signal);
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    for (const name of this.#crons.names) {
      await this.#crons.patch(name, { spec: { suspend: true } }, signal);
    }
  }

  /** Suspended in the end, so what has been started has to be over and written down. */
  missing(): readonly string[] {
    const problems = [...this.#crons.missing()];
    for (const { metadata, spec, status } of this.#user.truth.of<CronJob>('CronJob', namespace)) {
      if (!spec?.suspend) continue;
      const active = status?.active ?? [];
      if (active.length > 0) problems.push(`cron job ${metadata.name} has ${active.length} jobs`);
    }
    return problems;
  }
}

function newCron(metadata: Named, user: User): CronJob {
  const annotations = { 'hollow.coracle.dev/run-seconds': String(user.between(1, 100)) };
  const pod = { restartPolicy: 'Never', containers: containersOf('20m') };
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata,
    spec: {
      schedule: user.choose(schedules),
      timeZone: user.choose([undefined, 'Europe/Berlin', 'Asia/Kathmandu']),
      concurrencyPolicy: user.choose(['Allow', 'Forbid', 'Forbid', 'Replace']),
      startingDeadlineSeconds: 100,
      successfulJobsHistoryLimit: user.between(0, 3),
      failedJobsHistoryLimit: user.between(0, 2),
      jobTemplate: { spec: { template: { metadata: { annotations }, spec: pod } } },
    },
  };
}
