/**
 * How many pods per second get a node, in the shapes of upstream's scheduler_perf: nodes and pods
 * are laid out first, then the scheduler starts and the time from the first binding (or the first
 * victim's end) to the last is taken. All writes are on disk before they are answered.
 * `npm run bench -- scheduler`.
 *
 * Beside upstream in the same run: `-- scheduler --upstream-apiserver PATH --etcd PATH
 * --upstream-scheduler PATH`, with its client limits raised. `--only NAME` runs one shape.
 * Goal: three times upstream's rate, and each rate above upstream's own floor. While pods are being
 * scheduled the API answers others within 100 ms (99 of 100).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { openClient, openHttpTransport } from '#client';
import { systemClock } from '#kit/clock.ts';
import { namespaces, nodes, pods, priorityClasses, serviceAccounts } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { processorMs } from '#test/process-use.ts';
import { type Program, startOurs, startUpstream } from './api/programs.ts';
import { namespace, nodeOf, type Shape, shapesOf } from './scheduler/shapes.ts';

const clock = systemClock();
const limitMs = 5 * 60_000;
const latencyMsMax = 100;

interface Figures {
  readonly perSecond: number;
  /** 99 of 100 reads of others took no longer. */
  readonly latencyMs: number;
  /** Processor time of server, store and scheduler for each pod: steady on a busy machine. */
  readonly processorMs: number;
}

interface Upstream {
  readonly apiServer: string;
  readonly etcd: string;
  readonly scheduler: string;
}

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const { only, upstream } = readFlags();
  const cache = mkdtempSync(join(tmpdir(), 'coracle-bench-cache-'));
  const slow: string[] = [];
  try {
    for (const shape of shapesOf({ small })) {
      if (only !== undefined && shape.name !== only) continue;
      // Each shape has servers of its own; at the smallest two say whether everything works.
      if (small && !['SchedulingBasic', 'Preemption'].includes(shape.name)) continue;
      const ours = await measureOurs(shape, cache);
      const other = upstream === undefined ? undefined : await measureUpstream(shape, upstream);
      report(shape, ours, other);
      if (!small && ours.perSecond < shape.floor) slow.push(shape.name);
    }
    if (slow.length > 0) throw new Error(`below the floor: ${slow.join(', ')}`);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

function readFlags(): {
  readonly only: string | undefined;
  readonly upstream: Upstream | undefined;
} {
  const value = { type: 'string' } as const;
  const options = {
    'upstream-apiserver': value,
    'upstream-scheduler': value,
    etcd: value,
    only: value,
  };
  const { values } = parseArgs({ strict: false, allowPositionals: true, options });
  const text = (name: keyof typeof options): string | undefined => {
    const given = values[name];
    return typeof given === 'string' ? given : undefined;
  };
  const [apiServer, scheduler] = [text('upstream-apiserver'), text('upstream-scheduler')];
  const etcd = text('etcd');
  const complete = apiServer !== undefined && scheduler !== undefined && etcd !== undefined;
  return { only: text('only'), upstream: complete ? { apiServer, scheduler, etcd } : undefined };
}

function report(shape: Shape, ours: Figures, other: Figures | undefined): void {
  const { name, nodes: nodeCount, measured, floor } = shape;
  const rate = Math.round(ours.perSecond);
  const latency = `p99 of reads ${ours.latencyMs.toFixed(1)} ms (goal ${latencyMsMax})`;
  const compared =
    other === undefined
      ? ''
      : `; upstream ${Math.round(other.perSecond)}/s, p99 ${other.latencyMs.toFixed(1)} ms, ` +
        `${other.processorMs.toFixed(2)} ms: ` +
        `${(ours.perSecond / other.perSecond).toFixed(1)} times the rate (goal 3), processor ` +
        `${(other.processorMs / ours.processorMs).toFixed(1)} times`;
  const what = `${measured} pods on ${nodeCount} nodes`;
  const processor = `${ours.processorMs.toFixed(2)} ms of processor a pod`;
  console.log(
    `  ${name.padEnd(18)} ${what}: ${rate}/s (floor ${floor}), ${processor}, ${latency}${compared}`,
  );
}

async function measureOurs(shape: Shape, cache: string): Promise<Figures> {
  await using program = await startOurs(cache, new URL('./scheduler/server.ts', import.meta.url));
  return await measure(shape, program, () => {
    program.tell('SIGUSR2');
    return { end: async () => {}, pid: undefined };
  });
}

async function measureUpstream(shape: Shape, upstream: Upstream): Promise<Figures> {
  await using program = await startUpstream(upstream);
  const folder = mkdtempSync(join(tmpdir(), 'coracle-bench-scheduler-'));
  const { target } = program;
  const kubeconfig = join(folder, 'kubeconfig');
  const access = {
    server: `https://127.0.0.1:${target.port}`,
    ca: target.ca,
    cert: target.cert,
    key: target.key,
  };
  writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(access)), { mode: 0o600 });
  try {
    return await measure(shape, program, () => {
      const child = spawn(
        upstream.scheduler,
        [
          ...['--kubeconfig', kubeconfig, '--authentication-kubeconfig', kubeconfig],
          ...['--authorization-kubeconfig', kubeconfig, '--leader-elect=false'],
          ...['--kube-api-qps', '10000', '--kube-api-burst', '10000', '--secure-port', '0'],
        ],
        { stdio: 'ignore' },
      );
      return { end: () => stop(child), pid: child.pid };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Access {
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

function kubeconfigOf({ server, ca, cert, key }: Access): unknown {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const cluster = { server, 'certificate-authority-data': base64(ca) };
  const user = { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) };
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bench', cluster }],
    users: [{ name: 'bench', user }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  };
}

interface Started {
  readonly end: () => Promise<void>;
  /** Of a scheduler that is a process of its own. */
  readonly pid: number | undefined;
}

async function measure(shape: Shape, program: Program, start: () => Started): Promise<Figures> {
  const { target } = program;
  const server = `https://127.0.0.1:${target.port}`;
  const stopping = new AbortController();
  const { signal } = stopping;
  using transport = openHttpTransport({ server, ...target });
  const client = openClient({ transport, clock });
  const create = async <T extends KubeObject>(
    kind: KindOf<T>,
    count: number,
    of: (index: number) => T,
  ): Promise<void> => {
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < count) await client.create(kind, of(next++), { signal });
    };
    await Promise.all(Array.from({ length: 32 }, worker));
  };
  const meta = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
  await create(namespaces, 1, () => meta);
  const account = { name: 'default', namespace };
  await create(serviceAccounts, 1, () => ({ ...meta, kind: 'ServiceAccount', metadata: account }));
  await create(priorityClasses, 1, () => ({
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: 'high' },
    value: 10,
  }));
  await create(nodes, shape.nodes, nodeOf);
  await create(pods, shape.placed, (index) => {
    const pod = shape.placedPod(index);
    const spec = { containers: [], ...pod.spec, nodeName: `node-${index % shape.nodes}` };
    return { ...pod, spec };
  });
  await create(pods, shape.measured, (index) => shape.measuredPod(index));

  const bound = new Bound(shape.measured, shape.measuredPod(0).metadata.name?.split('-')[0]);
  const { resourceVersion } = await client.list(pods, { namespace, limit: 1, signal });
  const watching = bound.follow(client.watch(pods, { namespace, resourceVersion, signal }));
  const latencies: number[] = [];
  const reading = readOften(
    async () => {
      const startedMs = clock.monotonic();
      await client.get(namespaces, { name: namespace }, { signal });
      latencies.push(clock.monotonic() - startedMs);
    },
    { signal },
  );
  const beforeMs = program.processorMs();
  const { end, pid } = start();
  const making = makeMeanwhile(shape, (pod) => client.create(pods, pod, { signal }), { signal });
  const cancel = clock.after(limitMs, () => stopping.abort(new Error('took too long')));
  try {
    await Promise.race([bound.done, watching, making]);
    const spentMs = program.processorMs() - beforeMs + (pid === undefined ? 0 : processorMs(pid));
    return {
      perSecond: bound.perSecond,
      latencyMs: percentile(latencies, 0.99),
      processorMs: spentMs / shape.measured,
    };
  } finally {
    cancel();
    stopping.abort(new Error('measured'));
    await Promise.allSettled([watching, reading, making]);
    await end();
  }
}

