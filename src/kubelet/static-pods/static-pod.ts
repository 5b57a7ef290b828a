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

/** What of the API a pod would need; a static pod must do without. */
export function apiReference({ spec }: Pod): string | undefined {
  if ((spec?.serviceAccountName ?? '') !== '') return 'a ServiceAccount';
  if ((spec?.resourceClaims ?? []).length > 0) return 'a ResourceClaim';
  if ((spec?.imagePullSecrets ?? []).length > 0) return 'a Secret';
  for (const volume of spec?.volumes ?? []) {
    const found = volumeReference(volume);
    if (found !== undefined) return found;
  }
  for (const container of [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]) {
    const sources = [
      ...(container.envFrom ?? []),
      ...(container.env ?? []).map(({ valueFrom }) => valueFrom ?? {}),
    ];
    for (const source of sources) {
      if ('secretRef' in source || 'secretKeyRef' in source) return 'a Secret';
      if ('configMapRef' in source || 'configMapKeyRef' in source) return 'a ConfigMap';
    }
  }
  return undefined;
}

function volumeReference(volume: Volume): string | undefined {
  if (volume.secret !== undefined) return 'a Secret';
  if (volume.configMap !== undefined) return 'a ConfigMap';
  if (volume.persistentVolumeClaim !== undefined || volume.ephemeral !== undefined) {
    return 'a PersistentVolumeClaim';
  }
  const projected = volume.projected?.sources?.find(({ downwardAPI }) => downwardAPI === undefined);
  return projected === undefined ? undefined : 'what only the API can give, in a projected volume';
}
