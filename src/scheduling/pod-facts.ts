/**
 * What scheduling needs to know of a pod, worked out once when the pod is seen and then compared
 * with many nodes. The queue and the cache keep these instead of looking into the pod each time.
 */
import { objectKey } from '#api/object.ts';
import { present } from '#kit/assert.ts';
import type { Pod, Toleration } from '#resources/types/core-v1.ts';
import { type Amounts, nonZeroRequests, podRequests } from './amounts.ts';

export interface HostPort {
  readonly protocol: string;
  /** `0.0.0.0` where the pod wants the port on every address. */
  readonly ip: string;
  readonly port: number;
}

export interface PodFacts {
  readonly pod: Pod;
  readonly uid: string;
  /** `namespace/name`. */
  readonly key: string;
  readonly priority: number;
  readonly requests: Readonly<Amounts>;
  readonly nonZeroRequests: Readonly<Amounts>;
  readonly hostPorts: readonly HostPort[];
  readonly tolerations: readonly Toleration[];
  /** Tolerations that count for the soft effect PreferNoSchedule. */
  readonly softTolerations: readonly Toleration[];
  /** Images of all containers, with a tag. */
  readonly images: readonly string[];
  /** Containers of both sorts, for scores that are per container. */
  readonly containerCount: number;
}

export function podFacts(pod: Pod): PodFacts {
  const { spec } = pod;
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const tolerations = spec?.tolerations ?? [];
  const bare = spec ?? { containers: [] };
  return {
    pod,
    uid: present(pod.metadata.uid, 'a stored pod has a uid'),
    key: objectKey(pod),
    priority: spec?.priority ?? 0,
    requests: podRequests(bare),
    nonZeroRequests: nonZeroRequests(bare),
    hostPorts: hostPortsOf(pod),
    tolerations,
    softTolerations: tolerations.filter((t) => !t.effect || t.effect === 'PreferNoSchedule'),
    images: containers.map((container) => withTag(container.image ?? '')),
    containerCount: containers.length,
  };
}

/** Whether nothing of the pod runs any more: it holds no resources. */
export function hasEnded(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

function hostPortsOf(pod: Pod): readonly HostPort[] {
  const ports: HostPort[] = [];
  const restarting = (pod.spec?.initContainers ?? []).filter((c) => c.restartPolicy === 'Always');
  for (const container of [...restarting, ...(pod.spec?.containers ?? [])]) {
    for (const { hostPort, hostIP, protocol } of container.ports ?? []) {
      if (!hostPort) continue;
      ports.push({ protocol: protocol || 'TCP', ip: hostIP || '0.0.0.0', port: hostPort });
    }
  }
  return ports;
}

/** `nginx` means `nginx:latest`; a digest or a tag stays as it is. */
export function withTag(image: string): string {
  return image.lastIndexOf(':') > image.lastIndexOf('/') ? image : `${image}:latest`;
}
