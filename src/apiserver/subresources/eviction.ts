/**
 * `pods/NAME/eviction`: a delete that asks politely. Without disruption budgets nothing objects, so
 * it is a delete with the options of the Eviction.
 */
import { badRequest, success } from '#api/errors.ts';
import type { Parts } from '../parts.ts';
import type { Answer, Call } from '../request.ts';
import { readJson } from '../verbs/body.ts';
import { deleteObject } from '../verbs/delete.ts';
import { deleteOptionsFrom } from '../verbs/delete-options.ts';

export async function evict(parts: Parts, call: Call): Promise<Answer> {
  const { served, info } = call;
  const { json } = await readJson(parts, call.request, { duplicates: false });
  if (json === null || typeof json !== 'object') throw badRequest('the body must be an Eviction');
  // Parse boundary: the options are checked by the reader of DeleteOptions.
  const { metadata, deleteOptions } = json as {
    readonly metadata?: { readonly name?: string };
    readonly deleteOptions?: object | null;
  };
  if ((metadata?.name ?? info.name) !== info.name) {
    throw badRequest(`name in URL does not match name in Eviction object: ${info.name}`);
  }
  const options = deleteOptionsFrom(deleteOptions ?? {}, info.query);
  await deleteObject(parts, { served, namespace: info.namespace, name: info.name, options });
  return { type: 'value', status: 201, value: { ...success(), code: 201 } };
}
