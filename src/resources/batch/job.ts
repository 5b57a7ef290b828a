/**
 * Job: pods that run until so many have succeeded. The server gives it a selector and labels that
 * no other Job has, unless a person says that the selector is made by hand (`manualSelector`).
 * `job-validation.ts` and its neighbours say what is refused.
 */
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { formatLabelSelector } from '#api/selectors.ts';
import { timeMs } from '#api/timestamp.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { templateColumns } from '../apps/workload-columns.ts';
import { ageColumn, formatDuration, nameColumn, timedColumn } from '../columns.ts';
import { setPodTemplateDefaults } from '../core/pod/defaults.ts';
import { changeMember, fillIn, mapItems } from '../fill-in.ts';
import type { Job, JobSpec } from '../types/batch-v1.ts';
import { hubView } from '../view.ts';
import { validateJobStatusUpdate } from './job-status-validation.ts';
import { validateJobUpdate } from './job-update-validation.ts';
import { controllerUidLabels, jobNameLabels, jobWarnings, validateJob } from './job-validation.ts';

export function jobResource(): Resource {
  return defineResource<Job>({
    kind: 'Job',
    plural: 'jobs',
    singular: 'job',
    shortNames: [],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'jobs',
    views: [
      hubView<Job>({
        group: 'batch',
        version: 'v1',
        definition: 'io.k8s.api.batch.v1.Job',
        setDefaults: setJobDefaults,
      }),
    ],
    hasStatus: true,
    specChanged: (next, old) => !jsonEqual(next.spec, old.spec),
    prepareForCreate: (job) => ({ ...withGeneratedSelector(job), status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateJob,
    validateUpdate: validateJobUpdate,
    validateStatusUpdate: validateJobStatusUpdate,
    warnings: jobWarnings,
    // Of old, pods of a deleted Job stay.
    defaultPropagation: 'orphan',
    deleteWarning:
      'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning',
    columns: jobColumns(),
    selectableFields: {
      'status.successful': ({ status }) => String(status?.succeeded ?? 0),
    },
  });
}

const int32Max = 2 ** 31 - 1;

function setJobDefaults(job: Job): Job {
  if (job.spec === undefined) return job;
  const template = setPodTemplateDefaults(job.spec.template ?? {});
  const spec: JobSpec = setFailurePolicyDefaults({ ...job.spec, template });
  const once = spec.completions === undefined && spec.parallelism === undefined;
  const labels = template.metadata?.labels;
  const unlabelled = Object.keys(job.metadata.labels ?? {}).length === 0;
  return {
    ...job,
    metadata: labels !== undefined && unlabelled ? { ...job.metadata, labels } : job.metadata,
    spec: fillIn(spec, {
      ...(once ? { completions: 1 } : {}),
      parallelism: 1,
      backoffLimit: spec.backoffLimitPerIndex === undefined ? 6 : int32Max,
      completionMode: 'NonIndexed',
      suspend: false,
      podReplacementPolicy: spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed',
      manualSelector: false,
    }),
  };
}

/** Also for the Jobs that a CronJob makes. */
export function setFailurePolicyDefaults(spec: JobSpec): JobSpec {
  return changeMember(spec, 'podFailurePolicy', (policy) =>
    changeMember(policy, 'rules', (rules) =>
      mapItems(rules, (rule) =>
        changeMember(rule, 'onPodConditions', (patterns) =>
          mapItems(patterns, (pattern) => fillIn(pattern, { status: 'True' })),
        ),
      ),
    ),
  );
}

/** Labels of the pods that only this Job has; what is there already stays and is validated. */
function withGeneratedSelector(job: Job): Job {
  const { spec, metadata } = job;
  if (spec === undefined || spec.manualSelector === true) return job;
  const { name = '', uid = '' } = metadata;
  const generated: Record<string, string> = {};
  for (const label of jobNameLabels) generated[label] = name;
  for (const label of controllerUidLabels) generated[label] = uid;
  const labels = { ...generated, ...spec.template?.metadata?.labels };
  const given = metadata.labels ?? {};
  // Labels that the Job took over from its template (the very same) follow it.
  const follows = Object.keys(given).length === 0 || given === spec.template?.metadata?.labels;
  return {
    ...job,
    metadata: follows ? { ...metadata, labels } : metadata,
    spec: {
      ...spec,
      selector: {
        ...spec.selector,
        matchLabels: { [controllerUidLabels[1]]: uid, ...spec.selector?.matchLabels },
      },
      template: { ...spec.template, metadata: { ...spec.template?.metadata, labels } },
    },
  };
}

function jobColumns(): readonly Column<Job>[] {
  return [
    nameColumn(),
    {
      name: 'Status',
      type: 'string',
      description: 'Running, or how it ended.',
      priority: 0,
      cell: statusOf,
    },
    {
      name: 'Completions',
      type: 'string',
      description: 'Pods that succeeded, of those wanted.',
      priority: 0,
      cell: completionsOf,
    },
    timedColumn({
      name: 'Duration',
      type: 'string',
      description: 'Time from the start to the end, or until now.',
      priority: 0,
      at: ({ status }) => {
        const [startMs, endMs] = [timeMs(status?.startTime), timeMs(status?.completionTime)];
        if (startMs === undefined) return () => '';
        return (nowMs) => formatDuration((endMs ?? nowMs) - startMs);
      },
    }),
    ageColumn(),
    ...templateColumns<Job>(({ spec }) => spec).slice(0, 2),
    {
      name: 'Selector',
      type: 'string',
      description: 'Labels of the pods that belong here.',
      priority: 1,
      cell: ({ spec }) => formatLabelSelector(spec?.selector),
    },
  ];
}

function statusOf({ metadata, status }: Job): string {
  const has = (type: string): boolean =>
    status?.conditions?.some((one) => one.type === type && one.status === 'True') ?? false;
  if (has('Complete')) return 'Complete';
  if (has('Failed')) return 'Failed';
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  const others = ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'];
  return others.find(has) ?? 'Running';
}

function completionsOf({ spec, status }: Job): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`;
  const { parallelism = 0 } = spec ?? {};
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}
