/**
 * What a container's cgroup of version 2 is told besides its limits, as files of the cgroup:
 * whether the kernel ends it as a whole when memory runs out (`memory.oom.group`), and how much
 * swap it may use (`memory.swap.max`). Version 1 has no such files.
 *
 * Pure; `start-container.ts` looks at the machine, `container-config.ts` passes on what comes out.
 * Rules: kubernetes.io, "Swap memory management", and `singleProcessOOMKill` of the kubelet's file.
 */
import { quantityValue } from '#api/quantity.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import { isCritical } from '../node/admission.ts';
import { qosClassOf } from '../pods/qos.ts';
import type { KubeletSettings } from '../settings.ts';

export interface MemoryGroupFacts {
  readonly version: 1 | 2;
  /** The kernel counts swap by cgroup. */
  readonly countsSwap: boolean;
  readonly memoryBytes: number;
  readonly swapBytes: number;
}

type Settings = Pick<KubeletSettings, 'singleProcessOOMKill' | 'swapBehavior'>;

export function memoryGroup(
  pod: Pod,
  container: Container,
  { facts, settings }: { readonly facts: MemoryGroupFacts; readonly settings: Settings },
): Readonly<Record<string, string>> {
  if (facts.version === 1) return {};
  const swap = maySwap(pod, container, facts, settings) ? swapShare(container, facts) : 0;
  return {
    ...(settings.singleProcessOOMKill === true ? {} : { 'memory.oom.group': '1' }),
    ...(facts.countsSwap ? { 'memory.swap.max': String(swap) } : {}),
  };
}

/** Its memory may not be changed in place then, as upstream says. */
export function maySwap(
  pod: Pod,
  { resources }: Container,
  facts: Pick<MemoryGroupFacts, 'version' | 'countsSwap'>,
  { swapBehavior }: Pick<Settings, 'swapBehavior'>,
): boolean {
  const { limits, requests } = resources ?? {};
  const limit = quantityValue(limits?.['memory'] ?? '0');
  const request = quantityValue(requests?.['memory'] ?? limits?.['memory'] ?? '0');
  if (swapBehavior !== 'LimitedSwap' || facts.version === 1 || !facts.countsSwap) return false;
  return !isCritical(pod) && qosClassOf(pod) === 'Burstable' && request !== limit;
}

/**
 * Of the node's swap the part that the container asks for of the node's memory: 1 GiB of 4 GiB is a
 * quarter. Only for those that may use more memory than they ask for.
 */
function swapShare({ resources }: Container, facts: MemoryGroupFacts): number {
  const { limits, requests } = resources ?? {};
  const request = quantityValue(requests?.['memory'] ?? limits?.['memory'] ?? '0');
  if (request > facts.memoryBytes) return 0;
  return Math.floor((request / facts.memoryBytes) * facts.swapBytes);
}
