/**
 * ResourceClaim and ResourceClaimTemplate: the wish for devices, for one pod or one for each pod.
 * Neither wish changes; who got what stands in the claim's status. Nothing allocates devices yet.
 */
import { type FieldError, invalid } from '#api/field-error.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember } from '../fill-in.ts';
import { textColumn } from '../text-column.ts';
import type { ResourceClaim, ResourceClaimTemplate } from '../types/resource-v1.ts';
import { hubView } from '../view.ts';
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
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: ({ spec }) => validateClaimSpec(spec ?? {}, 'spec'),
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

/** Devices that somebody uses are not exchanged. */
function validateClaimStatus(next: ResourceClaim, old: ResourceClaim): FieldError[] {
  const had = old.status?.allocation;
  const has = next.status?.allocation;
  const users = next.status?.reservedFor ?? [];
  const errors: FieldError[] = [];
  if (had !== undefined && has !== undefined && !jsonEqual(has, had)) {
    errors.push(invalid('status.allocation', has, 'field is immutable'));
  }
  if (has === undefined && users.length > 0) {
    const detail = 'may not be specified when `allocated` is not set';
    errors.push({ type: 'FieldValueForbidden', field: 'status.reservedFor', detail });
  }
  return errors;
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
    validate: ({ spec }) => validateClaimSpec(spec?.spec ?? {}, 'spec.spec'),
    validateUpdate: (next, old) =>
      jsonEqual(next.spec, old.spec) ? [] : [invalid('spec', next.spec, 'field is immutable')],
    columns: [nameColumn(), ageColumn()],
  });
}
