/**
 * What is counted of Jobs: looks at them, pods made and counted, indexes and Jobs that are done.
 *
 * `job.ts` tells what it did; the names and what they mean are upstream's.
 */
import type { Job } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Figures } from '../figures.ts';
import { isTerminated } from '../pod-state.ts';
import type { JobFacts } from './facts.ts';
import { parseIndexes } from './index-set.ts';
import { type JobPlan, trueCondition } from './plan.ts';
import { isTracked } from './pod-facts.ts';

function modeOf({ spec }: Job): 'Indexed' | 'NonIndexed' {
  return spec?.completionMode === 'Indexed' ? 'Indexed' : 'NonIndexed';
}

/** One look at a Job. */
export function noteSync(
  figures: Figures,
  job: Job,
  look: { readonly plan: JobPlan | undefined; readonly isDone: boolean; readonly seconds: number },
): void {
  const { plan, isDone, seconds } = look;
  const did = plan === undefined ? 'reconciling' : actionOf(plan);
  const labels = [modeOf(job), isDone ? 'success' : 'error', did];
  figures.count('job_controller_job_syncs_total', labels);
  figures.observe('job_controller_job_sync_duration_seconds', labels, seconds);
}

function actionOf({ remove, create }: JobPlan): string {
  if (remove.length > 0) return 'pods_deleted';
  return create.length > 0 ? 'pods_created' : 'tracking';
}

/** Pods that were to be made, and how many of them were. */
export function noteCreations(
  figures: Figures,
  { job, failed, terminating }: JobFacts,
  pods: { readonly wanted: number; readonly created: number },
): void {
  const isAfterFailure = job.spec?.podReplacementPolicy === 'Failed' && failed > 0;
  const isAgain = failed > 0 || terminating > 0;
  const again = isAgain ? 'recreate_terminating_or_failed' : 'new';
  const reason = isAfterFailure ? 'recreate_failed' : again;
  const name = 'job_controller_job_pods_creation_total';
  const { wanted, created } = pods;
  if (created > 0) figures.count(name, [reason, 'succeeded'], created);
  if (wanted > created) figures.count(name, [reason, 'failed'], wanted - created);
}

/** What a written status says that the one before did not. */
export function noteStatus(figures: Figures, before: Job, after: Job): void {
  const mode = modeOf(after);
  for (const [type, result] of [
    ['Complete', 'succeeded'] as const,
    ['Failed', 'failed'] as const,
  ]) {
    const condition = trueCondition(after, type);
    if (condition === undefined || trueCondition(before, type) !== undefined) continue;
    figures.count('job_controller_jobs_finished_total', [mode, result, condition.reason ?? '']);
  }
  const [old, now] = [before.status ?? {}, after.status ?? {}];
  const finished = 'job_controller_job_pods_finished_total';
  let succeeded = (now.succeeded ?? 0) - (old.succeeded ?? 0);
  if (mode === 'Indexed') {
    const { completions = 0, backoffLimitPerIndex } = after.spec ?? {};
    const more = (a: string | undefined, b: string | undefined): number =>
      Math.max(0, parseIndexes(b, completions).size - parseIndexes(a, completions).size);
    succeeded = more(old.completedIndexes, now.completedIndexes);
    const limit = backoffLimitPerIndex === undefined ? 'global' : 'perIndex';
    const indexes = 'job_controller_job_finished_indexes_total';
    figures.count(indexes, ['succeeded', limit], succeeded);
    const failed = more(old.failedIndexes, now.failedIndexes);
    if (failed > 0) figures.count(indexes, ['failed', limit], failed);
  }
  figures.count(finished, [mode, 'succeeded'], Math.max(0, succeeded));
  figures.count(finished, [mode, 'failed'], Math.max(0, (now.failed ?? 0) - (old.failed ?? 0)));
}

/** A pod that ended with the finalizer, or has lost it since; undefined: it is not there. */
export function notePod(figures: Figures, before: Pod | undefined, after: Pod | undefined): void {
  const waits = (pod: Pod | undefined): boolean =>
    pod !== undefined && isTerminated(pod) && isTracked(pod);
  if (waits(before) === waits(after)) return;
  const event = waits(after) ? 'add' : 'delete';
  figures.count('job_controller_terminated_pods_tracking_finalizer_total', [event]);
}
