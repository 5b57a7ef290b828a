/**
 * Shims that nobody knows any more: containerd was killed between starting one and noting it.
 *
 * A containerd that starts takes over the shims that it finds in its folders, and gives up those
 * in which nothing was started yet; such a shim would stay for ever. Looked for after each start,
 * several times, because one may be on its way while containerd dies; and now and then, because one
 * with a container that was lost is empty only when its pod is gone. `containerd.ts` calls.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '#kit/log.ts';

export interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  /** In ticks since the machine started. */
  readonly startedAt: number;
  /** Of process ids: a machine within this one has its own, perhaps with the same paths. */
  readonly namespace: string;
  readonly command: readonly string[];
}

/** Nothing runs in it, and it is older than this containerd or has no folder. */
export function planStrayShims(
  processes: readonly ProcessFacts[],
  options: {
    readonly socketPath: string;
    readonly containerd: number;
    readonly hasFolder: (id: string) => boolean;
  },
): readonly number[] {
  const { socketPath, hasFolder } = options;
  const own = processes.find(({ pid }) => pid === options.containerd);
  if (own === undefined) return [];
  const parents = new Set(processes.map(({ parent }) => parent));
  return processes
    .filter(({ pid, startedAt, namespace, command }) => {
      const id = command[command.indexOf('-id') + 1];
      // `start` and `delete` are words at the end of those that come and go by themselves.
      const isLasting = command.at(-2) === '-address' && command.at(-1) === socketPath;
      if (command[0]?.includes('containerd-shim') !== true || !isLasting) return false;
      if (namespace !== own.namespace) return false;
      const isKnown = startedAt > own.startedAt && id !== undefined && hasFolder(id);
      return !parents.has(pid) && !isKnown;
    })
    .map(({ pid }) => pid);
}

export async function endStrayShims(
  { log }: { readonly log: Logger },
  options: {
    readonly socketPath: string;
    readonly state: string;
    /** Its process. */
    readonly containerd: number;
  },
): Promise<void> {
  const tasks = join(options.state, 'io.containerd.runtime.v2.task', 'k8s.io');
  const hasFolder = (id: string): boolean => existsSync(join(tasks, id));
  for (const pid of planStrayShims(await allProcesses(), { ...options, hasFolder })) {
    log.warn('ending a shim that containerd has lost', { pid });
    end(pid);
  }
}

/** One after the other, so that nothing else waits for it: there may be hundreds. */
async function allProcesses(): Promise<readonly ProcessFacts[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const facts: ProcessFacts[] = [];
  for (const name of names) facts.push(await factsOf(name));
  return facts;
}

async function factsOf(name: string): Promise<ProcessFacts> {
  const stat = await orNothing(readFile(`/proc/${name}/stat`, 'utf8'));
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [parent, startedAt] = [Number(fields[1]), Number(fields[19])];
  const line = await orNothing(readFile(`/proc/${name}/cmdline`, 'utf8'));
  const namespace = await orNothing(readlink(`/proc/${name}/ns/pid`));
  const command = line.split('\0').slice(0, -1);
  return { pid: Number(name), parent, startedAt, namespace, command };
}

async function orNothing(read: Promise<string>): Promise<string> {
  try {
    return await read;
  } catch (error) {
    // A process may end between any two looks at it.
    if (error instanceof Error) return '';
    throw error;
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It was about to end by itself.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
