/**
 * Pressure: how long the processes of a cgroup waited for processors, memory or disks, as the
 * kernel says in `cpu.pressure`, `memory.pressure` and `io.pressure` of version 2.
 *
 * Pure. `cgroup-figures.ts` reads the files, `summary.ts` and `cadvisor-metrics.ts` pass on what
 * they say. Behaviour: kubernetes.io, "Understand Pressure Stall Information (PSI) Metrics".
 */

/** Shares are percents, over the last so many seconds. */
export interface Waited {
  readonly totalMicroseconds: number;
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
}

export interface Pressure {
  /** At least one process waited. */
  readonly some: Waited;
  /** None could go on. */
  readonly full: Waited;
}

export interface Pressures {
  readonly cpu: Pressure;
  readonly memory: Pressure;
  readonly io: Pressure;
}

/** By controller; version 1 has none. */
export const pressureFiles = {
  cpuPressure: ['cpu', '', 'cpu.pressure'],
  memoryPressure: ['memory', '', 'memory.pressure'],
  ioPressure: ['blkio', '', 'io.pressure'],
} as const;

export type PressureTexts = Readonly<Record<keyof typeof pressureFiles, string>>;

/** It is one switch of the kernel: with one file there are all three. */
export function parsePressures(texts: PressureTexts): Pressures | undefined {
  if (texts.cpuPressure === '') return undefined;
  return {
    cpu: parsePressure(texts.cpuPressure),
    memory: parsePressure(texts.memoryPressure),
    io: parsePressure(texts.ioPressure),
  };
}

/** Lines as `some avg10=0.12 avg60=0.00 avg300=0.00 total=4711`, in microseconds. */
function parsePressure(text: string): Pressure {
  const waited = (word: string): Waited => {
    const line = new RegExp(`^${word} (.*)$`, 'm').exec(text)?.[1] ?? '';
    const of = (key: string): number =>
      Number(new RegExp(`(?:^| )${key}=([\\d.]+)`).exec(line)?.[1] ?? 0);
    return {
      totalMicroseconds: of('total'),
      ...{ avg10: of('avg10'), avg60: of('avg60'), avg300: of('avg300') },
    };
  };
  return { some: waited('some'), full: waited('full') };
}
