/**
 * Last stage: answers become bytes. The only place that writes Status errors, and the only one that
 * knows how a stored object becomes JSON, YAML, a Table or metadata alone.
 */
import type { Served } from '#api/catalog.ts';
import { type ApiError, notThatPart } from '#api/errors.ts';
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import { errorEncoding } from '../output/negotiate.ts';
import { envelope, protobufType } from '../output/protobuf.ts';
import { includeObjectOf, partialObject, table, tableRow } from '../output/table.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, encodeView, internalName, textOf, viewObject } from '../registry.ts';
import type { Answer, Output, RequestInfo, ServerResponse } from '../request.ts';

type Headers = Record<string, string>;

export interface RespondOptions {
  readonly answer: Answer;
  readonly output: Output | undefined;
  readonly info: RequestInfo;
  readonly headers: Headers;
}

const plainJson: Output = { encoding: 'json', form: 'object' };

type RespondParts = Pick<Parts, 'clock' | 'protobufOutput'>;

export function respond(
  parts: RespondParts,
  { answer, output = plainJson, info, headers }: RespondOptions,
): ServerResponse | Promise<ServerResponse> {
  if (answer.type === 'plain') {
    const { response } = answer;
    return { ...response, headers: { ...headers, ...response.headers } };
  }
  if (answer.warnings !== undefined) addWarnings(headers, answer.warnings);
  if (answer.type === 'value') Object.assign(headers, answer.headers);
  else checkPartial(answer.served, output);
  if (output.encoding === 'protobuf') {
    const message = protobufOf(parts, answer, output);
    if (message !== undefined) return finishProtobuf(answer.status, headers, message);
  }
  const body = bodyOf(parts, answer, output, info);
  return finish(answer.status, headers, body, output.encoding);
}

export function respondError(
  { protobufOutput }: Pick<Parts, 'protobufOutput'>,
  { status }: ApiError,
  { accept, headers }: { readonly accept: string | undefined; readonly headers: Headers },
): ServerResponse | Promise<ServerResponse> {
  const seconds = status.details?.retryAfterSeconds;
  if (seconds !== undefined) headers['retry-after'] = String(seconds);
  if (status.code === 401) headers['www-authenticate'] = 'Bearer realm="kubernetes"';
  const encoding = errorEncoding(accept);
  const message = encoding === 'protobuf' ? protobufOutput.object({ ...status }) : undefined;
  if (message !== undefined) return finishProtobuf(status.code, headers, message);
  return finish(status.code, headers, json(status), encoding);
}

/** Metadata of a list was asked for, and here is one object. */
function checkPartial(served: Served, { partialList }: Output): void {
  if (partialList !== true) return;
  throw notThatPart('PartialObjectMetadataList', false, internalName(served));
}

/** The same in protobuf; undefined for a value that has no such form, which goes out as JSON. */
function protobufOf(
  { protobufOutput }: RespondParts,
  answer: Exclude<Answer, { type: 'plain' }>,
  { form }: Output,
): Uint8Array | undefined {
  if (answer.type === 'value') return protobufOutput.object({ ...answer.value });
  if (form === 'partial') {
    const hub = answer.type === 'hub' ? answer.hub : decodeEntry(answer.entry);
    return protobufOutput.object({ ...partialObject(hub) });
  }
  const { served } = answer;
  if (answer.type === 'hub') return protobufOutput.object({ ...viewObject(served, answer.hub) });
  const { value, revision } = answer.entry;
  const message = protobufOutput.message(served, value, revision);
  return envelope(formatGroupVersion(served.view), served.resource.kind, message);
}

function finishProtobuf(status: number, headers: Headers, body: Uint8Array): ServerResponse {
  headers['content-type'] = protobufType;
  return { status, headers, body };
}

/** The JSON bytes of an answer. */
function bodyOf(
  { clock }: RespondParts,
  answer: Exclude<Answer, { type: 'plain' }>,
  { form }: Output,
  info: RequestInfo,
): Uint8Array {
  if (answer.type === 'value') return json(answer.value);
  if (form === 'object') {
    if (answer.type === 'hub') return json(viewObject(answer.served, answer.hub));
    return encodeView(answer.served, answer.entry.value, answer.entry.revision);
  }
  const hub: KubeObject = answer.type === 'hub' ? answer.hub : decodeEntry(answer.entry);
  if (form === 'partial') return json(partialObject(hub));
  const options = { includeObject: includeObjectOf(info.query), nowMs: clock.now() };
  const row = tableRow(answer.served, hub, options);
  return json(table(answer.served, [row], { resourceVersion: hub.metadata.resourceVersion }));
}

function finish(
  status: number,
  headers: Headers,
  body: Uint8Array,
  encoding: Output['encoding'],
): ServerResponse | Promise<ServerResponse> {
  if (encoding === 'yaml') return finishYaml(status, headers, body);
  headers['content-type'] ??= 'application/json';
  return { status, headers, body };
}

async function finishYaml(
  status: number,
  headers: Headers,
  body: Uint8Array,
): Promise<ServerResponse> {
  const { formatSortedYaml } = await import('#kit/yaml.ts');
  headers['content-type'] = 'application/yaml';
  return { status, headers, body: Buffer.from(formatSortedYaml(JSON.parse(textOf(body)))) };
}

/** Of the texts of all warnings together; of each, once together they were longer. */
const warningLength = { total: 4096, one: 256 } as const;

/** `Warning: 299 - "text"`, each text once, in one header line, as much as clients can take. */
export function addWarnings(headers: Headers, warnings: readonly string[]): void {
  if (warnings.length === 0) return;
  const texts = new Set([...warningsIn(headers['warning'] ?? ''), ...warnings.map(plainText)]);
  const shown = bounded([...texts].filter((text) => text !== ''));
  if (shown.length > 0) headers['warning'] = shown.map((text) => `299 - ${quote(text)}`).join(', ');
}

/** As upstream: where they are too long, the beginnings of the first of them. */
function bounded(texts: readonly string[]): readonly string[] {
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length <= warningLength.total) return texts;
  const shown: string[] = [];
  let written = 0;
  for (const text of texts) {
    if (written >= warningLength.total) break;
    const part = text.slice(0, warningLength.one);
    shown.push(part);
    written += part.length;
  }
  return shown;
}

function warningsIn(header: string): readonly string[] {
  return [...header.matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) =>
    text.replace(/\\(.)/g, '$1'),
  );
}

function plainText(text: string): string {
  return text.replace(/[\r\n\t]+/g, ' ').replace(/[^\x20-\x7e]/g, '?');
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

function json(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}
