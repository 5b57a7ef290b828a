/** Jobs and CronJobs: defaults, generated selectors, what may change, what a status may say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shown, updated, written } from '#test/descriptor.ts';
import type { CronJob, Job, JobStatus } from '../types/batch-v1.ts';

const template = {
  spec: { restartPolicy: 'Never', containers: [{ name: 'pi', image: 'perl:5' }] },
};
const uid = '11111111-2222-3333-4444-555555555555';

function body(spec: object, metadata: object = {}) {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'pi', namespace: 'default', uid, ...metadata },
    spec: { template, ...spec },
  };
}

const create = (spec: object, metadata?: object) => written<Job>(body(spec, metadata));
/** What a client sends back: the stored object with some fields changed. */
const change = (job: Job, spec: object) => ({ ...job, spec: { ...job.spec, ...spec } });

test('defaults: one completion, six retries, a selector of its own', () => {
  const { hub, errors } = create({});
  assert.deepEqual(errors, []);
  const { template: made, selector, ...spec } = hub.spec ?? { template: {} };
  assert.deepEqual(spec, {
    backoffLimit: 6,
    completionMode: 'NonIndexed',
    completions: 1,
    manualSelector: false,
    parallelism: 1,
    podReplacementPolicy: 'TerminatingOrFailed',
    suspend: false,
  });
  assert.deepEqual(selector, { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } });
  const labels = {
    'batch.kubernetes.io/controller-uid': uid,
    'batch.kubernetes.io/job-name': 'pi',
    'controller-uid': uid,
    'job-name': 'pi',
  };
  assert.deepEqual(made.metadata?.labels, labels);
  assert.deepEqual(hub.metadata.labels, labels);
  assert.deepEqual(hub.status, {});
});

test('a work queue has no completions; labels of its own stay', () => {
  const { hub } = create({ parallelism: 3 }, { labels: { app: 'pi' } });
  assert.equal(hub.spec?.completions, undefined);
  assert.equal(hub.spec?.parallelism, 3);
  assert.deepEqual(hub.metadata.labels, { app: 'pi' });
  const limit = create({ backoffLimitPerIndex: 1, completionMode: 'Indexed', completions: 2 });
  assert.equal(limit.hub.spec?.backoffLimit, 2_147_483_647);
});

test('a selector made by hand is taken as it is', () => {
  const labels = { app: 'pi' };
  const made = create({
    manualSelector: true,
    selector: { matchLabels: labels },
    template: { ...template, metadata: { labels } },
  });
  assert.deepEqual(made.errors, []);
  assert.deepEqual(made.hub.spec?.selector, { matchLabels: labels });
  assert.match(
    create({ selector: { matchLabels: labels } }).errors.join(),
    /spec\.selector: Invalid value: .*: `selector` not auto-generated/,
  );
  assert.match(
    create({ template: { ...template, metadata: { labels: { 'job-name': 'x' } } } }).errors.join(),
    /spec\.template\.metadata\.labels\[job-name\]: Invalid value: .*: must be 'pi'/,
  );
});

const failurePolicy = (rule: object) => ({ podFailurePolicy: { rules: [rule] } });
const indexed = { completionMode: 'Indexed', completions: 5 };
const rule = 'spec.podFailurePolicy.rules[0]';

const refused: readonly [object, string][] = [
  [{ parallelism: -1 }, 'spec.parallelism: Invalid value: -1: must be greater than or equal to 0'],
  [
    { template: { spec: { ...template.spec, restartPolicy: 'Always' } } },
    'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
  ],
  [
    { completionMode: 'Sorted' },
    'spec.completionMode: Unsupported value: "Sorted": supported values: "NonIndexed", "Indexed"',
  ],
  [
    { completionMode: 'Indexed', parallelism: 2 },
    'spec.completions: Required value: when completion mode is Indexed',
  ],
  [
    { backoffLimitPerIndex: 1 },
    'spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode',
  ],
  [
    { ...indexed, maxFailedIndexes: 6, backoffLimitPerIndex: 1 },
    'spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions',
  ],
  [
    { managedBy: 'me' },
    'spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")',
  ],
  [
    { podReplacementPolicy: 'Soon' },
    'spec.podReplacementPolicy: Unsupported value: "Soon": supported values: "Failed", "TerminatingOrFailed"',
  ],
  [
    { successPolicy: { rules: [] } },
    'spec.successPolicy: Invalid value: {"rules":[]}: requires indexed completion mode',
  ],
  [
    { ...indexed, successPolicy: { rules: [{ succeededIndexes: '0-5' }] } },
    'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0-5": error parsing succeededIndexes: too large index: "5"',
  ],
  [
    failurePolicy({ action: 'Ignore' }),
    `${rule}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required`,
  ],
  [
    failurePolicy({ action: 'FailJob', onExitCodes: { operator: 'In', values: [2, 0] } }),
    `${rule}.onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator|${rule}.onExitCodes.values: Invalid value: [2,0]: must be ordered`,
  ],
];

