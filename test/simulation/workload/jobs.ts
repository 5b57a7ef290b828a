/**
 * Jobs: counted, indexed and without a number; with pods that fail, with deadlines and with a time
 * to live; suspended, resumed, widened and deleted in the middle.
 */
import { jobs } from '#resources/kinds.ts';
import type { Job } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { type Actor, containersOf, type User } from './user.ts';

const namespace = 'jobs';
const jobsMax = 5;
const steps = ['create', 'create', 'create', 'suspend', 'widen', 'delete'] as const;

export class Jobs implements Actor {
  readonly #user: User;
  readonly #names: string[] = [];
  readonly #suspended = new Set<string>();

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
    if (step === 'create') {
      if (this.#names.length < jobsMax) await this.#create(signal);
      return;
    }
    if (this.#names.length === 0) return;
    const name = user.choose(this.#names);
    switch (step) {
      case 'suspend': {
        const suspend = !this.#suspended.delete(name);
        if (suspend) this.#suspended.add(name);
        return this.#user.patch(jobs, { namespace, name }, { spec: { suspend } }, { signal });
      }
      case 'widen': {
        const spec = { parallelism: user.between(0, 4) };
        await this.#user.patch(jobs, { namespace, name }, { spec }, { signal });
        if (spec.parallelism === 0) this.#suspended.add(name);
        return;
      }
      case 'delete': {
        this.#names.splice(this.#names.indexOf(name), 1);
        this.#suspended.delete(name);
        const propagationPolicy = user.choose(['Background', 'Foreground'] as const);
        await this.#user.delete(jobs, { namespace, name }, { propagationPolicy, signal });
        return;
      }
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    for (const name of this.#suspended) {
      const spec = { suspend: false, parallelism: 2 };
      await this.#user.patch(jobs, { namespace, name }, { spec }, { signal });
    }
    this.#suspended.clear();
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    for (const job of truth.of<Job>('Job', namespace)) {
      const { name = '', deletionTimestamp } = job.metadata;
      if (!this.#names.includes(name)) problems.push(`job ${name} is not gone`);
      else if (deletionTimestamp === undefined && !isOver(job)) {
        problems.push(`job ${name} is not over: ${JSON.stringify(job.status)}`);
      }
    }
    for (const name of this.#names) {
      if (truth.find<Job>('Job', name, namespace) !== undefined) continue;
      if (!name.includes('ttl')) problems.push(`job ${name} is lost`);
    }
    for (const pod of truth.of<Pod>('Pod', namespace)) {
      const held = pod.metadata.finalizers ?? [];
      if (held.length > 0) problems.push(`pod ${pod.metadata.name} is held by ${held}`);
      const isActive = pod.status?.phase === 'Running' || pod.status?.phase === 'Pending';
      if (isActive) problems.push(`pod ${pod.metadata.name} of a job runs`);
    }
    return problems;
  }

  async #create(signal: AbortSignal): Promise<void> {
    const ttl = this.#user.happens(0.2);
    const name = this.#user.nextName(ttl ? 'ttl-job' : 'job');
    await this.#user.create(jobs, newJob(name, ttl, this.#user), signal);
    this.#names.push(name);
  }
}

function isOver({ status }: Job): boolean {
  return (status?.conditions ?? []).some(
    (one) => (one.type === 'Complete' || one.type === 'Failed') && one.status === 'True',
  );
}

function newJob(name: string, ttl: boolean, user: User): Job {
  const completions = user.choose([undefined, user.between(1, 6), user.between(1, 6)]);
  const indexed = completions !== undefined && user.happens(0.4);
  const annotations = {
    'hollow.coracle.dev/run-seconds': String(user.between(1, 40)),
    ...(user.happens(0.2) ? { 'hollow.coracle.dev/exit-code': '1' } : {}),
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace },
    spec: {
      parallelism: user.between(1, 4),
      backoffLimit: user.between(0, 3),
      ...(completions === undefined ? {} : { completions }),
      ...(indexed ? { completionMode: 'Indexed' } : {}),
      ...(indexed && user.happens(0.3) ? { backoffLimitPerIndex: 1, backoffLimit: 100 } : {}),
      ...(user.happens(0.1) ? { activeDeadlineSeconds: user.between(5, 90) } : {}),
      ...(ttl ? { ttlSecondsAfterFinished: user.between(0, 60) } : {}),
      ...(user.happens(0.3) ? { podReplacementPolicy: 'Failed' } : {}),
      template: {
        metadata: { annotations },
        spec: { restartPolicy: 'Never', containers: containersOf('20m') },
      },
    },
  };
}
