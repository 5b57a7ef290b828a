/**
 * What a scheduling rule looks like. Each rule is one file in `plugins/` and implements only the
 * moments that it cares about.
 *
 * For each pod a rule is asked once to get ready (`filter`, `score`), where it may look at the
 * whole cluster, pass itself over or turn the pod away altogether; what it gives back is then asked
 * for each node. `helps` says which changes of the cluster could turn a rejection around.
 *
 * Rules are pure: facts in, verdicts out. `framework.ts` runs them in the order of a profile.
 */
import type {
  ContainerExtendedResourceRequest,
  Node,
  NodeSelector,
} from '#resources/types/core-v1.ts';
import type { DeviceRequest, DeviceToleration } from '#resources/types/resource-v1.ts';
import type { Cluster } from './cluster.ts';
import type { NodeInfo } from './node-info.ts';
import type { PodFacts } from './pod-facts.ts';

export interface Rejection {
  readonly fits: false;
  /** In upstream's words; they are counted over all nodes in the pod's condition. */
  readonly reasons: readonly string[];
  /** Removing other pods from the node would not help. */
  readonly unresolvable: boolean;
  /** The rule could not judge: the whole decision fails, and is tried again later. */
  readonly fault?: true;
}

export type Verdict = { readonly fits: true } | Rejection;

export const fits: Verdict = { fits: true };

export function rejected(
  reason: string,
  { unresolvable }: { readonly unresolvable: boolean },
): Rejection {
  return { fits: false, reasons: [reason], unresolvable };
}

/** Pods that would leave a node, and such that are expected there. */
export interface PodChange {
  readonly gone: readonly PodFacts[];
  readonly expected: readonly PodFacts[];
}

/** One rule, ready for one pod: asked for each node. */
export interface NodeFilter {
  check(node: NodeInfo): Verdict;
  /**
   * As though this pod were on the node too, or not any more: for trying what removing pods would
   * bring: 1 or −1 times. The node's own sums have been changed already. Rules that look at nothing
   * but the node do not need it.
   */
  podCounted?(pod: PodFacts, node: NodeInfo, times: 1 | -1): void;
  /** False where the pod could not be there even then: told at a glance, without trying. */
  mayFit?(node: NodeInfo, change: PodChange): boolean;
  /** What would make the pod fit a node that this rule turned away, in a few words each. */
  remedies?(node: NodeInfo): readonly string[];
  /** How far the node is from fitting, from 0 to 1, where that is a matter of degree. */
  distance?(node: NodeInfo): number;
  /** What has to be written before the pod may be bound to the node. */
  steps?(node: NodeInfo): readonly BindStep[];
}

export type Filtering =
  /** The rule has nothing to say about this pod. */
  | { readonly do: 'skip' }
  /** The pod fits nowhere as things are. */
  | { readonly do: 'reject'; readonly rejection: Rejection }
  /** The rule cannot be asked: the facts contradict each other; tried again later. */
  | { readonly do: 'fail'; readonly message: string }
  | {
      readonly do: 'ask';
      readonly filter: NodeFilter;
      /** The only nodes that can pass; undefined: any. */
      readonly onlyNodes?: ReadonlySet<string> | undefined;
    };

export const skip: Filtering = { do: 'skip' };

/** A write that makes ready what a pod needs on its node. Taken at once, written before binding. */
export type BindStep =
  /** The volume becomes the claim's. */
  | { readonly do: 'bindVolume'; readonly volume: string; readonly claim: string }
  /** Whoever provisions volumes learns the node. */
  | { readonly do: 'selectNode'; readonly claim: string; readonly node: string }
  /** Devices become the claim's, and the claim is reserved for the pod. */
  | {
      readonly do: 'allocateDevices';
      readonly claim: string;
      readonly allocation: DeviceAllocation | undefined;
      /** The claim is only to be made, for what the pod's containers ask for by name. */
      readonly make?: ClaimToMake | undefined;
    };

export interface ClaimToMake {
  readonly requests: readonly DeviceRequest[];
  /** Which container has what by which request. */
  readonly mappings: readonly ContainerExtendedResourceRequest[];
}

