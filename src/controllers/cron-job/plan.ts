/**
 * What a CronJob needs next: Jobs to start, to replace and to clean up, and its status. Pure.
 *
 * Finished Jobs beyond the limits go, oldest first. What is active is kept in the status by uid,
 * and leaves it when the Job has finished or is gone. A start has one name (`NAME-<minutes since
 * 1970>`), which keeps two controllers, or one that restarts, from starting it twice. `schedule.ts`
 * says what is due; `cron-job.ts` gathers the facts and performs.
 */
import { isTimeZone, parseCron } from '#kit/cron.ts';
import type { CronJob, CronJobStatus, Job } from '#resources/types/batch-v1.ts';
import type { ObjectReference } from '#resources/types/core-v1.ts';
import { dueStart, impossible, nextLookMs } from './schedule.ts';

export interface Facts {
  readonly cronJob: CronJob;
  /** All that it manages. */
  readonly jobs: readonly Job[];
  /** Uids in the status of Jobs that are not there any more: the server was asked. */
  readonly missing: ReadonlySet<string>;
}

export interface Note {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface CronJobPlan {
  /** Finished Jobs beyond the limits. */
  readonly remove: readonly Job[];
  /** Still running when the next one starts: these end first. */
  readonly replace: readonly ObjectReference[];
  readonly startAtMs: number | undefined;
  /** Before the start and what is removed. */
  readonly status: CronJobStatus;
  readonly notes: readonly Note[];
  readonly againAtMs: number | undefined;
}

export function planCronJob(facts: Facts, nowMs: number): CronJobPlan {
  const { cronJob, jobs } = facts;
  const remove = planHistory(cronJob, jobs);
  const gone = new Set(remove.map(({ metadata }) => metadata.uid));
  const noted = noteJobs(facts, gone);
  const next = planStart({ ...cronJob, status: noted.status }, nowMs);
  return { ...next, remove, status: noted.status, notes: [...noted.notes, ...next.notes] };
}

function finishedAs(job: Job): 'Complete' | 'Failed' | undefined {
  for (const { type, status } of job.status?.conditions ?? []) {
    if (status === 'True' && (type === 'Complete' || type === 'Failed')) return type;
  }
  return undefined;
}

function planHistory(cronJob: CronJob, jobs: readonly Job[]): readonly Job[] {
  const { successfulJobsHistoryLimit, failedJobsHistoryLimit } = cronJob.spec ?? {};
  const beyond = (type: 'Complete' | 'Failed', limit: number | undefined): readonly Job[] => {
    if (limit === undefined) return [];
    const finished = jobs.filter((job) => finishedAs(job) === type).toSorted(compareStart);
    return finished.slice(0, Math.max(0, finished.length - limit));
  };
  return [
    ...beyond('Complete', successfulJobsHistoryLimit),
    ...beyond('Failed', failedJobsHistoryLimit),
  ];
}

function compareStart(a: Job, b: Job): number {
  const [one, other] = [a.status?.startTime, b.status?.startTime];
  if (one !== other) {
    if (one === undefined || other === undefined) return one === undefined ? 1 : -1;
    return one < other ? -1 : 1;
  }
  return (a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1;
}

/** What became of the Jobs that were started. */
function noteJobs(
  { cronJob, jobs, missing }: Facts,
  removed: ReadonlySet<string | undefined>,
): { readonly status: CronJobStatus; readonly notes: readonly Note[] } {
  const notes: Note[] = [];
  const { active = [], lastSuccessfulTime, ...rest } = cronJob.status ?? {};
  const left = new Set<string | undefined>(removed);
  let succeeded = lastSuccessfulTime;
  for (const job of jobs) {
    const { uid, name } = job.metadata;
    const isActive = active.some((reference) => reference.uid === uid) && !removed.has(uid);
    const ended = finishedAs(job);
    if (ended === undefined) {
      if (isActive || removed.has(uid)) continue;
      const message = `Saw a job that the controller did not create or forgot: ${name}`;
      notes.push({ type: 'Warning', reason: 'UnexpectedJob', message });
      continue;
    }
    if (isActive) {
      left.add(uid);
      const message = `Saw completed job: ${name}, condition: ${ended}`;
      notes.push({ type: 'Normal', reason: 'SawCompletedJob', message });
    }
    const at = ended === 'Complete' ? job.status?.completionTime : undefined;
    if (at !== undefined && (succeeded === undefined || at > succeeded)) succeeded = at;
  }
  for (const { uid = '', name } of active) {
    if (!missing.has(uid)) continue;
    left.add(uid);
    const message = `Active job went missing: ${name}`;
    notes.push({ type: 'Normal', reason: 'MissingJob', message });
  }
  const still = active.filter(({ uid }) => !left.has(uid));
  return { status: statusOf({ ...rest, active: still, lastSuccessfulTime: succeeded }), notes };
}

function statusOf({ active = [], ...rest }: CronJobStatus): CronJobStatus {
  return active.length === 0 ? rest : { ...rest, active };
}

type Start = Pick<CronJobPlan, 'replace' | 'startAtMs' | 'notes' | 'againAtMs'>;

/** `cronJob.status` is already that after the Jobs were noted. */
function planStart(cronJob: CronJob, nowMs: number): Start {
  const { spec } = cronJob;
  const idle = (notes: readonly Note[] = [], againAtMs?: number): Start => ({
    replace: [],
    startAtMs: undefined,
    notes,
    againAtMs,
  });
  if (cronJob.metadata.deletionTimestamp !== undefined || spec === undefined) return idle();
  const { schedule, timeZone } = spec;
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    const message = `invalid timeZone: ${JSON.stringify(timeZone)}: unknown time zone ${timeZone}`;
    return idle([warning('UnknownTimeZone', message)]);
  }
  if (spec.suspend) return idle();
  const notes: Note[] = [];
  const quoted = JSON.stringify(schedule);
  if (schedule.includes('TZ')) {
    const where = 'https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/';
    const message = `CRON_TZ or TZ used in schedule ${quoted} is not officially supported, see ${where} for more details`;
    notes.push(warning('UnsupportedSchedule', message));
  }
  const parsed = parseCron(schedule, timeZone);
  if (!parsed.ok) {
    const message = `unparseable schedule: ${quoted} : ${parsed.problem}`;
    return idle([...notes, warning('UnparseableSchedule', message)]);
  }
  const due = dueStart(cronJob, parsed.cron, { within: 'deadline', nowMs });
  if (due === impossible) {
    return idle([...notes, warning('InvalidSchedule', `invalid schedule: ${schedule} : ${due}`)]);
  }
  const againAtMs = nextLookMs(cronJob, parsed.cron, nowMs);
  if (due.atMs === undefined) return idle(notes, againAtMs);
  if (due.tooMany) {
    const message =
      'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew';
    notes.push(warning('TooManyMissedTimes', message));
  }
  const held = whyNot(cronJob, due.atMs);
  if (held !== undefined) return idle([...notes, ...held], againAtMs);
  const replace = spec.concurrencyPolicy === 'Replace' ? (cronJob.status?.active ?? []) : [];
  const after = { ...cronJob, status: { lastScheduleTime: new Date(due.atMs).toISOString() } };
  return {
    replace,
    startAtMs: due.atMs,
    notes,
    againAtMs: nextLookMs(after, parsed.cron, nowMs),
  };
}

/** Why a start that is due is not made, in Events; undefined where nothing holds it. */
function whyNot(cronJob: CronJob, atMs: number): readonly Note[] | undefined {
  const { spec, status } = cronJob;
  const name = jobName(cronJob, atMs);
  const isActive = status?.active?.some((reference) => reference.name === name) ?? false;
  const { lastScheduleTime } = status ?? {};
  if (isActive || (lastScheduleTime !== undefined && Date.parse(lastScheduleTime) === atMs)) {
    return [];
  }
  if (spec?.concurrencyPolicy === 'Forbid' && (status?.active?.length ?? 0) > 0) {
    const message =
      'Not starting job because prior execution is running and concurrency policy is Forbid';
    return [{ type: 'Normal', reason: 'JobAlreadyActive', message }];
  }
  return undefined;
}

export function jobName({ metadata }: CronJob, atMs: number): string {
  return `${metadata.name}-${Math.floor(atMs / 60_000)}`;
}

function warning(reason: string, message: string): Note {
  return { type: 'Warning', reason, message };
}
