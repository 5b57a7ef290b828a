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
import { readMachineState } from '../leftovers.ts';

export type Holdings = Readonly<Record<string, number>>;

const { signal } = new AbortController();
/** Memory goes up and down by itself; a descriptor may be between two requests. */
const allowance = { memoryMiB: 25, memoryShare: 0.25, descriptors: 12 } as const;

export async function readHoldings(cluster: ClusterProcess, clusterId: string): Promise<Holdings> {
  const processes = await cluster.processes();
  const find = (part: string): number | undefined =>
    processes.find(({ command }) => command.includes(part))?.pid;
  const { socketPath } = containerdLayout(cluster.dataDir, clusterId);
  const machine = readMachineState();
  const agent = join(cluster.dataDir, 'agent');
  return {
    ...ofProcess('server', find('coracle.js up')),
    ...ofProcess('node', find('node-agent')),
    ...ofProcess('containerd', find('containerd --config')),
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

/** In words, with both numbers. */
export function whatGrew(before: Holdings, after: Holdings): readonly string[] {
  return Object.entries(after).flatMap(([name, amount]) => {
    const old = before[name] ?? 0;
    return amount > old + allowed(name, old) ? [`${name} from ${old} to ${amount}`] : [];
  });
}

function allowed(name: string, old: number): number {
  if (name.endsWith('MiB')) return Math.max(allowance.memoryMiB, old * allowance.memoryShare);
  return name.endsWith('descriptors') ? allowance.descriptors : 0;
}

function ofProcess(name: string, pid: number | undefined): Holdings {
  if (pid === undefined) throw new Error(`there is no process of the ${name}`);
  return {
    [`${name}: memory (PSS), MiB`]: pssMiB(pid),
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
