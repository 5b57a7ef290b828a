/**
 * Answers to `/openapi/…`: which document, in which form, and whether the client has it already.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { notAcceptable, unknownResource } from '#api/errors.ts';
import type { PlainRequest } from '#kit/transport.ts';
import type { Parts } from '../parts.ts';
import type { Answer, PathInfo } from '../request.ts';
import { type OpenApiForm, openApiV3Types, type Published } from './openapi.ts';

const unpack = promisify<Uint8Array, Buffer>(gunzip);

export async function answerOpenApi(
  { openApi }: Pick<Parts, 'openApi'>,
  { path, query }: PathInfo,
  request: PlainRequest,
): Promise<Answer> {
  const [, edition = '', root = '', ...rest] = path.split('/').filter((part) => part !== '');
  const accept = request.headers['accept'] ?? '';
  if (edition === 'v2' && root === '') {
    return await published(await openApi.v2(formOf(accept, 'v2') ?? 'json'), request);
  }
  if (edition !== 'v3') throw unknownResource();
  if (root === '') {
    return { type: 'value', status: 200, value: await openApi.index(), headers: {} };
  }
  const [group = '', version = ''] = root === 'api' ? ['', rest[0]] : rest;
  const form = formOf(accept, 'v3');
  const document = await openApi.group({ group, version }, form ?? 'json');
  if (document === undefined) throw unknownResource();
  if (form === undefined) throw notAcceptable([openApiV3Types.json, openApiV3Types.protobuf]);
  const asked = query.get('hash') ?? '';
  if (asked === '') return await published(document, request);
  if (asked !== document.hash) return movedTo(`${path}?hash=${document.hash}`);
  return await published(document, request, { 'cache-control': 'public, immutable' });
}

/** The first form that the client takes. Protobuf has an older name and a newer one. */
function formOf(accept: string, edition: 'v2' | 'v3'): OpenApiForm | undefined {
  const message = new RegExp(`proto-openapi\\.spec\\.${edition}[@.]v1\\.0\\+protobuf`);
  for (const clause of accept.split(',')) {
    if (message.test(clause)) return 'protobuf';
    if (/json|\*|^\s*$/.test(clause)) return 'json';
  }
  return undefined;
}

/** The address names a content that is no longer there. */
function movedTo(location: string): Answer {
  const body = new Uint8Array();
  return { type: 'plain', response: { status: 301, headers: { location }, body } };
}

async function published(
  { type, hash, packed }: Published,
  { headers: asked }: PlainRequest,
  more: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const etag = `"${hash}"`;
  const headers = { ...more, 'content-type': type, etag, vary: 'Accept, Accept-Encoding' };
  if (listed(asked['if-none-match'], etag)) {
    return { type: 'plain', response: { status: 304, headers, body: new Uint8Array() } };
  }
  if (!listed(asked['accept-encoding'], 'gzip')) {
    return { type: 'plain', response: { status: 200, headers, body: await unpack(packed) } };
  }
  const packedHeaders = { ...headers, 'content-encoding': 'gzip' };
  return { type: 'plain', response: { status: 200, headers: packedHeaders, body: packed } };
}

function listed(header: string | undefined, word: string): boolean {
  return (header ?? '').split(',').some((part) => part.trim().split(';')[0] === word);
}
