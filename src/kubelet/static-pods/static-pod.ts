/**
 * A pod of this node that a manifest asks for, and its mirror in the API: manifest in, objects out.
 * Pure.
 *
 *     manifest ──► static pod (uid: hash of node, source and content) ──► runs without any API
 *                        └──► mirror pod: the same spec, so that people and the scheduler see it
 *
 * The two are joined by the hash in their annotations; the API gives the mirror a uid of its own.
 * `manifests.ts` reads, `static-pods.ts` performs. Behaviour: kubernetes.io, Create static Pods.
 */
import { createHash } from 'node:crypto';
import { formatTime } from '#kit/clock.ts';
import type { Node, Pod, Volume } from '#resources/types/core-v1.ts';
import { startOrder } from '../pods/pod-facts.ts';

export const annotations = {
  hash: 'kubernetes.io/config.hash',
  mirror: 'kubernetes.io/config.mirror',
  seen: 'kubernetes.io/config.seen',
  source: 'kubernetes.io/config.source',
} as const;

/** Where a manifest was found. */
export type Source = 'file' | 'http';

export interface StaticPodOptions {
  readonly nodeName: string;
  readonly source: Source;
  /** Name of the file or the address, so that two alike are two pods. */
  readonly origin: string;
  readonly nowMs: number;
}

/** With everything that a pod from the API would have got on its way here. */
export function staticPodOf(manifest: Pod, options: StaticPodOptions): Pod {
  const { nodeName, source, origin, nowMs } = options;
  const { metadata, spec } = manifest;
  const hash = createHash('md5')
    .update(JSON.stringify([nodeName, source, origin, manifest]))
    .digest('hex');
  const uid = metadata.uid ?? hash;
  return {
    ...manifest,
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      name: `${metadata.name}-${nodeName.toLowerCase()}`,
      namespace: metadata.namespace ?? 'default',
      uid,
      creationTimestamp: formatTime(nowMs),
      annotations: {
        ...metadata.annotations,
        [annotations.hash]: uid,
        [annotations.seen]: new Date(nowMs).toISOString(),
        [annotations.source]: source,
      },
    },
    spec: {
      containers: [],
      ...spec,
      nodeName,
      // Nobody decides anew about a pod that is bound to its node for good.
      tolerations: [...(spec?.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }],
    },
    status: { phase: 'Pending' },
  };
}

export function isMirror({ metadata }: Pod): boolean {
  return metadata.annotations?.[annotations.mirror] !== undefined;
}

export function isStatic({ metadata }: Pod): boolean {
  return (
    metadata.annotations?.[annotations.source] !== undefined &&
    metadata.annotations[annotations.mirror] === undefined
  );
}

/** What is created in the API for a static pod; it goes with its node. */
export function mirrorOf(pod: Pod, node: Node): Pod {
  const { uid, creationTimestamp, ...metadata } = pod.metadata;
  const { status, ...rest } = pod;
  return {
    ...rest,
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [annotations.mirror]: uid ?? '' },
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Node',
          name: node.metadata.name ?? '',
          uid: node.metadata.uid ?? '',
          controller: true,
        },
      ],
    },
  };
}

/** A mirror shows this very pod, and is not on its way out. */
export function mirrors(mirror: Pod, pod: Pod): boolean {
  const { annotations: known, deletionTimestamp } = mirror.metadata;
  return deletionTimestamp === undefined && known?.[annotations.mirror] === pod.metadata.uid;
}

/** What of the API a pod would need, in upstream's words; a static pod must do without. */
export function apiReference(pod: Pod): string | undefined {
  const { spec } = pod;
  if ((spec?.serviceAccountName ?? '') !== '') return 'serviceaccounts';
  const { imagePullSecrets = [], volumes = [], resourceClaims = [] } = spec ?? {};
  const sources = startOrder(pod).flatMap(({ env = [], envFrom = [] }) => [
    ...envFrom,
    ...env.map(({ valueFrom }) => valueFrom ?? {}),
  ]);
  const projected = volumes.flatMap((volume) => volume.projected?.sources ?? []);
  if (
    imagePullSecrets.length > 0 ||
    sources.some((source) => 'secretRef' in source || 'secretKeyRef' in source) ||
    [...volumes, ...projected].some(({ secret }) => secret !== undefined)
  ) {
    return 'secrets';
  }
  if (
    sources.some((source) => 'configMapRef' in source || 'configMapKeyRef' in source) ||
    [...volumes, ...projected].some(({ configMap }) => configMap !== undefined)
  ) {
    return 'configmaps';
  }
  if (resourceClaims.length > 0) return 'resourceclaims';
  for (const volume of volumes) {
    const found = volumeReference(volume);
    if (found !== undefined) return found;
  }
  return undefined;
}

function volumeReference({ csi, persistentVolumeClaim, ephemeral, projected }: Volume) {
  if (csi !== undefined) return 'csidrivers (via CSI volumes)';
  if (persistentVolumeClaim !== undefined) return 'persistentvolumeclaims';
  if (ephemeral !== undefined) return 'persistentvolumeclaims (via ephemeral volumes)';
  const source = projected?.sources?.find(({ downwardAPI }) => downwardAPI === undefined);
  if (source === undefined) return undefined;
  if (source.serviceAccountToken !== undefined) return 'serviceaccounts (via projected volumes)';
  return source.clusterTrustBundle === undefined ? 'podcertificates' : 'clustertrustbundles';
}
