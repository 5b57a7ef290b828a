/**
 * POST: a new object.
 *
 * Read this file as the order of a write: decode strictly → defaults → stamp → mutating admission →
 * what the kind prepares → validate → store. `createObject` is also what PUT uses for the kinds
 * that may be created that way. Next: `registry.ts` and the store;
 * then `stages/respond.ts` shows the stored bytes.
 */
import type { Served } from '#api/catalog.ts';
import { alreadyExists, badRequest, generateNameConflict, unexplained } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { validateObjectMeta } from '#api/object-meta.ts';
import { assert } from '#kit/assert.ts';
import type { Identity } from '#kit/transport.ts';
import type { Entry } from '#store';
import { admitCreate, confirmCreate } from '../admission/admission.ts';
import { awaitDefaultAccount } from '../admission/default-account-wait.ts';
import { checkNamespaceAccepts } from '../admission/namespace-lifecycle.ts';
import type { Parts } from '../parts.ts';
import { encodeStored, hubObject, keyOf } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { readObject } from './body.ts';
import { managerOf, ownedFromStart, validateManagedFields } from './managed-fields.ts';
import { checkOptions, isDryRun } from './options.ts';
import {
  generatedName,
  groupResource,
  lifeOf,
  stampNew,
  throwInvalid,
  withStatusOf,
  writeContext,
} from './write.ts';

/** How many generated names are tried before giving up. */
const generatedNamesMax = 8;

export async function create(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, identity } = call;
  checkOptions('CreateOptions', info.query);
  const object = await readObject(parts, call);
  const { namespace } = info;
  checkNamespace(served, object, namespace);
  await awaitDefaultAccount(parts, { served, object, namespace, arrival: call.arrival });
  const result = await createObject(parts, {
    served,
    object,
    namespace,
    identity,
    dryRun: isDryRun(info.query.getAll('dryRun')),
    manager: managerOf(call),
    warn: call.warn,
  });
  return { ...result, status: 201 };
}

export interface CreateOptions {
  readonly served: Served;
  /** In the requested view, decoded. */
  readonly object: KubeObject;
  readonly namespace: string;
  readonly identity: Identity;
  readonly dryRun: boolean;
  /** Who comes to own the fields; absent: the object says so itself, or nobody does. */
  readonly manager?: string;
  /** Takes what the client should know, also where admission or the store refuses the object. */
  readonly warn?: Call['warn'];
}

type Written = Extract<Answer, { type: 'entry' | 'hub' }>;

export async function createObject(parts: Parts, options: CreateOptions): Promise<Written> {
  const { served, object, namespace, identity, dryRun } = options;
  const { resource, view } = served;
  const context = writeContext(parts, identity);
  // Only what is stored would have two revisions; a rehearsal passes over it.
  if (!dryRun && (object.metadata.resourceVersion ?? '') !== '') {
    throw unexplained('resourceVersion should not be set on objects to be created');
  }
  const defaulted = hubObject(served, view.setDefaults(object, context));
  const { random } = parts;
  const generated = (object.metadata.name ?? '') === '';
  const fresh = stampNew(defaulted, { namespace, resource, random, now: context.now });
  const stamped = ownedFromStart(parts, { served, hub: fresh, manager: options.manager });
  const admission = { resource, namespace, identity, generated };
  const admitted = admitCreate(parts, { ...admission, hub: stamped });
  const prepared = prepare(served, admitted, context);
  const reservation = parts.services.reserve(served, prepared, undefined);
  try {
    const hub = reservation?.hub ?? prepared;
    validate(served, hub);
    const warnings = resource.warnings?.(hub, undefined) ?? [];
    options.warn?.(warnings);
    confirmCreate(parts, { ...admission, hub, generated: false });
    if (parts.plugins.has('ResourceQuota') && parts.quotas.guards(namespace)) {
      await charge(parts, { served, hub, namespace, dryRun });
    }
    if (dryRun) {
      checkFree(parts, served, hub, { generated });
      await reservation?.rollBack();
      return { type: 'hub', status: 201, served, hub, warnings };
    }
    const whole = (await reservation?.record()) ?? hub;
    const entry = await store(parts, served, whole, { generated });
    await reservation?.commit();
    return { type: 'entry', status: 201, served, entry, warnings };
  } catch (error) {
    await reservation?.rollBack();
    throw error;
  }
}

