/**
 * A CronJob starts each of its times once, however often its controller is killed and its clock
 * jumps; and with the policy Forbid never while one that it started still runs. For the latter,
 * what nobody can know is excused, after uncertain writes.
 */
import { controllerOf } from '#api/object.ts';
import type { CronJob, Job } from '#resources/types/batch-v1.ts';
import { isJobOver } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';
import type { Disturbances } from './disturbances.ts';
import { madeOf } from './written.ts';

const scheduledAt = 'batch.kubernetes.io/cronjob-scheduled-timestamp';
const excuseMs = 20_000;

export class CronStarts implements Checker {
  readonly name = 'cron starts';
  judged = 0;
  readonly #truth: Truth;
  readonly #disturbances: Disturbances;
  readonly #started = new Set<string>();

  constructor(truth: Truth, disturbances: Disturbances) {
    this.#truth = truth;
    this.#disturbances = disturbances;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    const job = madeOf<Job>(event, 'Job');
    const owner = job && controllerOf(job);
    const cron = this.#truth.get<CronJob>('CronJob', owner?.uid);
    if (job === undefined || owner === undefined || cron === undefined) return undefined;
    this.judged += 1;
    const time = job.metadata.annotations?.[scheduledAt] ?? 'no time';
    const start = `${owner.uid} ${time}`;
    if (this.#started.has(start)) return `${owner.name} starts ${time} again`;
    this.#started.add(start);
    if (cron.spec?.concurrencyPolicy !== 'Forbid') return undefined;
    if (!this.#disturbances.quietOf('controllers', excuseMs, nowMs)) return undefined;
    for (const other of this.#truth.ownedBy<Job>('Job', owner.uid)) {
      if (other.metadata.uid === job.metadata.uid || isJobOver(other)) continue;
      return `${owner.name} starts ${job.metadata.name} while ${other.metadata.name} runs`;
    }
    return undefined;
  }
}
