/**
 * What is known about a node's health, and the conditions and taints that follow. Pure.
 *
 * A kubelet shows that it lives by renewing its Lease and by posting its status. When neither has
 * changed for the grace time, the node's conditions become Unknown. Taints mirror conditions: the
 * scheduler reads those with NoSchedule; NoExecute drives pods away (`taint-eviction/`), and is put
 * on with care (`pace`): not at all while every node is away, for then the fault is more likely
 * here.
 *
 * Example: last sign of life at 0 s, grace 50 s. At 49 s nothing; at 51 s Ready turns Unknown,
 * taints `unreachable` follow; with the default tolerations pods are deleted at 351 s. Behaviour:
 * kubernetes.io, "Nodes", "Node controller"; numbers from conventions of v1.36.
 */
import { formatTime } from '#kit/clock.ts';
import type { Node, NodeCondition, Taint } from '#resources/types/core-v1.ts';
import { isSameValue } from '../same-value.ts';

export const limits = {
  /** Without a sign of life for longer, a node is unreachable. */
  graceMs: 50_000,
  /** The same for a node that has never posted its status. */
  startupGraceMs: 60_000,
  /** One node of a zone gets NoExecute per this time. */
  evictionPeriodMs: 10_000,
  /** The same in a large zone that is mostly unhealthy; small ones then stop. */
  slowEvictionPeriodMs: 100_000,
  /** A zone with more than this share unhealthy is. */
  unhealthyShare: 0.55,
  largeZoneNodes: 50,
} as const;

/** What can be set of it, with upstream's defaults. */
export interface HealthSettings {
  readonly graceMs: number;
  readonly startupGraceMs: number;
  /** Infinity: no node is given up. */
  readonly evictionPeriodMs: number;
  readonly slowEvictionPeriodMs: number;
  readonly unhealthyShare: number;
  readonly largeZoneNodes: number;
  /** Silence is noticed at the end of such a period only; 0: at once. */
  readonly monitorPeriodMs: number;
}

export const healthDefaults: HealthSettings = { ...limits, monitorPeriodMs: 0 };

const watchedConditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

/** Which taint a condition in a state stands for. */
const conditionTaints: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Ready: {
    False: 'node.kubernetes.io/not-ready',
    Unknown: 'node.kubernetes.io/unreachable',
  },
  MemoryPressure: { True: 'node.kubernetes.io/memory-pressure' },
  DiskPressure: { True: 'node.kubernetes.io/disk-pressure' },
  PIDPressure: { True: 'node.kubernetes.io/pid-pressure' },
  NetworkUnavailable: { True: 'node.kubernetes.io/network-unavailable' },
};
const unschedulableKey = 'node.kubernetes.io/unschedulable';
const managedNoSchedule: ReadonlySet<string> = new Set([
  ...Object.values(conditionTaints).flatMap((byStatus) => Object.values(byStatus)),
  unschedulableKey,
]);
const managedNoExecute: ReadonlySet<string> = new Set(
  Object.values(conditionTaints['Ready'] ?? {}),
);

export function readyStatus(node: Node): 'True' | 'False' | 'Unknown' {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  if (ready?.status === 'True' || ready?.status === 'False') return ready.status;
  return 'Unknown';
}

/** When the node counts as unreachable if nothing is heard; `heardMs` on the same clock. */
export function deadlineMs(
  node: Node,
  heardMs: number,
  settings: HealthSettings = healthDefaults,
): number {
  const { graceMs, startupGraceMs, monitorPeriodMs: periodMs } = settings;
  const hasPosted = node.status?.conditions?.some((condition) => condition.type === 'Ready');
  const atMs = heardMs + (hasPosted ? graceMs : startupGraceMs);
  return periodMs === 0 ? atMs : Math.ceil(atMs / periodMs) * periodMs;
}