test('jobs that are refused', () => {
  for (const [spec, text] of refused) assert.equal(create(spec).errors.join('|'), text);
});

test('selector, template and mode stay; pace and suspension may change', () => {
  const { hub } = create({});
  assert.deepEqual(updated(change(hub, { parallelism: 9, suspend: true }), hub).errors, []);
  assert.deepEqual(updated(change(hub, { completions: 2 }), hub).errors, [
    'spec.completions: Invalid value: 2: field is immutable',
  ]);
  const other = { ...hub.spec?.template, spec: { ...template.spec, priorityClassName: 'x' } };
  assert.match(
    updated(change(hub, { template: other }), hub).errors.join(),
    /^spec\.template: Invalid value: .*: field is immutable$/,
  );
  const elastic = create({ ...indexed, parallelism: 5 }).hub;
  assert.deepEqual(updated(change(elastic, { completions: 3 }), elastic).errors, [
    'spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism',
  ]);
  const both = change(elastic, { completions: 3, parallelism: 3 });
  assert.deepEqual(updated(both, elastic).errors, []);
});

test('a suspended job may change where its pods go, nothing else', () => {
  const { hub } = create({ suspend: true });
  const { spec } = hub.spec?.template ?? {};
  const to = (fields: object) =>
    change(hub, { template: { ...hub.spec?.template, spec: { ...spec, ...fields } } });
  assert.deepEqual(updated(to({ nodeSelector: { disk: 'ssd' } }), hub).errors, []);
  assert.match(
    updated(to({ hostNetwork: true }), hub).errors.join(),
    /^spec\.template\.spec: Invalid value: .*: field is immutable$/,
  );
});

function status(job: Job, next: JobStatus): readonly string[] {
  return updated({ ...job, status: next }, job, 'status').errors;
}

const time = '2026-01-01T00:00:00Z';
const isTrue = (...types: readonly string[]) => types.map((type) => ({ type, status: 'True' }));

test('a status ends once, completely', () => {
  const { hub } = create({});
  const end = { startTime: time, completionTime: time, succeeded: 1 };
  const complete = { ...end, conditions: isTrue('SuccessCriteriaMet', 'Complete') };
  assert.deepEqual(status(hub, complete), []);
  assert.deepEqual(status(hub, { ...end, conditions: isTrue('Complete') }), [
    'status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition',
  ]);
  assert.deepEqual(status(hub, { startTime: time, conditions: isTrue('Failed') }), [
    'status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition',
  ]);
  assert.deepEqual(status(hub, { ...complete, active: 1 }), [
    'status.active: Invalid value: 1: active>0 is invalid for finished job',
  ]);
  const done: Job = { ...hub, status: complete };
  assert.deepEqual(status(done, { ...complete, succeeded: 0 }), [
    'status.succeeded: Invalid value: 0: cannot decrease the succeeded counter',
  ]);
  assert.ok(
    status(done, { startTime: time, succeeded: 1 }).includes(
      'status.conditions: Invalid value: cannot disable the terminal Complete=True condition',
    ),
  );
});

