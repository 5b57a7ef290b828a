/**
 * The Job that a CronJob starts: its template, under the name of the start, with the time that it
 * was meant for. Pure.
 */
import { formatTime } from '#kit/clock.ts';
import { cronJobs as cronJobKind } from '#resources/kinds.ts';
import type { CronJob, Job } from '#resources/types/batch-v1.ts';
import { controllerReference } from '../ownership.ts';
import { jobName } from './plan.ts';

const scheduledAnnotation = 'batch.kubernetes.io/cronjob-scheduled-timestamp';

export function jobOf(cronJob: CronJob, atMs: number): Job {
  const { spec, metadata } = cronJob.spec?.jobTemplate ?? {};
  const scheduled = timeInZone(atMs, cronJob.spec?.timeZone);
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      namespace: cronJob.metadata.namespace,
      name: jobName(cronJob, atMs),
      labels: metadata?.labels,
      annotations: { ...metadata?.annotations, [scheduledAnnotation]: scheduled },
      ownerReferences: [controllerReference(cronJob, cronJobKind)],
    },
    spec,
  };
}

/** `2026-01-02T15:04:05Z`, or what clocks show there: `2026-01-02T16:04:05+01:00`. */
export function timeInZone(ms: number, timeZone: string | undefined): string {
  const utc = formatTime(ms);
  if (timeZone === undefined) return utc;
  const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  const name = format.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const offset = name.replace('GMT', '');
  if (offset === '' || offset === '+00:00') return utc;
  const [, sign, hours = '', minutes = ''] = /^([+-])(\d\d):(\d\d)/.exec(offset) ?? [];
  const shiftMs = (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1);
  return formatTime(ms + shiftMs).replace('Z', offset);
}
