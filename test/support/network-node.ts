/**
 * A node without containers, for tests of the network: a namespace with an uplink, pods that are
 * empty namespaces connected by the real CNI plugin, and the real pod network, service proxy and
 * DNS in a process (`network-agent.ts`) that can be killed and started again.
 *
 * Each namespace belongs to a sleeping process, so nothing is left once the processes have ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { systemClock } from '#kit/clock.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import { cniPaths } from '#network';
import { endProcess, ipBatch, openPlace, type Place, placeOf, spoken } from './places.ts';

export interface AgentSettings {
  readonly nodeName: string;
  readonly nodeIP: string;
  readonly clusterId: string;
  readonly clusterCIDR: string;
  readonly podCIDR: string;
  readonly dataDir: string;
  readonly dnsPort: number;
  readonly upstreams: readonly { readonly address: string; readonly port: number }[];
}

export type AgentCommand =
  | { readonly do: 'put'; readonly kind: { readonly plural: string }; readonly object: KubeObject }
  | { readonly do: 'remove'; readonly kind: { readonly plural: string }; readonly key: string }
  | { readonly do: 'start'; readonly settings: AgentSettings }
  /** Instead of `start`: takes everything of the cluster off the node. */
  | { readonly do: 'leave'; readonly settings: AgentSettings };

export interface AgentReport {
  readonly ready: 'network' | 'proxy' | 'dns' | 'left';
}

export type { Place } from './places.ts';

export interface TestPod extends Place {
  readonly address: string;
  readonly containerId: string;
}

const { signal } = new AbortController();
const clock = systemClock();
const peerPath = fileURLToPath(new URL('./network-peer.ts', import.meta.url));
const agentPath = fileURLToPath(new URL('./network-agent.ts', import.meta.url));
const limits = {
  commandMs: 60_000,
  readyMs: 60_000,
  untilMs: 60_000,
  /** For an answer that comes; a lost packet is sent again within that time. */
  answerMs: 20_000,
  /** Where no answer may come, or the question is asked again and again. */
  silenceMs: 1_000,
} as const;

export const outsideAddress = '192.168.77.1';
const nodeAddress = '192.168.77.2';

export class NetworkNode implements AsyncDisposable {
  readonly settings: AgentSettings;
  readonly outside: Place;
  readonly node: Place;
  readonly #processes: ChildProcess[];
  readonly #objects = new Map<string, AgentCommand>();
  #agent: ChildProcess | undefined;
  #log = '';

  private constructor(settings: AgentSettings, places: readonly ChildProcess[]) {
    this.settings = settings;
    this.#processes = [...places];
    const [outside, node] = places.map((child) => placeOf(child));
    if (outside === undefined || node === undefined) throw new Error('two places are needed');
    this.outside = outside;
    this.node = node;
  }

  static async open(settings: Partial<AgentSettings> = {}): Promise<NetworkNode> {
    const network = new NetworkNode(
      {
        nodeName: 'node-1',
        nodeIP: nodeAddress,
        clusterId: 'zztst',
        clusterCIDR: '10.42.0.0/16',
        podCIDR: '10.42.0.0/24',
        dataDir: mkdtempSync(path.join(tmpdir(), 'coracle-net-')),
        dnsPort: 10_053,
        upstreams: [],
        ...settings,
      },
      [await openPlace(), await openPlace()],
    );
    const { outside, node } = network;
    // New namespaces copy the machine's settings, which a cluster may have changed already.
    for (const name of ['ip_forward', 'conf/all/route_localnet', 'conf/default/route_localnet']) {
      await network.run(node, 'sh', ['-c', `echo 0 > /proc/sys/net/ipv4/${name}`]);
    }
    const link = `link add up0 type veth peer name up0 netns ${node.path}`;
    await network.ip(outside, [link, `addr add ${outsideAddress}/24 dev up0`, 'link set up0 up']);
    await network.ip(node, [
      ...['link set lo up', `addr add ${nodeAddress}/24 dev up0`, 'link set up0 up'],
      `route add default via ${outsideAddress}`,
    ]);
    return network;
  }

  /** What the agents have logged. */
  get log(): string {
    return this.#log;
  }

  /** Starts the agent, gives it every object, and waits until all its parts are ready. */
  async startAgent(): Promise<void> {
    await this.#spawnAgent('start', ['network', 'proxy', 'dns']);
  }

  /** In place of an agent: what `down` does. */
  async leave(): Promise<void> {
    await this.#spawnAgent('leave', ['left']);
    await this.killAgent();
  }

