/**
 * Makes room for a pod that fits nowhere by removing pods of lower priority from one node.
 *
 * A node is a candidate if the pod would fit with all lower pods gone. Then as many of them as
 * possible are let stay, the most important first, those whose disruption budget would be broken
 * before the others. Of the candidates the one is taken that breaks the fewest budgets, then with
 * the lowest highest victim, the smallest sum of priorities, the fewest victims, and the victims
 * that started last. Not every node is tried, only a share of them from a random place on.
 *
 * Pure: rules are asked about copies of nodes. `scheduler/preemptor.ts` acts on the plan.
 *
 * Behaviour: kubernetes.io, "Pod Priority and Preemption".
 */
import { type LabelSelector, labelSelectorMatches } from '#api/selectors.ts';
import type { Random } from '#kit/random.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Cluster } from './cluster.ts';
import { countedReasons, type FitFailure, nodeReasons } from './fit-failure.ts';
import type { Objection, Trial } from './framework.ts';
import type { NodeInfo } from './node-info.ts';
import type { PodFacts } from './pod-facts.ts';
import type { PreemptionArgs } from './profile.ts';

export interface Victims {
  readonly node: NodeInfo;
  /** The most important first. */
  readonly pods: readonly PodFacts[];
  /** Of these, how many whose budget would be broken. */
  readonly budgetsBroken: number;
}

export type PreemptionPlan =
  /** Remove these and wait for the room. */
  | { readonly do: 'preempt'; readonly victims: Victims }
  /** Nothing can be done; `clears`: a nomination from before is over. */
  | { readonly do: 'give up'; readonly message: string; readonly clears: boolean };

export interface PreemptionFacts {
  readonly cluster: Cluster;
  readonly pod: PodFacts;
  readonly failure: FitFailure;
  readonly trial: Trial | undefined;
  readonly args: PreemptionArgs;
  readonly random: Random;
  readonly nowMs: number;
}

/** Candidates worth choosing from, and why the other nodes are none. */
export interface Candidates {
  readonly victims: readonly Victims[];
  readonly objections: ReadonlyMap<string, Objection>;
}

export function planPreemption(facts: PreemptionFacts): PreemptionPlan {
  const refusal = whyNotEligible(facts);
  if (refusal !== undefined) return { do: 'give up', message: refusal, clears: false };
  const candidates = findCandidates(facts);
  const best = pickCandidate(candidates.victims, facts.nowMs);
  if (best !== undefined) return { do: 'preempt', victims: best };
  return noCandidate(facts, candidates);
}

export function noCandidate(
  { failure }: Pick<PreemptionFacts, 'failure'>,
  { objections }: Candidates,
): PreemptionPlan {
  const { nodeCount } = failure;
  const reasons = new Map(nodeReasons({ nodeCount, objections, narrowedBy: [] }));
  const helpless = nodeCount - objections.size;
  if (helpless > 0) reasons.set('Preemption is not helpful for scheduling', helpless);
  const message = `0/${nodeCount} nodes are available: ${countedReasons(reasons)}.`;
  return { do: 'give up', message, clears: true };
}

/** Undefined where the pod may preempt. */
export function whyNotEligible({ pod, cluster, failure }: PreemptionFacts): string | undefined {
  if (pod.pod.spec?.preemptionPolicy === 'Never') {
    return 'not eligible due to preemptionPolicy=Never.';
  }
  const nominated = pod.pod.status?.nominatedNodeName;
  if (!nominated) return undefined;
  const objection = failure.whole?.rejection ?? failure.objections.get(nominated)?.verdict;
  if (objection === undefined ? failure.narrowedBy.length > 0 : objection.unresolvable) {
    return undefined;
  }
  for (const victim of cluster.get(nominated)?.pods.values() ?? []) {
    if (victim.priority < pod.priority && leavesForPreemption(victim.pod)) {
      return 'not eligible due to a terminating pod on the nominated node.';
    }
  }
  return undefined;
}

function leavesForPreemption({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp === undefined) return false;
  const condition = status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
  return condition?.status === 'True' && condition.reason === 'PreemptionByScheduler';
}

export function findCandidates(facts: PreemptionFacts): Candidates {
  const { cluster, failure, trial, args, random } = facts;
  const objections = new Map<string, Objection>();
  const victims: Victims[] = [];
  if (trial === undefined || failure.whole !== undefined) return { victims, objections };
  const nodes = cluster.nodes.filter(({ name }) => {
    const objection = failure.objections.get(name);
    return objection !== undefined && !objection.verdict.unresolvable;
  });
  if (nodes.length === 0) return { victims, objections };
  const share = Math.floor((nodes.length * args.minCandidateNodesPercentage) / 100);
  const enough = Math.min(Math.max(share, args.minCandidateNodesAbsolute), nodes.length);
  const offset = random.integer(nodes.length);
  const budgets = readBudgets(cluster);
  /** Nodes that cannot help; why is only worth knowing where nothing can. */
  const hopeless: NodeInfo[] = [];
  let harmless = 0;
  for (let index = 0; index < nodes.length; index++) {
    const node = nodes[(offset + index) % nodes.length];
    if (node === undefined) continue;
    if (!trial.mayFitWithout(lowerOn(node, facts.pod), node)) {
      hopeless.push(node);
      continue;
    }
    const found = victimsOn(node, { facts, trial, budgets });
    if ('verdict' in found) {
      objections.set(node.name, found);
      continue;
    }
    victims.push(found);
    if (found.budgetsBroken === 0) harmless += 1;
    if (harmless > 0 && victims.length >= enough) break;
  }
  if (victims.length > 0) return { victims, objections };
  for (const node of hopeless) {
    const found = victimsOn(node, { facts, trial, budgets });
    if ('verdict' in found) objections.set(node.name, found);
    else victims.push(found);
  }
  return { victims, objections };
}

