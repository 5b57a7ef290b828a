/**
 * CSIDriver: what a storage driver wants from the cluster (attaching, facts about the pod, tokens).
 * What pods rely on from the start (attaching, life cycles) stays as it is.
 */
import { duplicate, type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { fillIn } from '../fill-in.ts';
import { sameShapeView } from '../legacy-view.ts';
import { textColumn } from '../text-column.ts';
import type { CSIDriver, CSIDriverSpec, TokenRequest } from '../types/storage-v1.ts';
import { hubView } from '../view.ts';
import { validateDriverName } from './driver-name.ts';

const modes = ['Ephemeral', 'Persistent'];
const groupPolicies = ['File', 'None', 'ReadWriteOnceWithFSType'];
const tokenSecondsMin = 600;
const tokenSecondsMax = 2 ** 32;

export function csiDriverResource(): Resource {
  const view = hubView<CSIDriver>({
    group: 'storage.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.storage.v1.CSIDriver',
    setDefaults: setDriverDefaults,
  });
  return defineResource<CSIDriver>({
    kind: 'CSIDriver',
    plural: 'csidrivers',
    singular: 'csidriver',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'csidrivers',
    allowUnconditionalUpdate: false,
    metadataRechecked: 'change',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    // Only a change counts, so a new driver has no generation.
    specChanged: (next, old) =>
      next.spec !== undefined && old.spec !== undefined && !jsonEqual(next.spec, old.spec),
    validate: validateDriver,
    validateUpdate: validateDriverUpdate,
    columns: driverColumns(),
  });
}

function setDriverDefaults(driver: CSIDriver): CSIDriver {
  let spec = fillIn(driver.spec ?? {}, {
    attachRequired: true,
    podInfoOnMount: false,
    storageCapacity: false,
    fsGroupPolicy: 'ReadWriteOnceWithFSType',
    requiresRepublish: false,
    seLinuxMount: false,
  });
  if ((spec.volumeLifecycleModes ?? []).length === 0) {
    spec = { ...spec, volumeLifecycleModes: ['Persistent'] };
  }
  return spec === driver.spec ? driver : { ...driver, spec };
}

/** How often a node looks again how many volumes it takes. */
const periodSecondsMin = 10;

function validateDriver({ metadata, spec }: CSIDriver): FieldError[] {
  const { fsGroupPolicy, volumeLifecycleModes = [], tokenRequests = [] } = spec;
  const errors = validateDriverName(metadata.name ?? '', 'metadata.name');
  for (const [index, mode] of volumeLifecycleModes.entries()) {
    if (modes.includes(mode)) continue;
    errors.push(notSupported(`spec.volumeLifecycleModes[${index}]`, mode, modes));
  }
  if (!fsGroupPolicy) errors.push(required('spec.fsGroupPolicy'));
  else if (!groupPolicies.includes(fsGroupPolicy)) {
    errors.push(notSupported('spec.fsGroupPolicy', fsGroupPolicy, groupPolicies));
  }
  const seconds = spec.nodeAllocatableUpdatePeriodSeconds;
  if (seconds !== undefined && seconds < periodSecondsMin) {
    const detail = `must be greater than or equal to ${periodSecondsMin} seconds`;
    errors.push(invalid('spec.nodeAllocatableUpdatePeriodSeconds', seconds, detail));
  }
  return [...errors, ...validateTokenRequests(tokenRequests)];
}

function validateTokenRequests(requests: readonly TokenRequest[]): FieldError[] {
  const errors: FieldError[] = [];
  const audiences = new Set<string>();
  for (const [index, { audience, expirationSeconds: seconds }] of requests.entries()) {
    const at = `spec.tokenRequests[${index}]`;
    if (audiences.has(audience)) errors.push(duplicate(`${at}.audience`, audience));
    audiences.add(audience);
    if (seconds === undefined) continue;
    const field = `${at}.expirationSeconds`;
    if (seconds < tokenSecondsMin) {
      errors.push(invalid(field, seconds, 'may not specify a duration less than 10 minutes'));
    }
    if (seconds > tokenSecondsMax) {
      errors.push(invalid(field, seconds, 'may not specify a duration larger than 2^32 seconds'));
    }
  }
  return errors;
}

function validateDriverUpdate(next: CSIDriver, old: CSIDriver): FieldError[] {
  return (['attachRequired', 'volumeLifecycleModes'] as const)
    .filter((field) => !jsonEqual(next.spec[field], old.spec[field]))
    .map((field) => invalid(`spec.${field}`, next.spec[field], 'field is immutable'));
}

function driverColumns(): readonly Column<CSIDriver>[] {
  const flag = (name: string, field: keyof CSIDriverSpec, description: string) =>
    ({
      name,
      type: 'boolean',
      description,
      priority: 0,
      cell: ({ spec }: CSIDriver) => spec[field] === true,
    }) as const;
  return [
    nameColumn(),
    flag('AttachRequired', 'attachRequired', 'Whether volumes are attached first.'),
    flag('PodInfoOnMount', 'podInfoOnMount', 'Whether the driver is told about the pod.'),
    flag('StorageCapacity', 'storageCapacity', 'Whether the driver says what is left.'),
    textColumn({
      name: 'TokenRequests',
      description: 'Audiences of the tokens that the driver gets.',
      cell: ({ spec: { tokenRequests = [] } }) =>
        tokenRequests.length === 0
          ? '<unset>'
          : tokenRequests.map(({ audience }) => audience).join(','),
    }),
    flag('RequiresRepublish', 'requiresRepublish', 'Whether mounts are renewed again and again.'),
    textColumn({
      name: 'Modes',
      description: 'How long its volumes live.',
      cell: ({ spec: { volumeLifecycleModes = [] } }) => volumeLifecycleModes.join(','),
    }),
    ageColumn(),
  ];
}
