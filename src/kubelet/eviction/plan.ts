/**
 * What a node that is short of something does: first it cleans up, then it evicts one pod, the one
 * that is easiest to do without. Pure.
 *
 * Easiest is who uses more than it asked for, then who has the lower priority, then who is furthest
 * above what it asked for. `eviction.ts` observes, remembers and performs. Order and texts:
 * kubernetes.io, Node-pressure Eviction.
 */
import { formatQuantity, quantityValue } from '#api/quantity.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { podFacts } from '#scheduling';
import { isCritical } from '../node/admission.ts';
import { graceSecondsOf, startOrder } from '../pods/pod-facts.ts';
import {
  amountOf,
  isMet,
  type Observation,
  type Observations,
  signals,
  type Threshold,
} from './thresholds.ts';

/** What a pod uses; undefined where it is not known. */
export interface PodUse {
  readonly pod: Pod;
  readonly memoryBytes?: number | undefined;
  /** Writable layers, logs and volumes on the node's disk. */
  readonly diskBytes?: number | undefined;
  /** Of these, in writable layers, which are where images are. */
  readonly layerBytes?: number | undefined;
  readonly inodes?: number | undefined;
  readonly processes?: number | undefined;
  readonly containers: readonly ContainerUse[];
  /** By volume name, of volumes with a size limit. */
  readonly emptyDirs: ReadonlyMap<string, number>;
}

export interface ContainerUse {
  readonly name: string;
  readonly memoryBytes?: number | undefined;
  /** Writable layer and logs. */
  readonly diskBytes?: number | undefined;
}

/** What is remembered from one look to the next. */
export interface EvictionMemory {
  /** Threshold → since when it is met. */
  readonly since: ReadonlyMap<Threshold, number>;
  /** Condition → when it was last seen to hold. */
  readonly lastSeen: ReadonlyMap<string, number>;
}

export const noMemory: EvictionMemory = { since: new Map(), lastSeen: new Map() };

export interface Eviction {
  readonly pod: Pod;
  readonly message: string;
  readonly graceSeconds: number;
  /** The pod did nothing wrong: it makes room for others. */
  readonly isForOthers: boolean;
}

export interface EvictionPlan {
  readonly memory: EvictionMemory;
  /** Conditions of the node that hold, pressure or its aftermath. */
  readonly pressures: readonly string[];
  /** The resource that is short, once its grace period is over. */
  readonly starved?: string | undefined;
  readonly threshold?: Threshold | undefined;
}

/** Given to pods when there is no time to lose. */
const graceSecondsAtOnce = 1;

export function planPressures(
  facts: {
    readonly thresholds: readonly Threshold[];
    readonly observations: Observations;
    readonly memory: EvictionMemory;
    readonly transitionMs: number;
  },
  nowMs: number,
): EvictionPlan {
  const { thresholds, observations, memory, transitionMs } = facts;
  const met = thresholds.filter((threshold) =>
    isMet(threshold, observations, { withReclaim: memory.since.has(threshold) }),
  );
  const since = new Map(met.map((one) => [one, memory.since.get(one) ?? nowMs]));
  const lastSeen = new Map(memory.lastSeen);
  for (const { signal } of met) lastSeen.set(signals[signal].condition, nowMs);
  const pressures = [...lastSeen]
    .filter(([, seenMs]) => seenMs === nowMs || nowMs - seenMs < transitionMs)
    .map(([condition]) => condition)
    .toSorted();
  const due = met.filter((one) => nowMs - (since.get(one) ?? nowMs) >= one.graceMs);
  // Memory first: without it nothing else can be done.
  const [threshold] = due.toSorted((a, b) => rank(a) - rank(b));
  return {
    memory: { since, lastSeen },
    pressures,
    threshold,
    starved: threshold === undefined ? undefined : signals[threshold.signal].resource,
  };
}

function rank({ signal, graceMs }: Threshold): number {
  return (signals[signal].resource === 'memory' ? 0 : 2) + (graceMs === 0 ? 0 : 1);
}

/** The pod that goes, if any may. */
export function planEviction(
  threshold: Threshold,
  uses: readonly PodUse[],
  facts: {
    readonly observed: Observation | undefined;
    readonly maxGraceSeconds: number;
    /** Images and writable layers have a disk of their own. */
    readonly hasImageDisk?: boolean | undefined;
  },
): Eviction | undefined {
  const resource = signals[threshold.signal].resource;
  const { signal } = threshold;
  const candidates = uses
    .filter(({ pod }) => !isCritical(pod))
    .map((use) => (facts.hasImageDisk === true ? onDiskOf(use, signal) : use));
  const [first] = candidates.toSorted((a, b) => compare(a, b, resource));
  if (first === undefined) return undefined;
  const { pod } = first;
  return {
    pod,
    message: evictionMessage(first, threshold, facts.observed),
    graceSeconds:
      threshold.graceMs === 0
        ? graceSecondsAtOnce
        : Math.max(Math.min(facts.maxGraceSeconds, graceSecondsOf(pod)), graceSecondsAtOnce),
    isForOthers: true,
  };
}

