/**
 * Registers this machine as a Node and keeps saying that it lives.
 *
 * The Lease in kube-node-lease is renewed every 10 s (that is the heartbeat); the status is looked
 * at every 10 s and written when something changed, at the latest every 5 minutes. Until the
 * runtime and its network are ready it looks four times a second, because people wait for the
 * node.
 */

import { arch, availableParallelism, release, totalmem } from 'node:os';
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import { GrpcError, type Runtime } from '#cri';
import { type Clock, formatMicroTime } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { Wake } from '#kit/wake.ts';
import { leases, nodes } from '#resources/kinds.ts';
import type { Lease } from '#resources/types/coordination-v1.ts';
import type { Node, NodeStatus } from '#resources/types/core-v1.ts';
import type { NodeDevices } from '../devices/devices.ts';
import type { KubeletParts, NodeFacts } from '../parts.ts';
import { readCpus, readHugepages } from '../placement/topology.ts';
import type { Machine } from './machine.ts';
import { type NodeEvent, planNodeEvents, schedulingEvent } from './node-events.ts';
import {
  type ImageFact,
  inPlaceOf,
  isSameStatus,
  type MachineFacts,
  type NodeOptions,
  newNode,
  nodeStatus,
  type RuntimeCondition,
} from './node-status.ts';

export interface RegistrationDeps {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Logger;
  readonly machine: Machine;
  /** Conditions of pressure that hold: `MemoryPressure` and its like. */
  readonly pressures: () => readonly string[];
  readonly devices: () => NodeDevices;
  readonly isShuttingDown: () => boolean;
  readonly node: Pick<NodeFacts, 'object'>;
  readonly recorder: KubeletParts['recorder'];
}

const limits = {
  lookSoonMs: 100,
  retryMs: 500,
  /** Given to a runtime that starts together with us before a Ready node is called unready. */
  settleMs: 5_000,
} as const;

const leaseNamespace = 'kube-node-lease';

export function readMachineFacts(machine: Machine, dataDir: string): MachineFacts {
  const disk = machine.diskSpace(dataDir);
  const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
  return {
    // All of the machine's, also where this process may use fewer.
    cpus: readCpus(machine).length || availableParallelism(),
    memoryBytes: totalmem(),
    storageBytes: disk.bytes,
    hugepages: readHugepages(machine),
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="(.*)"$/m.exec(machine.readFile('/etc/os-release'))?.[1] ?? 'Linux',
    architecture: architectures[arch()] ?? arch(),
    machineID: machine.readFile('/etc/machine-id').trim(),
    systemUUID: machine.readFile('/etc/machine-id').trim(),
    bootID: machine.readFile('/proc/sys/kernel/random/boot_id').trim(),
  };
}

export class NodeRegistration {
  readonly #deps: RegistrationDeps;
  readonly #options: NodeOptions & { readonly dataDir: string };
  #node: Node | undefined;
  #runtime: Pick<RuntimeCondition, 'name' | 'version'> | undefined;
  #sentAtMs = Number.NEGATIVE_INFINITY;
  /** What events have been about. */
  #told: { status?: NodeStatus | undefined; isSchedulable: boolean } = { isSchedulable: true };
  readonly #startedAtMs: number;
  readonly #wake: Wake;

  constructor(deps: RegistrationDeps, options: NodeOptions & { readonly dataDir: string }) {
    this.#deps = deps;
    this.#options = options;
    this.#wake = new Wake(deps.clock);
    this.#startedAtMs = deps.clock.monotonic();
  }

  /** Creates the Node or takes over the one of this name, then keeps its status. */
  async run(signal: AbortSignal): Promise<void> {
    this.#say([{ type: 'Normal', reason: 'Starting', message: 'Starting kubelet.' }]);
    for (;;) {
      const isReady = await this.#lookSafely(signal);
      const { nodeStatusUpdateFrequencyMs } = this.#options.settings;
      await this.#wake.sleep(isReady ? nodeStatusUpdateFrequencyMs : limits.lookSoonMs, signal);
    }
  }