/** A budget that protects pods, as far as it matters here. */
interface Budget {
  readonly namespace: string;
  readonly selector: LabelSelector | undefined;
  readonly allowed: number;
  readonly disruptedPods: ReadonlySet<string>;
}

interface Attempt {
  readonly facts: PreemptionFacts;
  readonly trial: Trial;
  readonly budgets: readonly Budget[];
}

const nobody: Objection = {
  plugin: 'DefaultPreemption',
  verdict: {
    fits: false,
    reasons: ['No preemption victims found for incoming pod'],
    unresolvable: true,
  },
};

function lowerOn({ pods }: NodeInfo, { priority }: PodFacts): readonly PodFacts[] {
  const lower: PodFacts[] = [];
  for (const one of pods.values()) if (one.priority < priority) lower.push(one);
  return lower;
}

/** The fewest pods whose removal lets the pod fit this node, or what stands against it. */
function victimsOn(original: NodeInfo, { facts, trial, budgets }: Attempt): Victims | Objection {
  const { pod, nowMs } = facts;
  const lower = [...lowerOn(original, pod)];
  if (lower.length === 0) return nobody;
  const node = original.clone();
  for (const one of lower) trial.remove(one, node);
  const objection = trial.objection(node);
  if (objection !== undefined) {
    for (const one of lower) trial.add(one, node);
    return objection;
  }
  lower.sort((left, right) => byImportance(left, right, nowMs));
  const { breaking, others } = splitByBudget(lower, budgets);
  const victims: PodFacts[] = [];
  let budgetsBroken = 0;
  const letStay = (one: PodFacts): boolean => {
    trial.add(one, node);
    if (trial.objection(node) === undefined) return true;
    trial.remove(one, node);
    victims.push(one);
    return false;
  };
  for (const one of breaking) if (!letStay(one)) budgetsBroken += 1;
  for (const one of others) letStay(one);
  // The trial is shared by all nodes: put back what it believes gone.
  for (const one of victims) trial.add(one, node);
  victims.sort((left, right) => byImportance(left, right, nowMs));
  return { node: original, pods: victims, budgetsBroken };
}

function readBudgets({ facts }: Cluster): readonly Budget[] {
  return [...facts.podDisruptionBudgets.list()].map(({ metadata, spec, status }) => ({
    namespace: metadata.namespace ?? '',
    selector: spec?.selector,
    allowed: status?.disruptionsAllowed ?? 0,
    disruptedPods: new Set(Object.keys(status?.disruptedPods ?? {})),
  }));
}

/** In the order given, each pod using up what its budgets still allow. */
function splitByBudget(
  pods: readonly PodFacts[],
  budgets: readonly Budget[],
): { readonly breaking: readonly PodFacts[]; readonly others: readonly PodFacts[] } {
  const left = budgets.map(({ allowed }) => allowed);
  const breaking: PodFacts[] = [];
  const others: PodFacts[] = [];
  for (const pod of pods) {
    let breaks = false;
    budgets.forEach((budget, index) => {
      if (!protects(budget, pod)) return;
      const now = (left[index] ?? 0) - 1;
      left[index] = now;
      if (now < 0) breaks = true;
    });
    (breaks ? breaking : others).push(pod);
  }
  return { breaking, others };
}

function protects({ namespace, selector, disruptedPods }: Budget, pod: PodFacts): boolean {
  if (namespace !== pod.namespace || Object.keys(pod.labels ?? {}).length === 0) return false;
  const requirements =
    Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions ?? []).length;
  if (requirements === 0 || !labelSelectorMatches(selector, pod.labels)) return false;
  return !disruptedPods.has(pod.pod.metadata.name ?? '');
}

/** Higher priority first, then the one that has run longer. */
function byImportance(left: PodFacts, right: PodFacts, nowMs: number): number {
  if (left.priority !== right.priority) return right.priority - left.priority;
  return (left.startedMs ?? nowMs) - (right.startedMs ?? nowMs);
}

export function pickCandidate(candidates: readonly Victims[], nowMs: number): Victims | undefined {
  /** In this order; the higher number wins. */
  const measures: readonly ((victims: Victims) => number)[] = [
    ({ budgetsBroken }) => -budgetsBroken,
    ({ pods }) => -(pods[0]?.priority ?? 0),
    // All shifted above zero, so that more victims of negative priority are not better than fewer.
    ({ pods }) => -pods.reduce((sum, { priority }) => sum + priority + 2 ** 31, 0),
    ({ pods }) => -pods.length,
    ({ pods }) => {
      const highest = pods.filter(({ priority }) => priority === pods[0]?.priority);
      return Math.min(...highest.map(({ startedMs }) => startedMs ?? nowMs));
    },
  ];
  let left = candidates;
  for (const measure of measures) {
    if (left.length <= 1) break;
    const values = left.map(measure);
    const most = Math.max(...values);
    left = left.filter((_, index) => values[index] === most);
  }
  return left[0];
}
