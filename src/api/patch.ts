/**
 * The three patches that change a stored object, on the shape of the request's version:
 * JSON Patch, JSON Merge Patch and Kubernetes' strategic merge patch (`strategic-patch.ts`).
 *
 * Called by the patch verb with the stored object and the parsed body; the result goes through
 * `decodeObject` like any body. Bad patches are refused as upstream does: 400 for what is no patch,
 * 422 for a patch that does not fit the object.
 */
import {
  applyJsonPatch as jsonPatch,
  applyMergePatch as mergePatch,
  PatchConflict,
  PatchFormatError,
  PatchTooLarge,
} from '#kit/json-patch.ts';
import { isMembers } from '#kit/members.ts';
import { badRequest, requestEntityTooLarge, unexplained, unprocessablePatch } from './errors.ts';
import { goTypeWord } from './go-text.ts';
import type { Definitions, Schema } from './schema.ts';
import { StrategicPatch, StrategicPatchError } from './strategic-patch.ts';

export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  return worded(() => jsonPatch(target, patch));
}

export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isMembers(patch)) {
    throw badRequest(`error decoding patch: ${notAMap(patch)}`);
  }
  return mergePatch(target, patch);
}

export function applyStrategicPatch(
  target: unknown,
  patch: unknown,
  schema: Schema,
  definitions: Definitions,
): unknown {
  if (!isMembers(patch)) throw badRequest(notAMap(patch));
  return worded(() => new StrategicPatch(definitions).apply(target, patch, schema));
}

function notAMap(value: unknown): string {
  const word = goTypeWord(value);
  return `json: cannot unmarshal ${word} into Go value of type map[string]interface {}`;
}

function worded(apply: () => unknown): unknown {
  try {
    return apply();
  } catch (error) {
    if (error instanceof PatchConflict) throw unprocessablePatch();
    if (error instanceof StrategicPatchError) {
      throw error.unforeseen ? unexplained(error.message) : badRequest(error.message);
    }
    if (error instanceof PatchTooLarge) throw requestEntityTooLarge(error.message);
    if (error instanceof PatchFormatError) throw badRequest(error.message);
    throw error;
  }
}
