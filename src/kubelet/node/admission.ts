/**
 * Whether this node takes a pod that was bound to it. Pure.
 *
 * The scheduler decided with what it knew; this node knows better what it has and what it can do.
 * What the runtime would silently leave out is refused, so that nobody believes in a protection
 * that is not there; what does not fit is refused, unless the pod is critical: then less important
 * pods make room (`planAdmission` names them). A refused pod fails at once with the reason.
 *
 * `kubelet.ts` asks once per pod, before its worker begins. Reasons and texts are upstream's.
 */

import type { AppArmorProfile, Node, Pod } from '#resources/types/core-v1.ts';
import { type Amounts, matchesRequired, NodeInfo, podFacts, toleratesAll } from '#scheduling';
import { startOrder } from '../pods/pod-facts.ts';
import { type QosClass, qosClassOf } from '../pods/qos.ts';
import { isMirror, isStatic } from '../static-pods/static-pod.ts';
import { sysctlNamespace } from './sysctls.ts';

export interface Refusal {
  readonly reason: string;
  readonly message: string;
}

export interface AdmissionFacts {
  /** With labels, taints and allocatable amounts. */
  readonly node: Node;
  /** Pods that were taken before and have not ended. */
  readonly others: readonly Pod[];
  /** Types of node conditions that hold: `MemoryPressure` and its like. */
  readonly pressures?: readonly string[] | undefined;
  readonly isShuttingDown?: boolean | undefined;
  /** Resources of which plugins say who gets what, after this. */
  readonly isManaged?: ((resource: string) => boolean) | undefined;
  /** Names and patterns ending in `*`, allowed by whoever runs the node. */
  readonly allowedUnsafeSysctls?: readonly string[] | undefined;
  /** The kernel and the runtime know AppArmor. */
  readonly appArmor?: boolean | undefined;
}

export type Admission =
  | { readonly do: 'admit'; readonly preempt: readonly Pod[] }
  | { readonly do: 'reject'; readonly refusal: Refusal };

/** Priority from which on a pod is one that the cluster cannot do without. */
const criticalPriority = 2_000_000_000;

export function planAdmission(pod: Pod, facts: AdmissionFacts): Admission {
  const unable = refusalOf(pod, facts);
  if (unable !== undefined) return { do: 'reject', refusal: unable };
  const info = nodeInfoOf(facts);
  const shortages = shortagesOf(pod, info, facts.isManaged);
  const [first] = shortages;
  if (first !== undefined && !isCritical(pod)) return { do: 'reject', refusal: outOf(first) };
  const misplaced = placeRefusal(pod, info, facts.node);
  if (misplaced !== undefined) return { do: 'reject', refusal: misplaced };
  const preempt = planPreemption(pod, facts.others, shortages);
  if (preempt !== undefined) return { do: 'admit', preempt };
  const list = shortages.map(({ name, wanted, total, used }) => {
    return `(res: ${name}, q: ${wanted - (total - used)}), `;
  });
  const message =
    'Unexpected error while attempting to recover from admission failure: preemption: error ' +
    'finding a set of pods to preempt: no set of running pods found to reclaim resources: ' +
    `[${list.join('')}]`;
  return { do: 'reject', refusal: { reason: 'UnexpectedAdmissionError', message } };
}

/** What a pod that runs here cannot have beside the others, of what it wants by now. */
export function resizeShortage(
  pod: Pod,
  facts: Pick<AdmissionFacts, 'node' | 'others' | 'isManaged'>,
): string | undefined {
  // What it has, or was refused, says nothing of what it wants.
  const wanted = { ...pod, status: undefined };
  const [first] = shortagesOf(wanted, nodeInfoOf(facts), facts.isManaged);
  return first === undefined ? undefined : outOf(first).message;
}

export function isCritical(pod: Pod): boolean {
  return isStatic(pod) || isMirror(pod) || (pod.spec?.priority ?? 0) >= criticalPriority;
}

/** What the node does not do, whatever room there is. */
function refusalOf(pod: Pod, facts: AdmissionFacts): Refusal | undefined {
  if (facts.isShuttingDown === true) {
    const message = 'Pod was rejected as the node is shutting down.';
    return { reason: 'NodeShutdown', message };
  }
  return pressureRefusal(pod, facts.pressures ?? []) ?? abilityRefusal(pod, facts);
}

