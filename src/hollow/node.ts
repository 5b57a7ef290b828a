/**
 * What a hollow node says about itself: its Node object, its status and its Lease. Pure.
 *
 * Addresses follow from the node's number n: 192.168.x.y for the node and a block 10.(128 + n /
 * 256). (n mod 256).0/24 for its pods, so that no two nodes of a cluster share any.
 */
import { formatMicroTime, formatTime } from '#kit/clock.ts';
import type { Lease } from '#resources/types/coordination-v1.ts';
import type { Node, NodeCondition, NodeStatus } from '#resources/types/core-v1.ts';
import type { HollowTaint } from './hollow.ts';

export interface HollowNode {
  readonly name: string;
  readonly address: string;
  /** Its pods' addresses, unless the cluster gives it others. */
  readonly podCIDR: string;
  readonly capacity: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly HollowTaint[];
}

export interface NodesOptions {
  readonly names: readonly string[];
  readonly firstIndex: number;
  readonly capacity: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly HollowTaint[];
  /** Shared out among the nodes in turn. */
  readonly zones: readonly string[];
}

export const leaseNamespace = 'kube-node-lease';

export function planNodes(options: NodesOptions): ReadonlyMap<string, HollowNode> {
  const { names, firstIndex, capacity, taints } = options;
  return new Map(
    names.map((name, offset) => {
      const high = (firstIndex + offset) >> 8;
      const low = (firstIndex + offset) & 255;
      const zone = options.zones[offset % options.zones.length];
      const labels = {
        ...(zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone }),
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': 'amd64',
        ...options.labels,
      };
      const address = `192.168.${high}.${low}`;
      return [
        name,
        { name, address, podCIDR: `10.${128 + high}.${low}.0/24`, capacity, labels, taints },
      ];
    }),
  );
}

export function nodeObject(node: HollowNode, nowMs: number): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node.name, labels: node.labels },
    ...(node.taints.length === 0 ? {} : { spec: { taints: node.taints } }),
    status: nodeStatus(node, undefined, nowMs),
  };
}

/** The status to write; conditions keep the time of their last change where they did not change. */
export function nodeStatus(node: HollowNode, old: Node | undefined, nowMs: number): NodeStatus {
  const now = formatTime(nowMs);
  const condition = (
    type: string,
    status: 'True' | 'False',
    reason: string,
    message: string,
  ): NodeCondition => {
    const known = old?.status?.conditions?.find((one) => one.type === type);
    const since = known?.status === status ? known.lastTransitionTime : undefined;
    const lastTransitionTime = since ?? now;
    return { type, status, reason, message, lastHeartbeatTime: now, lastTransitionTime };
  };
  return {
    capacity: node.capacity,
    allocatable: node.capacity,
    addresses: [
      { type: 'InternalIP', address: node.address },
      { type: 'Hostname', address: node.name },
    ],
    conditions: [
      condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'enough memory'),
      condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'enough disk space'),
      condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'enough process ids'),
      condition('Ready', 'True', 'KubeletReady', 'hollow node is ready'),
    ],
    nodeInfo: {
      architecture: 'amd64',
      bootID: '',
      containerRuntimeVersion: 'hollow://1',
      kernelVersion: '',
      kubeProxyVersion: '',
      kubeletVersion: 'v1.36.0-hollow',
      machineID: node.name,
      operatingSystem: 'linux',
      osImage: 'hollow',
      systemUUID: node.name,
    },
  };
}

export function isReady(node: Node): boolean {
  return node.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}

export function nodeLease(
  node: HollowNode,
  options: { readonly uid: string; readonly durationSeconds: number; readonly nowMs: number },
): Lease {
  const { name } = node;
  const { uid } = options;
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name,
      namespace: leaseNamespace,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid }],
    },
    spec: {
      holderIdentity: name,
      leaseDurationSeconds: options.durationSeconds,
      renewTime: formatMicroTime(options.nowMs),
    },
  };
}
