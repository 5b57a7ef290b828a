/**
 * What the machine uses as a whole, read from the kernel: processor, memory, disk, network,
 * processes. The node's server shows it (`server/stats.ts`, `server/metrics.ts`), and
 * `eviction/eviction.ts` looks for shortages in it.
 */
import type { DiskSpace, Machine } from './machine.ts';

export interface NodeFigures {
  readonly cpuNanoseconds: number;
  readonly cpus: number;
  readonly memory: MemoryFigures;
  readonly disk: DiskSpace;
  readonly interfaces: readonly InterfaceFigures[];
  readonly processes: ProcessFigures;
  readonly bootedAtMs: number;
}

export interface MemoryFigures {
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** What is in use and could not be had back at once. */
  readonly workingSetBytes: number;
  readonly usageBytes: number;
  readonly rssBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  readonly swapTotalBytes: number;
  readonly swapFreeBytes: number;
}

export interface ProcessFigures {
  readonly running: number;
  /** 0 where the kernel does not say. */
  readonly most: number;
}

export interface InterfaceFigures {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxErrors: number;
  readonly txBytes: number;
  readonly txErrors: number;
}

/** The kernel counts processor time in hundredths of a second. */
const nanosecondsPerTick = 10_000_000;

export function readNodeFigures(machine: Machine, diskPath: string): NodeFigures {
  const stat = machine.readFile('/proc/stat');
  const ticks = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(' ').map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = ticks;
  return {
    cpuNanoseconds: (user + nice + system + irq + softIrq + steal) * nanosecondsPerTick,
    cpus: stat.match(/^cpu\d+ /gm)?.length ?? 0,
    memory: readMemory(machine),
    disk: machine.diskSpace(diskPath),
    interfaces: parseInterfaces(machine.readFile('/proc/net/dev')),
    processes: readProcesses(machine),
    bootedAtMs: Number(/^btime (\d+)$/m.exec(stat)?.[1] ?? 0) * 1000,
  };
}

/**
 * Figures that the kernel does not tell are 0. What is available is what no working set holds: of
 * the files in memory, those that were not used lately count as available, as upstream counts.
 */
export function readMemory(machine: Machine): MemoryFigures {
  const info = machine.readFile('/proc/meminfo');
  const vm = machine.readFile('/proc/vmstat');
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(info)?.[1] ?? 0) * 1024;
  const count = (name: string): number =>
    Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(vm)?.[1] ?? 0);
  const totalBytes = bytes('MemTotal');
  // As the kernel counts for the cgroup of all processes.
  const usageBytes = bytes('Cached') + bytes('Buffers') + bytes('SwapCached') + bytes('AnonPages');
  const workingSetBytes = usageBytes - Math.min(bytes('Inactive\\(file\\)'), usageBytes);
  return {
    totalBytes,
    availableBytes: totalBytes - workingSetBytes,
    workingSetBytes,
    usageBytes,
    rssBytes: bytes('AnonPages'),
    pageFaults: count('pgfault'),
    majorPageFaults: count('pgmajfault'),
    swapTotalBytes: bytes('SwapTotal'),
    swapFreeBytes: bytes('SwapFree'),
  };
}

export function readProcesses(machine: Machine): ProcessFigures {
  const running = /^\S+ \S+ \S+ \d+\/(\d+)/.exec(machine.readFile('/proc/loadavg'))?.[1];
  // Either one holds: numbers for processes, and memory for them.
  const limits = ['pid_max', 'threads-max'].flatMap((name) => {
    const text = machine.readFile(`/proc/sys/kernel/${name}`).trim();
    return text === '' ? [] : [Number(text)];
  });
  return { running: Number(running ?? 0), most: limits.length === 0 ? 0 : Math.min(...limits) };
}

/** The text of `/proc/net/dev`: eight figures received, eight sent; loopback is left out. */
export function parseInterfaces(text: string): readonly InterfaceFigures[] {
  return text.split('\n').flatMap((line): InterfaceFigures[] => {
    const [, name = '', rest = ''] = /^\s*(\S+?):\s*(.*)$/.exec(line) ?? [];
    if (name === '' || name === 'lo') return [];
    const [rxBytes = 0, , rxErrors = 0, , , , , , txBytes = 0, , txErrors = 0] = rest
      .split(/\s+/)
      .map(Number);
    return [{ name, rxBytes, rxErrors, txBytes, txErrors }];
  });
}
