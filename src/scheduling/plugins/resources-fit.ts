/**
 * The node must have room: for one more pod, and for everything that the pod asks for, beside what
 * the pods already there asked for. How full it may get is a matter of taste: `resource-scores.ts`.
 *
 * Requests count, not use. What is compared with is `status.allocatable`, not capacity. A profile
 * may leave extended resources out that somebody else looks after; those that stand for devices are
 * left to the rule of devices on nodes that do not count them.
 */
import type { Node } from '#resources/types/core-v1.ts';
import { type Amounts, amountsOf, type ResourceList } from '../amounts.ts';
import type { Cluster } from '../cluster.ts';
import { type BackedResources, backedResources, backsRequest } from '../extended-claims.ts';
import type { NodeInfo } from '../node-info.ts';
import {
  type ClusterChange,
  fits,
  type NodeFilter,
  type Plugin,
  type PodChange,
  type Verdict,
} from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';
import { deviceAmounts } from './device-amounts.ts';
import { leastAllocated, type ScoringStrategy, strategyScore } from './resource-scores.ts';

export interface ResourcesFitArgs {
  readonly ignoredResources: readonly string[];
  /** The part before the slash. */
  readonly ignoredResourceGroups: readonly string[];
  readonly scoringStrategy: ScoringStrategy;
}

const resourcesFitDefaults: ResourcesFitArgs = {
  ignoredResources: [],
  ignoredResourceGroups: [],
  scoringStrategy: leastAllocated,
};

interface Shortage {
  readonly name: string;
  readonly wanted: number;
  readonly free: number;
  readonly total: number;
}

export function resourcesFit(args: ResourcesFitArgs = resourcesFitDefaults): Plugin {
  return {
    name: 'NodeResourcesFit',
    filter: (pod, cluster) => {
      const backed = backedResources(pod.requests, cluster.facts.deviceClasses);
      return { do: 'ask', filter: new FitFilter(pod, args, backed) };
    },
    score: (pod, cluster) => {
      const { scoringStrategy } = args;
      const names = scoringStrategy.resources.map(({ name }) => name);
      return { score: strategyScore(scoringStrategy, pod, deviceAmounts(names, cluster)) };
    },
    helps,
  };
}

class FitFilter implements NodeFilter {
  readonly #requests: Readonly<Amounts>;
  readonly #others: readonly (readonly [string, number])[];
  readonly #backed: BackedResources;
  /** By what is lacking. */
  readonly #verdicts: Verdict[] = [];

  constructor({ requests }: PodFacts, args: ResourcesFitArgs, backed: BackedResources) {
    this.#requests = requests;
    this.#backed = backed;
    this.#others = [...(requests.others ?? [])].filter(([name, amount]) => {
      if (amount === 0) return false;
      const group = name.split('/')[0] ?? '';
      return !args.ignoredResources.includes(name) && !args.ignoredResourceGroups.includes(group);
    });
  }

  check(node: NodeInfo): Verdict {
    const { milliCPU, memory, ephemeralStorage } = this.#requests;
    const { allocatable, requested } = node;
    const roomy =
      node.pods.size < node.allowedPods &&
      this.#others.length === 0 &&
      (milliCPU === 0 || milliCPU <= allocatable.milliCPU - requested.milliCPU) &&
      (memory === 0 || memory <= allocatable.memory - requested.memory) &&
      ephemeralStorage === 0;
    return roomy ? fits : this.#explain(node);
  }

  remedies(node: NodeInfo): readonly string[] {
    const full = isFull(node);
    return [
      ...(full ? [`one pod less on ${node.name} (it allows ${node.allowedPods})`] : []),
      ...this.#shortages(node).map(({ name, wanted, free }) => {
        const less = formatAmount(name, wanted - Math.max(free, 0));
        const most = formatAmount(name, Math.max(free, 0));
        return `${less} less ${name} (asks ${formatAmount(name, wanted)}, ${most} are free)`;
      }),
    ];
  }

  /** The mean share that is missing of what the pod asks for. */
  distance(node: NodeInfo): number {
    const full = isFull(node) ? [1] : [];
    const shares = this.#shortages(node).map(
      ({ wanted, free }) => (wanted - Math.max(free, 0)) / wanted,
    );
    const all = [...full, ...shares];
    return all.reduce((sum, share) => sum + share, 0) / Math.max(all.length, 1);
  }

  mayFit(node: NodeInfo, change: PodChange): boolean {
    const left = (of: (amounts: Readonly<Amounts>) => number): number => {
      let amount = of(node.allocatable) - of(node.requested);
      for (const { requests } of change.gone) amount += of(requests);
      for (const { requests } of change.expected) amount -= of(requests);
      return amount;
    };
    const { milliCPU, memory } = this.#requests;
    if (milliCPU > 0 && milliCPU > left((amounts) => amounts.milliCPU)) return false;
    return memory === 0 || memory <= left((amounts) => amounts.memory);
  }

  /** The slower, complete comparison, which names all that is missing. */
  #explain(node: NodeInfo): Verdict {
    if (this.#others.length > 0) return verdictOf(this.#shortages(node), isFull(node));
    // Many nodes lack the same: they share what is said.
    const { milliCPU, memory, ephemeralStorage } = this.#requests;
    const { allocatable, requested } = node;
    const lacks =
      lack(milliCPU, allocatable.milliCPU, requested.milliCPU) +
      3 * lack(memory, allocatable.memory, requested.memory) +
      9 * lack(ephemeralStorage, allocatable.ephemeralStorage, requested.ephemeralStorage) +
      (isFull(node) ? 27 : 0);
    if (lacks === 0) return fits;
    const known = this.#verdicts[lacks] ?? verdictOf(this.#shortages(node), isFull(node));
    this.#verdicts[lacks] = known;
    return known;
  }

  #shortages({ allocatable, requested }: NodeInfo): readonly Shortage[] {
    const found: Shortage[] = [];
    const compare = (name: string, wanted: number, total: number, used: number): void => {
      const free = total - used;
      if (wanted > 0 && wanted > free) found.push({ name, wanted, free, total });
    };
    const { milliCPU, memory, ephemeralStorage } = this.#requests;
    compare('cpu', milliCPU, allocatable.milliCPU, requested.milliCPU);
    compare('memory', memory, allocatable.memory, requested.memory);
    const storage = [allocatable.ephemeralStorage, requested.ephemeralStorage] as const;
    compare('ephemeral-storage', ephemeralStorage, ...storage);
    for (const [name, wanted] of this.#others) {
      if (this.#backed.has(name) && !allocatable.others?.get(name)) continue;
      compare(name, wanted, allocatable.others?.get(name) ?? 0, requested.others?.get(name) ?? 0);
    }
    return found;
  }
}

