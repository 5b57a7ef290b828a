/**
 * What a process keeps in memory for itself, from what Linux tells of each of its mappings.
 *
 * The pages of a program and its libraries are on a machine once: how many of them count as one
 * process's (PSS) depends on how many others run the same program at that moment, so that a soak
 * would measure its neighbours. Of files that are run only what was written to counts, of all else
 * the process's share: heaps, stacks, shared memory, mapped data.
 *
 * `holdings.ts` reads it before and after a soak.
 */
import { readFileSync } from 'node:fs';

interface Mapping {
  readonly file: string;
  readonly runs: boolean;
  readonly pssKiB: number;
  readonly anonymousKiB: number;
}

export function ownMiB(pid: number): number {
  return ownKiB(readFileSync(`/proc/${pid}/smaps`, 'utf8')) / 1024;
}

/**
 * A mapping begins with its addresses, rights and file, and goes on with its sizes:
 *
 *     7f00-7f20 r-xp 00000000 08:01 131 /usr/bin/containerd
 *     Pss:                 120 kB
 *     Anonymous:             0 kB
 */
export function ownKiB(smaps: string): number {
  const mappings = smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).map(readMapping);
  const programs = new Set(
    mappings.filter(({ runs, file }) => runs && file.startsWith('/')).map(({ file }) => file),
  );
  return mappings.reduce(
    (sum, { file, pssKiB, anonymousKiB }) => sum + (programs.has(file) ? anonymousKiB : pssKiB),
    0,
  );
}

function readMapping(text: string): Mapping {
  const [, rights = '', file = ''] =
    /^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \S+ *(.*)$/m.exec(text) ?? [];
  const size = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);
  return { file, runs: rights.includes('x'), pssKiB: size('Pss'), anonymousKiB: size('Anonymous') };
}
