/**
 * The devices that plugins offer on this node, and who has them.
 *
 * A plugin connects (`device-plugins.ts`) and keeps telling its devices with their health; the
 * node's status counts them by resource; a pod that is taken gets its devices once, before it
 * begins, and its containers get what the plugin answered. All of it is kept in a checkpoint, so
 * that a kubelet that starts again knows who has what. Devices of pods that have ended are free.
 * `choose.ts` decides which; `devices.ts` is what the rest of the kubelet sees.
 */
import { join } from 'node:path';
import { quantityValue } from '#api/quantity.ts';
import type { Clock } from '#kit/clock.ts';
import { type GrpcChannel, GrpcError } from '#kit/grpc.ts';
import type { Logger } from '#kit/log.ts';
import type { Slots } from '#kit/slots.ts';
import type { Container, Pod, ResourceStatus } from '#resources/types/core-v1.ts';
import type { Refusal } from '../node/admission.ts';
import type { Hint, Hints } from '../placement/hints.ts';
import { anywhere, type Provider, unexpected } from '../placement/provider.ts';
import { isPassing, most } from '../placement/requests.ts';
import { startOrder } from '../pods/pod-facts.ts';
import { Checkpoint } from './checkpoint.ts';
import { type DeviceChoice, planDevices, takeDevices } from './choose.ts';
import {
  type AllocateResponse,
  type Entry,
  entriesOf,
  type Held,
  heldOf,
  type PodDevices,
} from './device-entries.ts';
import { deviceHints } from './device-hints.ts';
import { devicePlugin, type Received } from './messages.ts';

const limits = {
  /** A resource whose plugin is away for so long is no longer counted. */
  absentMs: 300_000,
  allocateMs: 120_000,
  preferMs: 30_000,
  preStartMs: 30_000,
} as const;

interface Device {
  readonly health: string;
  readonly nodes: readonly number[];
}

export interface Endpoint {
  readonly channel: GrpcChannel;
  readonly options: Received<'DevicePluginOptions'>;
}

interface Resource {
  devices: ReadonlyMap<string, Device>;
  /** Undefined: its plugin is away. */
  endpoint: Endpoint | undefined;
  stoppedAtMs: number;
}

interface Kept {
  readonly PodDeviceEntries: readonly Entry[];
  readonly RegisteredDevices: Readonly<Record<string, readonly string[]>>;
}

export interface DeviceManagerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Pods whose end has not come; undefined as long as not all are known. */
  readonly activePods: () => ReadonlySet<string> | undefined;
  /** Health of devices of these pods has changed. */
  readonly onHealth: (podUids: readonly string[]) => void;
  /** Nothing else is given meanwhile. */
  readonly turn: Slots;
}

export interface DeviceAmounts {
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
}

