/**
 * The Node object of this machine: what it is, what it has, how it feels. Pure.
 *
 * `node-registration.ts` gathers the facts, creates the object and keeps it current.
 */
import { compareQuantities, quantityValue, subtractQuantities } from '#api/quantity.ts';
import { formatTime } from '#kit/clock.ts';
import type {
  Node,
  NodeAddress,
  NodeCondition,
  NodeRuntimeHandler,
  NodeStatus,
  Taint,
} from '#resources/types/core-v1.ts';
import type { DeviceAmounts } from '../devices/device-manager.ts';
import type { KubeletSettings } from '../settings.ts';

export interface MachineFacts {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly storageBytes: number;
  /** Bytes by resource: `hugepages-2Mi`. */
  readonly hugepages: ReadonlyMap<string, number>;
  readonly kernelVersion: string;
  readonly osImage: string;
  readonly architecture: string;
  readonly machineID: string;
  readonly systemUUID: string;
  readonly bootID: string;
}

export interface RuntimeCondition {
  readonly name: string;
  readonly version: string;
  /** Why the runtime or its network is not ready; empty when they are. */
  readonly problem: string;
  readonly supplementalGroupsPolicy?: boolean | undefined;
  readonly handlers?: readonly NodeRuntimeHandler[] | undefined;
}

export interface NodeOptions {
  readonly nodeName: string;
  readonly nodeIPs: readonly string[];
  readonly port: number;
  readonly maxPods: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly podCIDR?: string | undefined;
  readonly taints?: readonly Taint[] | undefined;
  readonly providerID?: string | undefined;
  readonly registers?: boolean | undefined;
  readonly settings: KubeletSettings;
}

export interface ImageFact {
  readonly names: readonly string[];
  readonly sizeBytes: number;
}

export const kubeletVersion = 'v1.36.0';

/** What not every node can do, and schedulers and the API look for; in order of name. */
const declaredFeatures = [
  'InPlacePodLevelResourcesVerticalScaling',
  'InPlacePodVerticalScalingInitContainers',
  'RestartAllContainersOnContainerExits',
];

export function newNode(options: NodeOptions, status: NodeStatus): Node {
  const { nodeName, labels, podCIDR, providerID, taints = [] } = options;
  const own = {
    ...(taints.length === 0 ? {} : { taints }),
    ...(providerID === undefined ? {} : { providerID }),
  };
  const architecture = status.nodeInfo?.architecture ?? '';
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: nodeName,
      // By which somebody else finds the machine among those that he knows.
      ...(options.settings.isCloudExternal
        ? { annotations: { 'alpha.kubernetes.io/provided-node-ip': options.nodeIPs.join() } }
        : {}),
      labels: {
        'beta.kubernetes.io/arch': architecture,
        'beta.kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture,
        'kubernetes.io/hostname': nodeName,
        'kubernetes.io/os': 'linux',
        ...labels,
      },
    },
    spec: podCIDR === undefined ? own : { ...own, podCIDR, podCIDRs: [podCIDR] },
    status,
  };
}

/**
 * For a strategic patch, which takes addresses of one type for one and the same: where a node has
 * (or had) two of a type, the list is put in place as a whole.
 */
export function inPlaceOf(old: NodeStatus | undefined, status: NodeStatus): object {
  const hasPair = [old, status].some((each) => {
    const types = (each?.addresses ?? []).map(({ type }) => type);
    return new Set(types).size < types.length;
  });
  if (!hasPair) return status;
  return { ...status, addresses: [{ $patch: 'replace' }, ...(status.addresses ?? [])] };
}

