/**
 * Which rules a scheduler follows, in which order and with which weights.
 *
 * `defaultProfile` has upstream's rules and weights. A configuration file makes other profiles of
 * the same rules (`scheduler/configuration/`); each serves the pods that name it in
 * `spec.schedulerName`.
 */

import type { Cluster } from './cluster.ts';
import type { ClusterChange, Plugin } from './plugin.ts';
import { type BalancedAllocationArgs, balancedAllocation } from './plugins/balanced-allocation.ts';
import { type DynamicResourcesArgs, dynamicResources } from './plugins/dynamic-resources.ts';
import { imageLocality } from './plugins/image-locality.ts';
import { type InterPodAffinityArgs, interPodAffinity } from './plugins/inter-pod-affinity.ts';
import { type NodeAffinityArgs, nodeAffinity } from './plugins/node-affinity.ts';
import { nodeDeclaredFeatures } from './plugins/node-declared-features.ts';
import { nodeName } from './plugins/node-name.ts';
import { nodePorts } from './plugins/node-ports.ts';
import { nodeUnschedulable } from './plugins/node-unschedulable.ts';
import { nodeVolumeLimits } from './plugins/node-volume-limits.ts';
import { type ResourcesFitArgs, resourcesFit } from './plugins/resources-fit.ts';
import { schedulingGates } from './plugins/scheduling-gates.ts';
import { taintToleration } from './plugins/taint-toleration.ts';
import { type TopologySpreadArgs, topologySpread } from './plugins/topology-spread.ts';
import { volumeBinding } from './plugins/volume-binding.ts';
import { volumeRestrictions } from './plugins/volume-restrictions.ts';
import { volumeZone } from './plugins/volume-zone.ts';
import type { PodFacts } from './pod-facts.ts';

export interface PreemptionArgs {
  readonly minCandidateNodesPercentage: number;
  readonly minCandidateNodesAbsolute: number;
}

export const preemptionDefaults: PreemptionArgs = {
  minCandidateNodesPercentage: 10,
  minCandidateNodesAbsolute: 100,
};

export interface Profile {
  readonly schedulerName: string;
  readonly gates: readonly Plugin[];
  /** In the order in which they are asked; the first objection is the one that is reported. */
  readonly filters: readonly Plugin[];
  readonly scorers: readonly { readonly plugin: Plugin; readonly weight: number }[];
  /** Undefined: pods never make room for others. */
  readonly preemption: PreemptionArgs | undefined;
  /** Whether claims may lose their devices to help a pod. */
  readonly deallocates: boolean;
  /** 0: by the number of nodes. */
  readonly percentageOfNodesToScore: number;
}

export interface PluginArgs {
  readonly nodeAffinity?: NodeAffinityArgs | undefined;
  readonly resourcesFit?: ResourcesFitArgs | undefined;
  readonly balancedAllocation?: BalancedAllocationArgs | undefined;
  readonly interPodAffinity?: InterPodAffinityArgs | undefined;
  readonly topologySpread?: TopologySpreadArgs | undefined;
  readonly dynamicResources?: DynamicResourcesArgs | undefined;
}

/** All rules by upstream's names, in the order in which they are asked. */
export function openPlugins(args: PluginArgs = {}): ReadonlyMap<string, Plugin> {
  const plugins: readonly Plugin[] = [
    schedulingGates,
    nodeUnschedulable,
    nodeName,
    taintToleration,
    nodeAffinity(args.nodeAffinity),
    nodePorts,
    resourcesFit(args.resourcesFit),
    volumeRestrictions,
    nodeVolumeLimits,
    volumeBinding,
    volumeZone,
    topologySpread(args.topologySpread),
    interPodAffinity(args.interPodAffinity),
    dynamicResources(args.dynamicResources),
    balancedAllocation(args.balancedAllocation),
    imageLocality,
    nodeDeclaredFeatures,
  ];
  return new Map(plugins.map((plugin) => [plugin.name, plugin]));
}

/** Weights of the rules that score; 1 where a rule is not named. */
export const defaultWeights: Readonly<Record<string, number>> = {
  TaintToleration: 3,
  NodeAffinity: 2,
  PodTopologySpread: 2,
  InterPodAffinity: 2,
  DynamicResources: 2,
};

export function defaultProfile(schedulerName = 'default-scheduler'): Profile {
  const plugins = [...openPlugins().values()];
  return {
    schedulerName,
    gates: plugins.filter(({ holdsBack }) => holdsBack !== undefined),
    filters: plugins.filter(({ filter }) => filter !== undefined),
    scorers: plugins
      .filter(({ score }) => score !== undefined)
      .map((plugin) => ({ plugin, weight: defaultWeights[plugin.name] ?? 1 })),
    preemption: preemptionDefaults,
    deallocates: true,
    percentageOfNodesToScore: 0,
  };
}

/** Why the pod must not be tried yet; undefined: it may. */
export function heldBack(
  profile: Profile,
  pod: PodFacts,
  cluster: Cluster | undefined,
): Hold | undefined {
  for (const plugin of profile.gates) {
    const message = plugin.holdsBack?.(pod, cluster);
    if (message !== undefined) return { plugin, message };
  }
  return undefined;
}

export interface Hold {
  readonly plugin: Plugin;
  readonly message: string;
}

/** Whether a change could make a pod fit that these rules turned away. */
export function changeHelps(
  profile: Profile,
  change: ClusterChange,
  {
    pod,
    cluster,
    rejectedBy,
  }: {
    readonly pod: PodFacts;
    readonly cluster: Cluster;
    readonly rejectedBy: ReadonlySet<string>;
  },
): boolean {
  const asked = (plugin: Plugin): boolean =>
    rejectedBy.has(plugin.name) && plugin.helps(change, pod, cluster);
  return profile.filters.some(asked) || profile.gates.some(asked);
}
