/**
 * Pods with what the kernel counts of them: figures of the runtime (`stats.ts`), and beside them
 * those of the cgroups of each pod and each container (`cgroup-figures.ts`).
 *
 * The server asks for them when somebody wants `/stats/summary` or `/metrics/cadvisor`.
 */
import type { Machine } from '../node/machine.ts';
import type { KubeletParts } from '../parts.ts';
import { podCgroupPath } from '../pods/qos.ts';
import {
  type CgroupFigures,
  readCgroupFigures,
  readSwap,
  type SwapFigures,
} from './cgroup-figures.ts';
import type { ContainerFigures, PodFigures } from './stats.ts';

export interface CountedContainer extends ContainerFigures {
  /** Of its cgroup. */
  readonly path: string;
  readonly counted: CgroupFigures | undefined;
}

export interface CountedPod extends PodFigures {
  readonly containers: readonly CountedContainer[];
  /** Its containers and its sandbox together. */
  readonly counted: CgroupFigures | undefined;
}

export interface CountedNode {
  /** Of all processes; version 1 tells nothing here that the machine does not. */
  readonly root: CgroupFigures | undefined;
  /** Of all pods together. */
  readonly pods: CgroupFigures | undefined;
  /** Of the cgroup that we are in ourselves, with whatever else is in it. */
  readonly kubelet: CgroupFigures | undefined;
}

/** By ids of containers and uids of pods. */
export type Swaps = ReadonlyMap<string, SwapFigures>;

type Parts = Pick<KubeletParts, 'machine' | 'node'>;

export async function withCgroups(
  { machine, node }: Parts,
  pods: readonly PodFigures[],
): Promise<readonly CountedPod[]> {
  const { cgroups } = machine;
  const counted: CountedPod[] = [];
  for (const figures of pods) {
    const parent = podCgroupPath(node.cgroupRoot, figures.pod);
    const containers = await Promise.all(
      figures.containers.map(async (container) => {
        const path = cgroups.containerPath(parent, container.id);
        return { ...container, path, counted: await readCgroupFigures(cgroups, path) };
      }),
    );
    const whole = await readCgroupFigures(cgroups, cgroups.pathOf(parent));
    counted.push({ ...figures, containers, counted: whole });
  }
  return counted;
}

export async function countNode({ machine, node }: Parts): Promise<CountedNode> {
  const { cgroups } = machine;
  return {
    root: cgroups.version === 1 ? undefined : await readCgroupFigures(cgroups, '/'),
    pods: await readCgroupFigures(cgroups, cgroups.pathOf(`${node.cgroupRoot}/kubepods`)),
    kubelet: await readCgroupFigures(cgroups, ownCgroup(machine)),
  };
}

/** Where systemd has put us comes first: in version 1 it need not be so in every tree. */
function ownCgroup({ readFile }: Machine): string {
  const lines = readFile('/proc/self/cgroup').split('\n');
  const of = (name: RegExp): string | undefined =>
    lines.map((line) => name.exec(line)?.[1]).find((path) => path !== undefined);
  return (
    of(/^\d+:name=systemd:(.+)$/) ?? of(/^\d+:(?:.*,)?cpu(?:,.*)?:(.+)$/) ?? of(/^0::(.+)$/) ?? '/'
  );
}

/** What pods and their containers have in swap. A machine without any is not asked. */
export async function readSwaps(
  { machine, node }: Parts,
  pods: readonly PodFigures[],
  { swapTotalBytes }: { readonly swapTotalBytes: number },
): Promise<Swaps> {
  const { cgroups } = machine;
  const swaps = new Map<string, SwapFigures>();
  const none: SwapFigures = { usageBytes: 0, limitBytes: cgroups.version === 1 ? undefined : 0 };
  const count = async (key: string, path: string): Promise<void> => {
    const figures = swapTotalBytes === 0 ? none : await readSwap(cgroups, path);
    if (figures !== undefined) swaps.set(key, figures);
  };
  for (const { pod, containers } of pods) {
    const parent = podCgroupPath(node.cgroupRoot, pod);
    await count(pod.metadata.uid ?? '', cgroups.pathOf(parent));
    await Promise.all(containers.map(({ id }) => count(id, cgroups.containerPath(parent, id))));
  }
  return swaps;
}