export class DeviceManager implements Provider {
  readonly #deps: DeviceManagerDeps;
  readonly #checkpoint: Checkpoint<Kept>;
  readonly #resources = new Map<string, Resource>();
  /** Counted once, and no longer. */
  readonly #forgotten = new Set<string>();
  readonly #pods = new Map<string, PodDevices>();
  /** Of the pod that is being taken: what its init containers leave to those after them. */
  #reusable: { readonly uid: string; readonly devices: Map<string, ReadonlySet<string>> } = {
    uid: '',
    devices: new Map(),
  };

  constructor(deps: DeviceManagerDeps, { dir }: { readonly dir: string }) {
    this.#deps = deps;
    this.#checkpoint = new Checkpoint(join(dir, 'kubelet_internal_checkpoint'), deps.log);
    this.#read();
  }

  connected(name: string, endpoint: Endpoint): void {
    const known = this.#resources.get(name);
    this.#forgotten.delete(name);
    if (known === undefined) {
      this.#resources.set(name, { devices: new Map(), endpoint, stoppedAtMs: 0 });
    } else known.endpoint = endpoint;
  }

  told(name: string, endpoint: Endpoint, devices: readonly Received<'Device'>[]): void {
    const resource = this.#resources.get(name);
    if (resource === undefined || resource.endpoint !== endpoint) return;
    const old = resource.devices;
    resource.devices = new Map(
      devices.map(({ id, health, topology }) => [
        id,
        { health, nodes: (topology?.nodes ?? []).map((node) => node.id) },
      ]),
    );
    this.#write();
    const changed = devices.filter(({ id, health }) => old.get(id)?.health !== health);
    this.#tellHealth(name, new Set(changed.map(({ id }) => id)));
  }

  /** Its devices are not healthy as long as nobody says so. */
  disconnected(name: string, endpoint: Endpoint): void {
    const resource = this.#resources.get(name);
    if (resource === undefined || resource.endpoint !== endpoint) return;
    resource.endpoint = undefined;
    resource.stoppedAtMs = this.#deps.clock.monotonic();
  }

  manages(name: string): boolean {
    if (this.#resources.has(name)) return true;
    return [...this.#pods.values()].some((pod) => [...pod.values()].some((one) => one.has(name)));
  }

  amounts(): DeviceAmounts {
    const capacity: Record<string, string> = {};
    const allocatable: Record<string, string> = {};
    for (const [name, resource] of this.#resources) {
      const awayMs = this.#deps.clock.monotonic() - resource.stoppedAtMs;
      if (resource.endpoint === undefined && awayMs > limits.absentMs) {
        this.#resources.delete(name);
        this.#forgotten.add(name);
        this.#write();
        continue;
      }
      capacity[name] = String(resource.devices.size);
      allocatable[name] = String(healthyOf(resource).size);
    }
    // A resource of a plugin stays in the status, unlike one of the whole cluster.
    for (const name of this.#forgotten) {
      capacity[name] = '0';
      allocatable[name] = '0';
    }
    return { capacity, allocatable };
  }

  hints(
    pod: Pod,
    container: Container | undefined,
    { nodes }: { readonly nodes: readonly number[] },
  ): Hints {
    this.release(pod.metadata.uid);
    const wanted =
      container === undefined ? this.#wantedByPod(pod) : this.#wantedBy(pod, container);
    const hints = new Map<string, readonly Hint[] | undefined>();
    for (const [name, count] of wanted) {
      const names = container === undefined ? startOrder(pod).map((each) => each.name) : [];
      const holders = container === undefined ? names : [container.name];
      const held = new Set(holders.flatMap((each) => this.#idsOf(pod, each, name)));
      const isOther = held.size > 0 && held.size !== count;
      const reusable =
        container === undefined ? new Set<string>() : this.#reusableBy(pod).get(name);
      const free = (this.#healthy(name) ?? new Set<string>()).difference(this.#inUse(name));
      const facts = {
        nodesOf: this.#nodesOf(name),
        available: held.size > 0 ? held : free,
        reusable: held.size > 0 ? new Set<string>() : (reusable ?? new Set<string>()),
        wanted: count,
        nodes,
      };
      hints.set(name, isOther ? [] : deviceHints(facts));
    }
    return hints;
  }

  async allocate(
    pod: Pod,
    container: Container,
    { hint, signal }: { readonly hint: Hint; readonly signal: AbortSignal },
  ): Promise<Refusal | undefined> {
    const problem = await this.#allocateContainer(pod, container, hint, signal);
    this.#keepForReuse(pod, container);
    return problem === undefined ? undefined : unexpected(problem);
  }

  #reusableBy(pod: Pod): Map<string, ReadonlySet<string>> {
    const { uid = '' } = pod.metadata;
    if (this.#reusable.uid !== uid) this.#reusable = { uid, devices: new Map() };
    return this.#reusable.devices;
  }

  /** An init container ends before the next begins; a sidecar does not. */
  #keepForReuse(pod: Pod, container: Container): void {
    const reusable = this.#reusableBy(pod);
    for (const [name, { devices }] of this.#heldBy(pod, container.name) ?? []) {
      const ids = new Set(devices.keys());
      const before = reusable.get(name) ?? new Set();
      const isLeft = isPassing(pod, container);
      reusable.set(name, isLeft ? before.union(ids) : before.difference(ids));
    }
  }

  async #allocateContainer(
    pod: Pod,
    container: Container,
    { mask }: Hint,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const reusable = this.#reusableBy(pod);
    let isChanged = false;
    for (const [name, required] of this.#wantedBy(pod, container)) {
      this.release(pod.metadata.uid);
      const before = this.#heldBy(pod, container.name)?.get(name);
      const choice = planDevices({
        podUid: pod.metadata.uid ?? '',
        container: container.name,
        resource: name,
        required,
        held: before === undefined ? undefined : new Set(before.devices.keys()),
        reusable: reusable.get(name) ?? new Set(),
        healthy: this.#healthy(name),
        inUse: this.#inUse(name),
        nodesOf: this.#nodesOf(name),
        mask,
      });
      if (choice.do === 'refuse') return choice.message;
      if (choice.do === 'nothing') continue;
      const problem = await this.#ask(pod, container, name, choice, required, signal);
      if (problem !== undefined) return problem;
      isChanged = true;
    }
    if (isChanged) this.#write();
    return undefined;
  }

  /** Only the pod's own turn changes who has what, so waiting for the plugin changes nothing. */
  async #ask(
    pod: Pod,
    container: Container,
    name: string,
    choice: Extract<DeviceChoice, { do: 'take' | 'choose' }>,
    required: number,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const resource = this.#resources.get(name);
    const endpoint = resource?.endpoint;
    if (resource === undefined || endpoint === undefined) return `unknown Device Plugin ${name}`;
    try {
      const ids =
        choice.do === 'take'
          ? choice.ids
          : takeDevices(choice, await prefer(endpoint, choice, required, signal));
      const request = { containerRequests: [{ deviceIds: ids }] };
      const { containerResponses } = await endpoint.channel.unary(
        devicePlugin.allocate.client,
        request,
        { signal, timeoutMs: limits.allocateMs },
      );
      const [response] = containerResponses;
      if (response === undefined) return 'no containers return in allocation response';
      const devices = new Map(ids.map((id) => [id, resource.devices.get(id)?.nodes ?? []]));
      this.#insert(pod.metadata.uid ?? '', container.name, name, { devices, response });
      return undefined;
    } catch (error) {
      if (signal.aborted || !(error instanceof GrpcError)) throw error;
      return rpcText(error);
    }
  }

  /** Devices of pods that have ended are free again. */
  release(besides?: string): void {
    const active = this.#deps.activePods();
    if (active === undefined) return;
    for (const uid of this.#pods.keys()) {
      if (uid !== besides && !active.has(uid)) this.#pods.delete(uid);
    }
  }

  /** Before each start of a container. Undefined: it may start. */
  async preStart(pod: Pod, container: Container, signal: AbortSignal): Promise<string | undefined> {
    for (const [name, required] of this.#wantedBy(pod, container)) {
      if (required === 0) continue;
      const resource = this.#resources.get(name);
      const held = this.#heldBy(pod, container.name)?.get(name);
      if (resource === undefined) {
        return `endpoint not found in cache for a registered resource: ${name}`;
      }
      const endpoint = resource.endpoint;
      if (endpoint?.options.preStartRequired === true) {
        if (held === undefined) {
          return (
            'no devices found allocated in local cache for pod ' +
            `${pod.metadata.uid}, container ${container.name}, resource ${name}`
          );
        }
        try {
          const request = { deviceIds: [...held.devices.keys()] };
          const options = { signal, timeoutMs: limits.preStartMs };
          await endpoint.channel.unary(devicePlugin.preStart.client, request, options);
        } catch (error) {
          if (signal.aborted || !(error instanceof GrpcError)) throw error;
          return `device plugin PreStartContainer rpc failed with err: ${rpcText(error)}`;
        }
      }
      if (held === undefined) {
        const problem = await this.#again(pod, container, signal);
        if (problem !== undefined) return problem;
      }
    }
    return undefined;
  }

  /** A container that should have devices and has none, because the checkpoint was lost. */
  #again(pod: Pod, container: Container, signal: AbortSignal): Promise<string | undefined> {
    const work = () => this.#allocateContainer(pod, container, anywhere, signal);
    return this.#deps.turn.use(work, { signal });
  }

  /** What plugins answered for this container. */
  responses(pod: Pod, container: Container): readonly AllocateResponse[] {
    return [...(this.#heldBy(pod, container.name)?.values() ?? [])].map(({ response }) => response);
  }

  /** By resource: device → NUMA nodes. */
  devicesOf(pod: Pod, container: string): ReadonlyMap<string, Held['devices']> {
    const held = this.#heldBy(pod, container) ?? new Map<string, Held>();
    return new Map([...held].map(([name, { devices }]) => [name, devices]));
  }

  /** All that can be given, given or not: by resource, device → NUMA nodes. */
  allocatable(): ReadonlyMap<string, Held['devices']> {
    const found = new Map<string, Held['devices']>();
    for (const [name, resource] of this.#resources) {
      const healthy = healthyOf(resource);
      const devices = [...resource.devices].filter(([id]) => healthy.has(id));
      found.set(name, new Map(devices.map(([id, { nodes }]) => [id, nodes])));
    }
    return found;
  }

  statuses(pod: Pod, container: string): readonly ResourceStatus[] {
    const held = this.#heldBy(pod, container) ?? new Map<string, Held>();
    return [...held].map(([name, { devices }]) => ({
      name,
      resources: [...devices.keys()].map((id) => {
        const health = this.#resources.get(name)?.devices.get(id)?.health ?? healthyWord;
        return { resourceID: id, health: health === healthyWord ? 'Healthy' : 'Unhealthy' };
      }),
    }));
  }

  #wantedBy(pod: Pod, container: Container): readonly (readonly [string, number])[] {
    return Object.entries(container.resources?.limits ?? {})
      .filter(([name]) => this.manages(name) && !isClaimed(pod, container, name))
      .map(([name, amount]) => [name, quantityValue(String(amount))]);
  }

  #wantedByPod(pod: Pod): readonly (readonly [string, number])[] {
    const of = (container: Container) => new Map(this.#wantedBy(pod, container));
    const names = new Set(startOrder(pod).flatMap((container) => [...of(container).keys()]));
    return [...names].map((name) => [name, most(pod, (each) => of(each).get(name) ?? 0)]);
  }

  #idsOf(pod: Pod, container: string, name: string): readonly string[] {
    return [...(this.#heldBy(pod, container)?.get(name)?.devices.keys() ?? [])];
  }

  #nodesOf(name: string): ReadonlyMap<string, readonly number[]> {
    const devices = this.#resources.get(name)?.devices ?? new Map<string, Device>();
    return new Map([...devices].map(([id, { nodes }]) => [id, nodes]));
  }

  #healthy(name: string): ReadonlySet<string> | undefined {
    const resource = this.#resources.get(name);
    return resource === undefined ? undefined : healthyOf(resource);
  }

  #inUse(name: string): ReadonlySet<string> {
    const used = new Set<string>();
    for (const pod of this.#pods.values()) {
      for (const held of pod.values()) {
        for (const id of held.get(name)?.devices.keys() ?? []) used.add(id);
      }
    }
    return used;
  }

  #heldBy(pod: Pod, container: string): ReadonlyMap<string, Held> | undefined {
    return this.#pods.get(pod.metadata.uid ?? '')?.get(container);
  }

  #insert(uid: string, container: string, name: string, held: Held): void {
    const pod: PodDevices = this.#pods.get(uid) ?? new Map();
    const resources = pod.get(container) ?? new Map<string, Held>();
    resources.set(name, held);
    pod.set(container, resources);
    this.#pods.set(uid, pod);
  }

  #tellHealth(name: string, ids: ReadonlySet<string>): void {
    const concerned = [...this.#pods].filter(([, pod]) =>
      [...pod.values()].some((held) =>
        [...(held.get(name)?.devices.keys() ?? [])].some((id) => ids.has(id)),
      ),
    );
    if (concerned.length > 0) this.#deps.onHealth(concerned.map(([uid]) => uid));
  }

  #read(): void {
    const kept = this.#checkpoint.read();
    const stoppedAtMs = this.#deps.clock.monotonic();
    for (const name of Object.keys(kept?.RegisteredDevices ?? {})) {
      this.#resources.set(name, { devices: new Map(), endpoint: undefined, stoppedAtMs });
    }
    for (const entry of kept?.PodDeviceEntries ?? []) {
      this.#insert(entry.PodUID, entry.ContainerName, entry.ResourceName, heldOf(entry));
    }
  }

  #write(): void {
    const registered = [...this.#resources].map(([name, each]) => [name, [...healthyOf(each)]]);
    try {
      this.#checkpoint.write({
        PodDeviceEntries: entriesOf(this.#pods),
        RegisteredDevices: Object.fromEntries(registered),
      });
    } catch (error) {
      this.#deps.log.error('cannot keep who has which devices', { error });
    }
  }
}

