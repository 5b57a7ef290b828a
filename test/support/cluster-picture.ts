/**
 * Small clusters for tests of scheduling rules: nodes and pods by a few words, and what the rules
 * say of one more pod.
 */
import assert from 'node:assert/strict';
import { seededRandom } from '#kit/random.ts';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import {
  Cluster,
  defaultProfile,
  type Facts,
  factsOf,
  fitMessage,
  type PodFacts,
  type PreemptionPlan,
  type Profile,
  planPreemption,
  podFacts,
  preemptionDefaults,
  SchedulingCycle,
} from '#scheduling';

export function nodeOf(name: string, more: Partial<Node> = {}): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    spec: {},
    status: { allocatable: { cpu: '4', memory: '8Gi', pods: '110' } },
    ...more,
    metadata: {
      name,
      ...more.metadata,
      labels: { 'kubernetes.io/hostname': name, ...more.metadata?.labels },
    },
  };
}

/** In a zone. */
export function nodeIn(zone: string, name: string): Node {
  return nodeOf(name, { metadata: { labels: { 'topology.kubernetes.io/zone': zone } } });
}

export function podOf(
  name: string,
  spec: Partial<PodSpec> = {},
  metadata: Partial<Pod['metadata']> = {},
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, ...metadata },
    spec: { containers: [{ name: 'c', image: 'web' }], ...spec },
  };
}

export function asking(requests: Record<string, string>): Partial<PodSpec> {
  return { containers: [{ name: 'c', image: 'web', resources: { requests } }] };
}

export class Picture {
  readonly cluster: Cluster;
  readonly cycle: SchedulingCycle;
  readonly profile: Profile;

  constructor(nodes: readonly Node[], facts: Partial<Facts> = {}, profile = defaultProfile()) {
    this.cluster = new Cluster(factsOf(facts));
    this.profile = profile;
    for (const node of nodes) this.cluster.setNode(node);
    this.cycle = new SchedulingCycle({ cluster: this.cluster, random: seededRandom(1) });
  }

  run(pod: Pod, nodeName: string): PodFacts {
    const facts = podFacts(pod);
    this.cluster.setPod(facts, nodeName);
    return facts;
  }

  /** Names of the nodes that the pod fits. */
  fits(pod: Pod): readonly string[] {
    const prepared = this.cycle.prepare(podFacts(pod), this.profile);
    if (prepared.do !== 'ask') return [];
    return this.cycle
      .feasible(prepared.trial, this.profile, { explained: true })
      .nodes.map(({ name }) => name)
      .sort();
  }

  /** The node chosen. */
  place(pod: Pod): string | undefined {
    const decision = this.cycle.decide(podFacts(pod), this.profile);
    return decision.do === 'place' ? decision.node.name : undefined;
  }

  /** Why it fits nowhere, as the condition says it, without what preemption came to. */
  why(pod: Pod): string {
    const decision = this.cycle.decide(podFacts(pod), this.profile);
    if (decision.do === 'fail') return decision.message;
    assert.ok(decision.do === 'reject', 'the pod fits somewhere');
    return fitMessage(decision.failure, '');
  }

  preempt(pod: Pod, nowMs = 0): PreemptionPlan {
    const facts = podFacts(pod);
    const decision = this.cycle.decide(facts, this.profile);
    assert.ok(decision.do === 'reject', 'the pod fits somewhere');
    const { failure, trial } = decision;
    const { cluster } = this;
    const random = seededRandom(1);
    const args = preemptionDefaults;
    return planPreemption({ cluster, pod: facts, failure, trial, args, random, nowMs });
  }

  /** Names of the victims, the most important first, after the node's name. */
  victims(pod: Pod, nowMs = 0): readonly string[] {
    const plan = this.preempt(pod, nowMs);
    if (plan.do === 'give up') return [];
    const { node, pods } = plan.victims;
    return [node.name, ...pods.map(({ pod: { metadata } }) => metadata.name ?? '')];
  }
}
