/**
 * When a finished Job is to be deleted. Pure.
 *
 * `ttlSecondsAfterFinished` after its last condition (Complete or Failed) became true; never where
 * that is not set or the Job is ending already. `ttl-after-finished.ts` performs.
 * Example: finished at 12:00:00 with 100 seconds: at 12:01:40.
 */
import type { Job } from '#resources/types/batch-v1.ts';

/** Undefined for a Job that stays. */
export function expiresAtMs(job: Job): number | undefined {
  const { ttlSecondsAfterFinished } = job.spec ?? {};
  if (ttlSecondsAfterFinished === undefined) return undefined;
  if (job.metadata.deletionTimestamp !== undefined) return undefined;
  const last = job.status?.conditions?.find(
    ({ type, status }) => status === 'True' && (type === 'Complete' || type === 'Failed'),
  );
  if (last?.lastTransitionTime === undefined) return undefined;
  return Date.parse(last.lastTransitionTime) + ttlSecondsAfterFinished * 1000;
}
