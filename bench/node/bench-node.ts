/**
 * A cluster of one real node for the node's benchmark: `npm run up` as a program of its own, pods
 * bound to its node by us, and a watch that says when each runs. What the node's process used of
 * processor and memory is read from /proc.
 */
import { type Client, openClient, openHttpTransport } from '#client';
import { containerdLayout } from '#cri';
import { systemClock } from '#kit/clock.ts';
import { pods } from '#resources/kinds.ts';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { ClusterProcess } from '#test/cluster-process.ts';
import { type ProcessUse, processorMs, processUse } from '#test/process-use.ts';

const clock = systemClock();
const { signal } = new AbortController();
const untilMs = 120_000;
/** Logs that are to be read whole are not turned over before. */
const kubeletConfiguration = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerLogMaxSize: 2Gi
`;
export const image = 'localhost/busybox:1.35';
export const idleCommand = ['sh', '-c', 'trap exit TERM; sleep 86400 & wait'];

export interface BenchNode extends AsyncDisposable {
  readonly cluster: ClusterProcess;
  readonly client: Client;
  readonly nodeName: string;
  readonly nodeIP: string;
  readonly socketPath: string;
  readonly clusterId: string;
  readonly times: { readonly nodeReady: number; readonly dnsReady: number };
  /** What the node's process has used since its start, and holds now. */
  use(): ProcessUse;
  /** Of all processes that are ours: server, controllers, node. */
  cpuMs(): number;
  /**
   * Makes pods that are bound to the node, all at once, and resolves with the milliseconds between
   * the first of them being bound and the last one running, as a watch tells both.
   */
  start(names: readonly string[], spec?: (name: string) => Partial<PodSpec>): Promise<number>;
  /** Resolves when none is left, in the API and on the node. */
  removeAll(names: readonly string[]): Promise<void>;
}

/** What the program writes of itself, read by whoever knows its files. */
export interface ClusterFiles {
  readonly readAccess: (kubeconfig: string) => Parameters<typeof openHttpTransport>[0];
  readonly readState: (
    dataDir: string,
  ) => { readonly id: string; readonly nodeName: string } | undefined;
}

export async function openBenchNode(files: ClusterFiles): Promise<BenchNode> {
  const cluster = await ClusterProcess.open({ kubeletConfiguration });
  const stop = new AbortController();
  try {
    await cluster.up();
    const times = readTimes(cluster.output);
    const transport = openHttpTransport(files.readAccess(cluster.kubeconfig));
    const client = openClient({ transport, clock });
    const state = files.readState(cluster.dataDir);
    if (state === undefined) throw new Error('the cluster has no state');
    const processes = await cluster.processes();
    const agent = processes.find(({ command }) => command.includes('node-agent'));
    const ours = processes.filter(({ command }) => command.includes('coracle.js'));
    if (agent === undefined) throw new Error('no process of the node');
    const watch = new PodWatch(client, stop.signal);
    const { nodeName } = state;
    const nodeIP = await cluster.kubectl('get', 'node', nodeName, '-o', nodeAddress);
    const socketPath = containerdLayout(cluster.dataDir, state.id).socketPath;
    return {
      ...{ cluster, client, nodeName, nodeIP, socketPath, clusterId: state.id, times },
      use: () => processUse(agent.pid),
      cpuMs: () => ours.reduce((sum, { pid }) => sum + processorMs(pid), 0),
      start: (names, spec) => startPods(client, watch, { names, nodeName, spec }),
      removeAll: (names) => removePods(client, watch, names),
      [Symbol.asyncDispose]: async () => {
        stop.abort(new Error('the benchmark is over'));
        await watch.ended;
        transport[Symbol.dispose]();
        await cluster[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

const nodeAddress = 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}';

/** Of lines as `+ node             1.23 s  Ready`. */
function readTimes(output: string): BenchNode['times'] {
  const secondsOf = (name: string): number =>
    Number(new RegExp(`^\\+ ${name} +([\\d.]+) s`, 'm').exec(output)?.[1] ?? Number.NaN);
  return { nodeReady: secondsOf('node'), dnsReady: secondsOf('dns') };
}

/** The state of each pod as the API tells it, and when it first did. */
class PodWatch {
  readonly ended: Promise<void>;
  readonly #pods = new Map<string, Pod>();
  readonly #knownSinceMs = new Map<string, number>();
  #wake: () => void = () => {};

  constructor(client: Client, stop: AbortSignal) {
    this.ended = this.#run(client, stop).catch((error: unknown) => {
      if (!stop.aborted) throw error;
    });
  }

  async #run(client: Client, stop: AbortSignal): Promise<void> {
    const list = await client.list(pods, { signal: stop });
    const { resourceVersion } = list;
    for await (const event of client.watch(pods, { resourceVersion, signal: stop })) {
      if (event.type === 'BOOKMARK') continue;
      const { name = '' } = event.object.metadata;
      if (event.type === 'ADDED') this.#knownSinceMs.set(name, clock.monotonic());
      if (event.type === 'DELETED') this.#pods.delete(name);
      else this.#pods.set(name, event.object);
      this.#wake();
    }
  }

  knownSinceMs(names: readonly string[]): number {
    return Math.min(...names.map((name) => this.#knownSinceMs.get(name) ?? Number.NaN));
  }

  async until(holds: (pods: ReadonlyMap<string, Pod>) => boolean, what: string): Promise<void> {
    let isLate = false;
    const cancel = clock.after(untilMs, () => {
      isLate = true;
      this.#wake();
    });
    while (!holds(this.#pods)) {
      if (isLate) throw new Error(`after ${untilMs} ms still not: ${what}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    cancel();
  }
}

async function startPods(
  client: Client,
  watch: PodWatch,
  options: {
    readonly names: readonly string[];
    readonly nodeName: string;
    readonly spec: ((name: string) => Partial<PodSpec>) | undefined;
  },
): Promise<number> {
  const { names, nodeName, spec } = options;
  await Promise.all(
    names.map((name) => {
      const containers = [{ name: 'main', image, command: idleCommand }];
      const rest = { terminationGracePeriodSeconds: 1, nodeName, containers };
      const metadata = { namespace: 'default', name };
      const pod: Pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata,
        spec: { ...rest, ...spec?.(name) },
      };
      return client.create(pods, pod, { signal });
    }),
  );
  const isRunning = (pod: Pod | undefined): boolean =>
    pod?.status?.containerStatuses?.every(({ state }) => state?.running !== undefined) === true;
  await watch.until((all) => names.every((name) => isRunning(all.get(name))), 'they run');
  return clock.monotonic() - watch.knownSinceMs(names);
}

async function removePods(
  client: Client,
  watch: PodWatch,
  names: readonly string[],
): Promise<void> {
  await Promise.all(
    names.map((name) => client.delete(pods, { namespace: 'default', name }, { signal })),
  );
  await watch.until((all) => names.every((name) => !all.has(name)), 'they are gone');
}
