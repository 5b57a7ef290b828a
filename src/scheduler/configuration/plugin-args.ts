/**
 * The arguments of single rules in a profile (`pluginConfig`), with upstream's defaults, limits and
 * error texts.
 */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { parseDuration } from '#kit/duration.ts';
import type { NodeAffinity, TopologySpreadConstraint } from '#resources/types/core-v1.ts';
import { type PluginArgs, type PreemptionArgs, preemptionDefaults } from '#scheduling';
import {
  ConfigurationError,
  checkShape,
  flag,
  integer,
  part,
  parts,
  type Shape,
  text,
  texts,
  type Values,
} from './strict-reader.ts';

const named: Readonly<Record<string, Shape>> = { apiVersion: 'string', kind: 'string' };
const resource: Shape = { fields: { name: 'string', weight: 'integer' } };

const shapes: Readonly<Record<string, Readonly<Record<string, Shape>>>> = {
  DefaultPreemption: {
    minCandidateNodesPercentage: 'integer',
    minCandidateNodesAbsolute: 'integer',
  },
  InterPodAffinity: {
    hardPodAffinityWeight: 'integer',
    ignorePreferredTermsOfExistingPods: 'boolean',
  },
  NodeAffinity: { addedAffinity: 'any' },
  NodeResourcesBalancedAllocation: { resources: { list: resource } },
  NodeResourcesFit: {
    ignoredResources: { list: 'string' },
    ignoredResourceGroups: { list: 'string' },
    scoringStrategy: {
      fields: {
        type: 'string',
        resources: { list: resource },
        requestedToCapacityRatio: {
          fields: {
            shape: { list: { fields: { utilization: 'integer', score: 'integer' } } },
          },
        },
      },
    },
  },
  PodTopologySpread: { defaultConstraints: { list: 'any' }, defaultingType: 'string' },
  VolumeBinding: { bindTimeoutSeconds: 'integer', shape: 'any' },
  DynamicResources: { filterTimeout: 'string', bindingTimeout: 'string' },
};

export interface ReadArgs {
  readonly plugins: PluginArgs;
  readonly preemption: PreemptionArgs;
  readonly bindTimeoutMs: number;
  readonly deviceTimeoutMs: number;
}

export function readPluginArgs(
  profile: Values,
  path: string,
): { readonly args: ReadArgs; readonly errors: readonly FieldError[] } {
  const errors: FieldError[] = [];
  const byName = new Map<string, { readonly values: Values; readonly path: string }>();
  parts(profile, 'pluginConfig').forEach((config, index) => {
    const name = text(config, 'name') ?? '';
    const at = `${path}.pluginConfig[${index}]`;
    if (byName.has(name)) errors.push(duplicate(at, name));
    const values = part(config, 'args') ?? {};
    const shape = shapes[name];
    if (shape !== undefined) {
      checkShape(values, { fields: { ...named, ...shape } }, `${name}Args`);
    }
    byName.set(name, { values, path: `${at}.args` });
  });
  const of = (name: string): Section => {
    const found = byName.get(name);
    return { values: found?.values, path: found?.path ?? path, errors };
  };
  const devices = dynamicResources(of('DynamicResources'));
  return {
    args: {
      plugins: {
        dynamicResources: { filterTimeoutMs: devices.filterTimeoutMs },
        interPodAffinity: interPodAffinity(of('InterPodAffinity')),
        nodeAffinity: nodeAffinity(of('NodeAffinity')),
        balancedAllocation: balancedAllocation(of('NodeResourcesBalancedAllocation')),
        resourcesFit: resourcesFit(of('NodeResourcesFit')),
        topologySpread: topologySpread(of('PodTopologySpread')),
      },
      preemption: preemption(of('DefaultPreemption')),
      bindTimeoutMs: volumeBinding(of('VolumeBinding')),
      deviceTimeoutMs: devices.bindingTimeoutMs,
    },
    errors,
  };
}

interface Section {
  readonly values: Values | undefined;
  readonly path: string;
  readonly errors: FieldError[];
}

