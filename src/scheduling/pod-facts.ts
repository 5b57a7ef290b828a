/**
 * What scheduling needs to know of a pod, worked out once when the pod is seen and then compared
 * with many nodes. The queue and the cache keep these instead of looking into the pod each time.
 */
import { objectKey } from '#api/object.ts';
import type { Labels } from '#api/selectors.ts';
import { timeMs } from '#api/timestamp.ts';
import { present } from '#kit/assert.ts';
import type { Pod, Toleration } from '#resources/types/core-v1.ts';
import { type AffinityTerms, affinityTerms } from './affinity-terms.ts';
import { type Amounts, nonZeroRequests, podRequests } from './amounts.ts';
import { type SpreadConstraints, spreadConstraints } from './spread-constraints.ts';

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
  readonly namespace: string;
  readonly labels: Labels;
  readonly priority: number;
  /** Asked to end; it still holds its place. */
  readonly terminating: boolean;
  /** When it began to run; undefined before that. */
  readonly startedMs: number | undefined;
  readonly terms: AffinityTerms;
  /** Undefined: the profile's defaults apply. */
  readonly spread: SpreadConstraints | undefined;
  /** Limited to certain nodes by selector or required affinity. */
  readonly choosesNodes: boolean;
  /** Claims of its volumes, by name; those of ephemeral volumes included. */
  readonly claims: readonly PodClaim[];
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

export interface PodClaim {
  readonly name: string;
  /** Made for this pod, by the controller of ephemeral volumes. */
  readonly ephemeral: boolean;
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
    namespace: pod.metadata.namespace ?? '',
    labels: pod.metadata.labels,
    priority: spec?.priority ?? 0,
    terminating: pod.metadata.deletionTimestamp !== undefined,
    startedMs: timeMs(pod.status?.startTime),
    terms: affinityTerms(pod),
    spread: spreadConstraints(pod),
    choosesNodes:
      spec?.nodeSelector !== undefined ||
      spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution !== undefined,
    claims: claimsOf(pod),
    requests: podRequests(bare, pod.status),
    nonZeroRequests: nonZeroRequests(bare, pod.status),
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

function claimsOf(pod: Pod): readonly PodClaim[] {
  const claims: PodClaim[] = [];
  for (const volume of pod.spec?.volumes ?? []) {
    const name = volume.persistentVolumeClaim?.claimName;
    if (name !== undefined) claims.push({ name, ephemeral: false });
    else if (volume.ephemeral !== undefined) {
      claims.push({ name: `${pod.metadata.name}-${volume.name}`, ephemeral: true });
    }
  }
  return claims;
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
