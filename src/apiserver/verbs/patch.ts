/**
 * PATCH: JSON patch, merge patch and strategic merge patch, by Content-Type.
 *
 * The patch is applied to the object as the requested view shows it, the result is decoded like a
 * body, and then it is an update. A patch that names no resourceVersion is applied anew when it
 * loses a race. Apply patches (server-side apply) go to `apply.ts`.
 */

import type { Served } from '#api/catalog.ts';
import { type ApiError, badRequest, invalid, unsupportedPatchType } from '#api/errors.ts';
import { invalid as invalidField } from '#api/field-error.ts';
import { goText } from '#api/go-text.ts';
import { parseJson } from '#api/json-text.ts';
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from '#api/patch.ts';
import { isMembers } from '#kit/members.ts';
import type { Parts } from '../parts.ts';
import { viewObject } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { decodeFor, mediaTypeOf, notRegistered, recognize } from './body.ts';
import { checkNamespace } from './create.ts';
import { managerOf } from './managed-fields.ts';
import { checkOptions, fieldValidationOf, isDryRun } from './options.ts';
import { changeObject, withName } from './update.ts';

const strategicType = 'application/strategic-merge-patch+json';

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  strategicType,
] as const;

const applyType = 'application/apply-patch+yaml';

export type ApplyPatch = (target: unknown) => unknown;

export async function patch(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, identity } = call;
  if (mediaTypeOf(call.request) === applyType) {
    const { apply: applyConfiguration } = await import('./apply.ts');
    return applyConfiguration(parts, call);
  }
  checkOptions('PatchOptions', info.query);
  const apply = readPatch(parts, call);
  const validation = fieldValidationOf(info.query);
  let warnings: readonly string[] = [];
  const next = (hub: KubeObject): KubeObject => {
    const patched = apply(viewObject(served, hub));
    const refuse = (why: string): ApiError => unfit(call, patched, why);
    const strategic = mediaTypeOf(call.request) === strategicType;
    if (!strategic) checkKind(served, patched, refuse);
    const words = strategic ? 'restored' : 'json';
    const read = { validation, problems: [], refuse, words } as const;
    const decoded = decodeFor(parts, served, patched, read);
    warnings = decoded.warnings;
    checkNamespace(served, decoded.object, info.namespace);
    return withName(decoded.object, info.name);
  };
  const insists = namesRevision(call);
  try {
    return await changeObject(parts, {
      served,
      namespace: info.namespace,
      name: info.name,
      identity,
      subresource: info.subresource,
      dryRun: isDryRun(info.query.getAll('dryRun')),
      insists,
      manager: managerOf(call),
      next,
      warn: (texts) => call.warn([...warnings, ...texts]),
    });
  } finally {
    // Also where the object is refused.
    call.warn(warnings);
  }
}

/** A patched object that is none: the whole of it is shown, or the patch where it is strategic. */
function unfit({ request }: Call, patched: unknown, why: string): ApiError {
  const strategic = mediaTypeOf(request) === strategicType;
  const { json } = parseJson(request.body ?? new Uint8Array());
  const shown = strategic && isMembers(json) ? goText(json) : JSON.stringify(patched);
  return invalid({ group: '', kind: '' }, '', [invalidField('patch', shown, why)]);
}

/** JSON and merge patches may not make another kind of the object; strategic ones cannot. */
function checkKind(
  { resource, view }: Served,
  patched: unknown,
  refuse: (why: string) => ApiError,
): void {
  const expected = { kind: resource.kind, apiVersion: formatGroupVersion(view) };
  const { kind, apiVersion } = recognize(patched, expected, refuse);
  if (kind === expected.kind && apiVersion === expected.apiVersion) return;
  throw refuse(notRegistered({ kind, apiVersion }));
}

/** Whether the patch itself speaks of the revision that it is meant for. */
function namesRevision({ request }: Call): boolean {
  return request.body !== undefined && Buffer.from(request.body).includes('resourceVersion');
}

/** What a patch does to a value. It is read when there is one: what is not there is told first. */
export function readPatch({ catalog }: Pick<Parts, 'catalog'>, call: Call): ApplyPatch {
  const { request, served } = call;
  const type = mediaTypeOf(request);
  if (!patchTypes.some((known) => known === type)) throw unsupportedPatchType();
  const { body = new Uint8Array() } = request;
  const lead = type === strategicType ? '' : 'error decoding patch: ';
  const parse = (): unknown => parseJson(body, { refuse: (why) => badRequest(lead + why) }).json;
  switch (type) {
    case 'application/json-patch+json':
      return (target) => applyJsonPatch(target, parse() ?? []);
    case 'application/merge-patch+json':
      return (target) => applyMergePatch(target, parse() ?? refuseNull());
    default:
      return (target) => applyStrategicPatch(target, parse() ?? {}, served.view.schema, catalog);
  }
}

function refuseNull(): never {
  throw badRequest('Invalid JSON Patch');
}
