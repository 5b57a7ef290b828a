/**
 * CronJobs that start every minute or two, under each concurrency policy, suspended and resumed,
 * while clocks jump and the controllers are away at the very minute.
 */
import { cronJobs } from '#resources/kinds.ts';
import type { CronJob, Job } from '#resources/types/batch-v1.ts';
import { type Actor, containersOf, type User } from './user.ts';

const namespace = 'crons';
const cronsMax = 2;
const steps = ['create', 'suspend', 'resume', 'delete'] as const;

export class CronJobs implements Actor {
  readonly #user: User;
  readonly #names: string[] = [];

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    await this.#user.createNamespace(namespace, signal);
    await this.#create(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    if (step === 'create' || this.#names.length === 0) {
      if (this.#names.length < cronsMax) await this.#create(signal);
      return;
    }
    const at = { namespace, name: user.choose(this.#names) };
    switch (step) {
      case 'suspend':
      case 'resume':
        return this.#suspend(at.name, step === 'suspend', signal);
      case 'delete':
        this.#names.splice(this.#names.indexOf(at.name), 1);
        await user.delete(cronJobs, at, { propagationPolicy: 'Background', signal });
        return;
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    for (const name of this.#names) await this.#suspend(name, true, signal);
  }

  /** Suspended in the end, so what has been started has to be over and written down. */
  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    for (const { metadata, spec, status } of truth.of<CronJob>('CronJob', namespace)) {
      const { name = '' } = metadata;
      if (!this.#names.includes(name)) problems.push(`cron job ${name} is not gone`);
      if (!spec?.suspend) continue;
      const active = status?.active ?? [];
      if (active.length > 0) problems.push(`cron job ${name} has ${active.length} active jobs`);
    }
    return problems;
  }

  async #suspend(name: string, suspend: boolean, signal: AbortSignal): Promise<void> {
    const patch = { spec: { suspend } };
    await this.#user.patch(cronJobs, { namespace, name }, patch, { signal });
  }

  async #create(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const name = user.nextName('cron');
    const annotations = { 'hollow.coracle.dev/run-seconds': String(user.between(1, 100)) };
    const pod = { restartPolicy: 'Never', containers: containersOf('20m') };
    const made: CronJob = {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name, namespace },
      spec: {
        schedule: user.choose(['* * * * *', '*/2 * * * *']),
        concurrencyPolicy: user.choose(['Allow', 'Forbid', 'Forbid', 'Replace']),
        startingDeadlineSeconds: 100,
        jobTemplate: { spec: { template: { metadata: { annotations }, spec: pod } } },
      },
    };
    await user.create(cronJobs, made, signal);
    this.#names.push(name);
  }
}

/** Whether a Job has ended, one way or the other. */
export function isJobOver({ status }: Job): boolean {
  return (status?.conditions ?? []).some(
    (one) => (one.type === 'Complete' || one.type === 'Failed') && one.status === 'True',
  );
}
