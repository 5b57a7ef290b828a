/**
 * Defaults of volumes: a volume that says nothing is an emptyDir; files of ConfigMaps, Secrets and
 * projections get mode 0644; the in-tree storage kinds get the values that their drivers assume.
 */
import { withRoundAmounts } from '#resources/amounts.ts';
import { changeMember, fillIn, mapItems } from '#resources/fill-in.ts';
import type {
  DownwardAPIVolumeFile,
  ProjectedVolumeSource,
  Volume,
  VolumeProjection,
} from '#resources/types/core-v1.ts';

/** 0644. */
const fileMode = 420;

export function setVolumeDefaults(volume: Volume): Volume {
  if (Object.keys(volume).every((key) => key === 'name')) return { ...volume, emptyDir: {} };
  let next = volume;
  next = changeMember(next, 'secret', (source) => fillIn(source, { defaultMode: fileMode }));
  next = changeMember(next, 'configMap', (source) => fillIn(source, { defaultMode: fileMode }));
  next = changeMember(next, 'downwardAPI', (source) =>
    fillIn(
      changeMember(source, 'items', (items) => mapItems(items, setDownwardFileDefaults)),
      { defaultMode: fileMode },
    ),
  );
  next = changeMember(next, 'projected', setProjectedDefaults);
  next = changeMember(next, 'hostPath', (source) =>
    source.type === undefined ? { ...source, type: '' } : source,
  );
  next = changeMember(next, 'image', (source) =>
    fillIn(source, { pullPolicy: isLatest(source.reference ?? '') ? 'Always' : 'IfNotPresent' }),
  );
  next = changeMember(next, 'iscsi', (source) => fillIn(source, { iscsiInterface: 'default' }));
  next = changeMember(next, 'rbd', (source) =>
    fillIn(source, { pool: 'rbd', user: 'admin', keyring: '/etc/ceph/keyring' }),
  );
  next = changeMember(next, 'azureDisk', (source) =>
    fillIn(source, { cachingMode: 'ReadWrite', kind: 'Shared', fsType: 'ext4', readOnly: false }),
  );
  next = changeMember(next, 'scaleIO', (source) =>
    fillIn(source, { storageMode: 'ThinProvisioned', fsType: 'xfs' }),
  );
  return changeMember(next, 'ephemeral', (source) =>
    changeMember(source, 'volumeClaimTemplate', (template) => ({
      ...template,
      spec: fillIn(changeMember(template.spec, 'resources', withRoundAmounts), {
        volumeMode: 'Filesystem',
      }),
    })),
  );
}

function setProjectedDefaults(source: ProjectedVolumeSource): ProjectedVolumeSource {
  return fillIn(
    changeMember(source, 'sources', (sources) => mapItems(sources, setProjectionDefaults)),
    { defaultMode: fileMode },
  );
}

function setProjectionDefaults(projection: VolumeProjection): VolumeProjection {
  const withToken = changeMember(projection, 'serviceAccountToken', (token) =>
    fillIn(token, { expirationSeconds: 3600 }),
  );
  return changeMember(withToken, 'downwardAPI', (source) =>
    changeMember(source, 'items', (items) => mapItems(items, setDownwardFileDefaults)),
  );
}

function setDownwardFileDefaults(file: DownwardAPIVolumeFile): DownwardAPIVolumeFile {
  return changeMember(file, 'fieldRef', (reference) => fillIn(reference, { apiVersion: 'v1' }));
}

const imageRegExp =
  /^(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?$/;

/** Whether the image's tag is `latest`, said or implied; what is no image has none. */
export function isLatest(image: string): boolean {
  if (!imageRegExp.test(image) || (image.split(':')[0] ?? '').length > 255) return false;
  const name = image.slice(image.lastIndexOf('/') + 1);
  const colon = name.lastIndexOf(':');
  return colon < 0 || name.slice(colon + 1) === 'latest';
}
