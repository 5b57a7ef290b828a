/**
 * What the kernel counts of one cgroup besides what the runtime tells: processor time by mode,
 * throttling, sorts of memory, faults, processes, pressure, and the limits that are set. Read from
 * its files, in whichever version, when somebody asks for `/metrics/cadvisor` or `/stats/summary`.
 *
 * `readCgroupFigures` reads, `parseCgroupFigures` is pure. Units: seconds and bytes. What a version
 * does not count is absent.
 */
import type { Cgroups } from '../node/cgroups.ts';
import { type Pressures, parsePressures, pressureFiles } from './pressure.ts';

export interface CgroupFigures {
  readonly cpuNanoseconds: number;
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledSeconds: number;
  readonly usageBytes: number;
  /** What it could not give back at once. */
  readonly workingSetBytes: number;
  readonly cacheBytes: number;
  readonly rssBytes: number;
  readonly swapBytes: number;
  readonly mappedBytes: number;
  readonly activeFileBytes: number;
  readonly inactiveFileBytes: number;
  readonly maxUsageBytes: number;
  readonly failures: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  readonly outOfMemory: number;
  readonly processes: number;
  readonly threads: number;
  readonly cpuShares: number;
  readonly cpuPeriodUs: number;
  /** Undefined: no limit. */
  readonly cpuQuotaUs: number | undefined;
  /** 0: no limit. */
  readonly memoryLimitBytes: number;
  /** Undefined: no limit, or not told apart from memory (version 1). */
  readonly swapLimitBytes: number | undefined;
  /** Undefined where the kernel does not tell it by cgroup: version 1, or switched off. */
  readonly pressures: Pressures | undefined;
}

/** By controller; the first one of a line is version 1's, the second version 2's; '' is none. */
const files = {
  cpuUse: ['cpuacct', 'cpuacct.usage', 'cpu.stat'],
  cpuStat: ['cpu', 'cpu.stat', 'cpu.stat'],
  modes: ['cpuacct', 'cpuacct.stat', 'cpu.stat'],
  shares: ['cpu', 'cpu.shares', 'cpu.weight'],
  period: ['cpu', 'cpu.cfs_period_us', 'cpu.max'],
  quota: ['cpu', 'cpu.cfs_quota_us', 'cpu.max'],
  memoryStat: ['memory', 'memory.stat', 'memory.stat'],
  memoryUse: ['memory', 'memory.usage_in_bytes', 'memory.current'],
  memoryLimit: ['memory', 'memory.limit_in_bytes', 'memory.max'],
  memoryMost: ['memory', 'memory.max_usage_in_bytes', 'memory.peak'],
  memoryFailures: ['memory', 'memory.failcnt', 'memory.events'],
  memoryEvents: ['memory', 'memory.oom_control', 'memory.events'],
  swap: ['memory', 'memory.stat', 'memory.swap.current'],
  swapLimit: ['memory', '', 'memory.swap.max'],
  ...pressureFiles,
  processes: ['pids', 'cgroup.procs', 'cgroup.procs'],
  threads: ['pids', 'tasks', 'cgroup.threads'],
} as const;

export type CgroupTexts = Readonly<Record<keyof typeof files, string>>;

/** Undefined where there is no such cgroup. */
export async function readCgroupFigures(
  cgroups: Pick<Cgroups, 'version' | 'read'>,
  path: string,
): Promise<CgroupFigures | undefined> {
  const { version } = cgroups;
  const texts = await Promise.all(
    Object.entries(files).map(async ([name, [controller, first, second]]) => {
      const file = version === 1 ? first : second;
      return [name, file === '' ? '' : await cgroups.read(path, controller, file)] as const;
    }),
  );
  // The names are those of the table.
  const all = Object.fromEntries(texts) as CgroupTexts;
  return all.cpuStat === '' && all.memoryStat === '' ? undefined : parseCgroupFigures(all, version);
}

export interface SwapFigures {
  readonly usageBytes: number;
  /** Undefined: no limit, or not told apart from memory (version 1). */
  readonly limitBytes: number | undefined;
}

