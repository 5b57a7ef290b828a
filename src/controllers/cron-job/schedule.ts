/**
 * Which start of a CronJob is due, and how many were missed. Pure.
 *
 * Counted from the last start, or from the creation; with `startingDeadlineSeconds` no further back
 * than that, so what is due is never too late. Of several missed starts only the latest is made up
 * for. How many there were is an estimate from the first interval, as a clock that jumped by years
 * must not make us count for ever.
 *
 * Example: every hour, last start 9:00, now 12:10: 3 missed, 12:00 is due.
 * Behaviour: kubernetes.io, CronJob, "CronJob limitations".
 */
import type { Cron } from '#kit/cron.ts';
import type { CronJob } from '#resources/types/batch-v1.ts';

/** Added to each wait, so that a clock that is a little behind does not wake us too early. */
const marginMs = 100;
const missedMax = 100;

export interface Due {
  /** Undefined while nothing is. */
  readonly atMs: number | undefined;
  /** More were missed than anybody would have meant. */
  readonly tooMany: boolean;
  readonly missed: number;
  /** Where counting began. */
  readonly sinceMs: number;
}

/** A schedule that never comes, as 31 February. */
export const impossible = 'time difference between two schedules is less than 1 second';

export function dueStart(
  cronJob: CronJob,
  cron: Cron,
  { within, nowMs }: { readonly within: 'deadline' | 'all'; readonly nowMs: number },
): Due | typeof impossible {
  const sinceMs = startOfCount(cronJob, within, nowMs);
  const none: Due = { atMs: undefined, tooMany: false, missed: 0, sinceMs };
  const first = cron.next(sinceMs);
  const second = first === undefined ? undefined : cron.next(first);
  if (first === undefined || second === undefined) return impossible;
  if (nowMs < first) return none;
  if (nowMs < second) return { ...none, atMs: first };
  const interval = Math.round((second - first) / 1000) * 1000;
  if (interval < 1000) return impossible;
  const missed = Math.floor(Math.floor((nowMs - first) / 1000) / (interval / 1000)) + 1;
  // From one interval before the estimate: the real ones need not be equally far apart.
  let atMs: number | undefined;
  let next = cron.next(first + (missed - 2) * interval);
  while (next !== undefined && next <= nowMs) {
    atMs = next;
    next = cron.next(next);
  }
  return { atMs, tooMany: missed > missedMax, missed, sinceMs };
}

function startOfCount(cronJob: CronJob, within: 'deadline' | 'all', nowMs: number): number {
  const { lastScheduleTime } = cronJob.status ?? {};
  const { creationTimestamp } = cronJob.metadata;
  const last = Date.parse(lastScheduleTime ?? creationTimestamp ?? '');
  const seconds = cronJob.spec?.startingDeadlineSeconds;
  if (within === 'all' || seconds === undefined) return last;
  return Math.max(last, nowMs - seconds * 1000);
}

/** When to look again. */
export function nextLookMs(cronJob: CronJob, cron: Cron, nowMs: number): number {
  const due = dueStart(cronJob, cron, { within: 'all', nowMs });
  let fromMs = nowMs;
  if (due !== impossible) {
    if (due.atMs !== undefined) fromMs = due.atMs;
    else if (due.missed === 0) fromMs = due.sinceMs;
  }
  return (cron.next(fromMs) ?? nowMs) + marginMs;
}
