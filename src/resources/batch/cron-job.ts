/**
 * CronJob: Jobs of one template, made by the clock. Stored as batch/v1; batch/v1beta1 and
 * batch/v2alpha1 are old views of the same object.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import { type Column, defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import { cronProblem, isTimeZone } from '#kit/cron.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { workloadNameWarnings } from '#resources/core/pod/warnings.ts';
import { templateColumns } from '../apps/workload-columns.ts';
import { ageColumn, ageSince, nameColumn, timedColumn } from '../columns.ts';
import { setPodTemplateDefaults } from '../core/pod/defaults.ts';
import { changeMember, fillIn } from '../fill-in.ts';
import type { CronJob, CronJobSpec, JobTemplateSpec } from '../types/batch-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { setFailurePolicyDefaults } from './job.ts';
import { jobSpecWarnings, validateJobSpec } from './job-validation.ts';

/** Leaves room for what the names of Jobs and pods add. */
const nameLengthMax = 52;
const concurrencyPolicies = ['Allow', 'Forbid', 'Replace'];

export function cronJobResource(): Resource {
  return defineResource<CronJob>({
    kind: 'CronJob',
    plural: 'cronjobs',
    singular: 'cronjob',
    shortNames: ['cj'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'cronjobs',
    metadataRechecked: 'change',
    views: [view('v1'), legacyView('v1beta1'), legacyView('v2alpha1')],
    hasStatus: true,
    specChanged: (next, old) => !jsonEqual(next.spec, old.spec),
    prepareForCreate: (cronJob) => ({ ...cronJob, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateCronJob,
    warnings: ({ metadata, spec }, old) => [
      ...(old === undefined ? workloadNameWarnings(metadata.name) : []),
      ...jobSpecWarnings(spec?.jobTemplate?.spec, 'spec.jobTemplate.spec'),
    ],
    columns: cronJobColumns(),
  });
}

function view(version: string): ResourceView<CronJob> {
  const definition = `io.k8s.api.batch.${version}.CronJob`;
  return {
    group: 'batch',
    version,
    definition,
    schema: { ref: definition },
    // The view's schema has checked the shape.
    setDefaults: (object) => setCronJobDefaults(object as CronJob),
  };
}

function legacyView(version: string): ResourceView<CronJob> {
  return {
    ...view(version),
    legacy: true,
    // The shape is the same; only the name of the version differs.
    toHub: (object) => ({ ...object, apiVersion: 'batch/v1' }) as CronJob,
    fromHub: (hub): KubeObject => ({ ...hub, apiVersion: `batch/${version}` }),
  };
}

function setCronJobDefaults(cronJob: CronJob): CronJob {
  return changeMember(cronJob, 'spec', (spec) =>
    fillIn(changeMember(spec, 'jobTemplate', setJobTemplateDefaults), {
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    }),
  );
}

/** The rest is filled in when a Job is made of it. */
function setJobTemplateDefaults(jobTemplate: JobTemplateSpec): JobTemplateSpec {
  return changeMember(jobTemplate, 'spec', (spec) =>
    changeMember(setFailurePolicyDefaults(spec), 'template', setPodTemplateDefaults),
  );
}

function validateCronJob({ metadata, spec }: CronJob): FieldError[] {
  const errors: FieldError[] = [];
  const { schedule, concurrencyPolicy }: Partial<CronJobSpec> = spec ?? {};
  const field = 'spec.schedule';
  if (!schedule) errors.push(required(field));
  else {
    const problem = cronProblem(schedule);
    if (problem !== undefined) errors.push(invalid(field, schedule, problem));
    if (schedule.includes('TZ')) {
      const detail = 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead';
      errors.push(invalid(field, schedule, detail));
    }
  }
  errors.push(
    ...validateNotNegative(spec?.startingDeadlineSeconds, 'spec.startingDeadlineSeconds'),
    ...validateTimeZone(spec?.timeZone, 'spec.timeZone'),
  );
  if (!concurrencyPolicy) errors.push(required('spec.concurrencyPolicy'));
  else if (!concurrencyPolicies.includes(concurrencyPolicy)) {
    const at = 'spec.concurrencyPolicy';
    errors.push(notSupported(at, concurrencyPolicy, concurrencyPolicies));
  }
  errors.push(...validateTemplate(spec?.jobTemplate, 'spec.jobTemplate.spec'));
  for (const limit of ['successfulJobsHistoryLimit', 'failedJobsHistoryLimit'] as const) {
    errors.push(...validateNotNegative(spec?.[limit], `spec.${limit}`));
  }
  // A longer name cannot have been stored, so this only ever speaks on creation.
  const { name = '' } = metadata;
  if (name.length > nameLengthMax) {
    const detail = `must be no more than ${nameLengthMax} characters`;
    errors.push(invalid('metadata.name', name, detail));
  }
  return errors;
}

function validateTemplate(template: JobTemplateSpec | undefined, field: string): FieldError[] {
  const spec = template?.spec ?? { template: {} };
  const errors = validateJobSpec(spec, field);
  if (spec.selector !== undefined) {
    const detail = '`selector` will be auto-generated';
    errors.push(invalid(`${field}.selector`, spec.selector, detail));
  }
  if (spec.manualSelector === true) {
    errors.push({
      ...notSupported(`${field}.manualSelector`, '', ['nil', 'false']),
      badValue: true,
    });
  }
  return errors;
}

function validateTimeZone(timeZone: string | undefined, field: string): FieldError[] {
  if (timeZone === undefined) return [];
  if (timeZone === '') {
    return [invalid(field, timeZone, 'timeZone must be nil or non-empty string')];
  }
  const parts = timeZone.split('/');
  const unknown = invalid(field, timeZone, `unknown time zone ${timeZone}`);
  if (parts.some((part) => !/^(?!-|\.\.?$)[A-Za-z.\-_0-9+]{1,14}$/.test(part))) return [unknown];
  if (timeZone.toLowerCase() === 'local') {
    const detail =
      'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones';
    return [invalid(field, timeZone, detail)];
  }
  return isTimeZone(timeZone) ? [] : [unknown];
}

function cronJobColumns(): readonly Column<CronJob>[] {
  return [
    nameColumn(),
    {
      name: 'Schedule',
      type: 'string',
      description: 'When Jobs are made, as in cron.',
      priority: 0,
      cell: ({ spec }) => spec?.schedule ?? '',
    },
    {
      name: 'Timezone',
      type: 'string',
      description: 'Time zone of the schedule.',
      priority: 0,
      cell: ({ spec }) => spec?.timeZone ?? '<none>',
    },
    {
      name: 'Suspend',
      type: 'boolean',
      description: 'Whether no Jobs are made for the time being.',
      priority: 0,
      cell: ({ spec }) => printed(spec?.suspend),
    },
    {
      name: 'Active',
      type: 'integer',
      description: 'Jobs that run.',
      priority: 0,
      cell: ({ status }) => status?.active?.length ?? 0,
    },
    timedColumn({
      name: 'Last Schedule',
      type: 'string',
      description: 'Time since a Job was last made.',
      priority: 0,
      at: ({ status }) =>
        status?.lastScheduleTime === undefined ? () => '<none>' : ageSince(status.lastScheduleTime),
    }),
    ageColumn(),
    ...templateColumns<CronJob>(({ spec }) => spec?.jobTemplate?.spec),
  ];
}

function printed(value: boolean | undefined): string {
  if (value === undefined) return '<unset>';
  return value ? 'True' : 'False';
}
