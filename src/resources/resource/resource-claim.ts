/**
 * ResourceClaim and ResourceClaimTemplate: the wish for devices, for one pod or one for each pod.
 * Neither wish changes; who got what stands in the claim's status. Nothing allocates devices yet.
 */
import { invalid } from '#api/field-error.ts';
import { validateAnnotations, validateLabels } from '#api/object-meta.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, without } from '../fill-in.ts';
import { statusAlone } from '../status-update.ts';
import { textColumn } from '../text-column.ts';
import type { ResourceClaim, ResourceClaimTemplate } from '../types/resource-v1.ts';
import { hubView } from '../view.ts';
import { allocatedDevices, deviceKey, validateClaimStatus } from './claim-status.ts';
import { setClaimDefaults, validateClaimSpec } from './device-request.ts';

export function resourceClaimResource(): Resource {
  return defineResource<ResourceClaim>({
    kind: 'ResourceClaim',
    plural: 'resourceclaims',
    singular: 'resourceclaim',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'resourceclaims',
    views: [
      hubView<ResourceClaim>({
        group: 'resource.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.resource.v1.ResourceClaim',
        setDefaults: (claim) => changeMember(claim, 'spec', setClaimDefaults),
      }),
    ],
    hasStatus: true,
    specChanged: () => false,
    prepareForCreate: (claim) => ({ ...claim, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: prepareStatus,
    validate: ({ spec }) => validateClaimSpec(spec ?? {}, 'spec'),
    updateJudgedAlone: true,
    validateUpdate: (next, old) =>
      jsonEqual(next.spec, old.spec) ? [] : [invalid('spec', next.spec, 'field is immutable')],
    validateStatusUpdate: validateClaimStatus,
    columns: [
      nameColumn(),
      textColumn({
        name: 'State',
        description: 'Whether it has its devices, and somebody uses them.',
        cell: stateText,
      }),
      ageColumn(),
    ],
  });
}

/** A status says nothing of metadata; what drivers told of a device goes with the device. */
function prepareStatus(next: ResourceClaim, old: ResourceClaim): ResourceClaim {
  return { ...statusAlone(next, old), status: withoutReturned(next.status, old.status) };
}

function withoutReturned(
  next: ResourceClaim['status'],
  old: ResourceClaim['status'],
): ResourceClaim['status'] {
  if (next?.devices === undefined) return next;
  const has = allocatedDevices(next.allocation);
  const returned = allocatedDevices(old?.allocation).difference(has);
  const devices = next.devices.filter((device) => !returned.has(deviceKey(device)));
  if (devices.length === next.devices.length) return next;
  return devices.length === 0 ? without(next, 'devices') : { ...next, devices };
}

function stateText({ metadata, status }: ResourceClaim): string {
  const deleted = metadata.deletionTimestamp !== undefined;
  const words = deleted ? ['deleted'] : [];
  if (status?.allocation === undefined) return (deleted ? words : ['pending']).join(',');
  words.push('allocated');
  if ((status.reservedFor ?? []).length > 0) words.push('reserved');
  return words.join(',');
}

export function resourceClaimTemplateResource(): Resource {
  return defineResource<ResourceClaimTemplate>({
    kind: 'ResourceClaimTemplate',
    plural: 'resourceclaimtemplates',
    singular: 'resourceclaimtemplate',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'resourceclaimtemplates',
    views: [
      hubView<ResourceClaimTemplate>({
        group: 'resource.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.resource.v1.ResourceClaimTemplate',
        setDefaults: (template) =>
          changeMember(template, 'spec', (spec) => changeMember(spec, 'spec', setClaimDefaults)),
      }),
    ],
    hasStatus: false,
    specChanged: () => false,
    validate: ({ spec }) => [
      ...validateLabels(spec?.metadata?.labels, 'spec.metadata.labels'),
      ...validateAnnotations(spec?.metadata?.annotations, 'spec.metadata.annotations'),
      ...validateClaimSpec(spec?.spec ?? {}, 'spec.spec'),
    ],
    updateJudgedAlone: true,
    validateUpdate: (next, old) =>
      jsonEqual(next.spec, old.spec)
        ? []
        : [invalid('spec', shownTemplate(next.spec), 'field is immutable')],
    columns: [nameColumn(), ageColumn()],
  });
}

/** As upstream shows it: metadata stands among the other members. */
function shownTemplate(template: ResourceClaimTemplate['spec'] | undefined): object {
  const { metadata = {}, spec } = template ?? {};
  return { ...metadata, spec };
}