  async #spawnAgent(
    action: 'start' | 'leave',
    until: readonly AgentReport['ready'][],
  ): Promise<void> {
    const child = spawn('nsenter', [`--net=${this.node.path}`, process.execPath, agentPath], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#agent = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (text: Buffer) => {
        this.#log += text;
      });
    }
    const waiting = new Set(until);
    const ready = new Promise<void>((resolve, reject) => {
      const cancel = clock.after(limits.readyMs, () =>
        reject(new Error(`not ready: ${this.#log}`)),
      );
      child.on('message', (report: AgentReport) => {
        waiting.delete(report.ready);
        if (waiting.size > 0) return;
        cancel();
        resolve();
      });
      child.once('exit', () => {
        cancel();
        reject(new Error(`the agent ended: ${this.#log}`));
      });
    });
    for (const command of this.#objects.values()) child.send(command);
    child.send({ do: action, settings: this.settings } satisfies AgentCommand);
    await ready;
  }

  async killAgent(): Promise<void> {
    await endProcess(this.#agent);
    this.#agent = undefined;
  }

  put<T extends KubeObject>(kind: KindOf<T>, object: T): void {
    const { namespace = '', name = '' } = object.metadata;
    const command: AgentCommand = { do: 'put', kind: { plural: kind.plural }, object };
    this.#objects.set(`${kind.plural} ${namespace}/${name}`, command);
    this.#agent?.send(command);
  }

  remove(kind: { readonly plural: string }, key: string): void {
    this.#objects.delete(`${kind.plural} ${key}`);
    this.#agent?.send({ do: 'remove', kind, key } satisfies AgentCommand);
  }

  /** A namespace connected as the container runtime would. */
  async addPod(containerId: string, portMappings: readonly object[] = []): Promise<TestPod> {
    const child = await openPlace();
    this.#processes.push(child);
    const place = placeOf(child);
    const call = { containerId, namespacePath: place.path, portMappings };
    const result = await this.callPlugin('ADD', call);
    if (result.code !== 0) throw new Error(`ADD failed: ${result.stdout} ${this.#log}`);
    // The plugin's answer, in CNI's own shape.
    const { ips } = JSON.parse(result.stdout) as { ips: readonly { readonly address: string }[] };
    const address = ips[0]?.address.replace('/32', '') ?? '';
    return { ...place, address, containerId };
  }

  callPlugin(
    command: string,
    call: {
      readonly containerId: string;
      readonly namespacePath: string;
      readonly portMappings?: readonly object[];
    },
  ): Promise<CommandResult> {
    const { portMappings = [] } = call;
    const more = portMappings.length === 0 ? {} : { runtimeConfig: { portMappings } };
    return runCommand(path.join(cniPaths(this.settings.dataDir).binDir, 'coracle'), [], {
      input: JSON.stringify({ cniVersion: '1.0.0', name: 'test', type: 'coracle', ...more }),
      env: {
        ...process.env,
        CNI_COMMAND: command,
        CNI_CONTAINERID: call.containerId,
        CNI_NETNS: call.namespacePath,
        CNI_IFNAME: 'eth0',
        CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${call.containerId}`,
      },
      signal,
      timeoutMs: limits.commandMs,
    });
  }

  /** Runs a program in a namespace. */
  run(
    place: Place,
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<CommandResult> {
    const all = [`--net=${place.path}`, command, ...args];
    return runCommand('nsenter', all, { signal, timeoutMs: limits.commandMs, env });
  }

  ip(place: Place, lines: readonly string[]): Promise<void> {
    return ipBatch(place, lines);
  }

  /** A server of `network-peer.ts`, by default on TCP and UDP port 8080, until the end. */
  async startServer(place: Place, command = 'serve', ...more: readonly string[]): Promise<void> {
    const args = [`--net=${place.path}`, process.execPath, peerPath, command, ...more];
    const child = spawn('nsenter', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#processes.push(child);
    await spoken(child);
  }

  /** Runs a client of `network-peer.ts` in a namespace; what it prints. */
  peer(place: Place, command: string, ...args: readonly (string | number)[]): Promise<unknown> {
    return this.#ask(place, limits.answerMs, [command, ...args]);
  }

  /** The same for a client that may get no answer. */
  brief(place: Place, command: string, ...args: readonly (string | number)[]): Promise<unknown> {
    return this.#ask(place, limits.silenceMs, [command, ...args]);
  }

  async #ask(place: Place, waitMs: number, args: readonly (string | number)[]): Promise<unknown> {
    const env = { ...process.env, CORACLE_PEER_WAIT_MS: String(waitMs) };
    const all = [peerPath, ...args.map(String)];
    const { code, stdout, stderr } = await this.run(place, process.execPath, all, env);
    if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Waits until the check holds. */
  async until(check: () => Promise<boolean>, what: string): Promise<void> {
    const deadlineMs = clock.monotonic() + limits.untilMs;
    while (clock.monotonic() < deadlineMs) {
      if (await check()) return;
      await clock.sleep(50, { signal });
    }
    throw new Error(`never happened: ${what}\n${this.#log}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAgent();
    await Promise.all(this.#processes.map(endProcess));
    rmSync(this.settings.dataDir, { recursive: true, force: true });
  }
}