/** Notes when the first and the last pod got a node. */
class Bound {
  readonly done: Promise<void>;
  readonly #wanted: number;
  readonly #prefix: string;
  readonly #names = new Set<string>();
  readonly #resolve: () => void;
  #firstMs = 0;
  #lastMs = 0;

  constructor(wanted: number, prefix = 'pod') {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#wanted = wanted;
    this.#prefix = `${prefix}-`;
  }

  get perSecond(): number {
    return ((this.#wanted - 1) * 1000) / (this.#lastMs - this.#firstMs);
  }

  async follow(
    events: AsyncIterable<{ readonly type: string; readonly object?: KubeObject }>,
  ): Promise<void> {
    for await (const { type, object } of events) {
      // Making room is part of the work: it begins with the first victim that goes.
      if (type === 'DELETED' && this.#prefix === 'high-' && this.#firstMs === 0) {
        this.#firstMs = clock.monotonic();
      }
      // A watch of pods gives pods.
      const pod = object as { metadata: { name?: string }; spec?: { nodeName?: string } };
      const name = pod?.metadata.name ?? '';
      if (!pod?.spec?.nodeName || !name.startsWith(this.#prefix) || this.#names.has(name)) continue;
      this.#names.add(name);
      this.#lastMs = clock.monotonic();
      if (this.#firstMs === 0) this.#firstMs = this.#lastMs;
      if (this.#names.size === this.#wanted) this.#resolve();
    }
  }
}

async function makeMeanwhile(
  { meanwhile }: Shape,
  create: (pod: Pod) => Promise<unknown>,
  { signal }: { readonly signal: AbortSignal },
): Promise<never> {
  if (meanwhile === undefined) return await untilAborted(signal);
  for (let index = 0; ; index++) {
    await clock.sleep(meanwhile.everyMs, { signal });
    await create(meanwhile.pod(index));
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

async function readOften(
  read: () => Promise<void>,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    await read();
    await clock.sleep(20, { signal });
  }
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}