function preemption({ values, path, errors }: Section): PreemptionArgs {
  const percentage = integer(values, 'minCandidateNodesPercentage');
  const absolute = integer(values, 'minCandidateNodesAbsolute');
  const args = {
    minCandidateNodesPercentage: percentage ?? preemptionDefaults.minCandidateNodesPercentage,
    minCandidateNodesAbsolute: absolute ?? preemptionDefaults.minCandidateNodesAbsolute,
  };
  const [share, count] = [args.minCandidateNodesPercentage, args.minCandidateNodesAbsolute];
  const [sharePath, countPath] = [
    `${path}.minCandidateNodesPercentage`,
    `${path}.minCandidateNodesAbsolute`,
  ];
  if (share < 0 || share > 100) {
    errors.push(invalid(sharePath, share, 'not in valid range [0, 100]'));
  }
  if (count < 0) errors.push(invalid(countPath, count, 'not in valid range [0, inf)'));
  if (share === 0 && count === 0) {
    const same = 'cannot be zero at the same time as';
    errors.push(
      invalid(sharePath, share, `${same} minCandidateNodesAbsolute`),
      invalid(countPath, count, `${same} minCandidateNodesPercentage`),
    );
  }
  return args;
}

function interPodAffinity({ values, path, errors }: Section): PluginArgs['interPodAffinity'] {
  const hardPodAffinityWeight = integer(values, 'hardPodAffinityWeight') ?? 1;
  if (hardPodAffinityWeight < 0 || hardPodAffinityWeight > 100) {
    const at = `${path}.hardPodAffinityWeight`;
    errors.push(invalid(at, hardPodAffinityWeight, 'not in valid range [0-100]'));
  }
  const ignores = flag(values, 'ignorePreferredTermsOfExistingPods') ?? false;
  return { hardPodAffinityWeight, ignorePreferredTermsOfExistingPods: ignores };
}

function nodeAffinity({ values }: Section): PluginArgs['nodeAffinity'] {
  // The shape leaves it open; the API's type says what a node affinity may hold.
  return { addedAffinity: part(values, 'addedAffinity') as NodeAffinity | undefined };
}

const standard = [
  { name: 'cpu', weight: 1 },
  { name: 'memory', weight: 1 },
];

function resources({ path, errors }: Section, values: Values | undefined) {
  const list = parts(values, 'resources').map((one) => ({
    name: text(one, 'name') ?? '',
    weight: integer(one, 'weight') || 1,
  }));
  list.forEach(({ name, weight }, index) => {
    if (weight < 1 || weight > 100) {
      const at = `${path}.resources[${index}].weight`;
      const range = 'not in valid range [1-100]';
      errors.push(invalid(at, weight, `resource weight of ${name} ${range}`));
    }
  });
  return list.length === 0 ? standard : list;
}

function balancedAllocation(section: Section): PluginArgs['balancedAllocation'] {
  const list = resources(section, section.values);
  const seen = new Set<string>();
  list.forEach(({ name, weight }, index) => {
    const at = `${section.path}.resources[${index}]`;
    if (seen.has(name)) section.errors.push(duplicate(`${at}.name`, name));
    seen.add(name);
    if (weight !== 1) section.errors.push(invalid(`${at}.weight`, weight, 'must be 1'));
  });
  return { resources: list };
}

const strategies = ['LeastAllocated', 'MostAllocated', 'RequestedToCapacityRatio'] as const;

function resourcesFit(section: Section): PluginArgs['resourcesFit'] {
  const { values, path, errors } = section;
  const strategy = part(values, 'scoringStrategy');
  const at = `${path}.scoringStrategy`;
  const given = text(strategy, 'type') ?? 'LeastAllocated';
  const type = strategies.find((one) => one === given);
  if (type === undefined) errors.push(notSupported(`${at}.type`, given, [...strategies].sort()));
  const ratio = part(strategy, 'requestedToCapacityRatio');
  const ratioPath = `${at}.requestedToCapacityRatio`;
  if (type === 'RequestedToCapacityRatio' && ratio === undefined) {
    const detail = 'must be specified when type is RequestedToCapacityRatio';
    errors.push(required(ratioPath, detail));
  } else if (type !== 'RequestedToCapacityRatio' && ratio !== undefined) {
    const detail = 'must be nil when type is not RequestedToCapacityRatio';
    errors.push(forbidden(ratioPath, detail));
  }
  const shape = parts(ratio, 'shape').map((one) => ({
    utilization: integer(one, 'utilization') ?? 0,
    score: integer(one, 'score') ?? 0,
  }));
  if (ratio !== undefined) checkCurve(shape, `${ratioPath}.shape`, errors);
  const groups = texts(values, 'ignoredResourceGroups');
  groups.forEach((group, index) => {
    if (!group.includes('/')) return;
    const groupPath = `${path}.ignoredResourceGroups[${index}]`;
    errors.push(invalid(groupPath, group, "resource group name can't contain '/'"));
  });
  return {
    ignoredResources: texts(values, 'ignoredResources'),
    ignoredResourceGroups: groups,
    scoringStrategy: {
      type: type ?? 'LeastAllocated',
      resources: resources({ ...section, path: at }, strategy),
      shape,
    },
  };
}

