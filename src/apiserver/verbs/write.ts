/**
 * What all writes of objects share: the facts of the request, the stamps that the server puts on
 * metadata, validation, and the step from object to stored bytes.
 *
 * create, update, patch and the sub-resources call these in the order in which a write happens:
 * defaults → admission → stamp → validate → store.
 */
import type { Served } from '#api/catalog.ts';
import { invalid } from '#api/errors.ts';
import type { FieldError } from '#api/field-error.ts';
import type { KubeObject, ObjectMeta } from '#api/object.ts';
import type { Resource, WriteContext } from '#api/resource.ts';
import { formatTime } from '#kit/clock.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { nameSuffix, type Random } from '#kit/random.ts';
import type { Identity } from '#kit/transport.ts';
import type { Parts } from '../parts.ts';
import { storageView } from '../registry.ts';

/** Generated names are the prefix, cut so that the suffix fits, and five letters. */
const generatedNameLengthMax = 63;
const suffixLength = 5;

export function writeContext(parts: Parts, identity: Identity): WriteContext {
  const now = formatTime(parts.clock.now());
  return { now, user: identity.name, requester: identity, random: parts.random };
}

export function generatedName(prefix: string, random: Random): string {
  const base = prefix.slice(0, generatedNameLengthMax - suffixLength);
  return base + nameSuffix(random, suffixLength);
}

/** Metadata of a new object: what the client may say, and what only the server says. */
export function stampNew(
  hub: KubeObject,
  {
    namespace,
    resource,
    random,
    now,
  }: {
    readonly namespace: string;
    readonly resource: Resource;
    readonly random: Random;
    readonly now: string;
  },
): KubeObject {
  const {
    resourceVersion: _revision,
    deletionTimestamp: _deletion,
    deletionGracePeriodSeconds: _grace,
    selfLink: _link,
    namespace: _namespace,
    ...given
  } = hub.metadata as ObjectMeta & { readonly selfLink?: string };
  const { generateName } = given;
  const named =
    (given.name ?? '') === '' && generateName !== undefined && generateName !== ''
      ? { ...given, name: generatedName(generateName, random) }
      : given;
  const metadata: ObjectMeta = {
    ...named,
    ...(resource.namespaced ? { namespace } : {}),
    uid: random.uuid(),
    creationTimestamp: now,
  };
  return { ...hub, metadata };
}

/** What an update cannot change in metadata is taken from what is stored. */
export function keepSystemMetadata(next: KubeObject, old: KubeObject): KubeObject {
  const { metadata } = next;
  const {
    uid,
    creationTimestamp,
    deletionTimestamp,
    deletionGracePeriodSeconds,
    generation,
    name,
    namespace,
    resourceVersion,
  } = old.metadata;
  const {
    deletionTimestamp: _deletion,
    deletionGracePeriodSeconds: _grace,
    generation: _generation,
    // Has no meaning any more.
    selfLink: _link,
    namespace: _namespace,
    ...given
  } = metadata as ObjectMeta & { readonly selfLink?: string };
  const { uid: said = '' } = given;
  return {
    ...next,
    metadata: {
      ...given,
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
      // Another uid is left for validation to refuse.
      ...(uid === undefined || said !== '' ? {} : { uid }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
      ...(generation === undefined ? {} : { generation }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}

/** Adds one to the generation where what it counts has changed. */
export function bumpGeneration(resource: Resource, next: KubeObject, old: KubeObject): KubeObject {
  const changed = resource.specChanged ?? differsOutsideStatus;
  if (!changed(next, old)) return next;
  const generation = (old.metadata.generation ?? 0) + 1;
  return { ...next, metadata: { ...next.metadata, generation } };
}

function differsOutsideStatus(next: KubeObject, old: KubeObject): boolean {
  return !jsonEqual(withoutStatus(next), withoutStatus(old));
}

function withoutStatus(object: KubeObject): object {
  const { metadata: _metadata, status: _status, ...rest } = object;
  return rest;
}

/** Takes `status` from another object, or leaves it out. */
export function withStatusOf(object: KubeObject, source: KubeObject | undefined): KubeObject {
  const { status: _status, ...rest } = object;
  const status = source?.status;
  return status === undefined ? rest : { ...rest, status };
}

export function throwInvalid(served: Served, name: string, errors: readonly FieldError[]): void {
  if (errors.length === 0) return;
  // Of an object as it is stored, in whichever group it was sent.
  const { resource, view } = served;
  const { group } = resource.views.includes(view) ? storageView(resource) : view;
  throw invalid({ group, kind: served.resource.kind }, name, errors);
}

/** How long objects of this kind are kept after they were written; absent: for ever. */
export function lifeOf({ options }: Parts, { ttlMs }: Resource): number | undefined {
  if (ttlMs === undefined) return undefined;
  return (options.eventTTLMs ?? ttlMs) || undefined;
}

export function groupResource(served: Served): { group: string; resource: string } {
  return { group: served.view.group, resource: served.resource.plural };
}
