/**
 * On which processors and with the memory of which NUMA nodes containers run, as the rest of the
 * kubelet sees it.
 *
 * Admission asks whether a pod can have what it needs, the container's configuration gets its
 * processors and nodes, the pod resources API and the metrics tell. `open-placement.ts` makes it
 * where the settings ask for a policy; else there is `plainPlacement`, which only hands devices
 * out, and loads nothing.
 */
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { Refusal } from '../node/admission.ts';
import type { Metric } from '../server/exposition.ts';
import type { Block } from './memory-map.ts';

export interface ContainerPlace {
  /** As cgroups write it; undefined: all. */
  readonly cpusetCpus?: string | undefined;
  readonly cpusetMems?: string | undefined;
  /** The processors are its own, and need no quota. */
  readonly isExclusive: boolean;
}

export interface NodePlacement {
  /** Undefined: the pod has all that it needs. */
  admit(pod: Pod, options: { readonly signal: AbortSignal }): Promise<Refusal | undefined>;
  placeOf(pod: Pod, container: Container): ContainerPlace;
  /** A container has been made there. */
  made(pod: Pod, container: Container, containerId: string, place: ContainerPlace): void;
  /** A pod is no more: what it had can be given to others. */
  ended(): void;
  /** Whether a container of it has processors of its own. */
  hasOwnCpus(pod: Pod): boolean;
  /** Why CPU and memory of this pod cannot be changed while it runs. */
  resizeProblem(pod: Pod, resource: 'cpu' | 'memory'): string | undefined;
  /** Processors of its own. */
  cpusOf(pod: Pod, container: string): readonly number[];
  memoryOf(pod: Pod, container: string): readonly Block[];
  /** All that can be given, given or not. */
  allocatable(): { readonly cpus: readonly number[]; readonly memory: readonly Block[] };
  metrics(): readonly Metric[];
}
