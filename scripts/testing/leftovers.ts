/**
 * What a test run leaves behind on the machine: processes, mounts, network namespaces, nft tables,
 * network links and cgroups that were not there before it.
 *
 * `parts.ts` reads the state before and after the end-to-end tests while it holds the machine lock;
 * anything new is a failure with its name. Processes are known by the variable CORACLE_TEST_RUN,
 * which all descendants of the run inherit, so those of other people do not count. A run that was
 * killed half-way is cleaned up by the next one: `staleClusters` for `coracle reset`, then
 * `removeStaleProcesses`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { killIfThere } from './child-process.ts';

export type MachineState = ReadonlyMap<string, ReadonlySet<string>>;

const runVariable = 'CORACLE_TEST_RUN';
/** Cgroups of pods and of our own containerd; the machine's other ones come and go as they like. */
const ourCgroup = /coracle|kubepods|cri-containerd/;
/** As `src/cluster/state.ts` keeps it. */
const registerFolder = '/run/coracle';
/** Data dirs that `test/support/cluster-process.ts` and the benchmarks make. */
const ofTests = /\/coracle-(e2e|bench)-[^/]+\//;
const cgroupDepthMax = 6;

export function readMachineState(): MachineState {
  return new Map([
    ['process', new Set(testProcesses().map(({ pid, command }) => `${pid} ${command}`))],
    ['shim', new Set(shims())],
    ['mount', new Set(mounts())],
    ['network namespace', new Set(names('/run/netns'))],
    ['nft table', new Set(nftTables())],
    ['link', new Set(names('/sys/class/net'))],
    ['cgroup', new Set(cgroups('/sys/fs/cgroup', cgroupDepthMax))],
  ]);
}

/** What is there now and was not before, in words. */
export function newSince(before: MachineState, after: MachineState): readonly string[] {
  return [...after].flatMap(([kind, items]) =>
    [...items].filter((item) => !before.get(kind)?.has(item)).map((item) => `${kind} ${item}`),
  );
}

/** A cluster that an earlier run left: the register of this machine names its data dir. */
export interface StaleCluster {
  readonly registerPath: string;
  readonly dataDir: string;
  /** Its data dir is still there, so it can be reset. */
  readonly exists: boolean;
}

/** Only while holding the machine lock: a run under way has clusters of this form too. */
export function staleClusters(): readonly StaleCluster[] {
  return names(registerFolder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => readRegister(join(registerFolder, name)))
    .filter(({ dataDir }) => ofTests.test(dataDir));
}

function readRegister(registerPath: string): StaleCluster {
  const { dataDir }: { dataDir?: unknown } = JSON.parse(readFileSync(registerPath, 'utf8'));
  const folder = typeof dataDir === 'string' ? dataDir : '';
  return { registerPath, dataDir: folder, exists: folder !== '' && existsSync(folder) };
}

/** Ends processes of earlier runs that were killed; only while holding the machine lock. */
export function removeStaleProcesses(ownRun: string): readonly string[] {
  const stale = testProcesses().filter(({ run, pid }) => run !== ownRun && pid !== process.pid);
  for (const { pid } of stale) killIfThere(pid);
  return stale.map(({ pid, command }) => `${pid} ${command}`);
}

interface TestProcess {
  readonly pid: number;
  readonly run: string;
  readonly command: string;
}

/** Descendants of a test run; the run's own process has the variable only in its children. */
function testProcesses(): readonly TestProcess[] {
  const own = namespaceOf('self');
  return pids().flatMap((pid) => {
    // A machine within this one has runs of its own.
    if (namespaceOf(pid) !== own) return [];
    const environment = readProcess(pid, 'environ').split('\0');
    const entry = environment.find((line) => line.startsWith(`${runVariable}=`));
    if (entry === undefined) return [];
    return [{ pid, run: entry.slice(runVariable.length + 1), command: commandOf(pid) }];
  });
}

function shims(): readonly string[] {
  const own = namespaceOf('self');
  return pids()
    .filter((pid) => namespaceOf(pid) === own)
    .map((pid) => `${pid} ${commandOf(pid)}`)
    .filter((line) => line.includes('containerd-shim'));
}

function pids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function commandOf(pid: number): string {
  return readProcess(pid, 'cmdline').replaceAll('\0', ' ').trim().slice(0, 200);
}

/** Of process ids; empty for a process that has ended meanwhile. */
function namespaceOf(pid: number | 'self'): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return '';
  }
}

/** Empty for a process that has ended meanwhile. */
function readProcess(pid: number, file: 'environ' | 'cmdline'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

function mounts(): readonly string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n');
  return lines.map((line) => line.split(' ')[4] ?? '');
}

function names(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function nftTables(): readonly string[] {
  const { stdout, status } = spawnSync('nft', ['list', 'tables'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n').filter((line) => line !== '') : [];
}

function cgroups(folder: string, depth: number): readonly string[] {
  if (depth === 0 || !existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      const below = cgroups(path, depth - 1);
      return ourCgroup.test(entry.name) ? [path, ...below] : below;
    });
}
