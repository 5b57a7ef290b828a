/**
 * Who owns which field: the arithmetic of `metadata.managedFields`.
 *
 * Every writer is a manager with a set of fields, kept in the version in which it wrote. An update
 * gives its manager what it set and takes that from everybody else; an apply owns exactly what its
 * configuration names, and conflicts where somebody else owns what it would change.
 *
 * Pure: the server says how the object changed in a manager's version (`changesIn`). Called by
 * `apiserver/verbs/managed-fields.ts`; sets come from `field-structure.ts`.
 * Behaviour: kubernetes.io, "Server-Side Apply".
 */
import { applyConflict } from './errors.ts';
import {
  differenceOf,
  type FieldSet,
  intersectionOf,
  isEmptySet,
  isFieldSet,
  pathsOf,
  sameSet,
  sortedSet,
  unionOf,
} from './field-set.ts';
import type { FieldChanges } from './field-structure.ts';
import type { ManagedFieldsEntry } from './object.ts';

export interface Manager {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
}

export interface Ownership extends Manager {
  readonly time: string;
  readonly fields: FieldSet;
}

/** Undefined: the version is not served any more, and its managers are forgotten. */
export type ChangesIn = (apiVersion: string) => FieldChanges | undefined;

export interface Writing {
  readonly writer: Manager;
  /** RFC 3339. */
  readonly now: string;
  readonly changesIn: ChangesIn;
}

/** Updating managers beyond this many are merged, the oldest first. */
const updateManagersMax = 10;
const oldManager = 'ancient-changes';

/** Metadata that belongs to the server and to nobody else. */
const unowned: FieldSet = {
  'f:apiVersion': {},
  'f:kind': {},
  'f:metadata': {
    '.': {},
    'f:name': {},
    'f:namespace': {},
    'f:creationTimestamp': {},
    'f:selfLink': {},
    'f:uid': {},
    'f:clusterName': {},
    'f:generation': {},
    'f:managedFields': {},
    'f:resourceVersion': {},
  },
};

/** Undefined where an entry makes no sense; then the whole list counts as not given. */
export function parseManagedFields(
  entries: readonly ManagedFieldsEntry[] | undefined,
  { stored }: { readonly stored: boolean },
): readonly Ownership[] | undefined {
  const parsed: Ownership[] = [];
  for (const entry of entries ?? []) {
    const { manager = '', operation, apiVersion = '', subresource = '', time = '' } = entry;
    if (operation !== 'Apply' && operation !== 'Update') return undefined;
    const fields = entry.fieldsV1 ?? {};
    if (apiVersion === '' || entry.fieldsType !== 'FieldsV1') return undefined;
    if (!stored && !isFieldSet(fields)) return undefined;
    // What is stored was checked when it was written.
    const set = fields as FieldSet;
    parsed.push({ manager, operation, apiVersion, subresource, time, fields: set });
  }
  return parsed;
}

export function formatManagedFields(owners: readonly Ownership[]): readonly ManagedFieldsEntry[] {
  return owners.map(({ manager, operation, apiVersion, time, fields, subresource }) => ({
    manager,
    operation,
    apiVersion,
    ...(time === '' ? {} : { time }),
    fieldsType: 'FieldsV1',
    fieldsV1: fields,
    ...(subresource === '' ? {} : { subresource }),
  }));
}

/** `[{}]`: the writer wants all ownership forgotten. */
export function isReset(entries: readonly ManagedFieldsEntry[] | undefined): boolean {
  const [first] = entries ?? [];
  return entries?.length === 1 && first !== undefined && Object.keys(first).length === 0;
}

export function sameManager(a: Manager, b: Manager): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    a.subresource === b.subresource &&
    (a.operation === 'Apply' || a.apiVersion === b.apiVersion)
  );
}

/** The same list where the update changed no set. */
export function ownAfterUpdate(
  owners: readonly Ownership[],
  { writer, now, changesIn }: Writing,
): readonly Ownership[] {
  const own = changesIn(writer.apiVersion);
  if (own === undefined || (isEmptySet(own.set) && isEmptySet(own.removed))) return owners;
  const gained = differenceOf(own.set, unowned);
  if (owners.length === 0) {
    const fields = sortedSet(differenceOf(gained, own.removed));
    return isEmptySet(fields) ? owners : [{ ...writer, time: now, fields }];
  }
  const before = owners.find((owner) => sameManager(owner, writer));
  const others = yielding(owners, { writer, now, changesIn });
  const held = before === undefined ? gained : unionOf(before.fields, gained);
  const fields = differenceOf(held, own.removed);
  const result = keptOrNew(before, { ...writer, time: now, fields });
  return settled(owners, [...others, result]);
}