test('indexes of a status are intervals in order, each in one list', () => {
  const { hub } = create({ ...indexed, backoffLimitPerIndex: 1 });
  assert.deepEqual(status(hub, { completedIndexes: '0,2-3', failedIndexes: '1' }), []);
  assert.deepEqual(status(hub, { completedIndexes: '0-3', failedIndexes: '2' }), [
    'status.failedIndexes: Invalid value: "2": failedIndexes and completedIndexes overlap at index: 2',
  ]);
  assert.deepEqual(status(hub, { completedIndexes: '3,1' }), [
    'status.completedIndexes: Invalid value: "3,1": error parsing completedIndexes: non-increasing order, previous: 3, current: 1',
  ]);
});

test('jobs in a list', () => {
  const { hub, resource } = create({});
  const row: Job = { ...hub, status: { startTime: '1970-01-01T00:00:00Z', active: 1 } };
  assert.deepEqual(
    resource.columns.slice(1, 4).map(({ name, cell }) => `${name} ${cell(row, 65_000)}`),
    ['Status Running', 'Completions 0/1', 'Duration 65s'],
  );
  assert.equal(resource.selectableFields?.['status.successful']?.(hub), '0');
});

function cron(spec: object, apiVersion = 'batch/v1', name = 'tick') {
  const metadata = { name, namespace: 'default' };
  const jobTemplate = { spec: { template } };
  return {
    apiVersion,
    kind: 'CronJob',
    metadata,
    spec: { schedule: '* * * * *', jobTemplate, ...spec },
  };
}

test('a cron job in all its versions', () => {
  for (const apiVersion of ['batch/v1', 'batch/v1beta1', 'batch/v2alpha1']) {
    const { hub, errors, cells } = written<CronJob>(cron({}, apiVersion));
    assert.deepEqual(errors, []);
    assert.equal(hub.apiVersion, 'batch/v1');
    assert.equal(hub.spec.concurrencyPolicy, 'Allow');
    assert.equal(hub.spec.suspend, false);
    assert.equal(hub.spec.successfulJobsHistoryLimit, 3);
    assert.equal(hub.spec.failedJobsHistoryLimit, 1);
    // Jobs are given their own defaults when they are made.
    assert.equal(hub.spec.jobTemplate.spec?.backoffLimit, undefined);
    assert.equal(shown(hub, apiVersion).apiVersion, apiVersion);
    const { Suspend, Active, Timezone, 'Last Schedule': last } = cells(0);
    assert.deepEqual([Suspend, Active, Timezone, last], ['False', 0, '<none>', '<none>']);
  }
});

test('schedules and time zones that are refused', () => {
  const cases: readonly [object, string][] = [
    [{ schedule: '' }, 'spec.schedule: Required value'],
    [
      { schedule: '* * * *' },
      'spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]',
    ],
    [
      { schedule: '61 * * * *' },
      'spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61',
    ],
    [
      { schedule: '* * * foo *' },
      'spec.schedule: Invalid value: "* * * foo *": failed to parse int from foo: strconv.Atoi: parsing "foo": invalid syntax',
    ],
    [
      { schedule: '*/0 * * * *' },
      'spec.schedule: Invalid value: "*/0 * * * *": step of range should be a positive number: */0',
    ],
    [
      { schedule: '@often' },
      'spec.schedule: Invalid value: "@often": unrecognized descriptor: @often',
    ],
    [
      { schedule: 'TZ=UTC 0 0 * * *' },
      'spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
    ],
    [
      { timeZone: 'Moon/Base' },
      'spec.timeZone: Invalid value: "Moon/Base": unknown time zone Moon/Base',
    ],
    [
      { concurrencyPolicy: 'Maybe' },
      'spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(written(cron(spec)).errors.join('|'), text);
  const fine = [
    '0 1-5/2 1,15 jan-MAR mon',
    '@daily',
    '@every 1h30m',
    '0 0 ? * sun',
    '5/10 * * * *',
  ];
  for (const schedule of fine) assert.deepEqual(written(cron({ schedule })).errors, [], schedule);
  assert.deepEqual(written(cron({ timeZone: 'Europe/Berlin' })).errors, []);
  assert.deepEqual(written(cron({}, 'batch/v1', 'x'.repeat(53))).errors, [
    `metadata.name: Invalid value: "${'x'.repeat(53)}": must be no more than 52 characters`,
  ]);
});
