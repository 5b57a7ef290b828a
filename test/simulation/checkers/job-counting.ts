/**
 * Each pod of a Job counts exactly once. A finished pod keeps its finalizer until its Job has noted
 * its uid; the uid is noted once; and what has been counted is never more than what has ended.
 */
import { controllerOf } from '#api/object.ts';
import type { Job } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isJobOver } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';
import { type Written, writtenOf } from './written.ts';

const finalizer = 'batch.kubernetes.io/job-tracking';

interface Count {
  readonly succeeded: Set<string>;
  readonly failed: Set<string>;
}

export class JobCounting implements Checker {
  readonly name = 'job counting';
  judged = 0;
  readonly #truth: Truth;
  /** Job → uids noted in its status, ever. */
  readonly #noted = new Map<string, Count>();

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent): string | undefined {
    const job = writtenOf<Job>(event, 'Job');
    if (job !== undefined) return this.#seeJob(job);
    const pod = writtenOf<Pod>(event, 'Pod');
    return pod && this.#seePod(pod);
  }

  #seeJob({ object: job, before }: Written<Job>): string | undefined {
    const { uid = '', name } = job.metadata;
    const noted = this.#noted.get(uid) ?? { succeeded: new Set(), failed: new Set() };
    this.#noted.set(uid, noted);
    for (const sort of ['succeeded', 'failed'] as const) {
      const now = job.status?.uncountedTerminatedPods?.[sort] ?? [];
      const then = before?.status?.uncountedTerminatedPods?.[sort] ?? [];
      for (const pod of now) {
        if (then.includes(pod)) continue;
        this.judged += 1;
        if (noted[sort].has(pod)) return `job ${name} notes pod ${pod} again`;
        noted[sort].add(pod);
      }
      const counted = (job.status?.[sort] ?? 0) + now.length;
      const isIndexed = job.spec?.completionMode === 'Indexed' && sort === 'succeeded';
      if (isIndexed || counted === noted[sort].size) continue;
      return `job ${name} counts ${counted} ${sort}; ${noted[sort].size} were noted`;
    }
    return this.#judgeEnd(job);
  }

  #judgeEnd({ metadata, spec, status }: Job): string | undefined {
    const { conditions = [], succeeded = 0 } = status ?? {};
    const complete = conditions.find(
      ({ type, status: is }) => type === 'Complete' && is === 'True',
    );
    if (complete?.reason !== 'CompletionsReached') return undefined;
    const { completions = 1 } = spec ?? {};
    if (succeeded >= completions) return undefined;
    return `job ${metadata.name} is complete with ${succeeded} of ${completions}`;
  }

  #seePod({ object: pod, before }: Written<Pod>): string | undefined {
    if (!before?.metadata.finalizers?.includes(finalizer)) return undefined;
    if (pod.metadata.finalizers?.includes(finalizer)) return undefined;
    const { phase } = before.status ?? {};
    if (phase !== 'Succeeded' && phase !== 'Failed') return undefined;
    const job = this.#truth.get<Job>('Job', controllerOf(before)?.uid);
    if (job === undefined || isJobOver(job) || isIgnored(job, before)) return undefined;
    const { uid = '', name } = pod.metadata;
    this.judged += 1;
    const { succeeded = [], failed = [] } = job.status?.uncountedTerminatedPods ?? {};
    if (succeeded.includes(uid) || failed.includes(uid)) return undefined;
    if (job.spec?.completionMode === 'Indexed' && phase === 'Succeeded') return undefined;
    return `pod ${name} (${phase}) lost its finalizer before job ${job.metadata.name} counted it`;
  }
}

/** A disruption ended it, and the Job says that such pods do not count. */
function isIgnored({ spec }: Job, { status }: Pod): boolean {
  const ignores = (spec?.podFailurePolicy?.rules ?? []).some(({ action }) => action === 'Ignore');
  return ignores && (status?.conditions ?? []).some(({ type }) => type === 'DisruptionTarget');
}