const healthyWord = 'Healthy';

function healthyOf({ devices, endpoint }: Resource): ReadonlySet<string> {
  if (endpoint === undefined) return new Set();
  const healthy = [...devices].filter(([, { health }]) => health === healthyWord);
  return new Set(healthy.map(([id]) => id));
}

/** Asked for as an extended resource, and given through a claim. */
function isClaimed({ status }: Pod, container: Container, name: string): boolean {
  const mappings = status?.extendedResourceClaimStatus?.requestMappings ?? [];
  return mappings.some(
    ({ containerName, resourceName }) => containerName === container.name && resourceName === name,
  );
}

async function prefer(
  { channel, options }: Endpoint,
  { certain, available }: Extract<DeviceChoice, { do: 'choose' }>,
  allocationSize: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (!options.getPreferredAllocationAvailable) return [];
  const request = {
    availableDeviceIds: [...new Set([...available, ...certain])].sort(),
    mustIncludeDeviceIds: certain,
    allocationSize,
  };
  try {
    const { containerResponses } = await channel.unary(
      devicePlugin.preferred.client,
      { containerRequests: [request] },
      { signal, timeoutMs: limits.preferMs },
    );
    return containerResponses[0]?.deviceIds ?? [];
  } catch (error) {
    if (!(error instanceof GrpcError)) throw error;
    const text = `device plugin GetPreferredAllocation rpc failed with err: ${rpcText(error)}`;
    throw new GrpcError(error.path, '', text, { cause: error });
  }
}

/** As Go prints errors of gRPC: `rpc error: code = NotFound desc = …`. */
export function rpcText({ code, message }: GrpcError): string {
  if (code === '') return message;
  const words = code.toLowerCase().split('_');
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return `rpc error: code = ${name} desc = ${message}`;
}
