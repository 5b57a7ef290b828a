/**
 * What a scheduling rule looks like. Each rule is one file in `plugins/` and implements only the
 * moments that it cares about: may the pod run there (`filter`), how good would it be (`score`),
 * and which changes of the cluster could make a pod fit that this rule has turned away (`helps`).
 *
 * Rules are pure: facts about one pod and one node in, a verdict out. `scheduling.ts` runs them.
 */
import type { Node } from '#resources/types/core-v1.ts';
import type { NodeInfo } from './node-info.ts';
import type { PodFacts } from './pod-facts.ts';

export type Verdict =
  | { readonly fits: true }
  | {
      readonly fits: false;
      /** In upstream's words; they are counted over all nodes in the pod's condition. */
      readonly reasons: readonly string[];
      /** Removing other pods from the node would not help. */
      readonly unresolvable: boolean;
    };

/** A change that may let a rejected pod fit. */
export type ClusterChange =
  | { readonly what: 'nodeAdded'; readonly node: Node }
  | { readonly what: 'nodeChanged'; readonly node: Node; readonly old: Node }
  /** A pod left its node: deleted, ended, or its place was given back. */
  | { readonly what: 'podGone'; readonly pod: PodFacts }
  /** The waiting pod itself was changed. */
  | { readonly what: 'podChanged' };

/** Facts about all nodes that a score may need. */
export interface ScoreContext {
  readonly nodeCount: number;
  /** How many nodes have the image. */
  readonly nodesWithImage: (image: string) => number;
}

export interface Score {
  /** How much the rule counts against the others. */
  readonly weight: number;
  /** False: every node would score the same, so the rule is passed over. */
  readonly applies: (pod: PodFacts) => boolean;
  /** 0 (worst) to 100 (best), or any number where `scale` is set. */
  readonly of: (pod: PodFacts, node: NodeInfo, context: ScoreContext) => number;
  /** Stretch to 0..100 over the candidates: `up`: more is better; `down`: less is better. */
  readonly scale?: 'up' | 'down';
}

export interface Plugin {
  /** Upstream's name, as `NodeResourcesFit`. */
  readonly name: string;
  readonly filter?: (pod: PodFacts, node: NodeInfo) => Verdict;
  /** The only nodes that can pass, where the pod names them; undefined: any. */
  readonly onlyNodes?: (pod: PodFacts) => ReadonlySet<string> | undefined;
  readonly score?: Score;
  /** Whether the change could turn this rule's rejection around. */
  readonly helps: (change: ClusterChange, pod: PodFacts) => boolean;
}

export const fits: Verdict = { fits: true };