/** The conditions of a node that was not heard of for too long; undefined where they say so. */
export function planUnknown(node: Node, nowMs: number): readonly NodeCondition[] | undefined {
  const before = node.status?.conditions ?? [];
  const now = formatTime(nowMs);
  const known = new Map(before.map((condition) => [condition.type, condition]));
  let changed = false;
  for (const type of watchedConditions) {
    const condition = known.get(type);
    if (condition?.status === 'Unknown') continue;
    changed = true;
    const never = {
      type,
      status: 'Unknown',
      reason: 'NodeStatusNeverUpdated',
      message: 'Kubelet never posted node status.',
      lastHeartbeatTime: node.metadata.creationTimestamp,
      lastTransitionTime: now,
    };
    const stopped = {
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
      message: 'Kubelet stopped posting node status.',
      lastTransitionTime: now,
    };
    known.set(type, condition === undefined ? never : { ...condition, ...stopped });
  }
  return changed ? [...known.values()] : undefined;
}

/** All taints of the node as they should be; undefined where they are. */
export function planTaints(
  node: Node,
  options: { readonly mayEvict: boolean },
  nowMs: number,
): readonly Taint[] | undefined {
  const before = node.spec?.taints ?? [];
  const wanted: Taint[] = [];
  for (const { type, status } of node.status?.conditions ?? []) {
    const key = conditionTaints[type]?.[status];
    if (key !== undefined) wanted.push({ key, effect: 'NoSchedule' });
  }
  if (node.spec?.unschedulable) wanted.push({ key: unschedulableKey, effect: 'NoSchedule' });
  const evicting = noExecuteKey(node);
  const has = before.some((taint) => taint.key === evicting && taint.effect === 'NoExecute');
  if (evicting !== undefined && (options.mayEvict || has)) {
    wanted.push({ key: evicting, effect: 'NoExecute' });
  }
  const others = before.filter((taint) => !isManaged(taint));
  const next = wanted.map((taint) => {
    const old = before.find(({ key, effect }) => key === taint.key && effect === taint.effect);
    return old ?? { ...taint, timeAdded: formatTime(nowMs) };
  });
  const all = [...others, ...next];
  return isSameSet(all, before) ? undefined : all;
}

/** The older labels of system and architecture, where they differ from today's. */
export function planLabels({ metadata }: Node): Readonly<Record<string, string>> | undefined {
  const { labels = {} } = metadata;
  const changes: Record<string, string> = {};
  for (const name of ['os', 'arch']) {
    const value = labels[`kubernetes.io/${name}`];
    const older = `beta.kubernetes.io/${name}`;
    if (value !== undefined && labels[older] !== value) changes[older] = value;
  }
  return Object.keys(changes).length === 0 ? undefined : changes;
}

/** Without the taints that drive pods away: everything is unhealthy, so nothing shall be moved. */
export function withoutEviction(taints: readonly Taint[]): readonly Taint[] {
  return taints.filter(({ key, effect }) => effect !== 'NoExecute' || !managedNoExecute.has(key));
}

function isManaged({ key, effect }: Taint): boolean {
  if (effect === 'NoExecute') return managedNoExecute.has(key);
  return effect === 'NoSchedule' && managedNoSchedule.has(key);
}

function noExecuteKey(node: Node): string | undefined {
  const status = readyStatus(node);
  const hasReady = node.status?.conditions?.some(({ type }) => type === 'Ready') ?? false;
  return hasReady ? conditionTaints['Ready']?.[status] : undefined;
}

function isSameSet(a: readonly Taint[], b: readonly Taint[]): boolean {
  return a.length === b.length && a.every((taint) => b.some((other) => isSameValue(taint, other)));
}

/** How fast nodes of a zone may be given up: milliseconds per node, or not at all. */
export function pace(
  zones: Iterable<{ readonly nodes: number; readonly unhealthy: number }>,
  zone: { readonly nodes: number; readonly unhealthy: number },
  settings: HealthSettings = healthDefaults,
): number | 'stop' {
  let isAnyHealthy = false;
  for (const { nodes, unhealthy } of zones) isAnyHealthy ||= unhealthy < nodes;
  if (!isAnyHealthy) return 'stop';
  const { nodes, unhealthy } = zone;
  const isPartlyDown =
    unhealthy < nodes && unhealthy > 2 && unhealthy / nodes >= settings.unhealthyShare;
  const slowMs = nodes > settings.largeZoneNodes ? settings.slowEvictionPeriodMs : Infinity;
  const periodMs = isPartlyDown ? slowMs : settings.evictionPeriodMs;
  return periodMs === Infinity ? 'stop' : periodMs;
}