export function nodeStatus(
  facts: {
    readonly machine: MachineFacts;
    readonly runtime: RuntimeCondition;
    readonly images: readonly ImageFact[];
    /** Conditions of pressure that hold. */
    readonly pressures: readonly string[];
    readonly old: NodeStatus | undefined;
    readonly devices?: DeviceAmounts | undefined;
    /** Capacity as the API has it. */
    readonly known?: Amounts | undefined;
    readonly addresses?: readonly NodeAddress[] | undefined;
  },
  options: NodeOptions,
  nowMs: number,
): NodeStatus {
  const { machine, runtime, images, pressures, old, devices } = facts;
  const { nodeName, nodeIPs, port } = options;
  const capacity = nodeCapacity(machine, options.maxPods, options.settings);
  const others = foreignResources(facts.known ?? {}, { ...capacity, ...devices?.capacity });
  const own = [
    ...nodeIPs.map((address) => ({ type: 'InternalIP', address })),
    { type: 'Hostname', address: nodeName },
  ];
  const told = options.settings.isCloudExternal ? (facts.addresses ?? []) : [];
  return {
    addresses: told.length > 0 ? told : own,
    capacity: { ...capacity, ...others, ...devices?.capacity },
    allocatable: {
      ...nodeAllocatable(capacity, options.settings),
      ...others,
      ...devices?.allocatable,
    },
    conditions: nodeConditions(pressures, runtime, old?.conditions ?? [], nowMs),
    declaredFeatures,
    ...(runtime.supplementalGroupsPolicy === undefined
      ? {}
      : { features: { supplementalGroupsPolicy: runtime.supplementalGroupsPolicy } }),
    ...(runtime.handlers === undefined ? {} : { runtimeHandlers: runtime.handlers }),
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
    nodeInfo: {
      architecture: machine.architecture,
      bootID: machine.bootID,
      containerRuntimeVersion: `${runtime.name}://${runtime.version}`,
      kernelVersion: machine.kernelVersion,
      kubeProxyVersion: '',
      kubeletVersion,
      machineID: machine.machineID,
      operatingSystem: 'linux',
      osImage: machine.osImage,
      systemUUID: machine.systemUUID,
    },
    images: largest(images, options.settings.nodeStatusMaxImages).map(({ names, sizeBytes }) => ({
      names,
      sizeBytes,
    })),
  };
}

type Amounts = Readonly<Record<string, string>>;

function largest(images: readonly ImageFact[], most: number): readonly ImageFact[] {
  const sorted = images.toSorted((a, b) => b.sizeBytes - a.sizeBytes);
  return most < 0 ? sorted : sorted.slice(0, most);
}

/** Resources that somebody wrote into the node's capacity: they can be had as they are. */
function foreignResources(known: Amounts, own: Amounts): Amounts {
  return Object.fromEntries(
    Object.entries(known).filter(([name]) => isExtended(name) && own[name] === undefined),
  );
}

function isExtended(name: string): boolean {
  const [domain = '', rest] = name.split('/');
  return rest !== undefined && domain !== 'kubernetes.io' && !domain.endsWith('.kubernetes.io');
}

