/**
 * The pod resources API (v1): tells agents on the node which devices and claims each container
 * has, and what there is to give.
 *
 * Served on `pod-resources/kubelet.sock` by `open-devices.ts`. Processors and memory are listed
 * where a policy gives them to containers alone (`placement/`).
 */
import { GrpcError, type Served } from '#kit/grpc.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { Block } from '../placement/memory-map.ts';
import type { NodePlacement } from '../placement/placement.ts';
import { containersOf, initContainersOf, isSidecar } from '../pods/pod-facts.ts';
import type { Claims } from './claims.ts';
import type { DeviceManager } from './device-manager.ts';
import { podResources, type Sent } from './messages.ts';

export interface PodResourcesDeps {
  readonly manager: DeviceManager;
  readonly placement: () => Pick<NodePlacement, 'cpusOf' | 'memoryOf' | 'allocatable'>;
  readonly claims: () => { readonly claims: Claims } | undefined;
  readonly activePods: () => readonly Pod[] | undefined;
  readonly findPod: (namespace: string, name: string) => Pod | undefined;
}

export function podResourcesMethods(deps: PodResourcesDeps): readonly Served[] {
  return [
    podResources.list.serve(async () => {
      deps.manager.release();
      const pods = deps.activePods() ?? [];
      return { podResources: pods.map((pod) => resourcesOf(deps, pod)) };
    }),
    podResources.allocatable.serve(async () => {
      const { cpus, memory } = deps.placement().allocatable();
      const devices = listed(deps.manager.allocatable());
      return { devices, cpuIds: cpus, memory: memory.map(memoryBlock) };
    }),
    podResources.get.serve(async ({ podName, podNamespace }) => {
      const pod = deps.findPod(podNamespace, podName);
      if (pod === undefined) {
        const text = `pod ${podName} in namespace ${podNamespace} not found`;
        throw new GrpcError(podResources.get.client.path, 'UNKNOWN', text);
      }
      return { podResources: resourcesOf(deps, pod) };
    }),
  ];
}

function resourcesOf(deps: PodResourcesDeps, pod: Pod): Sent<'PodResources'> {
  const { name, namespace } = pod.metadata;
  const containers = [...initContainersOf(pod).filter(isSidecar), ...containersOf(pod)];
  return {
    ...{ name, namespace },
    containers: containers.map((container) => containerResources(deps, pod, container)),
  };
}

function containerResources(
  { manager, claims, placement }: PodResourcesDeps,
  pod: Pod,
  container: Container,
): Sent<'ContainerResources'> {
  return {
    name: container.name,
    devices: listed(manager.devicesOf(pod, container.name)),
    cpuIds: placement().cpusOf(pod, container.name),
    memory: placement().memoryOf(pod, container.name).map(memoryBlock),
    dynamicResources: claims()?.claims.dynamicResources(pod, container) ?? [],
  };
}

function memoryBlock({ type, size, numaAffinity }: Block): Sent<'ContainerMemory'> {
  return { memoryType: type, size, topology: { nodes: numaAffinity.map((id) => ({ id })) } };
}

/** One entry per device, because each has its own place. */
function listed(
  resources: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>,
): readonly Sent<'ContainerDevices'>[] {
  return [...resources].flatMap(([resourceName, devices]) =>
    [...devices].map(([id, nodes]) => ({
      ...{ resourceName, deviceIds: [id] },
      ...(nodes.length === 0 ? {} : { topology: { nodes: nodes.map((node) => ({ id: node })) } }),
    })),
  );
}