/** A rehearsal is refused where the write would be. */
function checkFree(
  parts: Parts,
  { resource, view }: Served,
  { metadata }: KubeObject,
  { generated }: { readonly generated: boolean },
): void {
  const { name = '', namespace = '' } = metadata;
  if (generated || !isTaken(parts, keyOf(resource, namespace, name))) return;
  throw alreadyExists(groupResource({ resource, view }), name);
}

/** Also by what nobody can read. */
function isTaken({ store }: Parts, key: string): boolean {
  return store.atRest?.why(key) !== undefined || store.get(key) !== undefined;
}

interface Charged {
  readonly served: Served;
  readonly hub: KubeObject;
  readonly namespace: string;
  readonly dryRun: boolean;
}

/** Counts the object in the quotas of its namespace, if it can be stored. */
async function charge(parts: Parts, { served, hub, namespace, dryRun }: Charged): Promise<void> {
  const { resource } = served;
  const { name = '' } = hub.metadata;
  await parts.quotas.charge({
    resource,
    subresource: '',
    namespace,
    next: hub,
    old: undefined,
    dryRun: dryRun || isTaken(parts, keyOf(resource, namespace, name)),
  });
  // What was true before the wait need not be true after it.
  checkNamespaceAccepts(parts, { resource, hub, namespace });
}

function prepare(
  { resource }: Served,
  hub: KubeObject,
  context: ReturnType<typeof writeContext>,
): KubeObject {
  let prepared = hub;
  if (resource.prepareForCreate !== undefined) prepared = resource.prepareForCreate(hub, context);
  else if (resource.hasStatus) prepared = withStatusOf(hub, undefined);
  // A kind whose spec can change counts the wish itself as the first generation.
  const { specChanged } = resource;
  const counts = specChanged === undefined || specChanged(withoutSpec(prepared), prepared);
  if (!counts) return prepared;
  return { ...prepared, metadata: { ...prepared.metadata, generation: 1 } };
}

function withoutSpec(hub: KubeObject): KubeObject {
  const { spec: _spec, ...rest } = hub;
  return rest;
}

function validate(served: Served, hub: KubeObject): void {
  const { resource, view } = served;
  const { name = '', generateName = '' } = hub.metadata;
  const metadata = [
    ...validateObjectMeta(hub.metadata, {
      namespaced: resource.namespaced,
      nameRule: resource.nameRule ?? 'subdomain',
    }),
    ...validateManagedFields(hub.metadata),
  ];
  const own = [...resource.validate(hub, view), ...(resource.validateNew?.(hub, view) ?? [])];
  const shown = name === '' ? generateName : name;
  // Where the kind's own checks leave metadata out, it is looked at after them.
  if (resource.metadataRechecked === 'never') throwInvalid(served, shown, own);
  throwInvalid(served, shown, [...metadata, ...own]);
}

/** Writes the object; a name of the server's own making that is taken is exchanged for another. */
async function store(
  parts: Parts,
  served: Served,
  hub: KubeObject,
  { generated }: { readonly generated: boolean },
): Promise<Entry> {
  const { resource } = served;
  const ttlMs = lifeOf(parts, resource);
  let candidate = hub;
  for (let attempt = 1; ; attempt++) {
    const { name, namespace = '', generateName = '' } = candidate.metadata;
    assert(name !== undefined, 'a validated object has a name');
    const key = keyOf(resource, namespace, name);
    const value = encodeStored(resource, candidate);
    const written = await parts.store.put({ key, value, expect: 'absent', ttlMs });
    if (written.ok) {
      return { key, value, revision: written.revision, createRevision: written.revision };
    }
    if (!generated) throw alreadyExists(groupResource(served), name);
    if (attempt === generatedNamesMax) throw generateNameConflict(groupResource(served), name);
    const next = generatedName(generateName, parts.random);
    candidate = { ...hub, metadata: { ...hub.metadata, name: next } };
  }
}

export function checkNamespace(served: Served, object: KubeObject, namespace: string): void {
  const given = object.metadata.namespace ?? '';
  // On a kind of the whole cluster it means nothing, and goes.
  if (!served.resource.namespaced) return;
  if (given !== '' && given !== namespace) {
    throw badRequest(
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
}
