/** When a CronJob starts what, as tables: due times, deadlines, concurrency, bad schedules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CronJob, CronJobSpec, CronJobStatus, Job } from '#resources/types/batch-v1.ts';
import { jobOf, timeInZone } from './job-template.ts';
import { planCronJob } from './plan.ts';

const at = (time: string): number => Date.parse(`2026-01-02T${time}Z`);

function cron(spec: Partial<CronJobSpec> = {}, status: CronJobStatus = {}): CronJob {
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: {
      name: 'hello',
      namespace: 'd',
      uid: 'c',
      creationTimestamp: '2026-01-02T09:00:30Z',
    },
    spec: { schedule: '0 * * * *', jobTemplate: {}, concurrencyPolicy: 'Allow', ...spec },
    status,
  };
}

function job(name: string, ended?: 'Complete' | 'Failed', startTime?: string): Job {
  const conditions = ended === undefined ? [] : [{ type: ended, status: 'True' }];
  const completionTime = ended === 'Complete' ? '2026-01-02T09:30:00Z' : undefined;
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'd', uid: `uid-${name}` },
    status: { conditions, startTime, completionTime },
  };
}

const reference = (name: string) => ({ name, namespace: 'd', uid: `uid-${name}` });

/** `start 10:00, again 11:00` and the reasons of events. */
function told(cronJob: CronJob, now: string, jobs: readonly Job[] = []): string {
  const plan = planCronJob({ cronJob, jobs, missing: new Set() }, at(now));
  const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 19);
  return [
    ...plan.remove.map(({ metadata }) => `remove ${metadata.name}`),
    ...plan.replace.map(({ name }) => `replace ${name}`),
    ...(plan.startAtMs === undefined ? [] : [`start ${clock(plan.startAtMs)}`]),
    ...plan.notes.map(({ reason }) => reason),
    ...(plan.againAtMs === undefined ? [] : [`again ${clock(plan.againAtMs)}`]),
  ].join(', ');
}

test('what is due, and when to look again', () => {
  const last = (time: string) => ({ lastScheduleTime: `2026-01-02T${time}:00Z` });
  const cases: readonly (readonly [
    spec: Partial<CronJobSpec>,
    status: CronJobStatus,
    now: string,
    wanted: string,
  ])[] = [
    [{}, {}, '09:59:00', 'again 10:00:00'],
    [{}, {}, '10:00:00', 'start 10:00:00, again 11:00:00'],
    [{}, {}, '10:40:00', 'start 10:00:00, again 11:00:00'],
    [{}, last('10:00'), '10:40:00', 'again 11:00:00'],
    [{}, last('10:00'), '14:20:00', 'start 14:00:00, again 15:00:00'],
    [{ suspend: true }, {}, '10:00:00', ''],
    [{ startingDeadlineSeconds: 100 }, {}, '10:01:00', 'start 10:00:00, again 11:00:00'],
    [{ startingDeadlineSeconds: 100 }, {}, '10:02:00', 'again 11:00:00'],
    [{ schedule: '@every 1h' }, {}, '10:00:30', 'start 10:00:30, again 11:00:30'],
    [{ timeZone: 'Asia/Kolkata' }, {}, '10:00:00', 'start 09:30:00, again 10:30:00'],
    [{ timeZone: 'Mars/Olympus' }, {}, '10:00:00', 'UnknownTimeZone'],
    [{ schedule: 'every day' }, {}, '10:00:00', 'UnparseableSchedule'],
    [{ schedule: '59 23 31 2 *' }, {}, '10:00:00', 'InvalidSchedule'],
    [
      { schedule: 'TZ=Asia/Kolkata 0 * * * *' },
      {},
      '10:00:00',
      'start 09:30:00, UnsupportedSchedule, again 10:30:00',
    ],
    [
      { schedule: '* * * * *' },
      {},
      '11:00:00',
      'start 11:00:00, TooManyMissedTimes, again 11:01:00',
    ],
    [
      { schedule: '* * * * *', startingDeadlineSeconds: 200 },
      {},
      '11:00:00',
      'start 11:00:00, again 11:01:00',
    ],
  ];
  for (const [spec, status, now, wanted] of cases) {
    assert.equal(told(cron(spec, status), now), wanted, `${JSON.stringify(spec)} at ${now}`);
  }
});