export interface AllocatedDevice {
  readonly request: string;
  readonly driver: string;
  readonly pool: string;
  readonly device: string;
  readonly adminAccess?: boolean | undefined;
  /** Of a device that several claims share: what this one takes of it. */
  readonly consumedCapacity?: Readonly<Record<string, string>> | undefined;
  readonly tolerations?: readonly DeviceToleration[] | undefined;
  /** Conditions that must be true before the pod is bound, and such that end the attempt. */
  readonly bindingConditions?: readonly string[] | undefined;
  readonly bindingFailureConditions?: readonly string[] | undefined;
}

export interface DeviceAllocation {
  readonly devices: readonly AllocatedDevice[];
  /** The nodes that reach all devices; undefined where every node does. */
  readonly nodeSelector: NodeSelector | undefined;
  readonly config: readonly unknown[];
}

export interface NodeScorer {
  /** 0 (worst) to 100 (best), or any number where `normalize` is there. */
  score(node: NodeInfo): number;
  /** Brings the scores of all candidates into 0 to 100, in place. */
  normalize?(scores: Float64Array, nodes: readonly NodeInfo[]): void;
}

export interface Plugin {
  /** Upstream's name, as `NodeResourcesFit`. */
  readonly name: string;
  /**
   * Why the pod must not even be tried yet; undefined: it may. It depends on the pod and on facts
   * (`ClusterChange`) alone; the cluster is undefined while those of the pod are still fetched.
   */
  readonly holdsBack?: (pod: PodFacts, cluster: Cluster | undefined) => string | undefined;
  readonly filter?: (pod: PodFacts, cluster: Cluster) => Filtering;
  /** Undefined: every node would score the same, so the rule is passed over. */
  readonly score?: (
    pod: PodFacts,
    cluster: Cluster,
    candidates: readonly NodeInfo[],
  ) => NodeScorer | undefined;
  /** Whether the change could turn this rule's rejection around. */
  readonly helps: (change: ClusterChange, pod: PodFacts, cluster: Cluster) => boolean;
}

/** Kinds whose changes are told without their content: rules look into the cluster themselves. */
export type FactKind =
  | 'namespace'
  | 'volume'
  | 'claim'
  | 'storageClass'
  | 'csiNode'
  | 'csiDriver'
  | 'storageCapacity'
  | 'volumeAttachment'
  | 'deviceClaim'
  | 'deviceSlice'
  | 'deviceClass';

/** A change that may let a rejected pod fit. */
export type ClusterChange =
  | { readonly what: 'nodeAdded'; readonly node: Node }
  | { readonly what: 'nodeChanged'; readonly node: Node; readonly old: Node }
  | { readonly what: 'nodeGone'; readonly node: Node }
  /** A pod came to a node. */
  | { readonly what: 'podPlaced'; readonly pod: PodFacts }
  /** A pod on a node changed its labels or asks for less. */
  | { readonly what: 'placedPodChanged'; readonly pod: PodFacts; readonly old: PodFacts }
  /** A pod left its node: deleted, ended, or its place was given back. */
  | { readonly what: 'podGone'; readonly pod: PodFacts }
  /** The waiting pod itself was changed. */
  | { readonly what: 'podChanged'; readonly old: PodFacts }
  /** Something else that rules look at came or changed; `key` is `namespace/name` or `name`. */
  | {
      readonly what: 'fact';
      readonly kind: FactKind;
      readonly key: string;
      readonly action?: 'Add' | 'Update' | 'Delete' | undefined;
    };

/** Stretches scores to 0..100 by the highest; `reverse` where less is better. */
export function normalizeByMost(scores: Float64Array, { reverse }: { readonly reverse: boolean }) {
  let most = 0;
  for (const score of scores) if (score > most) most = score;
  for (let index = 0; index < scores.length; index++) {
    const points = most === 0 ? 0 : Math.floor(((scores[index] ?? 0) * 100) / most);
    scores[index] = reverse ? 100 - points : points;
  }
}
