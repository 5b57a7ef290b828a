/**
 * Random histories of nodes and pods: the picture that has followed every event says the same of
 * any new pod as one made from what is there in the end, node by node, score by score; and trying
 * a preemption leaves no trace in it. This is what the kept counts have to be worth.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import type { Affinity, Node, Pod, TopologySpreadConstraint } from '#resources/types/core-v1.ts';
import { Cluster } from './cluster.ts';
import { SchedulingCycle } from './cycle.ts';
import { prepare, scoreNodes } from './framework.ts';
import { type PodFacts, podFacts } from './pod-facts.ts';
import { findCandidates } from './preemption.ts';
import { defaultProfile, preemptionDefaults } from './profile.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 60);

const profile = defaultProfile();
const keys = ['zone', 'rack', 'kubernetes.io/hostname'];
const apps = ['a', 'b', 'c'];

class History {
  readonly live = new Cluster();
  readonly nodes = new Map<string, Node>();
  readonly pods = new Map<string, { readonly facts: PodFacts; readonly on: string }>();
  readonly #random: Random;
  #made = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  step(): void {
    const what = this.#random.integer(10);
    if (what < 2) this.#setNode();
    else if (what === 2) this.#removeNode();
    else if (what < 8) this.#place();
    else this.#removePod();
  }

  /** The same, from what is there. */
  rebuilt(): Cluster {
    const cluster = new Cluster();
    for (const node of this.nodes.values()) cluster.setNode(node);
    for (const { facts, on } of this.pods.values()) cluster.setPod(facts, on);
    return cluster;
  }

  newcomer(priority = 0): PodFacts {
    this.#made += 1;
    const name = `p${this.#made}`;
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        ...{ name, uid: name, labels: { app: this.#one(apps) } },
        namespace: this.#one(['x', 'y']),
        ...(this.#chance(10) ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
      },
      spec: {
        containers: [{ name: 'c', resources: { requests: { cpu: this.#one(['1', '2']) } } }],
        priority,
        affinity: this.#affinity(),
        topologySpreadConstraints: this.#spread(),
        ...(this.#chance(20) ? { nodeSelector: { zone: this.#one(['1', '2']) } } : {}),
      },
    };
    return podFacts(pod);
  }

  #affinity(): Affinity | undefined {
    const some = <T>(make: () => T): readonly T[] => (this.#chance(25) ? [make()] : []);
    const term = () => ({
      topologyKey: this.#one(keys),
      labelSelector: { matchLabels: { app: this.#one(apps) } },
      ...(this.#chance(30) ? { namespaces: ['x', 'y'] } : {}),
      ...(this.#chance(10) ? { namespaceSelector: {} } : {}),
    });
    const weighted = () => ({ weight: this.#random.integer(100), podAffinityTerm: term() });
    if (this.#chance(40)) return undefined;
    return {
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: some(term),
        preferredDuringSchedulingIgnoredDuringExecution: some(weighted),
      },
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: some(term),
        preferredDuringSchedulingIgnoredDuringExecution: some(weighted),
      },
    };
  }

  #spread(): readonly TopologySpreadConstraint[] | undefined {
    if (this.#chance(60)) return undefined;
    return keys.slice(0, 1 + this.#random.integer(2)).map((topologyKey) => ({
      topologyKey,
      maxSkew: 1 + this.#random.integer(2),
      whenUnsatisfiable: this.#one(['DoNotSchedule', 'ScheduleAnyway']),
      labelSelector: { matchLabels: { app: this.#one(apps) } },
      ...(this.#chance(20) ? { minDomains: 2 + this.#random.integer(2) } : {}),
      ...(this.#chance(20) ? { nodeTaintsPolicy: 'Honor' } : {}),
    }));
  }

  #setNode(): void {
    const name = `n${this.#random.integer(6)}`;
    const labels: Record<string, string> = { 'kubernetes.io/hostname': name };
    for (const key of ['zone', 'rack']) {
      if (!this.#chance(15)) labels[key] = String(this.#random.integer(3));
    }
    const taints = this.#chance(15) ? [{ key: 'k', effect: 'NoSchedule' }] : [];
    const node: Node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels },
      spec: { taints },
      status: { allocatable: { cpu: '6', memory: '8Gi', pods: '20' } },
    };
    this.nodes.set(name, node);
    this.live.setNode(node);
  }

  #removeNode(): void {
    const name = `n${this.#random.integer(6)}`;
    this.nodes.delete(name);
    this.live.removeNode(name);
  }

  #place(): void {
    // Also on nodes that are not there (yet, or any more).
    const facts = this.newcomer(this.#random.integer(3));
    const on = `n${this.#random.integer(6)}`;
    this.pods.set(facts.uid, { facts, on });
    if (this.#chance(30)) this.live.assume(facts, on);
    this.live.setPod(facts, on);
  }

  #removePod(): void {
    const [...uids] = this.pods.keys();
    const uid = uids[this.#random.integer(Math.max(uids.length, 1))];
    if (uid === undefined) return;
    this.pods.delete(uid);
    this.live.removePod(uid);
  }

  #chance(percent: number): boolean {
    return this.#random.integer(100) < percent;
  }

  #one<T>(list: readonly T[]): T {
    const chosen = list[this.#random.integer(list.length)];
    assert.ok(chosen !== undefined);
    return chosen;
  }
}

/** Verdict and score of each node, by name. */
function opinions(pod: PodFacts, cluster: Cluster): readonly string[] {
  const prepared = prepare(profile, pod, cluster);
  if (prepared.do !== 'ask') return [JSON.stringify(prepared)];
  const nodes = cluster.nodes.toSorted((left, right) => (left.name < right.name ? -1 : 1));
  const scores = scoreNodes(profile, { pod, cluster }, nodes);
  return nodes.map((node, index) => {
    const reasons = prepared.trial.objections(node).map(({ verdict }) => verdict.reasons);
    return `${node.name} ${scores[index]} ${JSON.stringify(reasons)}`;
  });
}

test(`kept counts say what counting afresh would say (seed ${seed})`, () => {
  for (let round = 0; round < rounds; round++) {
    const random = seededRandom(seed + round);
    const history = new History(random);
    for (let step = 0; step < 60; step++) {
      history.step();
      if (step % 5 !== 0) continue;
      const pod = history.newcomer(random.integer(4));
      const told = `round ${round} (seed ${seed + round}), step ${step}`;
      assert.deepEqual(opinions(pod, history.live), opinions(pod, history.rebuilt()), told);
    }
  }
});

test(`trying what removing pods would bring leaves no trace (seed ${seed})`, () => {
  for (let round = 0; round < rounds; round++) {
    const random = seededRandom(seed + round);
    const history = new History(random);
    for (let step = 0; step < 40; step++) history.step();
    const pod = history.newcomer(10);
    const { live: cluster } = history;
    const cycle = new SchedulingCycle({ cluster, random });
    const prepared = cycle.prepare(pod, profile);
    if (prepared.do !== 'ask') continue;
    const { trial } = prepared;
    const { objections } = cycle.feasible(trial, profile, { explained: true });
    const before = cluster.nodes.map((node) => JSON.stringify(trial.objections(node)));
    const failure = { nodeCount: cluster.nodes.length, objections, narrowedBy: [] };
    const facts = { cluster, pod, failure, trial, args: preemptionDefaults, random, nowMs: 0 };
    const { victims } = findCandidates(facts);
    const after = cluster.nodes.map((node) => JSON.stringify(trial.objections(node)));
    assert.deepEqual(after, before, `round ${round} (seed ${seed + round})`);
    assert.deepEqual(opinions(pod, cluster), opinions(pod, history.rebuilt()));
    for (const { node, pods } of victims) {
      // With the victims gone the pod fits, and each of them was needed.
      const without = history.rebuilt();
      for (const { uid } of pods) without.removePod(uid);
      const there = without.get(node.name);
      assert.ok(there !== undefined && pods.length > 0);
      const asked = prepare(profile, pod, without);
      assert.ok(asked.do === 'ask' && asked.trial.objection(there) === undefined);
    }
  }
});
