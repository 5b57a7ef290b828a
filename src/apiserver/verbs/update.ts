/**
 * PUT, and the loop that every change of a stored object goes through (`changeObject`): read, let
 * the caller make the next object, prepare, validate, put if unchanged; try again where somebody
 * else was faster and the caller did not insist on a revision.
 *
 * An object that says the same as before is not written again. One that is being deleted and loses
 * its last finalizer is removed. Patch, status, scale and binding use the same loop.
 */
import type { Served } from '#api/catalog.ts';
import { badRequest, conflict, invalid, notFound, unexplained } from '#api/errors.ts';
import { type FieldError, invalid as invalidField } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import { validateObjectMeta, validateObjectMetaUpdate } from '#api/object-meta.ts';
import type { Resource, WriteContext } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Identity } from '#kit/transport.ts';
import type { Entry } from '#store';
import { admitUpdate, confirmUpdate } from '../admission/admission.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, encodeStored, hubObject, keyOf } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { readObject } from './body.ts';
import { checkNamespace, createObject } from './create.ts';
import { managerOf, ownedAfterUpdate, validateManagedFields } from './managed-fields.ts';
import { checkOptions, isDryRun } from './options.ts';
import { removeEntry } from './remove.ts';
import {
  bumpGeneration,
  groupResource,
  keepSystemMetadata,
  lifeOf,
  throwInvalid,
  withStatusOf,
  writeContext,
} from './write.ts';

/** Lost races that one request puts up with; each loss means that somebody else made progress. */
const attemptsMax = 100;

export type Written = Extract<Answer, { type: 'entry' | 'hub' }>;

export interface ChangeOptions {
  readonly served: Served;
  readonly namespace: string;
  readonly name: string;
  readonly identity: Identity;
  /** Empty for the object itself. */
  readonly subresource: string;
  readonly dryRun: boolean;
  /**
   * Whether the caller wants exactly the revision that its object names. Where it only carries the
   * revision along (a patched copy of what was read), a lost race is tried again.
   */
  readonly insists: boolean;
  /** Whether a uid that the object names is a condition, as in a PUT. */
  readonly named?: boolean;
  /** Who comes to own what changes. Absent: the object that `next` makes says so already. */
  readonly manager?: string;
  /** The next object in the requested view. Called again after a lost race. */
  readonly next: (hub: KubeObject) => KubeObject;
  /** Takes what the client should know, also where admission or the store refuses the object. */
  readonly warn?: Call['warn'];
}

export async function update(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, identity } = call;
  checkOptions('UpdateOptions', info.query);
  const object = await readObject(parts, call);
  checkNamespace(served, object, info.namespace);
  const named = withName(object, info.name);
  const dryRun = isDryRun(info.query.getAll('dryRun'));
  const { namespace, name, subresource } = info;
  const { resource } = served;
  if (resource.allowCreateOnUpdate === true && subresource === '') {
    const found = parts.store.get(keyOf(resource, namespace, name));
    if (found === undefined) {
      const made = await createObject(parts, {
        served,
        object: named,
        namespace,
        identity,
        dryRun,
        manager: managerOf(call),
        warn: call.warn,
      });
      return { ...made, status: 201 };
    }
  }
  return await changeObject(parts, {
    served,
    namespace,
    name,
    identity,
    subresource,
    dryRun,
    insists: revisionOf(named) !== '',
    named: true,
    manager: managerOf(call),
    next: () => named,
    warn: call.warn,
  });
}