/** What the pod uses of the one disk that is short. */
function onDiskOf(use: PodUse, signal: string): PodUse {
  const { diskBytes, layerBytes = 0 } = use;
  if (signal === 'imagefs.available') return { ...use, diskBytes: layerBytes };
  if (signal !== 'nodefs.available' || diskBytes === undefined) return use;
  return { ...use, diskBytes: diskBytes - layerBytes };
}

/** Negative: `a` goes before `b`. */
function compare(a: PodUse, b: PodUse, resource: string): number {
  const used = [useOf(a, resource), useOf(b, resource)] as const;
  const asked = [requestOf(a.pod, resource), requestOf(b.pod, resource)] as const;
  const exceeds = (index: 0 | 1): boolean => {
    const use = used[index];
    // Of whom nothing is known, nothing good is assumed.
    return use === undefined || use > asked[index];
  };
  const byNature = resource === 'pids' ? 0 : Number(exceeds(1)) - Number(exceeds(0));
  if (byNature !== 0) return byNature;
  const byPriority = (a.pod.spec?.priority ?? 0) - (b.pod.spec?.priority ?? 0);
  if (byPriority !== 0) return byPriority;
  const above = (index: 0 | 1): number => (used[index] ?? Infinity) - asked[index];
  return above(1) - above(0);
}

function useOf(use: PodUse, resource: string): number | undefined {
  if (resource === 'memory') return use.memoryBytes;
  if (resource === 'ephemeral-storage') return use.diskBytes;
  return resource === 'inodes' ? use.inodes : use.processes;
}

function requestOf(pod: Pod, resource: string): number {
  const { requests } = podFacts(pod);
  if (resource === 'memory') return requests.memory;
  return resource === 'ephemeral-storage' ? requests.ephemeralStorage : 0;
}

function evictionMessage(
  { pod, containers }: PodUse,
  threshold: Threshold,
  observed: Observation | undefined,
): string {
  const { resource } = signals[threshold.signal];
  let text = `The node was low on resource: ${resource}. `;
  if (observed !== undefined) {
    const value = threshold.value.endsWith('%')
      ? formatBytes(amountOf(threshold.value, observed))
      : threshold.value;
    text += `Threshold quantity: ${value}, available: ${formatBytes(observed.available)}. `;
  }
  for (const use of containers) {
    const container = startOrder(pod).find(({ name }) => name === use.name);
    const used = resource === 'memory' ? use.memoryBytes : use.diskBytes;
    const isMeasured = resource === 'memory' || resource === 'ephemeral-storage';
    if (container === undefined || used === undefined || !isMeasured) continue;
    const request = container.resources?.requests?.[resource] ?? '0';
    if (used <= quantityValue(request)) continue;
    text +=
      `Container ${use.name} was using ${formatBytes(used)}, request is ${request}, ` +
      `has larger consumption of ${resource}. `;
  }
  return text;
}

/** Pods that use more of the disk than they are allowed to; one text each. */
export function planStorageEvictions(uses: readonly PodUse[]): readonly Eviction[] {
  return uses.flatMap((use): Eviction[] => {
    const message = emptyDirExcess(use) ?? podStorageExcess(use) ?? containerStorageExcess(use);
    const { pod } = use;
    if (message === undefined) return [];
    return [{ pod, message, graceSeconds: graceSecondsAtOnce, isForOthers: false }];
  });
}

function emptyDirExcess({ pod, emptyDirs }: PodUse): string | undefined {
  for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
    const limit = emptyDir?.sizeLimit;
    const used = emptyDirs.get(name);
    if (limit === undefined || used === undefined || quantityValue(limit) <= 0) continue;
    if (used > quantityValue(limit)) {
      return `Usage of EmptyDir volume "${name}" exceeds the limit "${limit}". `;
    }
  }
  return undefined;
}

function podStorageExcess({ pod, diskBytes }: PodUse): string | undefined {
  const limits = (pod.spec?.containers ?? []).flatMap(({ resources }) => {
    const limit = resources?.limits?.['ephemeral-storage'];
    return limit === undefined ? [] : [quantityValue(limit)];
  });
  if (diskBytes === undefined || limits.length === 0) return undefined;
  const sum = limits.reduce((total, limit) => total + limit, 0);
  if (diskBytes <= sum) return undefined;
  const text = formatBytes(sum);
  return `Pod ephemeral local storage usage exceeds the total limit of containers ${text}. `;
}

function containerStorageExcess({ pod, containers }: PodUse): string | undefined {
  for (const { name, diskBytes } of containers) {
    const container = pod.spec?.containers.find((one) => one.name === name);
    const limit = container?.resources?.limits?.['ephemeral-storage'];
    if (limit === undefined || diskBytes === undefined) continue;
    if (diskBytes > quantityValue(limit)) {
      return `Container ${name} exceeded its local ephemeral storage limit "${limit}". `;
    }
  }
  return undefined;
}

function formatBytes(bytes: number): string {
  const nano = BigInt(Math.floor(bytes)) * 1_000_000_000n;
  return formatQuantity({ nano, format: 'binary' });
}
