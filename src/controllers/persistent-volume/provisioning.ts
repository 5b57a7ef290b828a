/**
 * A volume for a claim that no volume fits: who makes it. Pure.
 *
 * The provisioner of the claim's class, which is told by an annotation; folders of the machine that
 * the controllers run on are made here, where that is switched on (`--enable-hostpath-provisioner`:
 * for clusters of one machine). `plan-claim.ts` asks, `persistent-volume.ts` performs.
 *
 * Behaviour and texts: kubernetes.io, "Dynamic Volume Provisioning".
 */
import type { EventText } from '#client';
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { StorageClass } from '#resources/types/storage-v1.ts';
import { volumeAnnotations } from '#resources/volumes/volume-matching.ts';
import { deletionFinalizer, driverFor, hostPathPlugin, missingPlugin } from './in-tree.ts';

/** Folders of the machine that the controllers run on. */
export interface HostFolders {
  make(path: string): Promise<void>;
  /** With all that is in it; no failure where there is none. */
  remove(path: string): Promise<void>;
}

export type ProvisionAction =
  | { readonly do: 'provision'; readonly provisioner: string; readonly event: EventText }
  | { readonly do: 'make'; readonly volume: PersistentVolume; readonly className: string }
  | { readonly do: 'tell'; readonly event: EventText };

export function failedToProvision(message: string): EventText {
  return { type: 'Warning', reason: 'ProvisioningFailed', message };
}

export function planProvision(
  claim: PersistentVolumeClaim,
  className: string,
  options: { readonly found: StorageClass | undefined; readonly makesFolders: boolean },
): ProvisionAction {
  const { found, makesFolders } = options;
  const failed = (message: string) => ({ do: 'tell', event: failedToProvision(message) }) as const;
  if (found === undefined) return failed(`storageclass.storage.k8s.io "${className}" not found`);
  const provisioner = driverFor(found.provisioner) ?? found.provisioner;
  const missing = missingPlugin(provisioner, 'provisionable');
  if (missing !== undefined) return failed(missing);
  if (provisioner === hostPathPlugin) {
    const problem = folderProblem(claim, found, makesFolders);
    return problem === undefined ? makeFolder(claim, found) : failed(problem);
  }
  const message =
    `Waiting for a volume to be created either by the external provisioner '${provisioner}' ` +
    'or manually by the system administrator. If volume creation is delayed, please verify that ' +
    'the provisioner is running and correctly registered.';
  const event = { type: 'Normal', reason: 'ExternalProvisioning', message } as const;
  return { do: 'provision', provisioner, event };
}

function folderProblem(
  { spec }: PersistentVolumeClaim,
  { metadata, mountOptions = [] }: StorageClass,
  makesFolders: boolean,
): string | undefined {
  if (spec?.dataSource !== undefined) {
    const only = 'Only CSI plugin can provision a claim with a datasource';
    return `plugin "${hostPathPlugin}" is not a CSI plugin. ${only}`;
  }
  if (mountOptions.length > 0) {
    const has = `StorageClass "${metadata.name}" has mount options [${mountOptions.join(' ')}]`;
    return `Mount options are not supported by the provisioner but ${has}`;
  }
  if (!makesFolders) {
    const why = `provisioning in volume plugin "${hostPathPlugin}" is disabled`;
    return `Failed to create provisioner: ${why}`;
  }
  const failed = `Failed to provision volume with StorageClass "${metadata.name}"`;
  if (spec?.volumeMode === 'Block') {
    return `${failed}: ${hostPathPlugin} does not support block volume provisioning`;
  }
  // Nobody could make a volume with labels that fit; upstream's host-path alone does not look.
  if (spec?.selector !== undefined) return `${failed}: claim Selector is not supported`;
  return undefined;
}

/** Named after the claim, folder and all: a second try finds what the first has made. */
function makeFolder(
  { metadata, spec }: PersistentVolumeClaim,
  { metadata: { name: className = '' }, reclaimPolicy = 'Delete' }: StorageClass,
): ProvisionAction {
  const { namespace, name, uid, resourceVersion } = metadata;
  const { boundByController, provisionedBy } = volumeAnnotations;
  const accessModes = spec?.accessModes ?? [];
  const volume: PersistentVolume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name: `pvc-${uid}`,
      annotations: {
        'kubernetes.io/createdby': 'hostpath-dynamic-provisioner',
        [boundByController]: 'yes',
        [provisionedBy]: hostPathPlugin,
      },
      ...(reclaimPolicy === 'Delete' && { finalizers: [deletionFinalizer] }),
    },
    spec: {
      accessModes: accessModes.length === 0 ? ['ReadWriteOnce'] : accessModes,
      capacity: { storage: spec?.resources?.requests?.['storage'] ?? '0' },
      claimRef: {
        ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
        ...{ namespace, name, uid, resourceVersion },
      },
      hostPath: { path: `/tmp/hostpath_pv/${uid}` },
      persistentVolumeReclaimPolicy: reclaimPolicy,
      storageClassName: className,
    },
  };
  return { do: 'make', volume, className };
}
