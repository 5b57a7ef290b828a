/**
 * The policy file of before v1.23: lists of predicates and priorities, mapped to today's rules.
 *
 * A predicate that is not listed does not count, a priority that is not listed gives no points;
 * without the list its defaults apply. Conditions of nodes are taints today, so predicates about
 * them need no rule. Custom predicates with arguments of their own are refused.
 */
import { type FieldError, notSupported } from '#api/field-error.ts';
import { type ExtenderOptions, readExtenders } from './extender-options.ts';
import { integer, parts, text, type Values } from './strict-reader.ts';

const predicates: Readonly<Record<string, readonly string[]>> = {
  PodFitsPorts: ['NodePorts'],
  PodFitsHostPorts: ['NodePorts'],
  PodFitsResources: ['NodeResourcesFit'],
  HostName: ['NodeName'],
  MatchNodeSelector: ['NodeAffinity'],
  GeneralPredicates: ['NodeResourcesFit', 'NodeName', 'NodePorts', 'NodeAffinity'],
  NoDiskConflict: ['VolumeRestrictions'],
  NoVolumeZoneConflict: ['VolumeZone'],
  NoVolumeNodeConflict: ['VolumeBinding'],
  CheckVolumeBinding: ['VolumeBinding'],
  MaxEBSVolumeCount: ['NodeVolumeLimits'],
  MaxGCEPDVolumeCount: ['NodeVolumeLimits'],
  MaxAzureDiskVolumeCount: ['NodeVolumeLimits'],
  MaxCSIVolumeCountPred: ['NodeVolumeLimits'],
  PodToleratesNodeTaints: ['TaintToleration'],
  PodToleratesNodeNoExecuteTaints: ['TaintToleration'],
  CheckNodeUnschedulable: ['NodeUnschedulable'],
  MatchInterPodAffinity: ['InterPodAffinity'],
  EvenPodsSpread: ['PodTopologySpread'],
  CheckNodeCondition: ['TaintToleration'],
  CheckNodeMemoryPressure: ['TaintToleration'],
  CheckNodeDiskPressure: ['TaintToleration'],
  CheckNodePIDPressure: ['TaintToleration'],
};

const priorities: Readonly<Record<string, string | undefined>> = {
  LeastRequestedPriority: 'NodeResourcesFit',
  MostRequestedPriority: 'NodeResourcesFit',
  BalancedResourceAllocation: 'NodeResourcesBalancedAllocation',
  SelectorSpreadPriority: 'PodTopologySpread',
  ServiceSpreadingPriority: 'PodTopologySpread',
  EvenPodsSpreadPriority: 'PodTopologySpread',
  InterPodAffinityPriority: 'InterPodAffinity',
  NodeAffinityPriority: 'NodeAffinity',
  TaintTolerationPriority: 'TaintToleration',
  ImageLocalityPriority: 'ImageLocality',
  EqualPriority: undefined,
  NodePreferAvoidPodsPriority: undefined,
};

/** As a profile of a `KubeSchedulerConfiguration`. */
export function policyProfile(policy: Values): {
  readonly profile: Values;
  readonly extenders: readonly ExtenderOptions[];
  readonly errors: readonly FieldError[];
} {
  const errors: FieldError[] = [];
  const filters = new Set<string>();
  parts(policy, 'predicates').forEach((one, index) => {
    const name = text(one, 'name') ?? '';
    const rules = predicates[name];
    if (rules === undefined) {
      const known = Object.keys(predicates).sort();
      errors.push(notSupported(`predicates[${index}].name`, name, known));
    }
    for (const rule of rules ?? []) filters.add(rule);
  });
  const weights = new Map<string, number>();
  const listed = parts(policy, 'priorities');
  listed.forEach((one, index) => {
    const name = text(one, 'name') ?? '';
    if (!(name in priorities)) {
      const known = Object.keys(priorities).sort();
      errors.push(notSupported(`priorities[${index}].name`, name, known));
    }
    const rule = priorities[name];
    if (rule === undefined) return;
    weights.set(rule, (weights.get(rule) ?? 0) + (integer(one, 'weight') ?? 1));
  });
  const all = [{ name: '*' }];
  // Claims need their volumes and devices whatever the list says.
  const always = ['VolumeBinding', 'DynamicResources'];
  const filter = [...new Set([...filters, ...always])].map((name) => ({ name }));
  const score = [...weights].map(([name, weight]) => ({ name, weight }));
  const most = listed.some((one) => text(one, 'name') === 'MostRequestedPriority');
  const strategy = most ? [{ name: 'NodeResourcesFit', args: mostAllocated }] : [];
  const hardPodAffinityWeight = integer(policy, 'hardPodAffinitySymmetricWeight') ?? 1;
  const profile: Values = {
    schedulerName: 'default-scheduler',
    plugins: {
      ...(policy['predicates'] === undefined ? {} : { filter: { enabled: filter, disabled: all } }),
      ...(policy['priorities'] === undefined ? {} : { score: { enabled: score, disabled: all } }),
    },
    pluginConfig: [{ name: 'InterPodAffinity', args: { hardPodAffinityWeight } }, ...strategy],
  };
  const { extenders, errors: extenderErrors } = readExtenders(policy);
  return { profile, extenders, errors: [...errors, ...extenderErrors] };
}

const mostAllocated: Values = { scoringStrategy: { type: 'MostAllocated' } };
