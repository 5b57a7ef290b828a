/**
 * The node: how much we add to what containerd needs for a pod, alone and in a crowd; what the
 * kubelet keeps and burns while nothing happens; how evenly it probes; how fast logs flow.
 * `npm run bench -- node`.
 *
 * The measure is containerd itself, in the same run and on the same machine: the CRI calls of a pod
 * (sandbox, container, start) without us; ours counts from being bound to being told as running, as
 * a watch sees both. Goals: our share 20 ms at the median and 15 % of the
 * crowd; 70 MiB idle and 0.4 MiB a pod; 3 % of a processor with 110 pods; node Ready in 2 s and
 * names in 3 s; probes without drift; logs with 50 MB/s.
 */
import { performance } from 'node:perf_hooks';
import { systemClock } from '#kit/clock.ts';
import { readAccess } from '../src/cluster/credentials/kubeconfig-access.ts';
import { readState } from '../src/cluster/state.ts';
import { fillCompileCache } from './compile-cache.ts';
import { AloneRuntime } from './node/alone.ts';
import { type BenchNode, openBenchNode } from './node/bench-node.ts';
import { measureLogs } from './node/logs.ts';
import { measureProbes } from './node/probes.ts';

const clock = systemClock();
const { signal } = new AbortController();

interface Sizes {
  readonly single: number;
  readonly crowd: number;
  /** After a change, before anything at rest is measured. */
  readonly settleMs: number;
  readonly idleMs: number;
  readonly probeMs: number;
  readonly logBytes: number;
}

const large: Sizes = {
  ...{ single: 15, crowd: 110, settleMs: 10_000 },
  ...{ idleMs: 20_000, probeMs: 20_000, logBytes: 200_000_000 },
};
const small: Sizes = {
  ...{ single: 3, crowd: 12, settleMs: 2000 },
  ...{ idleMs: 2000, probeMs: 4000, logBytes: 20_000_000 },
};

export default async function run(options: { readonly small: boolean }): Promise<void> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    console.log('real containers need Linux and root');
    return;
  }
  const sizes = options.small ? small : large;
  if (!options.small) fillCompileCache();
  await using node = await openBenchNode({
    readState,
    readAccess: (kubeconfig) => readAccess(kubeconfig, undefined),
  });
  print('up to node Ready', node.times.nodeReady, 2, 's');
  print('up to names in the cluster', node.times.dnsReady, 3, 's');
  await clock.sleep(sizes.settleMs, { signal });
  const idle = node.use();
  print('kubelet memory, idle (PSS)', idle.pssMiB, 70, 'MiB');
  await measureStarts(node, sizes);
  const crowd = await measureCrowd(node, sizes);
  await measureIdle(node, sizes, idle.pssMiB);
  await node.removeAll(crowd);
  await measureProbes(node, { count: sizes.crowd, lastsMs: sizes.probeMs, print });
  await measureLogs(node, { bytes: sizes.logBytes, print });
}

/** One pod at a time, by turns with the runtime alone. */
async function measureStarts(node: BenchNode, { single }: Sizes): Promise<void> {
  await using alone = await AloneRuntime.open();
  const ours: number[] = [];
  const theirs: number[] = [];
  // The first of each warms up what both need.
  for (let index = 0; index <= single; index++) {
    const theirMs = await alone.start(1);
    await alone.removeAll();
    const names = [`single-${index}`];
    const ourMs = await node.start(names);
    await node.removeAll(names);
    if (index === 0) continue;
    theirs.push(theirMs);
    ours.push(ourMs);
  }
  const [own, base] = [median(ours), median(theirs)];
  print('containerd alone: a pod', base, undefined, 'ms');
  print('bound to Running: a pod', own, undefined, 'ms');
  print('our share of a pod', own - base, 20, 'ms');
}

async function measureCrowd(node: BenchNode, { crowd }: Sizes): Promise<readonly string[]> {
  await using alone = await AloneRuntime.open();
  const theirMs = await alone.start(crowd);
  await alone.removeAll();
  const names = Array.from({ length: crowd }, (_, index) => `crowd-${index}`);
  const before = node.cpuMs();
  const ourMs = await node.start(names);
  const cpuMs = node.cpuMs() - before;
  print(`containerd alone: ${crowd} pods`, theirMs / 1000, undefined, 's');
  print(`bound to Running: ${crowd} pods`, ourMs / 1000, undefined, 's');
  print('our share of the crowd', (100 * (ourMs - theirMs)) / theirMs, 15, '%');
  print('our processor time for each of them', cpuMs / crowd, undefined, 'ms');
  return names;
}

/** With the crowd still there. */
async function measureIdle(node: BenchNode, sizes: Sizes, idleMiB: number): Promise<void> {
  await clock.sleep(sizes.settleMs, { signal });
  const before = node.use();
  const begin = performance.now();
  await clock.sleep(sizes.idleMs, { signal });
  const after = node.use();
  const share = (100 * (after.cpuMs - before.cpuMs)) / (performance.now() - begin);
  print(`kubelet processor with ${sizes.crowd} idle pods`, share, 3, '%');
  print('kubelet memory of each pod (PSS)', (after.pssMiB - idleMiB) / sizes.crowd, 0.4, 'MiB');
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function print(what: string, value: number, goal: number | undefined, unit: string): void {
  const digits = unit === 's' || value < 10 ? 2 : unit === '%' ? 1 : 0;
  const wanted = goal === undefined ? '' : `  (goal ${goal})`;
  console.log(`${what.padEnd(44)} ${value.toFixed(digits).padStart(8)} ${unit}${wanted}`);
}