export function nodeCapacity(
  machine: MachineFacts,
  maxPods: number,
  settings: Pick<KubeletSettings, 'podsPerCore' | 'localStorageCapacityIsolation'>,
): Amounts {
  const { podsPerCore, localStorageCapacityIsolation: isCounted } = settings;
  const storage = `${Math.floor(machine.storageBytes / 1024)}Ki`;
  const pods = podsPerCore > 0 ? Math.min(podsPerCore * machine.cpus, maxPods) : maxPods;
  return {
    cpu: String(machine.cpus),
    ...(isCounted && { 'ephemeral-storage': storage }),
    ...Object.fromEntries(
      [...machine.hugepages].map(([name, bytes]) => [name, formatBytes(bytes)]),
    ),
    memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`,
    pods: String(pods),
  };
}

/** In the largest unit that holds it; none is the bare 0, as upstream writes it. */
function formatBytes(bytes: number): string {
  if (bytes === 0) return '0';
  if (bytes % 2 ** 30 === 0) return `${bytes / 2 ** 30}Gi`;
  return bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20}Mi` : `${bytes / 2 ** 10}Ki`;
}

/** Capacity less what is kept from pods. What is in huge pages is nobody's ordinary memory. */
export function nodeAllocatable(
  capacity: Readonly<Record<string, string>>,
  settings: KubeletSettings,
): Readonly<Record<string, string>> {
  const pages = Object.entries(capacity)
    .filter(([name, amount]) => name.startsWith('hugepages-') && amount !== '0')
    .map(([, amount]) => amount);
  const allocatable: Record<string, string> = {};
  for (const [name, total] of Object.entries(capacity)) {
    const less = withheldOf(name, total, settings);
    const all = name === 'memory' ? [...less, ...pages] : less;
    const rest = all.reduce(subtractQuantities, total);
    allocatable[name] = compareQuantities(rest, '0') < 0 ? '0' : rest;
  }
  return allocatable;
}

/** For the system, for kubelet and runtime, and what pods are evicted for. */
export function withheldOf(
  name: string,
  total: string,
  settings: KubeletSettings,
): readonly string[] {
  const { systemReserved, kubeReserved, allocatableIgnoresEviction } = settings;
  const evictionHard = allocatableIgnoresEviction ? {} : settings.evictionHard;
  const thresholds: Readonly<Record<string, string | undefined>> = {
    memory: evictionHard['memory.available'],
    'ephemeral-storage': evictionHard['nodefs.available'],
  };
  const threshold = thresholds[name] ?? '0';
  return [
    systemReserved[name] ?? '0',
    kubeReserved[name] ?? '0',
    threshold.endsWith('%') ? shareOf(total, Number(threshold.slice(0, -1))) : threshold,
  ];
}

function shareOf(total: string, percent: number): string {
  return String(Math.floor((quantityValue(total) * percent) / 100));
}

function nodeConditions(
  pressures: readonly string[],
  runtime: RuntimeCondition,
  old: readonly NodeCondition[],
  nowMs: number,
): readonly NodeCondition[] {
  const drafts = [
    pressures.includes('MemoryPressure')
      ? draft(
          'MemoryPressure',
          'True',
          'KubeletHasInsufficientMemory',
          'kubelet has insufficient memory available',
        )
      : draft(
          'MemoryPressure',
          'False',
          'KubeletHasSufficientMemory',
          'kubelet has sufficient memory available',
        ),
    pressures.includes('DiskPressure')
      ? draft('DiskPressure', 'True', 'KubeletHasDiskPressure', 'kubelet has disk pressure')
      : draft('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    pressures.includes('PIDPressure')
      ? draft(
          'PIDPressure',
          'True',
          'KubeletHasInsufficientPID',
          'kubelet has insufficient PID available',
        )
      : draft(
          'PIDPressure',
          'False',
          'KubeletHasSufficientPID',
          'kubelet has sufficient PID available',
        ),
    runtime.problem === ''
      ? draft('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status')
      : draft('Ready', 'False', 'KubeletNotReady', runtime.problem),
  ];
  const now = formatTime(nowMs);
  return drafts.map((condition) => {
    const before = old.find(({ type }) => type === condition.type);
    const since = before?.status === condition.status ? before.lastTransitionTime : undefined;
    return { ...condition, lastHeartbeatTime: now, lastTransitionTime: since ?? now };
  });
}

function draft(type: string, status: string, reason: string, message: string) {
  return { type, status, reason, message };
}

/** What counts as a change that is told at once; times of heartbeats do not. */
export function isSameStatus(a: NodeStatus | undefined, b: NodeStatus): boolean {
  const plain = (status: NodeStatus): string =>
    JSON.stringify({
      ...status,
      conditions: status.conditions?.map(({ type, status: value, reason, message }) => ({
        type,
        value,
        reason,
        message,
      })),
    });
  return a !== undefined && plain(a) === plain(b);
}