/** Memory is still given to those who were promised some; the disk is everybody's. */
function pressureRefusal(pod: Pod, pressures: readonly string[]): Refusal | undefined {
  if (pressures.length === 0 || isCritical(pod)) return undefined;
  const onlyMemory = pressures.length === 1 && pressures[0] === 'MemoryPressure';
  if (onlyMemory && qosClassOf(pod) !== 'BestEffort') return undefined;
  const tolerated = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' } as const;
  if (onlyMemory && toleratesAll(pod.spec?.tolerations ?? [], [tolerated])) return undefined;
  const message = `The node had condition: [${pressures.join(' ')}]. `;
  return { reason: 'Evicted', message };
}

function abilityRefusal(pod: Pod, facts: AdmissionFacts): Refusal | undefined {
  const { spec, metadata } = pod;
  const wantedOs = metadata.labels?.['kubernetes.io/os'];
  if (wantedOs !== undefined && wantedOs !== 'linux') {
    const message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
    return { reason: 'PodOSSelectorNodeLabelDoesNotMatch', message };
  }
  if (spec?.os !== undefined && spec.os.name !== 'linux') {
    const message = "Failed to admit pod as the OS field doesn't match node OS";
    return { reason: 'PodOSNotSupported', message };
  }
  const { supplementalGroupsPolicy, sysctls = [], appArmorProfile } = spec?.securityContext ?? {};
  const canStrict = facts.node.status?.features?.supplementalGroupsPolicy === true;
  if (supplementalGroupsPolicy === 'Strict' && !canStrict) {
    const message = 'SupplementalGroupsPolicy=Strict is not supported in this node';
    return { reason: 'SupplementalGroupsPolicyNotSupported', message };
  }
  const allowed = [...safeSysctls, ...(facts.allowedUnsafeSysctls ?? [])];
  const unsafe = sysctls.find(({ name }) => !isAllowed(name.replaceAll('/', '.'), allowed));
  if (unsafe !== undefined) {
    const message = `forbidden sysctl: "${unsafe.name}" not allowlisted`;
    return { reason: 'SysctlForbidden', message };
  }
  const shared = { IPC: spec?.hostIPC === true, Net: spec?.hostNetwork === true };
  for (const { name } of sysctls) {
    const namespace = sysctlNamespace(name);
    if (namespace === undefined || !shared[namespace]) continue;
    const message = `forbidden sysctl: "${name}" not allowed with host ${namespace} enabled`;
    return { reason: 'SysctlForbidden', message };
  }
  const profiles = [
    appArmorProfile,
    ...startOrder(pod).map(({ securityContext }) => securityContext?.appArmorProfile),
  ];
  if (facts.appArmor === true || !profiles.some(isEnforced)) return undefined;
  const message = 'Cannot enforce AppArmor: AppArmor is not enabled on the host';
  return { reason: 'AppArmor', message };
}

function isEnforced(profile: AppArmorProfile | undefined): boolean {
  return profile !== undefined && profile.type !== 'Unconfined';
}

/** Kept apart per pod by the kernel, and harmless to others. */
const safeSysctls: readonly string[] = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_wmem',
];

function isAllowed(name: string, allowed: readonly string[]): boolean {
  return allowed.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
}

