/**
 * The folder behind a PersistentVolumeClaim, where the volume is a folder of this node:
 * `hostPath` and `local`; or the device, where it is a `local` one with volume mode Block, or has a
 * file system that is to be mounted.
 * Volumes of drivers are mounted by their drivers and are not known here.
 *
 * The claim must be bound to a volume that agrees, and the volume must be within reach of this
 * node. Called by `volumes.ts`; texts are upstream's.
 */
import { statSync } from 'node:fs';
import { isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { persistentVolumeClaims, persistentVolumes } from '#resources/kinds.ts';
import type {
  HostPathVolumeSource,
  LocalVolumeSource,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Volume,
} from '#resources/types/core-v1.ts';
import { matchesRequired } from '#scheduling';
import { VolumeError } from './payload.ts';

const defaultFsType = 'ext4';

export interface BoundVolume {
  readonly source:
    | { readonly hostPath: HostPathVolumeSource }
    | { readonly localPath: string }
    | { readonly localDevice: LocalDevice }
    | { readonly devicePath: string };
  readonly claim: PersistentVolumeClaim;
  readonly volume: PersistentVolume;
}

/** A device that pods see as the folder of its file system. */
export interface LocalDevice {
  readonly path: string;
  readonly fsType: string;
  readonly mountOptions: readonly string[];
}

/** Name of the claim that a pod's volume stands for, if any. */
export function claimNameOf(pod: Pod, volume: Volume): string | undefined {
  if (volume.ephemeral !== undefined) return `${pod.metadata.name}-${volume.name}`;
  return volume.persistentVolumeClaim?.claimName;
}

/** Of who may use what is on the volume, as its administrator says. */
export function groupOf({ metadata }: PersistentVolume): number | undefined {
  const text = metadata.annotations?.['pv.beta.kubernetes.io/gid'];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

export async function findBoundVolume(
  { client, node }: { readonly client: Client; readonly node: () => Node },
  pod: Pod,
  volume: Volume,
  { signal }: { readonly signal: AbortSignal },
): Promise<BoundVolume> {
  const { namespace = '' } = pod.metadata;
  const name = claimNameOf(pod, volume) ?? '';
  const claim = await read(client, persistentVolumeClaims, { namespace, name }, signal);
  if (claim === undefined) throw new VolumeError(`persistentvolumeclaim "${name}" not found`);
  if (volume.ephemeral !== undefined && !isOwnedBy(claim, pod)) {
    throw new VolumeError(
      `PVC ${namespace}/${name} was not created for pod ${namespace}/${pod.metadata.name} ` +
        '(pod is not owner)',
    );
  }
  const { volumeName = '' } = claim.spec ?? {};
  const phase = claim.status?.phase ?? '';
  if (phase !== 'Bound' || volumeName === '') {
    throw new VolumeError(
      `PVC ${namespace}/${name} has non-bound phase ("${phase}") or empty ` +
        `pvc.Spec.VolumeName ("${volumeName}")`,
    );
  }
  const found = await read(client, persistentVolumes, { name: volumeName }, signal);
  if (found === undefined) throw new VolumeError(`persistentvolume "${volumeName}" not found`);
  if (found.spec?.claimRef?.uid !== claim.metadata.uid) {
    throw new VolumeError(
      `PV ${volumeName} spec.ClaimRef.UID ${found.spec?.claimRef?.uid} does not match ` +
        `pvc.UID ${claim.metadata.uid}`,
    );
  }
  checkReach(found, node());
  checkUse(pod, volume.name, found.spec?.volumeMode ?? 'Filesystem');
  return { claim, volume: found, source: sourceOf(found) };
}

/** A folder is no device to a container, and a device no folder. */
export function checkUse({ spec }: Pod, name: string, mode: string): void {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = spec ?? {};
  const isUsed = (list: 'volumeMounts' | 'volumeDevices'): boolean =>
    [...containers, ...initContainers, ...ephemeralContainers].some((container) =>
      container[list]?.some((each) => each.name === name),
    );
  const wrong = mode === 'Block' ? 'volumeMounts' : 'volumeDevices';
  if (!isUsed(wrong)) return;
  throw new VolumeError(`volume ${name} has volumeMode ${mode}, but is specified in ${wrong}`);
}

async function read<T extends KubeObject>(
  client: Client,
  kind: KindOf<T>,
  at: { readonly namespace?: string; readonly name: string },
  signal: AbortSignal,
): Promise<T | undefined> {
  try {
    return await client.get(kind, at, { signal });
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

function isOwnedBy({ metadata }: PersistentVolumeClaim, pod: Pod): boolean {
  return (metadata.ownerReferences ?? []).some(
    ({ uid, controller }) => controller === true && uid === pod.metadata.uid,
  );
}

function checkReach({ metadata, spec }: PersistentVolume, node: Node): void {
  const required = spec?.nodeAffinity?.required;
  if (required === undefined) return;
  // A volume chooses its nodes as a pod does.
  const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: required };
  const chooser: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {},
    spec: { containers: [], affinity: { nodeAffinity } },
  };
  const { name = '', labels = {} } = node.metadata;
  if (matchesRequired(chooser, { name, labels })) return;
  throw new VolumeError(
    `Storage node affinity check failed for volume "${metadata.name}" : ` +
      'no matching NodeSelectorTerms',
  );
}

/** The annotation is older than the field, and counts more. Each option once, as upstream. */
function mountOptionsOf({ metadata, spec }: PersistentVolume): readonly string[] {
  const annotated = metadata.annotations?.['volume.beta.kubernetes.io/mount-options'];
  return [...new Set(annotated?.split(',') ?? spec?.mountOptions)].toSorted();
}

function sourceOf(volume: PersistentVolume): BoundVolume['source'] {
  const { metadata, spec } = volume;
  if (spec?.volumeMode === 'Block') {
    if (spec.local !== undefined) return { devicePath: checkDevice(spec.local.path) };
    throw new VolumeError(`no volume plugin matched for block volume ${metadata.name}`);
  }
  if (spec?.hostPath !== undefined) return { hostPath: spec.hostPath };
  if (spec?.local !== undefined) return localSource(spec.local, mountOptionsOf(volume));
  throw new VolumeError(`the sort of volume ${metadata.name} is not supported`);
}

function checkDevice(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new VolumeError(`path "${path}" does not exist`);
  if (!found.isBlockDevice()) throw new VolumeError(`path "${path}" is not a block device`);
  return path;
}

function localSource(
  { path, fsType }: LocalVolumeSource,
  mountOptions: readonly string[],
): BoundVolume['source'] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new VolumeError(`path "${path}" does not exist`);
  if (found.isBlockDevice()) {
    return { localDevice: { path, fsType: fsType || defaultFsType, mountOptions } };
  }
  if (found.isDirectory()) return { localPath: path };
  throw new VolumeError('only directory and block device are supported');
}
