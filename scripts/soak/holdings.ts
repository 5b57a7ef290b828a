/**
 * What a cluster holds of the machine, in numbers: memory and descriptors of its processes, and how
 * many mounts, cgroups, namespaces, rules, links, tasks and folders there are that come of pods.
 * `scripts/soak.ts` reads it before and after; what grew is a leak.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { containerdLayout } from '#cri';
import { runCommand } from '#kit/run-command.ts';
import type { ClusterProcess } from '#test/cluster-process.ts';
import { pssMiB } from '#test/process-use.ts';
import { readMachineState } from '../testing/leftovers.ts';
import { ownMiB } from './own-memory.ts';

export type Holdings = Readonly<Record<string, number>>;

const { signal } = new AbortController();
/**
 * Memory goes up and down by itself: what is above this was kept for something. A descriptor may be
 * between two requests. The share of a program's pages (PSS) is shown only: it changes with how
 * many others run the same program.
 */
const allowance = { memoryMiB: 20, memoryShare: 0.2, descriptors: 12 } as const;

/** By a part of their command lines. */
const programs = {
  server: 'coracle.js up',
  node: 'node-agent',
  containerd: 'containerd --config',
} as const;

export async function readHoldings(cluster: ClusterProcess, clusterId: string): Promise<Holdings> {
  const { socketPath } = containerdLayout(cluster.dataDir, clusterId);
  const machine = readMachineState();
  const agent = join(cluster.dataDir, 'agent');
  const processes = await pidsOf(cluster);
  return {
    ...Object.fromEntries(processes.flatMap(([name, pid]) => Object.entries(ofProcess(name, pid)))),
    ...Object.fromEntries([...machine].map(([kind, items]) => [`${kind}, number`, items.size])),
    'rules and sets of nft, lines': await lines('nft', ['list', 'ruleset']),
    'containerd tasks': await lines('ctr', ['-a', socketPath, '-n', 'k8s.io', 'tasks', 'ls', '-q']),
    'containerd containers': await lines('ctr', [
      '-a',
      socketPath,
      '-n',
      'k8s.io',
      'c',
      'ls',
      '-q',
    ]),
    'folders of pods': entries(join(agent, 'kubelet/pods')),
    'folders of logs': entries(join(agent, 'pod-logs')),
  };
}

/** In words, for a look in between. */
export async function memoryNow(cluster: ClusterProcess): Promise<string> {
  const processes = await pidsOf(cluster);
  return processes.map(([name, pid]) => `${name} ${Math.round(ownMiB(pid))} MiB`).join(', ');
}

async function pidsOf(cluster: ClusterProcess): Promise<readonly (readonly [string, number])[]> {
  const all = await cluster.processes();
  return Object.entries(programs).map(([name, part]) => {
    const pid = all.find(({ command }) => command.includes(part))?.pid;
    if (pid === undefined) throw new Error(`there is no process of the ${name}`);
    return [name, pid] as const;
  });
}

/** In words, with both numbers. */
export function whatGrew(before: Holdings, after: Holdings): readonly string[] {
  return Object.entries(after).flatMap(([name, amount]) => {
    const old = before[name] ?? 0;
    const most = old + allowed(name, old);
    const words = `${name} from ${roughly(old)} to ${roughly(amount)}, at most ${roughly(most)}`;
    return amount > most ? [words] : [];
  });
}

function allowed(name: string, old: number): number {
  if (name.endsWith('(PSS)')) return Number.POSITIVE_INFINITY;
  if (name.endsWith('MiB')) return Math.max(allowance.memoryMiB, old * allowance.memoryShare);
  return name.endsWith('descriptors') ? allowance.descriptors : 0;
}

function roughly(amount: number): string {
  return amount.toFixed(Number.isInteger(amount) ? 0 : 1);
}

function ofProcess(name: string, pid: number): Holdings {
  return {
    [`${name}: memory, MiB`]: ownMiB(pid),
    [`${name}: with its program (PSS)`]: pssMiB(pid),
    [`${name}: descriptors`]: readdirSync(`/proc/${pid}/fd`).length,
  };
}

async function lines(program: string, args: readonly string[]): Promise<number> {
  const { stdout } = await runCommand(program, args, { signal, timeoutMs: 10_000 });
  return stdout.split('\n').filter((line) => line !== '').length;
}

function entries(folder: string): number {
  return existsSync(folder) ? readdirSync(folder).length : 0;
}
