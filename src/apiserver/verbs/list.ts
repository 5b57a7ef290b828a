/**
 * GET of a collection: which objects (`list-page.ts`) and their bytes (`output/list-body.ts`).
 * What a selector means is in `selection.ts`.
 */
import { notAcceptable } from '#api/errors.ts';
import { listBody } from '../output/list-body.ts';
import { protobufType } from '../output/protobuf.ts';
import { protobufList } from '../output/protobuf-list.ts';
import { includeObjectOf } from '../output/table.ts';
import type { Parts } from '../parts.ts';
import { textOf } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { readPage } from './list-page.ts';
import { readSelection } from './selection.ts';

export async function list(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, output } = call;
  const { store, clock } = parts;
  const selection = readSelection(served, info);
  const includeObject = includeObjectOf(info.query);
  const { entries, metadata } = await readPage(store, served, selection, info.query);
  parts.metrics.countList(served.resource, entries.length);
  const { form } = output;
  if (output.encoding === 'protobuf') {
    const { protobufOutput } = parts;
    const body = await protobufList({ protobufOutput, clock, served, entries, metadata, form });
    const headers = { 'content-type': protobufType };
    return { type: 'plain', response: { status: 200, headers, body } };
  }
  const { keptRows } = parts;
  const body = listBody({ served, entries, metadata, form, includeObject, clock, keptRows });
  if (output.encoding === 'yaml') return yamlAnswer(body);
  const headers = { 'content-type': 'application/json' };
  return { type: 'plain', response: { status: 200, headers, body } };
}

async function yamlAnswer(body: Uint8Array | AsyncIterable<Uint8Array>): Promise<Answer> {
  if (!(body instanceof Uint8Array)) throw notAcceptable(['application/json']);
  return { type: 'value', status: 200, value: JSON.parse(textOf(body)) };
}