export function withName(object: KubeObject, name: string): KubeObject {
  const given = object.metadata.name ?? '';
  if (given === name) return object;
  if (given === '') {
    throw badRequest(
      `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
    );
  }
  throw badRequest(
    `the name of the object (${given}) does not match the name on the URL (${name})`,
  );
}

export async function changeObject(parts: Parts, options: ChangeOptions): Promise<Written> {
  const { served, namespace, name } = options;
  const key = keyOf(served.resource, namespace, name);
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const entry = parts.store.get(key);
    if (entry === undefined) throw notFound(groupResource(served), name);
    const old = decodeEntry(entry);
    const object = options.next(old);
    checkPreconditions(options, object, old);
    const result = await tryChange(parts, options, { entry, old, object });
    if (result !== undefined) return result;
    if (options.insists) break;
  }
  throw conflict(groupResource(served), name);
}

/** The revision that the object names, if it names one. */
function revisionOf({ metadata: { resourceVersion = '' } }: KubeObject): string {
  return resourceVersion === '0' ? '' : resourceVersion;
}

/** An object that names a revision or a uid wants to replace just that. */
function checkPreconditions(
  { served, named, subresource }: ChangeOptions,
  object: KubeObject,
  old: KubeObject,
): void {
  const { name = '', namespace = '' } = old.metadata;
  const { uid = '' } = object.metadata;
  const of = groupResource(served);
  // A patch that changes the uid is told that it cannot; see `validateObjectMetaUpdate`.
  if (named === true && uid !== '' && uid !== old.metadata.uid) {
    const place = namespace === '' ? name : `${namespace}/${name}`;
    // Upstream's scales name the key as it is before the prefix of the cluster.
    const root = subresource === 'scale' ? '' : '/registry';
    const key = `${root}/${served.resource.storagePrefix}/${place}`;
    const failed = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ''}`;
    const why = `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${failed}`;
    throw conflict(of, name, why);
  }
  const revision = revisionOf(object);
  if (!/^\d*$/.test(revision)) {
    const text = JSON.stringify(revision);
    throw unexplained(`strconv.ParseUint: parsing ${text}: invalid syntax`);
  }
  if (revision === '' && served.resource.allowUnconditionalUpdate === false) {
    // Here upstream names the resource, not the kind.
    const { group, resource } = of;
    const detail = 'must be specified for an update';
    const error = invalidField('metadata.resourceVersion', 0, detail);
    throw invalid({ group, kind: resource }, name, [error]);
  }
  if (revision !== '' && revision !== old.metadata.resourceVersion) throw conflict(of, name);
}

interface Attempt {
  readonly entry: Entry;
  readonly old: KubeObject;
  readonly object: KubeObject;
}

/** Undefined when somebody else changed the object meanwhile. */
async function tryChange(
  parts: Parts,
  options: ChangeOptions,
  { entry, old, object }: Attempt,
): Promise<Written | undefined> {
  const { served, dryRun, manager, subresource } = options;
  const { resource } = served;
  const { wanted, written } = prepare(parts, options, object, old);
  const change = { served, hub: wanted, old, manager, subresource, written };
  const prepared = ownedAfterUpdate(parts, change);
  const reservation =
    options.subresource === '' ? parts.services.reserve(served, prepared, old) : undefined;
  try {
    const hub = reservation?.hub ?? prepared;
    validate(options, hub, old);
    // A status is written by programs; upstream has no warnings for them.
    const warnings = subresource === 'status' ? [] : (resource.warnings?.(hub, old) ?? []);
    options.warn?.(warnings);
    const { namespace, identity } = options;
    confirmUpdate(parts, { resource, hub, old, identity, subresource });
    // The same once more, in the form in which it is kept today, is a change of the store.
    const unchanged = jsonEqual(hub, old) && parts.store.atRest?.isStale(entry.key) !== true;
    if (!unchanged && !isOver(hub) && parts.plugins.has('ResourceQuota')) {
      await parts.quotas.charge({ resource, subresource, namespace, next: hub, old, dryRun });
    }
    if (dryRun || unchanged) {
      await reservation?.rollBack();
      if (dryRun) return { type: 'hub', status: 200, served, hub, warnings };
      return { type: 'entry', status: 200, served, entry, warnings };
    }
    const whole = (await reservation?.record()) ?? hub;
    const written = isOver(whole)
      ? await removeEntry(parts, resource, entry, whole)
      : await replace(parts, served, entry, whole);
    if (written === undefined) {
      await reservation?.rollBack();
      return undefined;
    }
    await reservation?.commit();
    return { type: 'entry', status: 200, served, entry: written, warnings };
  } catch (error) {
    await reservation?.rollBack();
    throw error;
  }
}

function prepare(
  parts: Parts,
  { served, identity, subresource }: ChangeOptions,
  object: KubeObject,
  old: KubeObject,
): { readonly wanted: KubeObject; readonly written: KubeObject } {
  const { resource, view } = served;
  const context = writeContext(parts, identity);
  const given = keepSystemMetadata(hubObject(served, view.setDefaults(object, context)), old);
  const next = admitUpdate(parts, { resource, hub: given, old, identity, subresource });
  const wanted = prepareAdmitted({ resource, subresource, next, old, context });
  return { wanted, written: resource.asWritten?.(wanted, next, subresource) ?? wanted };
}

interface Admitted {
  readonly resource: Resource;
  readonly subresource: string;
  readonly next: KubeObject;
  readonly old: KubeObject;
  readonly context: WriteContext;
}

function prepareAdmitted({ resource, subresource, next, old, context }: Admitted): KubeObject {
  if (subresource === 'status') {
    if (resource.prepareForStatusUpdate !== undefined) {
      return resource.prepareForStatusUpdate(next, old, context);
    }
    return withStatusOf({ ...old, metadata: next.metadata }, next);
  }
  // Other sub-resources (scale, binding, finalize) change what they are for and nothing else.
  if (subresource === 'scale') return bumpGeneration(resource, next, old);
  const partial = resource.partialUpdates?.[subresource];
  if (partial !== undefined) {
    return bumpGeneration(resource, partial.prepare(next, old, context), old);
  }
  if (subresource !== '') return next;
  const kept = resource.hasStatus ? withStatusOf(next, old) : next;
  const prepared = resource.prepareForUpdate?.(kept, old, context) ?? kept;
  return bumpGeneration(resource, prepared, old);
}

function validate({ served, subresource }: ChangeOptions, hub: KubeObject, old: KubeObject): void {
  const { resource, view } = served;
  const { name = '' } = old.metadata;
  const metadata = [
    ...validateMetadata(resource, hub, old),
    ...validateManagedFields(hub.metadata),
  ];
  if (subresource === 'status') {
    throwInvalid(served, name, [...metadata, ...(resource.validateStatusUpdate?.(hub, old) ?? [])]);
    return;
  }
  const partial = resource.partialUpdates?.[subresource];
  const isWhole = subresource === '' || subresource === 'scale' || partial !== undefined;
  const alone = subresource === '' && resource.updateJudgedAlone === true;
  const found = isWhole && !alone ? resource.validate(hub, view) : [];
  const own = found.some(({ ratchets }) => ratchets) ? newIn(found, resource.validate(old)) : found;
  const judge = subresource === '' ? resource.validateUpdate : partial?.validate;
  const change = judge?.(hub, old, view) ?? [];
  throwInvalid(served, name, [...metadata, ...own, ...change]);
}

/** Without those that may stay and were there before, wherever that was. */
function newIn(errors: readonly FieldError[], before: readonly FieldError[]): FieldError[] {
  const wasThere = ({ ratchets, badValue, detail }: FieldError): boolean =>
    ratchets === true && before.some((one) => one.badValue === badValue && one.detail === detail);
  return errors.filter((error) => !wasThere(error));
}

/**
 * Metadata is checked for all kinds alike, and by most kinds once or twice more: clients see each
 * error as often as it was found.
 */
function validateMetadata(resource: Resource, hub: KubeObject, old: KubeObject): FieldError[] {
  const { namespaced, nameRule = 'subdomain', metadataRechecked = 'whole and change' } = resource;
  const change = validateObjectMetaUpdate(hub.metadata, old.metadata);
  const rules = { namespaced, nameRule } as const;
  return [
    ...validateObjectMeta(hub.metadata, { namespaced, nameRule: 'pathSegment' }),
    ...change,
    ...(metadataRechecked.includes('change') ? change : []),
    ...(metadataRechecked.includes('whole') ? validateObjectMeta(hub.metadata, rules) : []),
  ];
}

/** Being deleted, with nothing left to wait for. */
function isOver(hub: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = hub.metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0) return false;
  return deletionGracePeriodSeconds === 0 && namespaceFinalizers(hub).length === 0;
}

/** Finalizers that only namespaces have, in their spec. */
function namespaceFinalizers(hub: KubeObject): readonly string[] {
  if (hub.kind !== 'Namespace' || hub.apiVersion !== 'v1') return [];
  const { spec } = hub as KubeObject & { readonly spec?: { finalizers?: readonly string[] } };
  return spec?.finalizers ?? [];
}

export async function replace(
  parts: Parts,
  { resource }: Served,
  { key, revision, createRevision }: Entry,
  hub: KubeObject,
): Promise<Entry | undefined> {
  const value = encodeStored(resource, hub);
  const ttlMs = lifeOf(parts, resource);
  const written = await parts.store.put({ key, value, expect: { revision }, ttlMs });
  if (!written.ok) return undefined;
  return { key, value, revision: written.revision, createRevision };
}
