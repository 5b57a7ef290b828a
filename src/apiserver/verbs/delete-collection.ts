/**
 * DELETE of a collection: lists the selection, then deletes object by object with the same options.
 * Answers with the list of what was there.
 */
import { isReason } from '#api/errors.ts';
import type { Entry } from '#store';
import { listBody } from '../output/list-body.ts';
import type { Parts } from '../parts.ts';
import { parseKey } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { deleteObject } from './delete.ts';
import { readDeleteOptions } from './delete-options.ts';
import { readPage } from './list-page.ts';
import { readSelection } from './selection.ts';

const batchSize = 50;

export async function deleteCollection(parts: Parts, call: Call): Promise<Answer> {
  const { served, info } = call;
  const { store, clock } = parts;
  const options = await readDeleteOptions(parts, call);
  const selection = readSelection(served, info);
  const { entries, metadata } = await readPage(store, served, selection, info.query);
  const remove = async ({ key }: Entry): Promise<void> => {
    const { namespace, name } = parseKey(served.resource, key);
    try {
      await deleteObject(parts, { served, namespace, name, options, identity: call.identity });
    } catch (error) {
      // Somebody else was faster, which is just as well.
      if (!isReason(error, 'NotFound')) throw error;
    }
  };
  // Together, so that they share commits; not all at once, so that others get their turn.
  for (let from = 0; from < entries.length; from += batchSize) {
    await Promise.all(entries.slice(from, from + batchSize).map(remove));
  }
  const body = listBody({
    served,
    entries,
    metadata,
    form: 'object',
    includeObject: 'None',
    clock,
    keptRows: parts.keptRows,
  });
  const headers = { 'content-type': 'application/json' };
  return { type: 'plain', response: { status: 200, headers, body } };
}