  /** Something has changed that the scheduler waits for. */
  lookNow(): void {
    this.#wake.now();
  }

  async #lookSafely(signal: AbortSignal): Promise<boolean> {
    const { clock, log } = this.#deps;
    try {
      return await this.#look(signal);
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn('cannot report the node', { error });
      await clock.sleep(limits.retryMs, { signal });
      return false;
    }
  }

  async #look(signal: AbortSignal): Promise<boolean> {
    const { client, clock, log, machine } = this.#deps;
    const runtime = await this.#readRuntime(signal);
    const images = runtime.problem === '' ? await this.#readImages(signal) : [];
    const pressures = this.#deps.pressures();
    const read = readMachineFacts(machine, this.#options.dataDir);
    const devices = this.#deps.devices().amounts();
    const told = { ...runtime, problem: this.#problemOf(runtime) };
    const { capacity: known, addresses } = this.#deps.node.object().status ?? {};
    const facts = { machine: read, runtime: told, images, pressures, devices, known, addresses };
    const status = nodeStatus({ ...facts, old: this.#node?.status }, this.#options, clock.now());
    if (this.#node === undefined) {
      this.#node = await this.#register(status, signal);
      log.info('node registered', { node: this.#options.nodeName });
    }
    if (this.#isSettling(runtime.problem)) return false;
    const isDue = clock.monotonic() - this.#sentAtMs >= this.#reportMs;
    if (isDue || !isSameStatus(this.#node.status, status)) {
      const { nodeName } = this.#options;
      const wasReady = readyOf(this.#node.status);
      this.#node = await client.patch(
        nodes,
        { name: nodeName },
        { status: inPlaceOf(this.#node.status, status) },
        {
          type: 'strategic',
          subresource: 'status',
          signal,
        },
      );
      this.#node = { ...this.#node, status };
      this.#sentAtMs = clock.monotonic();
      if (wasReady !== readyOf(status)) log.info('node readiness', { ready: readyOf(status) });
    }
    this.#tell(status);
    return runtime.problem === '';
  }

  #tell(now: NodeStatus): void {
    const { nodeName } = this.#options;
    this.#say(planNodeEvents({ nodeName, before: this.#told.status, now }));
    const isSchedulable = this.#deps.node.object().spec?.unschedulable !== true;
    if (isSchedulable !== this.#told.isSchedulable) {
      this.#say([schedulingEvent(nodeName, isSchedulable)]);
    }
    this.#told = { status: now, isSchedulable };
  }

  #say(events: readonly NodeEvent[]): void {
    for (const event of events) this.#deps.recorder.record(this.#deps.node.object(), event);
  }

  get #reportMs(): number {
    return this.#options.settings.nodeStatusReportFrequencyMs;
  }

  #problemOf({ problem }: RuntimeCondition): string {
    const shutdown = this.#deps.isShuttingDown() ? 'node is shutting down' : '';
    return [problem, shutdown].filter((text) => text !== '').join(', ');
  }

  /** After a restart: saying `not ready` for a moment would take every pod out of its services. */
  #isSettling(problem: string): boolean {
    const wasReady = readyOf(this.#node?.status) === 'True';
    const forMs = this.#deps.clock.monotonic() - this.#startedAtMs;
    return problem !== '' && wasReady && this.#sentAtMs < 0 && forMs < limits.settleMs;
  }

  async #register(status: NodeStatus, signal: AbortSignal): Promise<Node> {
    const { client } = this.#deps;
    const wanted = newNode(this.#options, status);
    if (this.#options.registers === false) {
      const known = await client.get(nodes, { name: this.#options.nodeName }, { signal });
      this.#told.status = known.status;
      return known;
    }
    try {
      // Whether the server keeps the status of a new node shows in its answer.
      return await client.create(nodes, wanted, { signal });
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error;
    }
    const { labels } = wanted.metadata;
    const at = { name: this.#options.nodeName };
    const type = { type: 'merge', signal } as const;
    const known = await client.patch(nodes, at, { metadata: { labels } }, type);
    this.#told.status = known.status;
    return known;
  }

  async #readRuntime(signal: AbortSignal): Promise<RuntimeCondition> {
    const { runtime } = this.#deps;
    try {
      if (this.#runtime === undefined) {
        const { runtimeName, runtimeVersion } = await runtime.version({ signal });
        this.#runtime = { name: runtimeName, version: runtimeVersion.replace(/~.*/, '') };
      }
      const { status, runtimeHandlers, features } = await runtime.status({ signal });
      const bad = (status?.conditions ?? []).filter((condition) => !condition.status);
      const problem = bad.map(problemText).join(', ');
      return {
        ...this.#runtime,
        problem,
        supplementalGroupsPolicy: features?.supplementalGroupsPolicy,
        // Older runtimes do not tell.
        ...(runtimeHandlers.length === 0
          ? {}
          : {
              handlers: runtimeHandlers.map(({ name, features: able }) => ({
                name,
                features: {
                  recursiveReadOnlyMounts: able?.recursiveReadOnlyMounts ?? false,
                  userNamespaces: able?.userNamespaces ?? false,
                },
              })),
            }),
      };
    } catch (error) {
      if (signal.aborted || !(error instanceof GrpcError)) throw error;
      const known = this.#runtime ?? { name: 'unknown', version: '' };
      return { ...known, problem: `container runtime is down: ${error.message}` };
    }
  }

  async #readImages(signal: AbortSignal): Promise<readonly ImageFact[]> {
    const images = await this.#deps.runtime.listImages({ signal });
    return images.map(({ repoTags, repoDigests, size }) => ({
      names: [...repoDigests, ...repoTags],
      sizeBytes: size,
    }));
  }
}

function problemText(condition: {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}): string {
  const { type, reason, message } = condition;
  const what = type === 'NetworkReady' ? 'network' : 'runtime';
  return `container runtime ${what} not ready: ${type}=false reason:${reason} message:${message}`;
}

function readyOf(status: NodeStatus | undefined): string {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'Unknown';
}

type LeaseDeps = Pick<RegistrationDeps, 'client' | 'clock' | 'log'> & Pick<NodeOptions, 'settings'>;

/** Renews the node's lease; the node controller calls a node lost when it stops coming. */
export async function runNodeLease(
  { client, clock, log, settings }: LeaseDeps,
  { nodeName, signal }: { readonly nodeName: string; readonly signal: AbortSignal },
): Promise<void> {
  const { nodeLeaseDurationSeconds: seconds } = settings;
  let lease: Lease | undefined;
  for (;;) {
    try {
      const wanted = { known: lease, nodeName, seconds, signal };
      lease = await renewLease({ client, clock }, wanted);
      await clock.sleep(seconds * 250, { signal });
    } catch (error) {
      if (signal.aborted) throw error;
      // Perhaps somebody else wrote it, or the namespace is not there yet: begin again by reading.
      log.debug('cannot renew the lease', { error });
      lease = undefined;
      await clock.sleep(limits.retryMs, { signal });
    }
  }
}

async function renewLease(
  { client, clock }: Pick<RegistrationDeps, 'client' | 'clock'>,
  options: {
    readonly known: Lease | undefined;
    readonly nodeName: string;
    readonly seconds: number;
    readonly signal: AbortSignal;
  },
): Promise<Lease> {
  const { nodeName, seconds, signal } = options;
  const at = { namespace: leaseNamespace, name: nodeName };
  const spec = {
    holderIdentity: nodeName,
    leaseDurationSeconds: seconds,
    renewTime: formatMicroTime(clock.now()),
  };
  let lease = options.known;
  if (lease === undefined) {
    try {
      lease = await client.get(leases, at, { signal });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      const apiVersion = 'coordination.k8s.io/v1';
      return client.create(leases, { apiVersion, kind: 'Lease', metadata: at, spec }, { signal });
    }
  }
  return client.update(leases, { ...lease, spec: { ...lease.spec, ...spec } }, { signal });
}
