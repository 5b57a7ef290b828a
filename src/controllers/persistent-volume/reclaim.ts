/**
 * What becomes of a volume whose claim is gone, by its reclaim policy. Pure.
 *
 * Retain: nothing. Delete: what an external provisioner made, or a CSI driver serves, is deleted by
 * that; a folder below `/tmp` goes with all that is in it, on the machine that the controllers run
 * on; of what is left nobody here knows how, so the volume Failed. Recycle: a pod empties NFS and
 * hostPath volumes, and the volume is free again. Behaviour: kubernetes.io, "Reclaiming".
 */

import { quantityValue } from '#api/quantity.ts';
import type { EventText } from '#client';
import type { PersistentVolume, Pod } from '#resources/types/core-v1.ts';
import { volumeAnnotations } from '#resources/volumes/volume-matching.ts';
import { missingPlugin } from './in-tree.ts';

export const limits = {
  /** A recycling pod may run this long at least, or so long for every whole GiB of the volume. */
  recycleSecondsMin: 60,
  recycleSecondsMinNFS: 300,
  recycleSecondsPerGiB: 30,
} as const;

/** What can be set of recycling, for each sort of volumes that can be recycled. */
export type RecyclingSettings = Readonly<Record<'hostPath' | 'nfs', Recycling>>;

interface Recycling {
  readonly secondsMin: number;
  readonly secondsPerGiB: number;
  /** The pod that empties a volume: the volume takes the place of its first one. */
  readonly template: Pod;
}

/** Recycling pods run here. */
export const recyclerNamespace = 'default';
const recyclerImage = 'registry.k8s.io/build-image/debian-base:bookworm-v1.0.6';

export type ReclaimAction =
  | { readonly do: 'fail'; readonly event: EventText }
  | { readonly do: 'tell'; readonly event: EventText }
  /** The folder goes, and then the volume. */
  | { readonly do: 'delete'; readonly path: string }
  | { readonly do: 'start-recycler'; readonly pod: Pod }
  /** Its pod has done its work: it goes, and the volume is free, or Failed. */
  | { readonly do: 'end-recycler'; readonly failure: string | undefined };

export interface ReclaimFacts {
  readonly volume: PersistentVolume;
  /** The pod that recycles this volume. */
  readonly recycler: Pod | undefined;
  /** Pods, by namespace and name, that still use the claim's volume. */
  readonly users: readonly string[];
  readonly recycling?: RecyclingSettings | undefined;
}

/** Undefined: nothing is to be done, or others do it. */
export function planReclaim(facts: ReclaimFacts): ReclaimAction | undefined {
  const { volume } = facts;
  const { annotations = {} } = volume.metadata;
  if (annotations[volumeAnnotations.migratedTo]) return undefined;
  switch (volume.spec?.persistentVolumeReclaimPolicy) {
    case 'Retain':
      return undefined;
    case 'Delete':
      return planDelete(volume);
    case 'Recycle':
      return planRecycle(facts);
    default: {
      const message = 'Volume has unrecognized PersistentVolumeReclaimPolicy';
      return failed('VolumeUnknownReclaimPolicy', message);
    }
  }
}

function failed(reason: string, message: string): ReclaimAction {
  return { do: 'fail', event: { type: 'Warning', reason, message } };
}

function planDelete({ metadata, spec }: PersistentVolume): ReclaimAction | undefined {
  const reason = 'VolumeFailedDelete';
  const plugin = metadata.annotations?.[volumeAnnotations.provisionedBy] ?? '';
  if (plugin !== '' && !plugin.startsWith('kubernetes.io/')) return undefined;
  const missing = missingPlugin(plugin, 'deletable');
  if (missing !== undefined) return failed(reason, missing);
  if (spec?.csi !== undefined) return undefined;
  const { path } = spec?.hostPath ?? {};
  if (path === undefined) {
    const isKnown = [spec?.nfs, spec?.iscsi, spec?.fc].some((source) => source !== undefined);
    const why = `no ${isKnown ? 'deletable ' : ''}volume plugin matched`;
    const what = `error getting deleter volume plugin for volume "${metadata.name}"`;
    return failed(reason, `${what}: ${why}`);
  }
  if (/^\/tmp\/.+/.test(path)) return { do: 'delete', path };
  const why = 'host_path deleter only supports /tmp/.+ but received provided';
  return failed(reason, `${why} ${path}`);
}

function planRecycle({
  volume,
  recycler,
  users,
  recycling,
}: ReclaimFacts): ReclaimAction | undefined {
  const reason = 'VolumeFailedRecycle';
  if (volume.status?.phase === 'Failed' && recycler === undefined) return undefined;
  if (users.length > 0) {
    const message = `Volume is used by pods: ${users.join(',')}`;
    return { do: 'tell', event: { type: 'Normal', reason, message } };
  }
  if (recycler === undefined) {
    const pod = recyclerPod(volume, recycling);
    if (pod !== undefined) return { do: 'start-recycler', pod };
    return failed(reason, 'No recycler plugin found for the volume!');
  }
  switch (recycler.status?.phase) {
    case 'Succeeded':
      return { do: 'end-recycler', failure: undefined };
    case 'Failed': {
      const why = recycler.status.message ?? 'pod failed, pod.Status.Message unknown';
      return { do: 'end-recycler', failure: `Recycle failed: failed to recycle volume: ${why}` };
    }
    default:
      return undefined;
  }
}

export function recyclerName(volumeName: string): string {
  return `recycler-for-${volumeName}`;
}

function recyclerPod(
  { metadata, spec }: PersistentVolume,
  recycling: RecyclingSettings = recyclingDefaults,
): Pod | undefined {
  const { nfs, hostPath, capacity } = spec ?? {};
  const source = nfs !== undefined ? { nfs } : hostPath !== undefined ? { hostPath } : undefined;
  if (source === undefined) return undefined;
  const { secondsMin, secondsPerGiB, template } = recycling[nfs === undefined ? 'hostPath' : 'nfs'];
  const gibibytes = Math.floor(quantityValue(capacity?.['storage'] ?? '0') / 2 ** 30);
  const { containers = [], volumes = [], ...rest } = template.spec ?? {};
  const [{ name: volumeName = 'vol' } = {}, ...others] = volumes;
  return {
    ...template,
    metadata: {
      ...template.metadata,
      namespace: recyclerNamespace,
      name: recyclerName(metadata.name ?? ''),
    },
    spec: {
      ...rest,
      containers,
      activeDeadlineSeconds: Math.max(secondsMin, gibibytes * secondsPerGiB),
      volumes: [{ name: volumeName, ...source }, ...others],
    },
  };
}

const scrub = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)"';

const recyclerTemplate: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {},
  spec: {
    restartPolicy: 'Never',
    volumes: [{ name: 'vol' }],
    containers: [
      {
        name: 'pv-recycler',
        image: recyclerImage,
        command: ['/bin/sh'],
        args: ['-c', `${scrub} || exit 1`],
        volumeMounts: [{ name: 'vol', mountPath: '/scrub' }],
      },
    ],
  },
};

export const recyclingDefaults: RecyclingSettings = {
  hostPath: {
    secondsMin: limits.recycleSecondsMin,
    secondsPerGiB: limits.recycleSecondsPerGiB,
    template: recyclerTemplate,
  },
  nfs: {
    secondsMin: limits.recycleSecondsMinNFS,
    secondsPerGiB: limits.recycleSecondsPerGiB,
    template: recyclerTemplate,
  },
};
