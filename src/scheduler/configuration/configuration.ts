/**
 * `KubeSchedulerConfiguration`, and the older policy file: text to profiles, extenders and times.
 *
 * Read once at the start, strictly; every mistake is named with its field. What concerns upstream's
 * own process (client connection, parallelism, debugging, health addresses) is checked and else
 * without effect here, where the cluster's settings say it.
 */
import {
  duplicate,
  type FieldError,
  formatFieldErrors,
  invalid,
  required,
} from '#api/field-error.ts';
import { parseDuration } from '#kit/duration.ts';
import { parseYaml, YamlError } from '#kit/yaml.ts';
import { openPlugins, type Plugin, type PluginArgs, type Profile } from '#scheduling';
import { type QueueOptions, queueDefaults } from '../queue.ts';
import { type ExtenderOptions, readExtenders } from './extender-options.ts';
import { readPluginArgs } from './plugin-args.ts';
import { choosePlugins, points } from './plugin-sets.ts';
import { policyProfile } from './policy.ts';
import {
  ConfigurationError,
  checkShape,
  flag,
  integer,
  part,
  parts,
  type Shape,
  text,
  type Values,
} from './strict-reader.ts';

export interface SchedulerConfiguration {
  readonly profiles: readonly Profile[];
  readonly extenders: readonly ExtenderOptions[];
  readonly queue: QueueOptions;
  readonly bindTimeoutMs: number;
  readonly deviceTimeoutMs: number;
  readonly leaderElection: LeaderElection;
}

export interface LeaderElection {
  readonly enabled: boolean;
  readonly namespace: string;
  readonly name: string;
  readonly leaseMs: number;
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

const apiVersion = 'kubescheduler.config.k8s.io/v1';
const kind = 'KubeSchedulerConfiguration';

const pluginSet: Shape = {
  fields: {
    enabled: { list: { fields: { name: 'string', weight: 'integer' } } },
    disabled: { list: { fields: { name: 'string', weight: 'integer' } } },
  },
};

const shape: Shape = {
  fields: {
    apiVersion: 'string',
    kind: 'string',
    parallelism: 'integer',
    clientConnection: 'any',
    enableProfiling: 'boolean',
    enableContentionProfiling: 'boolean',
    percentageOfNodesToScore: 'integer',
    podInitialBackoffSeconds: 'integer',
    podMaxBackoffSeconds: 'integer',
    delayCacheUntilActive: 'boolean',
    leaderElection: {
      fields: {
        leaderElect: 'boolean',
        leaseDuration: 'string',
        renewDeadline: 'string',
        retryPeriod: 'string',
        resourceLock: 'string',
        resourceName: 'string',
        resourceNamespace: 'string',
      },
    },
    profiles: {
      list: {
        fields: {
          schedulerName: 'string',
          percentageOfNodesToScore: 'integer',
          plugins: {
            fields: Object.fromEntries(
              [...points, 'multiPoint', 'placementGenerate', 'placementScore'].map((point) => [
                point,
                pluginSet,
              ]),
            ),
          },
          pluginConfig: { list: { fields: { name: 'string', args: 'any' } } },
        },
      },
    },
    extenders: { list: 'any' },
  },
};

/** Throws `ConfigurationError` with everything that is wrong. */
export function readSchedulerConfiguration(source: string): SchedulerConfiguration {
  const parsed = parse(source);
  const given = { apiVersion: text(parsed, 'apiVersion'), kind: text(parsed, 'kind') };
  if (given.kind === 'Policy' && given.apiVersion === 'v1') return readPolicy(parsed);
  if (given.apiVersion !== apiVersion || given.kind !== kind) {
    throw new ConfigurationError(
      `no kind "${given.kind ?? ''}" is registered for version "${given.apiVersion ?? ''}" in ` +
        'scheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme/scheme.go:30"',
    );
  }
  const values = checkShape(parsed, shape, kind);
  const errors: FieldError[] = checkTimes(values);
  const profiles = readProfiles(values, errors);
  const { extenders, errors: extenderErrors } = readExtenders(values);
  errors.push(...extenderErrors);
  if (errors.length > 0) throw new ConfigurationError(formatFieldErrors(errors));
  return {
    profiles: profiles.map(({ values: profile, read }) =>
      profileOf(profile, read.plugins, {
        preemption: read.preemption,
        percentageOfNodesToScore:
          integer(profile, 'percentageOfNodesToScore') ??
          integer(values, 'percentageOfNodesToScore') ??
          0,
        ignored: extenders.flatMap(({ ignoredResources }) => ignoredResources),
      }),
    ),
    extenders,
    queue: {
      backoffMs: (integer(values, 'podInitialBackoffSeconds') ?? 1) * 1000,
      backoffMsMax: (integer(values, 'podMaxBackoffSeconds') ?? 10) * 1000,
    },
    bindTimeoutMs: Math.max(...profiles.map(({ read }) => read.bindTimeoutMs)),
    deviceTimeoutMs: Math.max(...profiles.map(({ read }) => read.deviceTimeoutMs)),
    leaderElection: leaderElection(part(values, 'leaderElection')),
  };
}

function parse(source: string): Values {
  try {
    const parsed = parseYaml(source);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
      // A mapping; what is in it is checked against its shape next.
      return parsed as Values;
    }
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new ConfigurationError(`error converting YAML to JSON: ${error.message}`);
  }
  throw new ConfigurationError("Object 'Kind' is missing in the scheduler's configuration");
}

