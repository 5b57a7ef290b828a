/**
 * VolumeAttachment: the wish to attach a volume to a node, and how far that has come. The wish
 * never changes; the driver's attacher reports in the status.
 */
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { subdomainProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { sameShapeView } from '../legacy-view.ts';
import { statusAlone } from '../status-update.ts';
import { textColumn } from '../text-column.ts';
import type { VolumeAttachment } from '../types/storage-v1.ts';
import { hubView } from '../view.ts';
import { validateDriverName } from './driver-name.ts';

export function volumeAttachmentResource(): Resource {
  const view = hubView<VolumeAttachment>({
    group: 'storage.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.storage.v1.VolumeAttachment',
  });
  return defineResource<VolumeAttachment>({
    kind: 'VolumeAttachment',
    plural: 'volumeattachments',
    singular: 'volumeattachment',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'volumeattachments',
    allowUnconditionalUpdate: false,
    metadataRechecked: 'whole',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: true,
    specChanged: () => false,
    prepareForCreate: (attachment) => ({ ...attachment, status: { attached: false } }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: statusAlone,
    validate: validateAttachment,
    validateUpdate: (next, old) =>
      jsonEqual(next.spec, old.spec) ? [] : [invalid('spec', next.spec, 'field is immutable')],
    columns: [
      nameColumn(),
      {
        ...textColumn<VolumeAttachment>({
          name: 'Attacher',
          description: 'The driver that attaches.',
          cell: ({ spec }) => spec.attacher,
        }),
        format: 'name',
      },
      textColumn({
        name: 'PV',
        description: 'The volume.',
        cell: ({ spec }) => spec.source.persistentVolumeName ?? '',
      }),
      textColumn({
        name: 'Node',
        description: 'The node.',
        cell: ({ spec }) => spec.nodeName,
      }),
      {
        name: 'Attached',
        type: 'boolean',
        description: 'Whether it is attached.',
        priority: 0,
        cell: ({ status }) => status?.attached ?? false,
      },
      ageColumn(),
    ],
  });
}

function validateAttachment({ spec }: VolumeAttachment): FieldError[] {
  const { attacher, nodeName, source } = spec;
  const { inlineVolumeSpec, persistentVolumeName } = source;
  const errors = validateDriverName(attacher, 'spec.attacher');
  if (inlineVolumeSpec === undefined && persistentVolumeName === undefined) {
    const detail = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName';
    errors.push(required('spec.source', detail));
  }
  if (inlineVolumeSpec !== undefined && persistentVolumeName !== undefined) {
    const detail = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName';
    errors.push(invalid('spec.source', source, detail));
  }
  if (persistentVolumeName === '') {
    const detail = 'must specify non empty persistentVolumeName';
    errors.push(required('spec.source.persistentVolumeName', detail));
  }
  for (const problem of subdomainProblems(nodeName)) {
    errors.push(invalid('spec.nodeName', nodeName, problem));
  }
  for (const problem of subdomainProblems(persistentVolumeName ?? 'absent')) {
    errors.push(invalid('spec.source.persistentVolumeName', persistentVolumeName, problem));
  }
  return errors;
}
