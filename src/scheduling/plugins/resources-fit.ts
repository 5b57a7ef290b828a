/**
 * The node must have room: for one more pod, and for everything that the pod asks for, beside what
 * the pods already there asked for. Of the nodes with room the emptier ones score higher.
 *
 * Requests count, not use. What is compared with is `status.allocatable`, not capacity.
 * Score: the free share of cpu and memory after placing the pod, in hundredths, and their mean.
 * Example: 4 cores, 1 asked for, pod asks 1: (4 − 2) / 4 → 50; memory likewise, say 70: score 60.
 */
import type { Node } from '#resources/types/core-v1.ts';
import { type Amounts, amountsOf, type ResourceList } from '../amounts.ts';
import type { NodeInfo } from '../node-info.ts';
import { fits, type Plugin, type Verdict } from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';

export const resourcesFit: Plugin = {
  name: 'NodeResourcesFit',
  filter: (pod, node) => {
    const { requests } = pod;
    const { allocatable, requested } = node;
    const roomy =
      node.pods.size < node.allowedPods &&
      requests.others === undefined &&
      (requests.milliCPU === 0 || requests.milliCPU <= allocatable.milliCPU - requested.milliCPU) &&
      (requests.memory === 0 || requests.memory <= allocatable.memory - requested.memory) &&
      requests.ephemeralStorage === 0;
    return roomy ? fits : explain(pod, node);
  },
  score: {
    weight: 1,
    applies: () => true,
    of: leastAllocated,
  },
  helps: (change, pod) => {
    switch (change.what) {
      case 'podChanged':
      case 'podGone':
        return true;
      case 'nodeAdded':
        return couldHold(change.node, pod);
      case 'nodeChanged':
        return (
          !sameAmounts(change.node.status?.allocatable, change.old.status?.allocatable) &&
          couldHold(change.node, pod)
        );
    }
  },
};

/** The slower, complete comparison, which names all that is missing. */
function explain({ requests }: PodFacts, node: NodeInfo): Verdict {
  const reasons: string[] = [];
  let unresolvable = false;
  const compare = (name: string, wanted: number, total: number, used: number): void => {
    if (wanted === 0 || wanted <= total - used) return;
    reasons.push(`Insufficient ${name}`);
    if (wanted > total) unresolvable = true;
  };
  const { allocatable, requested } = node;
  if (node.pods.size >= node.allowedPods) reasons.push('Too many pods');
  compare('cpu', requests.milliCPU, allocatable.milliCPU, requested.milliCPU);
  compare('memory', requests.memory, allocatable.memory, requested.memory);
  compare(
    'ephemeral-storage',
    requests.ephemeralStorage,
    allocatable.ephemeralStorage,
    requested.ephemeralStorage,
  );
  for (const [name, wanted] of requests.others ?? []) {
    compare(name, wanted, allocatable.others?.get(name) ?? 0, requested.others?.get(name) ?? 0);
  }
  return reasons.length === 0 ? fits : { fits: false, reasons, unresolvable };
}

function leastAllocated(pod: PodFacts, node: NodeInfo): number {
  const used = node.nonZeroRequested;
  const wanted = pod.nonZeroRequests;
  let sum = 0;
  let parts = 0;
  const { milliCPU, memory } = node.allocatable;
  if (milliCPU > 0) {
    sum += freeShare(used.milliCPU + wanted.milliCPU, milliCPU);
    parts += 1;
  }
  if (memory > 0) {
    sum += freeShare(used.memory + wanted.memory, memory);
    parts += 1;
  }
  return parts === 0 ? 0 : Math.floor(sum / parts);
}

function freeShare(used: number, total: number): number {
  return used > total ? 0 : Math.floor(((total - used) * 100) / total);
}

/** Whether the pod would fit the node if the node were empty. */
function couldHold(node: Node, { requests }: PodFacts): boolean {
  const { pods: _, ...rest } = node.status?.allocatable ?? {};
  const total: Amounts = amountsOf(rest);
  if (requests.milliCPU > total.milliCPU || requests.memory > total.memory) return false;
  if (requests.ephemeralStorage > total.ephemeralStorage) return false;
  for (const [name, wanted] of requests.others ?? []) {
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
