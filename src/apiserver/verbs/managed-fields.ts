/**
 * `metadata.managedFields` of a write: who wrote, what changed in each version that somebody keeps
 * a set in, and the entries that follow. `api/field-ownership.ts` does the arithmetic.
 *
 * Create and update call this for their manager; `apply.ts` computes its own. Entries that nothing
 * has changed stay the very same value, so that a write which says nothing new writes nothing.
 */
import type { Served } from '#api/catalog.ts';
import { type FieldError, tooLong } from '#api/field-error.ts';
import {
  type ChangesIn,
  formatManagedFields,
  isReset,
  type Ownership,
  ownAfterUpdate,
  parseManagedFields,
} from '#api/field-ownership.ts';
import { compareFields, type FieldChanges } from '#api/field-structure.ts';
import {
  formatGroupVersion,
  type KubeObject,
  type ObjectMeta,
  parseGroupVersion,
} from '#api/object.ts';
import type { Schema } from '#api/schema.ts';
import { formatTime } from '#kit/clock.ts';
import { isMembers, type Members } from '#kit/members.ts';
import type { Parts } from '../parts.ts';
import { storageView } from '../registry.ts';
import type { Call } from '../request.ts';
import { managerLengthMax } from './options.ts';
import { withStatusOf } from './write.ts';

const subresourceLengthMax = 256;

/** `fieldManager`, or the program that the User-Agent names. */
export function managerOf({ info, request }: Pick<Call, 'info' | 'request'>): string {
  const given = info.query.get('fieldManager') ?? '';
  if (given !== '') return given;
  const [program = ''] = (request.headers['user-agent'] ?? '').split('/');
  return program === '' ? 'unknown' : program.slice(0, managerLengthMax);
}

/** Entries that a client has written by hand. */
export function validateManagedFields({ managedFields = [] }: ObjectMeta): readonly FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, { manager = '', subresource = '' }] of managedFields.entries()) {
    const at = `metadata.managedFields[${index}]`;
    if (Buffer.byteLength(manager) > managerLengthMax) {
      errors.push(tooLong(`${at}.manager`, managerLengthMax));
    }
    if (Buffer.byteLength(subresource) > subresourceLengthMax) {
      errors.push(tooLong(`${at}.subresource`, subresourceLengthMax));
    }
  }
  return errors;
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _entries, ...metadata } = object.metadata;
  return { ...object, metadata };
}

export function withManagedFields<T extends KubeObject>(
  object: T,
  owners: readonly Ownership[],
): T {
  const { metadata } = withoutManagedFields(object);
  if (owners.length === 0) return { ...object, metadata };
  return { ...object, metadata: { ...metadata, managedFields: formatManagedFields(owners) } };
}

/** How an object changed, in whichever version somebody asks. Both are hubs. */
export function changesBetween(
  { catalog }: Pick<Parts, 'catalog'>,
  { resource }: Served,
  old: KubeObject | undefined,
  next: KubeObject,
): ChangesIn {
  const before = old === undefined ? undefined : withoutManagedFields(old);
  const after = withoutManagedFields(next);
  const known = new Map<string, FieldChanges>();
  let plain: FieldChanges | undefined;
  return (apiVersion) => {
    const done = known.get(apiVersion);
    if (done !== undefined) return done;
    const view = catalog.findKind(parseGroupVersion(apiVersion), resource.kind)?.view;
    if (view === undefined) return undefined;
    const { fromHub } = view;
    if (fromHub === undefined) {
      plain ??= compareFields(before ?? {}, after, storageView(resource).schema, catalog);
      known.set(apiVersion, plain);
      return plain;
    }
    const changes = compareFields(
      before === undefined ? {} : fromHub(before),
      fromHub(after),
      view.schema,
      catalog,
    );
    known.set(apiVersion, changes);
    return changes;
  };
}

export interface NewObject {
  readonly served: Served;
  readonly hub: KubeObject;
  readonly manager: string | undefined;
}