function checkTimes(values: Values): FieldError[] {
  const errors: FieldError[] = [];
  const parallelism = integer(values, 'parallelism') ?? 16;
  if (parallelism <= 0) {
    const detail = 'should be an integer value greater than zero';
    errors.push(invalid('parallelism', parallelism, detail));
  }
  errors.push(...checkPercentage(values, 'percentageOfNodesToScore'));
  const first = integer(values, 'podInitialBackoffSeconds') ?? 1;
  const most = integer(values, 'podMaxBackoffSeconds') ?? 10;
  if (first <= 0) {
    errors.push(invalid('podInitialBackoffSeconds', first, 'must be greater than 0'));
  }
  if (most < first) {
    const detail = 'must be greater than or equal to PodInitialBackoffSeconds';
    errors.push(invalid('podMaxBackoffSeconds', most, detail));
  }
  const election = part(values, 'leaderElection');
  const lock = text(election, 'resourceLock') ?? 'leases';
  if ((flag(election, 'leaderElect') ?? true) && lock !== 'leases') {
    const detail = 'resourceLock value must be "leases"';
    errors.push(invalid('leaderElection.resourceLock', lock, detail));
  }
  for (const name of ['leaseDuration', 'renewDeadline', 'retryPeriod']) {
    const duration = text(election, name);
    if (duration === undefined || parseDuration(duration) !== undefined) continue;
    throw new ConfigurationError(`time: invalid duration "${duration}"`);
  }
  return errors;
}

function checkPercentage(values: Values, path: string): readonly FieldError[] {
  const percentage = integer(values, 'percentageOfNodesToScore') ?? 0;
  if (percentage >= 0 && percentage <= 100) return [];
  return [invalid(path, percentage, 'not in valid range [0-100]')];
}

function readProfiles(values: Values, errors: FieldError[]) {
  const listed = parts(values, 'profiles');
  const given: readonly Values[] =
    listed.length > 0 ? listed : [{ schedulerName: 'default-scheduler' }];
  const seen = new Map<string, number>();
  return given.map((profile, index) => {
    const path = `profiles[${index}]`;
    // A single profile may leave its name out.
    const fallback = given.length === 1 ? 'default-scheduler' : '';
    const schedulerName = text(profile, 'schedulerName') ?? fallback;
    if (schedulerName === '') errors.push(required(`${path}.schedulerName`));
    const before = seen.get(schedulerName);
    if (before !== undefined) {
      errors.push(duplicate(`${path}.schedulerName`, `profiles[${before}].schedulerName`));
    }
    seen.set(schedulerName, index);
    errors.push(...checkPercentage(profile, `${path}.percentageOfNodesToScore`));
    const { args, errors: argErrors } = readPluginArgs(profile, path);
    errors.push(...argErrors);
    return { values: { ...profile, schedulerName }, read: args };
  });
}

interface ProfileOptions {
  readonly preemption: Profile['preemption'];
  readonly percentageOfNodesToScore: number;
  /** Resources that an extender looks after alone. */
  readonly ignored: readonly string[];
}

function profileOf(
  values: Values,
  args: PluginArgs,
  { preemption, percentageOfNodesToScore, ignored }: ProfileOptions,
): Profile {
  const schedulerName = text(values, 'schedulerName') ?? '';
  const { resourcesFit } = args;
  const plugins = openPlugins({
    ...args,
    resourcesFit: resourcesFit && {
      ...resourcesFit,
      ignoredResources: [...resourcesFit.ignoredResources, ...ignored],
    },
  });
  const chosen = choosePlugins(part(values, 'plugins'), plugins, schedulerName);
  const rules = (point: Parameters<typeof chosen.at>[0]): readonly Plugin[] =>
    chosen.at(point).flatMap(({ name }) => plugins.get(name) ?? []);
  const makesRoom = chosen.at('postFilter').some(({ name }) => name === 'DefaultPreemption');
  return {
    schedulerName,
    gates: rules('preEnqueue'),
    filters: rules('filter'),
    scorers: chosen.at('score').flatMap(({ name, weight }) => {
      const plugin = plugins.get(name);
      return plugin === undefined ? [] : [{ plugin, weight: weight === 0 ? 1 : weight }];
    }),
    preemption: makesRoom ? preemption : undefined,
    deallocates: chosen.at('postFilter').some(({ name }) => name === 'DynamicResources'),
    percentageOfNodesToScore,
  };
}

function leaderElection(values: Values | undefined): LeaderElection {
  const ms = (name: string, fallback: string): number =>
    parseDuration(text(values, name) ?? fallback) ?? 0;
  return {
    enabled: flag(values, 'leaderElect') ?? true,
    namespace: text(values, 'resourceNamespace') ?? 'kube-system',
    name: text(values, 'resourceName') ?? 'kube-scheduler',
    leaseMs: ms('leaseDuration', '15s'),
    renewDeadlineMs: ms('renewDeadline', '10s'),
    retryMs: ms('retryPeriod', '2s'),
  };
}

/** The policy file of before v1.23, as one profile. */
function readPolicy(parsed: Values): SchedulerConfiguration {
  const { profile, extenders, errors } = policyProfile(parsed);
  if (errors.length > 0) throw new ConfigurationError(formatFieldErrors(errors));
  const { args } = readPluginArgs(profile, 'policy');
  const options = { preemption: args.preemption, percentageOfNodesToScore: 0, ignored: [] };
  return {
    profiles: [profileOf(profile, args.plugins, options)],
    extenders,
    queue: queueDefaults,
    bindTimeoutMs: args.bindTimeoutMs,
    deviceTimeoutMs: args.deviceTimeoutMs,
    leaderElection: leaderElection(undefined),
  };
}
