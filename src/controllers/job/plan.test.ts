/** What a Job does next, how it counts, and how it waits, as tables. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTime } from '#kit/clock.ts';
import type { Job, JobSpec, JobStatus } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { mayCreateFromMs, nextBackoff, noBackoff } from './backoff.ts';
import { planCounting, settle } from './counting.ts';
import { factsOf, type JobFacts } from './facts.ts';
import { judgeFailure } from './failure-policy.ts';
import { formatIndexes, parseIndexes } from './index-set.ts';
import { planJob } from './plan.ts';
import { indexKey, trackingFinalizer } from './pod-facts.ts';
import { podOf } from './pod-template.ts';
import { metSuccessRule } from './success-policy.ts';

const nowMs = Date.UTC(2026, 0, 2);
const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c' }] } };

const jobOf = (spec: Partial<JobSpec>, status: JobStatus = {}): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'pi', uid: 'job', namespace: 'default' },
  spec: { parallelism: 1, backoffLimit: 6, template, ...spec },
  status: { startTime: formatTime(nowMs - 5_000), ...status },
});

interface Shape {
  readonly index?: number;
  readonly tracked?: boolean;
  readonly ending?: boolean;
  readonly exitCode?: number;
}

const podOfPhase = (name: string, phase: string, shape: Shape = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name,
    uid: name,
    namespace: 'default',
    creationTimestamp: formatTime(nowMs),
    finalizers: shape.tracked === false ? [] : [trackingFinalizer],
    ...(shape.index === undefined ? {} : { annotations: { [indexKey]: String(shape.index) } }),
    ...(shape.ending ? { deletionTimestamp: formatTime(nowMs) } : {}),
  },
  spec: { containers: [] },
  status: {
    phase,
    containerStatuses: [
      {
        name: 'c',
        image: '',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: { terminated: { exitCode: shape.exitCode ?? 0 } },
      },
    ],
  },
});

const facts = (job: Job, pods: readonly Pod[], removing: readonly string[] = []): JobFacts =>
  factsOf({ job, pods, removing: new Set(removing), backoff: noBackoff });

const running = (count: number): Pod[] =>
  Array.from({ length: count }, (_, index) => podOfPhase(`r${index}`, 'Running'));

test('how many pods are made or deleted', () => {
  const cases: readonly (readonly [string, Partial<JobSpec>, JobStatus, Pod[], number])[] = [
    ['as many as may run at once', { completions: 5, parallelism: 3 }, {}, [], 3],
    ['no more than are wanted', { completions: 5, parallelism: 3 }, { succeeded: 4 }, [], 1],
    ['what has just ended counts', { completions: 1 }, {}, [podOfPhase('a', 'Succeeded')], 0],
    ['what runs counts', { completions: 5, parallelism: 3 }, {}, running(2), 1],
    ['parallelism lowered', { completions: 5, parallelism: 1 }, {}, running(3), -2],
    ['suspended', { completions: 5, suspend: true }, {}, running(1), -1],
    ['a queue fills', { parallelism: 4 }, {}, running(1), 3],
    ['a queue drains', { parallelism: 4 }, { succeeded: 1 }, running(2), 0],
    ['one burst', { completions: 2000, parallelism: 2000 }, {}, [], 500],
    ['an ending pod is replaced later', {}, {}, [podOfPhase('a', 'Running', { ending: true })], 0],
  ];
  for (const [why, spec, status, pods, expected] of cases) {
    const plan = planJob(
      facts(jobOf({ completions: undefined, ...spec }, status), pods),
      true,
      nowMs,
    );
    assert.equal(plan.create.length - plan.remove.length, expected, why);
  }
  assert.equal(planJob(facts(jobOf({}), []), false, nowMs).create.length, 0, 'a stale cache');
});

test('which indexes get pods, and which of two for one index goes', () => {
  const spec = { completionMode: 'Indexed', completions: 6, parallelism: 3 } as const;
  const job = jobOf(spec, { completedIndexes: '0,2', succeeded: 2 });
  const pods = [podOfPhase('a', 'Running', { index: 1 })];
  const plan = planJob(facts(job, pods), true, nowMs);
  assert.deepEqual(plan.create, [
    { index: 3, replaces: undefined },
    { index: 4, replaces: undefined },
  ]);
  const twins = [...pods, podOfPhase('b', 'Pending', { index: 1 }), podOfPhase('c', 'Running')];
  const removal = planJob(facts(job, twins), true, nowMs).remove;
  assert.deepEqual(removal.map(({ metadata }) => metadata.name).sort(), ['b', 'c']);
});

test('what ends a Job', () => {
  const ends = (spec: Partial<JobSpec>, status: JobStatus, pods: readonly Pod[] = []) =>
    planJob(facts(jobOf(spec, status), pods), true, nowMs).ending?.reason;
  assert.equal(ends({ backoffLimit: 1 }, { failed: 1 }), undefined);
  assert.equal(ends({ backoffLimit: 1 }, { failed: 2 }), 'BackoffLimitExceeded');
  assert.equal(ends({ activeDeadlineSeconds: 6 }, {}), undefined);
  assert.equal(ends({ activeDeadlineSeconds: 5 }, {}), 'DeadlineExceeded');
  assert.equal(ends({ activeDeadlineSeconds: 5, suspend: true }, {}), undefined);
  const indexed = { completionMode: 'Indexed', completions: 5, backoffLimitPerIndex: 0 } as const;
  const some = { failedIndexes: '1,3' };
  assert.equal(ends({ ...indexed, maxFailedIndexes: 2 }, some), undefined);
  assert.equal(ends({ ...indexed, maxFailedIndexes: 1 }, some), 'MaxFailedIndexesExceeded');
  assert.equal(ends(indexed, { ...some, completedIndexes: '0,2,4' }), 'FailedIndexes');
  const plan = planJob(facts(jobOf({ activeDeadlineSeconds: 9 }), running(1)), true, nowMs);
  assert.equal(plan.againAtMs, nowMs + 4_000);
});

test('a pod is noted once, and counted when its finalizer is gone', () => {
  const outcome = { active: 0, ready: 0, terminating: 0, ending: undefined, managed: true };
  const ended = [podOfPhase('s', 'Succeeded'), podOfPhase('f', 'Failed', { exitCode: 1 })];
  const job = jobOf({ completions: 5 });
  const first = planCounting(facts(job, ended), outcome, nowMs);
  assert.deepEqual(first.status.uncountedTerminatedPods, { succeeded: ['s'], failed: ['f'] });
  assert.equal(first.release.length, 2);
  const half = settle(first.status, new Set(['f']), undefined, nowMs);
  assert.deepEqual([half.succeeded, half.failed], [1, 0]);
  assert.deepEqual(half.uncountedTerminatedPods, { failed: ['f'] });
  // The controller was killed here; the next one finds both pods as the cache has them.
  const again = planCounting(facts({ ...job, status: half }, ended, ['s']), outcome, nowMs);
  const whole = settle(again.status, new Set(), undefined, nowMs);
  assert.deepEqual([whole.succeeded, whole.failed], [1, 1]);
  assert.deepEqual(whole.uncountedTerminatedPods, {});
});

test('the last condition waits for what is still ending', () => {
  const ending = { type: 'FailureTarget', reason: 'DeadlineExceeded', message: 'late' } as const;
  const waits = settle({ terminating: 1 }, new Set(), ending, nowMs);
  assert.equal(waits.conditions, undefined);
  const done = settle({ terminating: 0 }, new Set(), ending, nowMs);
  assert.equal(done.conditions?.[0]?.type, 'Failed');
  assert.equal(done.completionTime, undefined);
});

test('failures back off by doubling, and a success begins anew', () => {
  const failed = podOfPhase('f', 'Failed');
  const once = nextBackoff(noBackoff, { succeeded: [], failed: [failed] });
  assert.equal(mayCreateFromMs(once), nowMs + 10_000);
  assert.equal(mayCreateFromMs({ ...once, failures: 3 }), nowMs + 40_000);
  assert.equal(mayCreateFromMs({ ...once, failures: 30 }), nowMs + 600_000);
  const success = podOfPhase('s', 'Succeeded');
  const after = nextBackoff({ ...once, failures: 9 }, { succeeded: [success], failed: [] });
  assert.equal(mayCreateFromMs(after), 0);
});

test('indexes as text', () => {
  assert.equal(formatIndexes(new Set([7, 1, 3, 4, 5])), '1,3-5,7');
  assert.equal(formatIndexes(new Set([0, 1])), '0,1');
  assert.deepEqual([...parseIndexes('1,3-5,7', 5)], [1, 3, 4]);
});

test('failure and success policies', () => {
  const pod = podOfPhase('f', 'Failed', { exitCode: 3 });
  const judge = (operator: string, values: number[], containerName?: string) => {
    const onExitCodes = { operator, values, ...(containerName ? { containerName } : {}) };
    return judgeFailure({ rules: [{ action: 'Ignore', onExitCodes }] }, pod).action;
  };
  assert.equal(judge('In', [3]), 'Ignore');
  assert.equal(judge('In', [4]), undefined);
  assert.equal(judge('NotIn', [4]), 'Ignore');
  assert.equal(judge('In', [3], 'other'), undefined);
  const disrupted: Pod = {
    ...pod,
    status: { conditions: [{ type: 'DisruptionTarget', status: 'True' }] },
  };
  const rule = { action: 'FailJob', onPodConditions: [{ type: 'DisruptionTarget' }] };
  assert.equal(
    judgeFailure({ rules: [rule] }, disrupted).failJob,
    'Pod default/f has condition DisruptionTarget matching FailJob rule at index 0',
  );
  const met = (rules: object[], succeeded: number[]) =>
    metSuccessRule({ rules }, 10, new Set(succeeded));
  assert.equal(met([{ succeededCount: 2 }], [4]), undefined);
  assert.equal(
    met([{ succeededIndexes: '7' }, { succeededCount: 2 }], [4, 5]),
    'Matched rules at index 1',
  );
  assert.equal(met([{ succeededIndexes: '0-3', succeededCount: 2 }], [1, 7]), undefined);
  assert.equal(
    met([{ succeededIndexes: '0-3', succeededCount: 2 }], [1, 3]),
    'Matched rules at index 0',
  );
});

test('a long name is cut so that the index stays', () => {
  const job = { ...jobOf({}), metadata: { name: 'x'.repeat(70), uid: 'job' } };
  const { generateName = '' } = podOf(job, { index: 12 }).metadata;
  assert.match(generateName, /^x+-12-$/);
  assert.equal(generateName.length + 5, 63);
});