function isFull(node: NodeInfo): boolean {
  return node.pods.size >= node.allowedPods;
}

/** 0: enough; 1: not enough now; 2: never enough. */
function lack(wanted: number, total: number, used: number): 0 | 1 | 2 {
  if (wanted <= 0 || wanted <= total - used) return 0;
  return wanted > total ? 2 : 1;
}

function verdictOf(shortages: readonly Shortage[], full: boolean): Verdict {
  if (!full && shortages.length === 0) return fits;
  const missing = shortages.map(({ name }) => `Insufficient ${name}`);
  return {
    fits: false,
    reasons: full ? ['Too many pods', ...missing] : missing,
    unresolvable: shortages.some(({ wanted, total }) => wanted > total),
  };
}

function formatAmount(name: string, amount: number): string {
  if (name === 'cpu') return amount % 1000 === 0 ? String(amount / 1000) : `${amount}m`;
  if (name !== 'memory' && name !== 'ephemeral-storage') return String(amount);
  for (const [unit, size] of [
    ['Gi', 1024 ** 3],
    ['Mi', 1024 ** 2],
    ['Ki', 1024],
  ] as const) {
    if (amount >= size && amount % size === 0) return `${amount / size}${unit}`;
  }
  return String(amount);
}

function helps(change: ClusterChange, pod: PodFacts, cluster: Cluster): boolean {
  switch (change.what) {
    case 'podChanged':
    case 'podGone':
      return true;
    case 'placedPodChanged':
      return asksLess(change.pod.requests, change.old.requests);
    case 'nodeAdded':
      return couldHold(change.node, pod, cluster);
    case 'nodeChanged':
      return (
        !sameAmounts(change.node.status?.allocatable, change.old.status?.allocatable) &&
        couldHold(change.node, pod, cluster)
      );
    case 'fact': {
      if (change.kind !== 'deviceClass') return false;
      const deviceClass = cluster.facts.deviceClasses.get(change.key);
      return deviceClass !== undefined && backsRequest(pod.requests, deviceClass);
    }
    default:
      return false;
  }
}

function asksLess(now: Readonly<Amounts>, before: Readonly<Amounts>): boolean {
  return (
    now.milliCPU < before.milliCPU ||
    now.memory < before.memory ||
    now.ephemeralStorage < before.ephemeralStorage
  );
}

/** Whether the pod would fit the node if the node were empty. */
function couldHold(node: Node, { requests }: PodFacts, { facts }: Cluster): boolean {
  const { pods: _, ...rest } = node.status?.allocatable ?? {};
  const total: Amounts = amountsOf(rest);
  if (requests.milliCPU > total.milliCPU || requests.memory > total.memory) return false;
  if (requests.ephemeralStorage > total.ephemeralStorage) return false;
  const backed = backedResources(requests, facts.deviceClasses);
  for (const [name, wanted] of requests.others ?? []) {
    if (backed.has(name) && !total.others?.get(name)) continue;
    if (wanted > (total.others?.get(name) ?? 0)) return false;
  }
  return true;
}

/** By value: a heartbeat repeats the amounts and must not wake every waiting pod. */
function sameAmounts(left: ResourceList = {}, right: ResourceList = {}): boolean {
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  return names.every((name) => left[name] === right[name]);
}