/** Undefined where there is no such cgroup, or the kernel does not count swap by cgroup. */
export async function readSwap(
  cgroups: Pick<Cgroups, 'version' | 'read'>,
  path: string,
): Promise<SwapFigures | undefined> {
  const { version } = cgroups;
  const read = ([controller, first, second]: readonly [string, string, string]) => {
    const file = version === 1 ? first : second;
    return file === '' ? '' : cgroups.read(path, controller, file);
  };
  const [text, limit] = await Promise.all([read(files.swap), read(files.swapLimit)]);
  const use = version === 1 ? /^total_swap (\d+)/m.exec(text)?.[1] : text.trim();
  if (use === undefined || use === '') return undefined;
  return { usageBytes: Number(use), limitBytes: swapLimitOf(limit) };
}

function swapLimitOf(text: string): number | undefined {
  const limit = text.trim();
  return limit === '' || limit === 'max' ? undefined : Number(limit);
}

const ticksPerSecond = 100;
/** Version 1 has no word for no limit: it is the largest multiple of a page. */
const unlimitedBytes = 2 ** 62;

export function parseCgroupFigures(texts: CgroupTexts, version: 1 | 2): CgroupFigures {
  const isFirst = version === 1;
  const value = (text: string, key: string): number =>
    Number(new RegExp(`^${key} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
  const memory = (first: string, second: string): number =>
    value(texts.memoryStat, isFirst ? first : second);
  const count = (text: string): number => text.split('\n').filter((line) => line !== '').length;
  const modes = (first: string, second: string): number =>
    isFirst ? value(texts.modes, first) / ticksPerSecond : value(texts.modes, second) / 1e6;
  const [quota = '', period = ''] = isFirst
    ? [texts.quota.trim(), texts.period.trim()]
    : texts.quota.trim().split(' ');
  const isLimited = quota !== '' && quota !== 'max' && Number(quota) >= 0;
  const limit = texts.memoryLimit.trim();
  const memoryLimit = limit === 'max' ? 0 : Number(limit);
  const usageBytes = Number(texts.memoryUse);
  const inactiveFileBytes = memory('total_inactive_file', 'inactive_file');
  return {
    cpuNanoseconds: isFirst ? Number(texts.cpuUse) : value(texts.cpuUse, 'usage_usec') * 1000,
    userSeconds: modes('user', 'user_usec'),
    systemSeconds: modes('system', 'system_usec'),
    periods: value(texts.cpuStat, 'nr_periods'),
    throttledPeriods: value(texts.cpuStat, 'nr_throttled'),
    throttledSeconds: isFirst
      ? value(texts.cpuStat, 'throttled_time') / 1e9
      : value(texts.cpuStat, 'throttled_usec') / 1e6,
    usageBytes,
    workingSetBytes: Math.max(usageBytes - inactiveFileBytes, 0),
    cacheBytes: memory('total_cache', 'file'),
    rssBytes: memory('total_rss', 'anon'),
    swapBytes: isFirst ? value(texts.swap, 'total_swap') : Number(texts.swap),
    mappedBytes: memory('total_mapped_file', 'file_mapped'),
    activeFileBytes: memory('total_active_file', 'active_file'),
    inactiveFileBytes,
    maxUsageBytes: Number(texts.memoryMost),
    failures: isFirst ? Number(texts.memoryFailures) : value(texts.memoryFailures, 'max'),
    pageFaults: memory('total_pgfault', 'pgfault'),
    majorPageFaults: memory('total_pgmajfault', 'pgmajfault'),
    outOfMemory: value(texts.memoryEvents, 'oom_kill'),
    processes: count(texts.processes),
    threads: count(texts.threads),
    cpuShares: isFirst ? Number(texts.shares) : sharesOf(Number(texts.shares)),
    cpuPeriodUs: Number(period),
    cpuQuotaUs: isLimited ? Number(quota) : undefined,
    memoryLimitBytes: memoryLimit >= unlimitedBytes ? 0 : memoryLimit,
    swapLimitBytes: swapLimitOf(texts.swapLimit),
    pressures: parsePressures(texts),
  };
}

/** Weight 1 … 10000 was made of shares 2 … 262144. */
function sharesOf(weight: number): number {
  return weight === 0 ? 0 : Math.floor(2 + ((weight - 1) * 262142) / 9999);
}
