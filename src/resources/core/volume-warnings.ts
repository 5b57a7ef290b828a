/**
 * What volumes and claims say in a way that goes: old annotations, policies and plugins. Told to
 * the client as warnings of the server; nothing is refused.
 */
import { termWarnings } from '../node-label-warnings.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '../types/core-v1.ts';
import { storageClassAnnotation } from '../volumes/storage-class-name.ts';
import { storageWarnings } from './pod/warnings.ts';

const annotations: Readonly<Record<string, string>> = {
  [storageClassAnnotation]: 'deprecated since v1.8; use "storageClassName" attribute instead',
  'volume.beta.kubernetes.io/mount-options':
    'deprecated since v1.31; use "mountOptions" attribute instead',
};

const plugins: Readonly<Record<string, string>> = {
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
};

export function volumeWarnings({ metadata, spec = {} }: PersistentVolume): readonly string[] {
  const warnings: string[] = [];
  for (const [key, text] of Object.entries(annotations)) {
    if (metadata.annotations?.[key] === undefined) continue;
    warnings.push(`metadata.annotations[${key}]: ${text}`);
  }
  if (spec.persistentVolumeReclaimPolicy === 'Recycle') {
    warnings.push(
      'spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.',
    );
  }
  for (const [index, term] of (spec.nodeAffinity?.required?.nodeSelectorTerms ?? []).entries()) {
    const field = `spec.nodeAffinity.required.nodeSelectorTerms[${index}]`;
    warnings.push(...termWarnings(term, field, { checksValues: false }));
  }
  for (const [plugin, text] of Object.entries(plugins)) {
    // Upstream spells these in another way than the fields.
    const shown = { cephfs: 'cephFS', storageos: 'storageOS' }[plugin] ?? plugin;
    if (plugin in spec) warnings.push(`spec.${shown}: ${text}`);
  }
  return warnings;
}

export function claimWarnings({ metadata, spec }: PersistentVolumeClaim): readonly string[] {
  const old = metadata.annotations?.[storageClassAnnotation];
  const text = `metadata.annotations[${storageClassAnnotation}]: ${annotations[storageClassAnnotation]}`;
  return [
    ...(old === undefined ? [] : [text]),
    ...storageWarnings(spec?.resources, 'spec.resources'),
  ];
}
