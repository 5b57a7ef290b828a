/**
 * How full a node would be with the pod on it, as a number from 0 to 100, by one of three
 * strategies: the emptier the better, the fuller the better, or by a curve that the operator draws.
 *
 * Each resource of the strategy counts with its weight. Resources that the node does not have are
 * left out, and extended ones also where the pod asks for none. Those that stand for devices are
 * counted in devices where the node does not count them itself.
 * Example, least allocated: 4 cores, 1 asked for, pod asks 1: (4 − 2) / 4 → 50; memory likewise,
 * say 70; equal weights: 60.
 */
import type { Amounts } from '../amounts.ts';
import type { NodeInfo } from '../node-info.ts';
import type { PodFacts } from '../pod-facts.ts';
import type { DeviceAmounts } from './device-amounts.ts';

export interface ResourceWeight {
  readonly name: string;
  readonly weight: number;
}

export interface ShapePoint {
  /** Percent. */
  readonly utilization: number;
  /** 0 to 10. */
  readonly score: number;
}

export interface ScoringStrategy {
  readonly type: 'LeastAllocated' | 'MostAllocated' | 'RequestedToCapacityRatio';
  readonly resources: readonly ResourceWeight[];
  readonly shape: readonly ShapePoint[];
}

export const cpuAndMemory: readonly ResourceWeight[] = [
  { name: 'cpu', weight: 1 },
  { name: 'memory', weight: 1 },
];

export const leastAllocated: ScoringStrategy = {
  type: 'LeastAllocated',
  resources: cpuAndMemory,
  shape: [],
};

/** Ready for one pod. */
export function strategyScore(
  strategy: ScoringStrategy,
  pod: PodFacts,
  devices: DeviceAmounts | undefined,
): (node: NodeInfo) => number {
  const { type, resources } = strategy;
  const parts = resources.map(({ name, weight }) => ({ name, weight, wanted: wanted(pod, name) }));
  const curve = type === 'RequestedToCapacityRatio' ? brokenLine(strategy.shape) : undefined;
  return (node) => {
    let sum = 0;
    let weights = 0;
    for (const { name, weight, wanted: asks } of parts) {
      if (asks === 0 && isExtended(name)) continue;
      const given = devices?.(node, name);
      const total = given?.total ?? amount(node.allocatable, name);
      if (total === 0) continue;
      const taken = isAssumed(name) ? node.nonZeroRequested : node.requested;
      const used = (given?.used ?? amount(taken, name)) + asks;
      const points = curve === undefined ? share(type, used, total) : curve(used, total);
      // On a curve a resource that scores nothing does not count against the others.
      if (curve !== undefined && points <= 0) continue;
      sum += points * weight;
      weights += weight;
    }
    if (weights === 0) return 0;
    return curve === undefined ? Math.floor(sum / weights) : Math.round(sum / weights);
  };
}

export function amount(amounts: Readonly<Amounts>, name: string): number {
  if (name === 'cpu') return amounts.milliCPU;
  if (name === 'memory') return amounts.memory;
  if (name === 'ephemeral-storage') return amounts.ephemeralStorage;
  return amounts.others?.get(name) ?? 0;
}

function wanted(pod: PodFacts, name: string): number {
  return amount(isAssumed(name) ? pod.nonZeroRequests : pod.requests, name);
}

/** Whether scores take a pod that asks for none of it to use some nevertheless. */
function isAssumed(name: string): boolean {
  return name === 'cpu' || name === 'memory';
}

/** Not one that every node has: a pod that asks for none of it has nothing to do with it. */
export function isExtended(name: string): boolean {
  return name !== 'cpu' && name !== 'memory' && name !== 'ephemeral-storage';
}

function share(type: ScoringStrategy['type'], used: number, total: number): number {
  if (type === 'MostAllocated') return Math.floor((Math.min(used, total) * 100) / total);
  return used > total ? 0 : Math.floor(((total - used) * 100) / total);
}

/** Straight lines between the points; flat before the first and after the last. */
function brokenLine(shape: readonly ShapePoint[]): (used: number, total: number) => number {
  const points = shape.map(({ utilization, score }) => ({ utilization, score: score * 10 }));
  return (used, total) => {
    const utilization = used > total ? 100 : Math.floor((used * 100) / total);
    let before: { readonly utilization: number; readonly score: number } | undefined;
    for (const point of points) {
      if (utilization <= point.utilization) {
        if (before === undefined) return point.score;
        const width = point.utilization - before.utilization;
        const rise = (point.score - before.score) * (utilization - before.utilization);
        return before.score + Math.trunc(rise / width);
      }
      before = point;
    }
    return before?.score ?? 0;
  };
}
