/**
 * When a node is short of something: thresholds as the settings write them, held against what was
 * observed. Pure.
 *
 *     settings ──parseThresholds──► thresholds ──┐
 *     observations (available, capacity) ────────┴─► isMet ──► `plan.ts`
 *
 * Signals and texts: kubernetes.io, Node-pressure Eviction.
 */
import { parseQuantity, quantityValue } from '#api/quantity.ts';
import type { KubeletSettings } from '../settings.ts';

export type Signal =
  | 'memory.available'
  | 'allocatableMemory.available'
  | 'nodefs.available'
  | 'nodefs.inodesFree'
  | 'imagefs.available'
  | 'imagefs.inodesFree'
  | 'containerfs.available'
  | 'containerfs.inodesFree'
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
  // Of what pods may have in all; added by ourselves, not a name for settings.
  'allocatableMemory.available': { condition: 'MemoryPressure', resource: 'memory' },
  'nodefs.available': { condition: 'DiskPressure', resource: 'ephemeral-storage' },
  'nodefs.inodesFree': { condition: 'DiskPressure', resource: 'inodes' },
  'imagefs.available': { condition: 'DiskPressure', resource: 'ephemeral-storage' },
  'imagefs.inodesFree': { condition: 'DiskPressure', resource: 'inodes' },
  'containerfs.available': { condition: 'DiskPressure', resource: 'ephemeral-storage' },
  'containerfs.inodesFree': { condition: 'DiskPressure', resource: 'inodes' },
  'pid.available': { condition: 'PIDPressure', resource: 'pids' },
};

/** Throws, with upstream's words, where the settings make no sense. */
export function parseThresholds(settings: KubeletSettings): readonly Threshold[] {
  const { evictionHard, evictionSoft, evictionSoftGracePeriodMs } = settings;
  const { evictionMinimumReclaim, enforceNodeAllocatable } = settings;
  const reclaims = Object.entries(evictionMinimumReclaim).map(([name, value]) => {
    return [signalOf(name), minimumOf(name, value)] as const;
  });
  const parse = (values: Texts, graceOf: (name: string) => number): readonly Threshold[] =>
    Object.entries(values).flatMap(([name, value]): Threshold[] => {
      const signal = signalOf(name);
      if (!isAmount(name, value) || isIgnored(signal)) return [];
      const [, minimumReclaim] = reclaims.find(([of]) => of === signal) ?? [];
      return [{ signal, value, graceMs: graceOf(name), minimumReclaim }];
    });
  const softGrace = (name: string): number => {
    const graceMs = evictionSoftGracePeriodMs[name];
    if (graceMs !== undefined) return graceMs;
    throw new Error(`grace period must be specified for the soft eviction threshold ${name}`);
  };
  for (const name of Object.keys(evictionSoftGracePeriodMs)) signalOf(name);
  const hard = parse(evictionHard, () => 0);
  const ofPods = hard
    .filter(({ signal }) => signal === 'memory.available')
    .map((threshold) => ({ ...threshold, signal: 'allocatableMemory.available' as const }));
  const isEnforced = enforceNodeAllocatable.includes('pods');
  return [...hard, ...parse(evictionSoft, softGrace), ...(isEnforced ? ofPods : [])];
}

type Texts = Readonly<Record<string, string>>;

function signalOf(name: string): Signal {
  if (!isSignal(name)) throw new Error(`unsupported eviction signal ${name}`);
  return name;
}

/** Containers are where images are, or on the disk of the node: those thresholds count. */
function isIgnored(signal: Signal): boolean {
  return signal.startsWith('containerfs.');
}

/** False: a default that is switched off, since nothing can be below nothing. */
function isAmount(name: string, value: string): boolean {
  if (value === '0%' || value === '100%') return false;
  if (value.endsWith('%')) {
    const share = percentOf(value);
    if (share < 0) throw new Error(`eviction percentage threshold ${name} must be >= 0%: ${value}`);
    if (share > 100) {
      throw new Error(`eviction percentage threshold ${name} must be <= 100%: ${value}`);
    }
    return true;
  }
  if (quantityOf(value) <= 0)
    throw new Error(`eviction threshold ${name} must be positive: ${value}`);
  return true;
}

function minimumOf(name: string, value: string): string {
  if (value.endsWith('%')) {
    if (percentOf(value) <= 0) {
      throw new Error(`eviction percentage minimum reclaim ${name} must be positive: ${value}`);
    }
    return value;
  }
  if (quantityOf(value) < 0) {
    throw new Error(`negative eviction minimum reclaim specified for ${name}`);
  }
  return value;
}

function percentOf(value: string): number {
  const text = value.replace(/%+$/, '');
  const share = Number(text);
  if (text.trim() !== '' && !Number.isNaN(share)) return share;
  throw new Error(`strconv.ParseFloat: parsing "${text}": invalid syntax`);
}

function quantityOf(value: string): number {
  if (parseQuantity(value) !== undefined) return quantityValue(value);
  throw new Error(
    'quantities must match the regular expression ' +
      "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  );
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
