/**
 * The skeleton's own figures: how soon a control plane answers, how much memory it keeps, how soon
 * `npm run up` has a Ready node and three Ready replicas. `npm run bench -- skeleton`.
 *
 * Goals: control plane 400 ms warm, 800 ms cold; 120 MiB idle (PSS); node 3 s; replicas 6 s.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '#kit/clock.ts';
import { ClusterProcess } from '#test/cluster-process.ts';
import { freePort } from '#test/free-port.ts';
import { pssMiB } from '#test/process-use.ts';
import { programFlags } from '#test/program-flags.ts';
import { fillCompileCache } from './compile-cache.ts';

const clock = systemClock();
const never = new AbortController().signal;
const entry = fileURLToPath(new URL('../bin/coracle.js', import.meta.url));

export default async function run(options: { readonly small: boolean }): Promise<void> {
  await measureControlPlane(options);
  if (process.getuid?.() === 0 && process.platform === 'linux') await measureUp(options);
}

async function measureControlPlane({ small }: { readonly small: boolean }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-bench-'));
  try {
    const cache = join(folder, 'compile-cache');
    const cold = await readyMs({ folder, dataDir: 'cold', cache });
    if (!small) fillCompileCache(cache);
    const runs = small ? 3 : 7;
    const warm: number[] = [];
    const again: number[] = [];
    for (let i = 0; i < runs; i++) {
      warm.push((await readyMs({ folder, dataDir: `warm-${i}`, cache })).ms);
      again.push((await readyMs({ folder, dataDir: 'cold', cache })).ms);
    }
    print('control plane ready, cold cache, first start', cold.ms, 800, 'ms');
    print('control plane ready, warm cache, first start', median(warm), 400, 'ms');
    print('control plane ready, warm cache, second start', median(again), 400, 'ms');
    const idle = await readyMs({ folder, dataDir: 'cold', cache, idleMs: small ? 5_000 : 30_000 });
    print(`control plane memory, idle ${small ? 5 : 30} s (PSS)`, idle.pssMiB, 120, 'MiB');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Start {
  readonly folder: string;
  readonly dataDir: string;
  readonly cache: string;
  readonly idleMs?: number;
}

/** Milliseconds from exec to an `ok` of /readyz over TLS; then the process is ended. */
async function readyMs(start: Start): Promise<{ readonly ms: number; readonly pssMiB: number }> {
  const port = await freePort();
  const startMs = clock.monotonic();
  const child = spawn(
    process.execPath,
    [
      ...[
        ...programFlags(),
        entry,
        'server',
        '--data-dir',
        join(start.folder, start.dataDir),
        '--no-kubeconfig',
      ],
      ...['--api-port', String(port), '--bind-address', '127.0.0.1'],
    ],
    { stdio: 'ignore', env: { ...process.env, CORACLE_COMPILE_CACHE: start.cache } },
  );
  try {
    while (!(await isReady(port))) {
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
      await clock.sleep(3, { signal: never });
    }
    const ms = clock.monotonic() - startMs;
    await clock.sleep(start.idleMs ?? 300, { signal: never });
    return { ms, pssMiB: pssMiB(child.pid) };
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
  }
}

function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // The certificate is the cluster's own; only the moment of the answer matters here.
    const options = { host: '127.0.0.1', port, path: '/readyz', rejectUnauthorized: false };
    const asking = request({ ...options, agent: false }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode === 200));
    });
    asking.once('error', () => resolve(false));
    asking.end();
  });
}

async function measureUp({ small }: { readonly small: boolean }): Promise<void> {
  const nodes: number[] = [];
  const replicas: number[] = [];
  for (let i = 0; i < (small ? 1 : 5); i++) {
    await using cluster = await ClusterProcess.open();
    const startMs = clock.monotonic();
    const ready = await cluster.up();
    nodes.push(ready);
    await cluster.kubectl('apply', '-f', 'examples/web/');
    await cluster.kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    replicas.push((clock.monotonic() - startMs) / 1000);
  }
  print('npm run up to cluster ready', median(nodes), 3, 's');
  print('npm run up to three replicas Ready', median(replicas), 6, 's');
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function print(what: string, value: number, goal: number, unit: string): void {
  const digits = unit === 's' ? 2 : 0;
  console.log(`${what.padEnd(52)} ${value.toFixed(digits).padStart(7)} ${unit}  (goal ${goal})`);
}
