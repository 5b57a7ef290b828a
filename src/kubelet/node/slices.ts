/**
 * Cgroups of pods as systemd has them: names of slices, and limits as properties of units. Pure.
 *
 * A slice's place is in its name: `kubepods-burstable-podA.slice` lies in
 * `kubepods.slice/kubepods-burstable.slice`. A dash within a part would be read as a step down, so
 * it becomes an underscore, as upstream does it. `systemd-cgroups.ts` asks systemd for them.
 */
import type { DBusValue } from '#kit/dbus-message.ts';
import type { CgroupLimits } from './cgroups.ts';

/** Name of a unit's property, the signature of its value, and the value. */
export type Property = readonly [name: string, signature: string, value: DBusValue];

const ending = '.slice';
/** What systemd takes for no limit. */
const infinity = 2n ** 64n - 1n;
/** Systemd keeps processors as whole percents of a second. */
const percentUs = 10_000;

/** `/a-b/kubepods` → `/a_b.slice/a_b-kubepods.slice`; a slice that has been named stays. */
export function slicePath(path: string): string {
  let prefix = '';
  let expanded = '';
  for (const part of partsOf(path)) {
    prefix += prefix === '' ? part : `-${part}`;
    expanded += `/${prefix}${ending}`;
  }
  return expanded === '' ? '/' : expanded;
}

/** The units that a path goes through, from the top: the last is its own. */
export function slicesOf(path: string): readonly string[] {
  return slicePath(path)
    .split('/')
    .filter((name) => name !== '');
}

function partsOf(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '');
  const last = parts.at(-1);
  if (last?.endsWith(ending) === true) return last.slice(0, -ending.length).split('-');
  return parts.map((part) => part.replaceAll('-', '_'));
}

/** The part that a slice adds to the path of its parent: `podA_B` in it → `podA-B`. */
export function partOfSlice(name: string): string | undefined {
  if (!name.endsWith(ending)) return undefined;
  return name.slice(name.lastIndexOf('-') + 1, -ending.length).replaceAll('_', '-');
}

export interface SliceLimits extends CgroupLimits {
  readonly cpuPeriod?: number | undefined;
  readonly cpuQuota?: number | undefined;
}

/** Of a slice that is made: what there is of it is counted, and nothing else starts with it. */
export function planSlice(name: string, parent: string, version: 1 | 2): readonly Property[] {
  return [
    ['Description', 's', `libcontainer container ${name}`],
    ['Wants', 'as', [parent]],
    ['MemoryAccounting', 'b', true],
    ['CPUAccounting', 'b', true],
    [version === 1 ? 'BlockIOAccounting' : 'IOAccounting', 'b', true],
    ['TasksAccounting', 'b', true],
    ['DefaultDependencies', 'b', false],
  ];
}

/** What is not given stays; -1: no limit. */
export function planLimits(limits: SliceLimits, version: 1 | 2): readonly Property[] {
  const { cpuShares, cpuPeriod, memoryLimitBytes: memory, pidsMax: tasks } = limits;
  const of = (name: string, value: number): Property => [
    ...([name, 't'] as const),
    value < 0 ? infinity : BigInt(value),
  ];
  const shares =
    cpuShares === undefined
      ? []
      : [version === 1 ? of('CPUShares', cpuShares) : of('CPUWeight', weightOf(cpuShares))];
  const quota = roundedQuota(limits);
  const perSecond =
    quota === undefined || cpuPeriod === undefined || quota < 0
      ? -1
      : (quota * 1_000_000) / cpuPeriod;
  return [
    ...shares,
    ...(memory === undefined ? [] : [of(version === 1 ? 'MemoryLimit' : 'MemoryMax', memory)]),
    ...(cpuPeriod === undefined
      ? []
      : [of('CPUQuotaPeriodUSec', cpuPeriod), of('CPUQuotaPerSecUSec', perSecond)]),
    // It takes no zero.
    ...(tasks === undefined ? [] : [of('TasksMax', tasks === 0 ? 1 : tasks)]),
  ];
}

/**
 * As systemd is going to write it: up to the next whole percent, since a container within must
 * never be given more than its pod. 12345 of 100000 µs are 12.345 % and become 13000.
 */
export function roundedQuota({ cpuQuota, cpuPeriod }: SliceLimits): number | undefined {
  if (cpuQuota === undefined || cpuQuota < 0 || cpuPeriod === undefined) return cpuQuota;
  const perSecondUs = Math.floor((cpuQuota * 1_000_000) / cpuPeriod);
  return (Math.ceil(perSecondUs / percentUs) * percentUs * cpuPeriod) / 1_000_000;
}

/** Shares 2 … 262144 become weight 1 … 10000. */
export function weightOf(cpuShares: number): number {
  return Math.floor(1 + ((cpuShares - 2) * 9999) / 262142);
}
