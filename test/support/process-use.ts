/**
 * What a process has used of the machine, as Linux tells it below /proc: memory that is its own or
 * its share of what several have (PSS), and time of processors. For benchmarks, and for the soak.
 */
import { readFileSync } from 'node:fs';

export interface ProcessUse {
  readonly cpuMs: number;
  readonly pssMiB: number;
}

export function processUse(pid: number | undefined): ProcessUse {
  return { cpuMs: processorMs(pid), pssMiB: pssMiB(pid) };
}

export function pssMiB(pid: number | undefined): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024;
}

/** User and system time, in clock ticks of 10 ms behind the name in parentheses. */
export function processorMs(pid: number | undefined): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