/** A new object: its creator owns what it says, save the status where that is written apart. */
export function ownedFromStart(
  parts: Pick<Parts, 'catalog' | 'clock'>,
  { served, hub, manager }: NewObject,
): KubeObject {
  if (manager === undefined) return hub;
  const { managedFields: given } = hub.metadata;
  const before = isReset(given) ? [] : (parseManagedFields(given, { stored: false }) ?? []);
  const owned = withoutUnowned(served.resource, hub);
  const said = served.resource.hasStatus ? withStatusOf(owned, undefined) : owned;
  const { creationTimestamp } = hub.metadata;
  const owners = ownAfterUpdate(before, {
    writer: {
      manager,
      operation: 'Update',
      apiVersion: formatGroupVersion(served.view),
      subresource: '',
    },
    now: creationTimestamp ?? formatTime(parts.clock.now()),
    changesIn: changesBetween(parts, served, undefined, said),
  });
  return withManagedFields(hub, owners);
}

function withoutUnowned({ unowned = [] }: Served['resource'], hub: KubeObject): KubeObject {
  if (unowned.length === 0) return hub;
  const kept = Object.entries(hub).filter(([key]) => !unowned.includes(key));
  // What every object has is never among them.
  return Object.fromEntries(kept) as object as KubeObject;
}

export interface UnstoredObject<T extends KubeObject> {
  readonly object: T;
  readonly schema: Schema;
  readonly manager: string;
  readonly subresource: string;
}

/** What is only answered, as a review is: its sender owns what it says. */
export function ownedUnstored<T extends KubeObject>(
  { catalog, clock }: Pick<Parts, 'catalog' | 'clock'>,
  { object, schema, manager, subresource }: UnstoredObject<T>,
): T {
  const said = withoutManagedFields(object);
  const { apiVersion } = object;
  const owners = ownAfterUpdate([], {
    writer: { manager, operation: 'Update', apiVersion, subresource },
    now: formatTime(clock.now()),
    changesIn: () => compareFields({}, said, schema, catalog),
  });
  return withManagedFields(object, owners);
}

export interface ChangedObject extends NewObject {
  readonly old: KubeObject;
  readonly subresource: string;
  /** What counts as written, if not the object as it is to be stored. */
  readonly written?: KubeObject | undefined;
}

export function ownedAfterUpdate(
  parts: Pick<Parts, 'catalog' | 'clock'>,
  { served, hub, old, manager, subresource, written = hub }: ChangedObject,
): KubeObject {
  if (manager === undefined) return hub;
  const stored = old.metadata.managedFields;
  const given = subresource === '' ? hub.metadata.managedFields : stored;
  const before = ownersBefore(stored, given);
  const owners = ownAfterUpdate(before, {
    writer: {
      manager,
      operation: 'Update',
      apiVersion: formatGroupVersion(served.view),
      subresource,
    },
    now: formatTime(parts.clock.now()),
    changesIn: changesBetween(
      parts,
      served,
      old,
      withoutReset(served.resource, written, old, subresource),
    ),
  });
  if (owners !== before || given !== stored) return withManagedFields(hub, owners);
  if (hub.metadata.managedFields === stored) return hub;
  return { ...hub, metadata: { ...hub.metadata, managedFields: stored } };
}

/** The written object with what upstream resets in a status as it was before. */
function withoutReset(
  { unownedStatus = [] }: Served['resource'],
  written: KubeObject,
  old: KubeObject,
  subresource: string,
): KubeObject {
  if (subresource !== 'status' || unownedStatus.length === 0) return written;
  const before = statusMembers(old);
  const status: Record<string, unknown> = { ...statusMembers(written) };
  for (const key of unownedStatus) status[key] = before[key];
  // The status goes back whence it came.
  return { ...written, status };
}

function statusMembers(object: KubeObject): Members {
  return isMembers(object.status) ? object.status : {};
}

type Entries = KubeObject['metadata']['managedFields'];

/** What a writer says about ownership counts where it makes sense, else what is stored does. */
function ownersBefore(stored: Entries, given: Entries): readonly Ownership[] {
  if (given !== stored) {
    if (isReset(given)) return [];
    const parsed = parseManagedFields(given, { stored: false });
    if (parsed !== undefined && parsed.length > 0) return parsed;
  }
  return parseManagedFields(stored, { stored: true }) ?? [];
}
