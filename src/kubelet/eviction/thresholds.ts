/**
 * When a node is short of something: thresholds as the settings write them, held against what was
 * observed. Pure.
 *
 *     settings ──parseThresholds──► thresholds ──┐
 *     observations (available, capacity) ────────┴─► metThresholds ──► pressures, `plan.ts`
 *
 * Signals and texts: kubernetes.io, Node-pressure Eviction.
 */
import { parseQuantity, quantityValue } from '#api/quantity.ts';
import type { KubeletSettings } from '../settings.ts';

export type Signal =
  | 'memory.available'
  | 'nodefs.available'
  | 'nodefs.inodesFree'
  | 'imagefs.available'
  | 'imagefs.inodesFree'
  | 'pid.available';

export interface Observation {
  readonly available: number;
  readonly capacity: number;
}

export type Observations = ReadonlyMap<Signal, Observation>;

export interface Threshold {
  readonly signal: Signal;
  /** As written: an amount, or a share of the capacity with `%`. */
  readonly value: string;
  /** 0: at once, and pods get no time. */
  readonly graceMs: number;
  readonly minimumReclaim?: string | undefined;
}

interface SignalFacts {
  /** Of the node. */
  readonly condition: 'MemoryPressure' | 'DiskPressure' | 'PIDPressure';
  /** What pods ask for by this name. */
  readonly resource: 'memory' | 'ephemeral-storage' | 'inodes' | 'pids';
}

export const signals: Readonly<Record<Signal, SignalFacts>> = {
  'memory.available': { condition: 'MemoryPressure', resource: 'memory' },
  'nodefs.available': { condition: 'DiskPressure', resource: 'ephemeral-storage' },
  'nodefs.inodesFree': { condition: 'DiskPressure', resource: 'inodes' },
  'imagefs.available': { condition: 'DiskPressure', resource: 'ephemeral-storage' },
  'imagefs.inodesFree': { condition: 'DiskPressure', resource: 'inodes' },
  'pid.available': { condition: 'PIDPressure', resource: 'pids' },
};

export function parseThresholds(settings: KubeletSettings): readonly Threshold[] {
  const { evictionHard, evictionSoft, evictionSoftGracePeriodMs } = settings;
  const { evictionMinimumReclaim } = settings;
  const parse = (values: Readonly<Record<string, string>>, graceOf: (name: string) => number) =>
    Object.entries(values).flatMap(([name, value]): Threshold[] => {
      if (!isSignal(name)) throw new Error(`unsupported eviction signal ${name}`);
      if (!/^\d+(\.\d+)?%$/.test(value) && parseQuantity(value) === undefined) {
        throw new Error(`invalid eviction threshold ${value} of ${name}`);
      }
      // Nothing can be below nothing: this is how a default is switched off.
      if (/^0+(\.0+)?%?$/.test(value) || value === '100%') return [];
      const minimumReclaim = evictionMinimumReclaim[name];
      return [{ signal: name, value, graceMs: graceOf(name), minimumReclaim }];
    });
  const softGrace = (name: string): number => {
    const graceMs = evictionSoftGracePeriodMs[name];
    if (graceMs === undefined || graceMs <= 0) {
      throw new Error(`grace period must be specified for the soft eviction threshold ${name}`);
    }
    return graceMs;
  };
  return [...parse(evictionHard, () => 0), ...parse(evictionSoft, softGrace)];
}

function isSignal(name: string): name is Signal {
  return name in signals;
}

/** An amount or a share, in the observation's unit. */
export function amountOf(value: string, { capacity }: Observation): number {
  if (value.endsWith('%')) return (Number(value.slice(0, -1)) / 100) * capacity;
  return quantityValue(value);
}

export function isMet(
  { signal, value, minimumReclaim }: Threshold,
  observations: Observations,
  { withReclaim }: { readonly withReclaim: boolean },
): boolean {
  const observed = observations.get(signal);
  if (observed === undefined) return false;
  const more = withReclaim && minimumReclaim !== undefined ? amountOf(minimumReclaim, observed) : 0;
  return observed.available < amountOf(value, observed) + more;
}