function checkCurve(
  shape: readonly { readonly utilization: number; readonly score: number }[],
  path: string,
  errors: FieldError[],
): void {
  if (shape.length === 0) errors.push(required(path, 'at least one point must be specified'));
  shape.forEach(({ utilization, score }, index) => {
    const at = `${path}[${index}]`;
    const before = shape[index - 1];
    if (before !== undefined && before.utilization >= utilization) {
      const detail = 'values must be sorted in increasing order';
      errors.push(invalid(`${at}.utilization`, utilization, detail));
    }
    if (utilization < 0 || utilization > 100) {
      errors.push(invalid(`${at}.utilization`, utilization, 'not in valid range [0-100]'));
    }
    if (score < 0 || score > 10) {
      errors.push(invalid(`${at}.score`, score, 'not in valid range [0-10]'));
    }
  });
}

function topologySpread({ values, path, errors }: Section): PluginArgs['topologySpread'] {
  const type = text(values, 'defaultingType') ?? 'System';
  const list = parts(values, 'defaultConstraints');
  if (type !== 'System' && type !== 'List') {
    errors.push(notSupported(`${path}.defaultingType`, type, ['System', 'List']));
  } else if (type === 'System' && list.length > 0) {
    const detail = 'when .defaultConstraints are not empty';
    errors.push(invalid(`${path}.defaultingType`, type, detail));
  }
  list.forEach((one, index) => {
    const at = `${path}.defaultConstraints[${index}]`;
    const maxSkew = integer(one, 'maxSkew') ?? 0;
    if (maxSkew <= 0) errors.push(invalid(`${at}.maxSkew`, maxSkew, 'not in valid range (0, inf)'));
    if (!text(one, 'topologyKey')) errors.push(required(`${at}.topologyKey`, 'can not be empty'));
    const action = text(one, 'whenUnsatisfiable');
    if (!action) errors.push(required(`${at}.whenUnsatisfiable`, 'can not be empty'));
    else if (action !== 'DoNotSchedule' && action !== 'ScheduleAnyway') {
      const known = ['DoNotSchedule', 'ScheduleAnyway'];
      errors.push(notSupported(`${at}.whenUnsatisfiable`, action, known));
    }
    if (one['labelSelector'] !== undefined) {
      const detail = 'constraint must not define a selector, as they deduced for each pod';
      errors.push(forbidden(`${at}.labelSelector`, detail));
    }
  });
  if (type === 'System') return undefined;
  // Checked above; the API's type has the same fields.
  const defaultConstraints = list as unknown as readonly TopologySpreadConstraint[];
  return { defaultConstraints, systemDefaults: false };
}

function dynamicResources({ values, path, errors }: Section) {
  const read = (name: string, usual: string): { readonly ms: number; readonly given: string } => {
    const given = text(values, name) ?? usual;
    const ms = parseDuration(given);
    if (ms === undefined) throw new ConfigurationError(`time: invalid duration "${given}"`);
    return { ms, given };
  };
  const filter = read('filterTimeout', '10s');
  if (filter.ms < 0) {
    errors.push(invalid(`${path}.filterTimeout`, filter.given, 'must be zero or positive'));
  }
  const binding = read('bindingTimeout', '10m');
  if (binding.ms < 1_000) {
    errors.push(invalid(`${path}.bindingTimeout`, binding.given, 'must be at least 1 second'));
  }
  return { filterTimeoutMs: filter.ms, bindingTimeoutMs: binding.ms };
}

function volumeBinding({ values, path, errors }: Section): number {
  const seconds = integer(values, 'bindTimeoutSeconds') ?? 600;
  if (seconds < 0) {
    const detail = 'invalid BindTimeoutSeconds, should not be a negative value';
    errors.push(invalid(`${path}.bindTimeoutSeconds`, seconds, detail));
  }
  return seconds * 1000;
}
