/**
 * The sorts of volumes that Kubernetes itself once knew how to make and delete, by the names of
 * their plugins. Pure.
 *
 * What clouds give has moved to drivers: classes and volumes that name the old plugin are the
 * driver's, and an annotation says so. Of the rest v1.36 makes and deletes folders of the machine
 * alone. Volumes that a plugin made are kept from going before what is behind them is gone, by a
 * finalizer. Behaviour: kubernetes.io, "Persistent Volumes", "PersistentVolume deletion protection
 * finalizer", and "Volumes", "Migrating to CSI drivers from in-tree plugins".
 */
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import { volumeAnnotations } from '#resources/volumes/volume-matching.ts';

export const hostPathPlugin = 'kubernetes.io/host-path';
export const deletionFinalizer = 'kubernetes.io/pv-controller';
const externalFinalizer = 'external-provisioner.volume.kubernetes.io/finalizer';

/** Plugins that know volumes, and neither make nor delete them. */
const lookingOn: readonly string[] = [
  'kubernetes.io/nfs',
  'kubernetes.io/iscsi',
  'kubernetes.io/fc',
];

const drivers: Readonly<Record<string, string>> = {
  'kubernetes.io/aws-ebs': 'ebs.csi.aws.com',
  'kubernetes.io/azure-disk': 'disk.csi.azure.com',
  'kubernetes.io/azure-file': 'file.csi.azure.com',
  'kubernetes.io/cinder': 'cinder.csi.openstack.org',
  'kubernetes.io/gce-pd': 'pd.csi.storage.gke.io',
  'kubernetes.io/portworx-volume': 'pxd.portworx.com',
  'kubernetes.io/vsphere-volume': 'csi.vsphere.vmware.com',
};

/** The driver that does what the plugin did; undefined where the plugin never moved. */
export function driverFor(plugin: string): string | undefined {
  return drivers[plugin];
}

/** Why nobody here can do it; undefined where it is somebody else's work, or the host's folders. */
export function missingPlugin(
  plugin: string,
  what: 'provisionable' | 'deletable',
): string | undefined {
  if (!plugin.startsWith('kubernetes.io/') || plugin === hostPathPlugin) return undefined;
  if (lookingOn.includes(plugin)) return `no ${what} volume plugin matched`;
  return `no volume plugin matched name: ${plugin}`;
}

/** The claim with the driver that its provisioner moved to; undefined where it is so. */
export function claimNoted(claim: PersistentVolumeClaim): PersistentVolumeClaim | undefined {
  const { storageProvisioner, betaStorageProvisioner } = volumeAnnotations;
  const { annotations = {} } = claim.metadata;
  const provisioner = annotations[storageProvisioner] ?? annotations[betaStorageProvisioner];
  const noted = annotationsNoted(annotations, provisioner);
  if (noted === undefined) return undefined;
  return { ...claim, metadata: { ...claim.metadata, annotations: noted } };
}

/** The same of a volume, and the finalizer of one that has to be deleted here. */
export function volumeNoted(volume: PersistentVolume): PersistentVolume | undefined {
  const { annotations = {}, finalizers = [] } = volume.metadata;
  const noted = annotationsNoted(annotations, annotations[volumeAnnotations.provisionedBy]);
  const kept = finalizersNoted(volume);
  const isSame = kept.length === finalizers.length && kept.every((one) => finalizers.includes(one));
  if (noted === undefined && isSame) return undefined;
  const metadata = { ...volume.metadata, annotations: noted ?? annotations, finalizers: kept };
  return { ...volume, metadata };
}

function annotationsNoted(
  annotations: Readonly<Record<string, string>>,
  plugin: string | undefined,
): Readonly<Record<string, string>> | undefined {
  if (plugin === undefined) return undefined;
  const { migratedTo } = volumeAnnotations;
  const driver = drivers[plugin];
  if (annotations[migratedTo] === driver) return undefined;
  if (driver !== undefined) return { ...annotations, [migratedTo]: driver };
  const { [migratedTo]: before, ...rest } = annotations;
  return before === '' ? undefined : rest;
}

function finalizersNoted({ metadata, spec }: PersistentVolume): readonly string[] {
  const { annotations = {}, finalizers = [], deletionTimestamp } = metadata;
  const plugin = annotations[volumeAnnotations.provisionedBy];
  if (plugin === undefined || !plugin.startsWith('kubernetes.io/')) return finalizers;
  const others = finalizers.filter((one) => one !== deletionFinalizer);
  if (drivers[plugin] !== undefined) return others;
  const own = others.filter((one) => one !== externalFinalizer);
  if (spec?.persistentVolumeReclaimPolicy !== 'Delete') return own;
  // The server takes no new finalizer on an object that is on its way out.
  const isLeaving = deletionTimestamp !== undefined && !finalizers.includes(deletionFinalizer);
  return isLeaving ? own : [...own, deletionFinalizer];
}