/** What everybody but the writer owns after the change. */
function yielding(
  owners: readonly Ownership[],
  { writer, changesIn }: Writing,
): readonly Ownership[] {
  const left: Ownership[] = [];
  for (const owner of owners) {
    if (sameManager(owner, writer)) continue;
    const changes = changesIn(owner.apiVersion);
    if (changes === undefined) continue;
    const fields = differenceOf(differenceOf(owner.fields, changes.set), changes.removed);
    left.push(sameSet(fields, owner.fields) ? owner : { ...owner, fields });
  }
  return left;
}

function keptOrNew(before: Ownership | undefined, next: Ownership): Ownership {
  const same =
    before !== undefined &&
    before.apiVersion === next.apiVersion &&
    sameSet(before.fields, next.fields);
  return same ? before : { ...next, fields: sortedSet(next.fields) };
}

function settled(old: readonly Ownership[], next: readonly Ownership[]): readonly Ownership[] {
  const held = next.filter(({ fields }) => !isEmptySet(fields));
  const sorted = [...capped(held)].sort(byPlace);
  const same = sorted.length === old.length && sorted.every((owner) => old.includes(owner));
  return same ? old : sorted;
}

function byPlace(a: Ownership, b: Ownership): number {
  for (const key of ['operation', 'time', 'manager', 'apiVersion', 'subresource'] as const) {
    if (a[key] !== b[key]) return a[key] < b[key] ? -1 : 1;
  }
  return 0;
}

/** Merges the oldest updating managers of a version into one while there are too many. */
function capped(owners: readonly Ownership[]): readonly Ownership[] {
  if (owners.length <= updateManagersMax) return owners;
  const updates = owners.filter(({ operation }) => operation === 'Update').sort(byPlace);
  let excess = updates.length - updateManagersMax;
  if (excess <= 0) return owners;
  const merged = new Map<string, Ownership>();
  const gone = new Set<Ownership>();
  for (const owner of updates) {
    if (excess <= 0) break;
    const bucket = merged.get(owner.apiVersion);
    gone.add(owner);
    if (bucket === undefined) {
      merged.set(owner.apiVersion, owner);
      continue;
    }
    const fields = sortedSet(unionOf(bucket.fields, owner.fields));
    const { apiVersion, time } = owner;
    const manager = oldManager;
    merged.set(apiVersion, {
      manager,
      operation: 'Update',
      apiVersion,
      subresource: '',
      time,
      fields,
    });
    excess -= 1;
  }
  return [...owners.filter((owner) => !gone.has(owner)), ...merged.values()];
}

/** The fields of a configuration that its applier comes to own. */
export function ownable(fields: FieldSet): FieldSet {
  return sortedSet(differenceOf(fields, unowned));
}

export interface Applying extends Writing {
  readonly fields: FieldSet;
  readonly force: boolean;
  /** What the applier may take without a conflict. */
  readonly allowed?: FieldSet;
}

/** Throws the 409 that names every field which somebody else owns and which would change. */
export function ownAfterApply(
  owners: readonly Ownership[],
  { writer, now, changesIn, fields, force, allowed = {} }: Applying,
): readonly Ownership[] {
  if (!force) refuseConflicts(owners, { writer, now, changesIn }, allowed);
  const before = owners.find((owner) => sameManager(owner, writer));
  const others = yielding(owners, { writer, now, changesIn });
  return settled(owners, [...others, keptOrNew(before, { ...writer, time: now, fields })]);
}

interface Clash {
  readonly with: string;
  readonly path: string;
}

function refuseConflicts(
  owners: readonly Ownership[],
  { writer, changesIn }: Writing,
  allowed: FieldSet,
): void {
  const clashes: Clash[] = [];
  for (const owner of owners) {
    if (sameManager(owner, writer)) continue;
    const changes = changesIn(owner.apiVersion);
    if (changes === undefined) continue;
    for (const path of pathsOf(differenceOf(intersectionOf(owner.fields, changes.set), allowed))) {
      clashes.push({ with: managerText(owner), path });
    }
  }
  if (clashes.length === 0) return;
  clashes.sort((a, b) => (a.with < b.with ? -1 : a.with > b.with ? 1 : 0));
  const causes = clashes.map(({ with: other, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${other}`,
    field: path,
  }));
  throw applyConflict(clashText(clashes), causes);
}

function clashText(clashes: readonly Clash[]): string {
  const [first] = clashes;
  if (clashes.length === 1 && first !== undefined) {
    return `Apply failed with 1 conflict: conflict with ${first.with}: ${first.path}`;
  }
  const managers = [...new Set(clashes.map((clash) => clash.with))];
  const parts = managers.map((manager) => {
    const lines = clashes.filter((one) => one.with === manager).map(({ path }) => `- ${path}`);
    return `conflicts with ${manager}:\n${lines.join('\n')}`;
  });
  return `Apply failed with ${clashes.length} conflicts: ${parts.join('\n')}`;
}

function managerText({ manager, subresource, operation, apiVersion }: Ownership): string {
  let text = JSON.stringify(manager);
  if (subresource !== '') text += ` with subresource ${JSON.stringify(subresource)}`;
  return operation === 'Apply' ? text : `${text} using ${apiVersion}`;
}
