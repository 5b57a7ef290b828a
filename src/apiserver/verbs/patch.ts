/**
 * PATCH: JSON patch, merge patch and strategic merge patch, by Content-Type.
 *
 * The patch is applied to the object as the requested view shows it, the result is decoded like a
 * body, and then it is an update. A patch that names no resourceVersion is applied anew when it
 * loses a race. Apply patches (server-side apply) go to `apply.ts`.
 */
import { parseJson } from '#api/decode.ts';
import { badRequest, unsupportedMediaType } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from '#api/patch.ts';
import type { Parts } from '../parts.ts';
import { viewObject } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { decodeFor, fieldValidationOf, isDryRun, mediaTypeOf } from './body.ts';
import { managerOf } from './managed-fields.ts';
import { changeObject } from './update.ts';

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
] as const;

const applyType = 'application/apply-patch+yaml';

export type ApplyPatch = (target: unknown) => unknown;

export async function patch(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, identity } = call;
  if (mediaTypeOf(call.request) === applyType) {
    const { apply: applyConfiguration } = await import('./apply.ts');
    return applyConfiguration(parts, call);
  }
  const apply = readPatch(parts, call);
  const validation = fieldValidationOf(info.query);
  let warnings: readonly string[] = [];
  const next = (hub: KubeObject): KubeObject => {
    const patched = apply(viewObject(served, hub));
    const decoded = decodeFor(parts, served, patched, { validation, problems: [] });
    warnings = decoded.warnings;
    return decoded.object;
  };
  const insists = namesRevision(call);
  const result = await changeObject(parts, {
    served,
    namespace: info.namespace,
    name: info.name,
    identity,
    subresource: info.subresource,
    dryRun: isDryRun(info.query.getAll('dryRun')),
    insists,
    manager: managerOf(call),
    next,
  });
  return { ...result, warnings: [...warnings, ...(result.warnings ?? [])] };
}

/** Whether the patch itself speaks of the revision that it is meant for. */
function namesRevision({ request }: Call): boolean {
  return request.body !== undefined && Buffer.from(request.body).includes('resourceVersion');
}

/** What a patch does to a value, whatever the value is. */
export function readPatch({ catalog }: Pick<Parts, 'catalog'>, call: Call): ApplyPatch {
  const { request, served } = call;
  const type = mediaTypeOf(request);
  if (!patchTypes.some((known) => known === type)) throw unsupportedMediaType(patchTypes);
  const { body } = request;
  if (body === undefined || body.length === 0)
    throw badRequest('the body of the request was empty');
  const { json } = parseJson(body);
  switch (type) {
    case 'application/json-patch+json':
      return (target) => applyJsonPatch(target, json);
    case 'application/merge-patch+json':
      return (target) => applyMergePatch(target, json);
    default:
      return (target) => applyStrategicPatch(target, json, served.view.schema, catalog);
  }
}