test('a start counts as missed for good when its deadline is over', () => {
  const cronJob = cron({ schedule: '0 10 * * *', startingDeadlineSeconds: 10 });
  assert.equal(told(cronJob, '10:00:09'), 'start 10:00:00, again 10:00:00');
  assert.equal(told(cronJob, '10:00:10'), 'again 10:00:00');
});

test('what runs still: allowed, waited for, or replaced', () => {
  const running = { active: [reference('old')] };
  const jobs = [job('old')];
  const policy = (concurrencyPolicy: string) => cron({ concurrencyPolicy }, running);
  assert.equal(told(policy('Allow'), '10:00:00', jobs), 'start 10:00:00, again 11:00:00');
  assert.equal(told(policy('Forbid'), '10:00:00', jobs), 'JobAlreadyActive, again 11:00:00');
  assert.equal(
    told(policy('Replace'), '10:00:00', jobs),
    'replace old, start 10:00:00, again 11:00:00',
  );
  const forbid = policy('Forbid');
  assert.equal(
    told(forbid, '10:00:00', [job('old', 'Complete')]),
    'start 10:00:00, SawCompletedJob, again 11:00:00',
  );
});

test('the status follows the Jobs', () => {
  const active = [reference('a'), reference('b'), reference('lost')];
  const cronJob = cron({}, { active, lastScheduleTime: '2026-01-02T10:00:00Z' });
  const jobs = [job('a', 'Complete'), job('b'), job('stranger')];
  const plan = planCronJob({ cronJob, jobs, missing: new Set(['uid-lost']) }, at('10:30:00'));
  assert.deepEqual(plan.status, {
    active: [reference('b')],
    lastScheduleTime: '2026-01-02T10:00:00Z',
    lastSuccessfulTime: '2026-01-02T09:30:00Z',
  });
  assert.deepEqual(
    plan.notes.map(({ message }) => message),
    [
      'Saw completed job: a, condition: Complete',
      'Saw a job that the controller did not create or forgot: stranger',
      'Active job went missing: lost',
    ],
  );
});

test('finished Jobs beyond the limits go, oldest first', () => {
  const jobs = [
    job('c', 'Complete', '2026-01-02T03:00:00Z'),
    job('a', 'Complete', '2026-01-02T01:00:00Z'),
    job('b', 'Complete', '2026-01-02T02:00:00Z'),
    job('x', 'Failed', '2026-01-02T01:00:00Z'),
    job('running'),
  ];
  const removed = (spec: Partial<CronJobSpec>) =>
    planCronJob({ cronJob: cron(spec), jobs, missing: new Set() }, at('09:30:00')).remove.map(
      ({ metadata }) => metadata.name,
    );
  assert.deepEqual(removed({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 1 }), [
    'a',
    'b',
  ]);
  assert.deepEqual(removed({ successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 0 }), ['x']);
});

test('a Job is named after the minute of its start, and says the time where it is meant for', () => {
  const made = jobOf(cron({ jobTemplate: { metadata: { labels: { a: 'b' } } } }), at('10:00:00'));
  assert.equal(made.metadata.name, `hello-${at('10:00:00') / 60_000}`);
  assert.deepEqual(made.metadata.labels, { a: 'b' });
  const annotation = 'batch.kubernetes.io/cronjob-scheduled-timestamp';
  assert.equal(made.metadata.annotations?.[annotation], '2026-01-02T10:00:00Z');
  assert.equal(timeInZone(at('10:00:00'), 'America/New_York'), '2026-01-02T05:00:00-05:00');
  assert.equal(timeInZone(at('10:00:00'), 'Asia/Kolkata'), '2026-01-02T15:30:00+05:30');
  assert.equal(timeInZone(at('10:00:00'), 'Etc/UTC'), '2026-01-02T10:00:00Z');
});
