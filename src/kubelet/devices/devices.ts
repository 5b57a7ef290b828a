/**
 * Devices and dynamic resources of this node, as the rest of the kubelet sees them.
 *
 * `placement/placer.ts` asks for the devices of a new pod, the sandbox waits for its claims, the
 * container's configuration gets what plugins answered, the node's status counts, and the pod's
 * end gives back. `open-devices.ts` makes it; a kubelet that has no place for plugins has
 * `noDevices`, and loads nothing.
 */
import type { Sent } from '#cri';
import type { Container, Pod, PodStatus } from '#resources/types/core-v1.ts';
import type { Provider } from '../placement/provider.ts';
import type { DeviceAmounts } from './device-manager.ts';

export interface ContainerDevices {
  readonly envs: ReadonlyMap<string, string>;
  readonly mounts: readonly Sent<'Mount'>[];
  readonly devices: readonly Sent<'Device'>[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly cdiDevices: readonly Sent<'CDIDevice'>[];
}

export interface NodeDevices {
  /** Whether plugins, and not the node's status, say how much there is of a resource. */
  manages(resource: string): boolean;
  amounts(): DeviceAmounts;
  /** Gives devices to new pods. */
  readonly provider: Provider;
  /** Its claims, before it begins; throws what the user is to see. */
  prepare(pod: Pod, options: { readonly signal: AbortSignal }): Promise<void>;
  /** A text instead: why the container cannot be configured. */
  settingsOf(
    pod: Pod,
    container: Container,
    options: { readonly signal: AbortSignal },
  ): Promise<ContainerDevices | string>;
  /** Nothing of the pod runs any more. */
  unprepare(podUid: string, options: { readonly signal: AbortSignal }): Promise<void>;
  withHealth(pod: Pod, status: PodStatus): PodStatus;
}

export const nothing: ContainerDevices = {
  envs: new Map(),
  mounts: [],
  devices: [],
  annotations: {},
  cdiDevices: [],
};

export const noDevices: NodeDevices = {
  manages: () => false,
  amounts: () => ({ capacity: {}, allocatable: {} }),
  provider: { hints: () => new Map(), allocate: async () => undefined },
  prepare: async (pod) => {
    if ((pod.spec?.resourceClaims ?? []).length === 0) return;
    throw new Error('prepare dynamic resources: this kubelet has no place for drivers');
  },
  settingsOf: async () => nothing,
  unprepare: async () => {},
  withHealth: (_, status) => status,
};
