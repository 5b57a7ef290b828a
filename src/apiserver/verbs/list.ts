/**
 * GET of a collection: which objects (`list-page.ts`) and their bytes (`output/list-body.ts`).
 * What a selector means is in `selection.ts`.
 */
import { notThatPart } from '#api/errors.ts';
import { type ListBodyOptions, listBody } from '../output/list-body.ts';
import { protobufType } from '../output/protobuf.ts';
import { protobufList } from '../output/protobuf-list.ts';
import { includeObjectOf } from '../output/table.ts';
import type { Parts } from '../parts.ts';
import { internalName } from '../registry.ts';
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
  checkPartial(call);
  if (output.encoding === 'protobuf') {
    const { protobufOutput } = parts;
    const body = await protobufList({ protobufOutput, clock, served, entries, metadata, form });
    const headers = { 'content-type': protobufType };
    return { type: 'plain', response: { status: 200, headers, body } };
  }
  const { keptRows } = parts;
  const options = { served, entries, metadata, form, includeObject, clock, keptRows };
  const inYaml = output.encoding === 'yaml';
  const body = inYaml ? await yamlBody(options) : listBody(options);
  const headers = { 'content-type': inYaml ? 'application/yaml' : 'application/json' };
  return { type: 'plain', response: { status: 200, headers, body } };
}

/** Metadata of an object was asked for, and here are many. */
function checkPartial({ served, output }: Call): void {
  if (output.form !== 'partial' || output.partialList === true) return;
  throw notThatPart('PartialObjectMetadata', true, `${internalName(served)}List`);
}

async function yamlBody(options: ListBodyOptions): Promise<AsyncIterable<Uint8Array>> {
  const { yamlList } = await import('../output/yaml-list.ts');
  return yamlList(options);
}