/** Labels may have changed, and taints may have come, since the scheduler looked. */
function placeRefusal(pod: Pod, info: NodeInfo, node: Node): Refusal | undefined {
  const name = node.metadata.name ?? '';
  const predicate = (reason: string, text: string): Refusal => {
    return { reason, message: `Predicate ${reason} failed: ${text}` };
  };
  if (!matchesRequired(pod, { name, labels: node.metadata.labels ?? {} })) {
    return predicate('NodeAffinity', "node(s) didn't match Pod's node affinity/selector");
  }
  if ((pod.spec?.nodeName ?? name) !== name) {
    return predicate('NodeName', "node(s) didn't match the requested node name");
  }
  if (podFacts(pod).hostPorts.some((port) => info.hasPort(port))) {
    return predicate('NodePorts', "node(s) didn't have free ports for the requested pod ports");
  }
  const taints = (node.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
  if (!isStatic(pod) && !toleratesAll(pod.spec?.tolerations ?? [], taints)) {
    const text = "node(s) had taints that the pod didn't tolerate";
    return predicate('TaintToleration', text);
  }
  return undefined;
}

function nodeInfoOf({ node, others }: Pick<AdmissionFacts, 'node' | 'others'>): NodeInfo {
  const info = new NodeInfo(node.metadata.name ?? '');
  info.setNode(node);
  for (const pod of others) info.addPod(podFacts(pod));
  return info;
}

interface Shortage {
  readonly name: string;
  readonly wanted: number;
  readonly used: number;
  readonly total: number;
}

function shortagesOf(
  pod: Pod,
  info: NodeInfo,
  isManaged: AdmissionFacts['isManaged'],
): readonly Shortage[] {
  const { requests } = podFacts(pod);
  const { allocatable, requested } = info;
  const all: Shortage[] = [
    { name: 'pods', wanted: 1, used: info.pods.size, total: info.allowedPods },
    ...named(requests).map(([name, wanted]) => ({
      name,
      wanted,
      used: amountIn(requested, name),
      total: amountIn(allocatable, name),
    })),
  ];
  return all.filter(({ name, wanted, used, total }) => {
    // Resources of the whole cluster, of which the node knows nothing, are not its business.
    const isForeign = name.includes('/') && allocatable.others?.has(name) !== true;
    return wanted > 0 && !isForeign && isManaged?.(name) !== true && wanted > total - used;
  });
}

function named(amounts: Readonly<Amounts>): readonly (readonly [string, number])[] {
  const basic = (['cpu', 'memory', 'ephemeral-storage'] as const).map(
    (name) => [name, amountIn(amounts, name)] as const,
  );
  return [...basic, ...(amounts.others ?? [])];
}

function amountIn(amounts: Readonly<Amounts>, name: string): number {
  if (name === 'cpu') return amounts.milliCPU;
  if (name === 'memory') return amounts.memory;
  if (name === 'ephemeral-storage') return amounts.ephemeralStorage;
  return amounts.others?.get(name) ?? 0;
}

function outOf({ name, wanted, used, total }: Shortage): Refusal {
  const message =
    `Node didn't have enough resource: ${name}, requested: ${wanted}, used: ${used}, ` +
    `capacity: ${total}`;
  return { reason: `OutOf${name}`, message };
}

/** Name → how much more is needed. */
type Need = ReadonlyMap<string, number>;

/**
 * The pods that end so that a critical one can run: as few as possible, the least protected first.
 * Undefined if not even all together would be enough.
 */
function planPreemption(
  pod: Pod,
  others: readonly Pod[],
  shortages: readonly Shortage[],
): readonly Pod[] | undefined {
  const need: Need = new Map(
    shortages.map(({ name, wanted, used, total }) => [name, wanted - (total - used)]),
  );
  const weaker = others.filter((other) => mayPreempt(pod, other));
  const of = (quality: QosClass) => weaker.filter((other) => qosClassOf(other) === quality);
  const [bestEffort, burstable, guaranteed] = [of('BestEffort'), of('Burstable'), of('Guaranteed')];
  if (less(need, weaker).size > 0) return undefined;
  // What is needed of the better ones if all the lesser ones were gone already.
  const first = pick(guaranteed, less(need, [...bestEffort, ...burstable]));
  const second = pick(burstable, less(need, [...bestEffort, ...first]));
  const third = pick(bestEffort, less(need, [...second, ...first]));
  return [...third, ...second, ...first];
}

function mayPreempt(pod: Pod, other: Pod): boolean {
  if (isCritical(pod) && !isCritical(other)) return true;
  return (pod.spec?.priority ?? 0) > (other.spec?.priority ?? 0);
}

function asks(pod: Pod, name: string): number {
  return name === 'pods' ? 1 : amountIn(podFacts(pod).requests, name);
}

/** What is still needed when these have gone. */
function less(need: Need, gone: readonly Pod[]): Need {
  const rest = new Map<string, number>();
  for (const [name, amount] of need) {
    const left = gone.reduce((sum, pod) => sum - asks(pod, name), amount);
    if (left > 0) rest.set(name, left);
  }
  return rest;
}

/** Again and again the one that comes nearest to what is needed; of two alike the smaller. */
function pick(candidates: readonly Pod[], need: Need): readonly Pod[] {
  const left = [...candidates];
  const picked: Pod[] = [];
  for (let rest = need; rest.size > 0 && left.length > 0; rest = less(need, picked)) {
    const best = left.reduce((one, other) => {
      const difference = distance(rest, other) - distance(rest, one);
      return difference < 0 || (difference === 0 && isSmaller(other, one)) ? other : one;
    });
    left.splice(left.indexOf(best), 1);
    picked.push(best);
  }
  return picked;
}

/** 0: gives all that is needed; each resource adds up to 1. */
function distance(need: Need, pod: Pod): number {
  let sum = 0;
  for (const [name, amount] of need) {
    const missing = Math.max(amount - asks(pod, name), 0);
    sum += (missing / amount) ** 2;
  }
  return sum;
}

function isSmaller(one: Pod, other: Pod): boolean {
  const differs = ['memory', 'cpu'].find((name) => asks(one, name) !== asks(other, name));
  return differs === undefined || asks(one, differs) < asks(other, differs);
}
