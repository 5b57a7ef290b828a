/**
 * Pods with what the kernel counts of them: figures of the runtime (`stats.ts`), and beside them
 * those of the cgroups of each pod and each container (`cgroup-figures.ts`).
 *
 * The server asks for them when somebody wants `/stats/summary` or `/metrics/cadvisor`.
 */
import type { KubeletParts } from '../parts.ts';
import { podCgroupPath } from '../pods/qos.ts';
import { type CgroupFigures, readCgroupFigures } from './cgroup-figures.ts';
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
}

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
  };
}
