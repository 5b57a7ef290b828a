/**
 * The Node object of this machine: what it is, what it has, how it feels. Pure.
 *
 * `node-registration.ts` gathers the facts, creates the object and keeps it current.
 */
import { formatTime } from '#kit/clock.ts';
import type { Node, NodeCondition, NodeStatus } from '#resources/types/core-v1.ts';

export interface MachineFacts {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly storageBytes: number;
  readonly storageFreeBytes: number;
  readonly memoryAvailableBytes: number;
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
}

export interface NodeOptions {
  readonly nodeName: string;
  readonly nodeIPs: readonly string[];
  readonly port: number;
  readonly maxPods: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly podCIDR?: string | undefined;
}

export interface ImageFact {
  readonly names: readonly string[];
  readonly sizeBytes: number;
}

export const kubeletVersion = 'v1.36.0';

/** Below this the node counts as short of memory, respectively of disk. */
const pressure = { memoryBytes: 100 * 1024 * 1024, diskShare: 0.1 } as const;
const imagesMax = 50;

export function newNode(options: NodeOptions, status: NodeStatus): Node {
  const { nodeName, labels, podCIDR } = options;
  const architecture = status.nodeInfo?.architecture ?? '';
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: nodeName,
      labels: {
        'beta.kubernetes.io/arch': architecture,
        'beta.kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture,
        'kubernetes.io/hostname': nodeName,
        'kubernetes.io/os': 'linux',
        ...labels,
      },
    },
    spec: podCIDR === undefined ? {} : { podCIDR, podCIDRs: [podCIDR] },
    status,
  };
}

export function nodeStatus(
  facts: {
    readonly machine: MachineFacts;
    readonly runtime: RuntimeCondition;
    readonly images: readonly ImageFact[];
    readonly old: NodeStatus | undefined;
  },
  options: NodeOptions,
  nowMs: number,
): NodeStatus {
  const { machine, runtime, images, old } = facts;
  const { nodeName, nodeIPs, port } = options;
  const amounts = nodeAmounts(machine, options.maxPods);
  return {
    addresses: [
      ...nodeIPs.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: nodeName },
    ],
    capacity: amounts,
    allocatable: amounts,
    conditions: nodeConditions(machine, runtime, old?.conditions ?? [], nowMs),
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
    images: images
      .toSorted((a, b) => b.sizeBytes - a.sizeBytes)
      .slice(0, imagesMax)
      .map(({ names, sizeBytes }) => ({ names, sizeBytes })),
  };
}

export function nodeAmounts(
  machine: MachineFacts,
  maxPods: number,
): Readonly<Record<string, string>> {
  return {
    cpu: String(machine.cpus),
    'ephemeral-storage': `${Math.floor(machine.storageBytes / 1024)}Ki`,
    memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`,
    pods: String(maxPods),
  };
}

function nodeConditions(
  machine: MachineFacts,
  runtime: RuntimeCondition,
  old: readonly NodeCondition[],
  nowMs: number,
): readonly NodeCondition[] {
  const lowMemory = machine.memoryAvailableBytes < pressure.memoryBytes;
  const lowDisk = machine.storageFreeBytes < machine.storageBytes * pressure.diskShare;
  const drafts = [
    lowMemory
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
    lowDisk
      ? draft('DiskPressure', 'True', 'KubeletHasDiskPressure', 'kubelet has disk pressure')
      : draft('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    draft(
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
