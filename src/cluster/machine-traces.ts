/**
 * What a cluster has made on the machine outside its data dir, found by its id: nft tables, network
 * links, cgroups; and by its data dir: mounts and processes. Finding and removing are separate, so
 * that a test can ask whether anything is left.
 */
import { existsSync, readdirSync, readFileSync, realpathSync, rmdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { containerdLayout } from '#cri';
import { mountPointsBelow, readMounts, unmountBelow } from '#kit/mounts.ts';
import { runCommand } from '#kit/run-command.ts';

export interface Traces {
  /** `inet coracle-x7k2m`: family and name. */
  readonly tables: readonly string[];
  readonly links: readonly string[];
  /** Folders, outermost first. */
  readonly cgroups: readonly string[];
  readonly mounts: readonly string[];
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}

interface Options {
  readonly signal: AbortSignal;
}

const commandMs = 15_000;

/** Whether a name is one of ours for this cluster: the id as a word of it, or a veth `c<id>…`. */
function carriesId(name: string, id: string): boolean {
  return name.split(/[-_./@]/).includes(id) || name.startsWith(`c${id}`);
}

export async function findTraces(id: string, dataDir: string, options: Options): Promise<Traces> {
  const { tables, links } = await networkNames(options);
  const mine = (name: string): boolean => carriesId(name, id);
  return {
    tables: tables.filter((table) => mine(table.split(' ')[1] ?? '')),
    links: links.filter(mine),
    cgroups: cgroupRoots().flatMap((root) =>
      readdirSync(root, { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && mine(entry.name))
        .flatMap((entry) => foldersBelow(join(root, entry.name))),
    ),
    // The data dir itself may be somebody's disk.
    mounts: mountPointsBelow(dataDir).filter((point) => point !== realpathSync(dataDir)),
    processes: processesMentioning(dataDir, farSocketFolder(id, dataDir)),
  };
}

export function isEmpty(traces: Traces): boolean {
  return Object.values(traces).every((list) => list.length === 0);
}

/** Without what may go on after a stop of the pods: who else names the data dir. */
export function tracesOfPods(traces: Traces): Traces {
  const isShim = (command: string): boolean => /^\S*containerd-shim/.test(command);
  return { ...traces, processes: traces.processes.filter(({ command }) => isShim(command)) };
}

/** Of containerd's socket, where the data dir's path is too long for one. */
export function farSocketFolder(id: string, dataDir: string): string | undefined {
  const folder = dirname(containerdLayout(dataDir, id).socketPath);
  return isBelow(folder, dataDir) ? undefined : folder;
}

/** Removes tables, links, mounts and cgroups; processes only when `endProcesses` says so. */
export async function removeTraces(
  traces: Traces,
  dataDir: string,
  options: Options & { readonly endProcesses: boolean },
): Promise<void> {
  if (options.endProcesses) {
    // What the runtime did not end names nothing of ours, but is in a cgroup of ours.
    const inside = traces.cgroups.flatMap(processesIn);
    for (const pid of [...traces.processes.map((each) => each.pid), ...inside]) kill(pid);
  }
  const run = (command: string, args: readonly string[]) =>
    runCommand(command, args, { signal: options.signal, timeoutMs: commandMs });
  for (const table of traces.tables) await run('nft', ['delete', 'table', ...table.split(' ')]);
  for (const link of traces.links) await run('ip', ['link', 'delete', link]);
  await unmountBelow(dataDir, { ...options, keepsFolder: true });
  // Those that systemd made would be there again with the next pod; with it end those below.
  for (const name of topSlices(traces.cgroups)) await run('systemctl', ['stop', name]);
  for (const folder of traces.cgroups.toReversed()) removeCgroup(folder);
}

function topSlices(folders: readonly string[]): ReadonlySet<string> {
  const isBelowAnother = (folder: string): boolean => folders.includes(dirname(folder));
  const tops = folders.filter((folder) => !isBelowAnother(folder)).map((each) => basename(each));
  return new Set(tops.filter((name) => name.endsWith('.slice')));
}

async function networkNames(options: Options): Promise<{ tables: string[]; links: string[] }> {
  const run = async (command: string, args: readonly string[]): Promise<string> => {
    const result = await runCommand(command, args, { ...options, timeoutMs: commandMs });
    return result.code === 0 ? result.stdout : '';
  };
  const tables = (await run('nft', ['list', 'tables']))
    .split('\n')
    .map((line) => line.replace(/^table /, '').trim())
    .filter((line) => line !== '');
  const links = (await run('ip', ['-o', 'link', 'show']))
    .split('\n')
    .map((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? '')
    .filter((name) => name !== '');
  return { tables, links };
}

/** Mount points of cgroup hierarchies: one of v2, several of v1, or both. */
function cgroupRoots(): readonly string[] {
  return readMounts()
    .filter(({ type }) => type === 'cgroup' || type === 'cgroup2')
    .map(({ mountPoint }) => mountPoint);
}

function foldersBelow(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [folder, ...inner.flatMap((entry) => foldersBelow(join(folder, entry.name)))];
}

/** Without us, should we have been started inside. */
function processesIn(cgroup: string): readonly number[] {
  const own = ownFamily();
  try {
    const pids = readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').split('\n').map(Number);
    return pids.filter((pid) => pid > 0 && !own.has(pid));
  } catch (error) {
    // It was removed meanwhile, or has threads of its own.
    if (error instanceof Error) return [];
    throw error;
  }
}

function removeCgroup(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    // Still in use: the caller sees it in the next `findTraces`.
    if (!(error instanceof Error)) throw error;
  }
}

/** Processes whose command line names the data dir: containerd, its shims, a hanging `up`. */
function processesMentioning(dataDir: string, sockets: string | undefined): Traces['processes'] {
  const own = ownFamily();
  const real = withoutLinks(dataDir);
  const known = new Map<string, boolean>();
  const isInside = (word: string): boolean => {
    if (!word.startsWith('/')) return false;
    const before = known.get(word);
    if (before !== undefined) return before;
    const isFar = sockets !== undefined && isBelow(word, sockets);
    const inside = isFar || isBelow(word, dataDir) || isBelow(withoutLinks(word), real);
    known.set(word, inside);
    return inside;
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !own.has(Number(name)))
    .map((name) => ({ pid: Number(name), command: commandOf(name) }))
    .filter(({ command }) => command.split(/[ =]/).some(isInside));
}

/** Who started with a link to the data dir names that; what is gone by now was in its folder. */
function withoutLinks(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    const above = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === path) return path;
    return join(withoutLinks(above), basename(path));
  }
}

/** We and those who started us: they name the data dir too, in `reset --data-dir …`. */
function ownFamily(): ReadonlySet<number> {
  const family = new Set<number>();
  for (let pid = process.pid; pid > 1 && !family.has(pid); ) {
    family.add(pid);
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  }
  return family;
}

function isBelow(word: string, dataDir: string): boolean {
  return word === dataDir || word.startsWith(`${dataDir}/`);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch (error) {
    // It ended between the listing and the look.
    if (error instanceof Error) return '';
    throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
