/**
 * Which form of answer does the client want? Reads `Accept`.
 *
 * Understood: JSON, YAML and protobuf, and of these the forms Table (not in protobuf, as upstream)
 * and PartialObjectMetadata of meta.k8s.io (`application/json;as=Table;v=v1;g=meta.k8s.io`). First
 * some type must be one that the path can write at all, whatever is said of it; then the first
 * acceptable one by preference wins. Both questions have a 406 of their own, as upstream, where a
 * router and the kind ask them. Kinds without a form in protobuf, as custom resources are, skip it.
 * The lifecycle calls it before routing.
 */
import { acceptedOnly, notAcceptable } from '#api/errors.ts';
import type { Output, PathInfo, RequestInfo, ResourceInfo } from '../request.ts';
import { protobufType } from './protobuf.ts';

export interface MediaRange {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly quality: number;
}

const plainJson: Output = { encoding: 'json', form: 'object' };
export const acceptedTypes = ['application/json', 'application/yaml', protobufType] as const;
const listTypes = [
  ...acceptedTypes,
  'application/json;stream=watch',
  `${protobufType};stream=watch`,
];

export function negotiate(
  accept: string | undefined,
  info: RequestInfo,
  hasProtobuf: (info: ResourceInfo) => boolean,
): Output {
  if (accept === undefined || accept === '' || accept === '*/*') return plainJson;
  if (accept === 'application/json') return plainJson;
  if (info.type === 'path') return negotiatePath(accept, info);
  // Logs look at the header themselves; what is behind a proxy does too.
  if (/^(log|proxy)$/.test(info.subresource)) return lenient(accept);
  const isMany = info.verb === 'list' || info.verb === 'watch';
  requireType(accept, isMany ? listTypes : acceptedTypes);
  for (const range of parseAccept(accept)) {
    const output = outputFor(range);
    if (output === undefined) continue;
    const isMade = output.encoding !== 'protobuf' || output.form === 'partial' || hasProtobuf(info);
    if (isMade) return output;
  }
  throw acceptedOnly(acceptedTypes);
}

/** Discovery is told apart as kinds are; plain text (health, metrics) is what it is. */
function negotiatePath(accept: string, { path }: PathInfo): Output {
  if (/^\/version\/?$/.test(path)) {
    requireType(accept, ['application/json']);
    return plainJson;
  }
  if (!/^\/apis?(\/|$)/.test(path)) return lenient(accept);
  requireType(accept, acceptedTypes);
  for (const { type, parameters } of parseAccept(accept)) {
    const encoding = encodingOf(type);
    if (encoding === undefined) continue;
    const { as } = parameters;
    // Which of its versions is served, discovery says itself.
    if (as !== undefined && as !== 'APIGroupDiscoveryList') continue;
    return encoding === 'yaml' ? { encoding, form: 'object' } : plainJson;
  }
  throw acceptedOnly(acceptedTypes);
}

/** Types are compared as they are written; preferences and parameters do not count here. */
function requireType(accept: string, known: readonly string[]): void {
  const types = accept.split(',').map((range) => range.split(';')[0]?.trim() ?? '');
  if (types.some((type) => type === '*/*' || known.includes(type))) return;
  throw notAcceptable(known);
}

function lenient(accept: string): Output {
  for (const range of parseAccept(accept)) {
    const encoding = encodingOf(range.type);
    if (encoding !== undefined && encoding !== 'protobuf') return { encoding, form: 'object' };
  }
  return plainJson;
}

/** In which encoding the client reads errors, which have no other form than their own. */
export function errorEncoding(accept: string | undefined): Output['encoding'] {
  if (accept === undefined || accept === '' || accept === 'application/json') return 'json';
  for (const { type, parameters } of parseAccept(accept)) {
    const encoding = encodingOf(type);
    if (encoding !== undefined && parameters['as'] === undefined) return encoding;
  }
  return 'json';
}

function outputFor({ type, parameters }: MediaRange): Output | undefined {
  const encoding = encodingOf(type);
  if (encoding === undefined) return undefined;
  const { as, g: group, v: version } = parameters;
  if (as === undefined) return encoding === 'json' ? plainJson : { encoding, form: 'object' };
  if (group !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) return undefined;
  const older: Pick<Output, 'metaVersion'> = version === 'v1' ? {} : { metaVersion: version };
  if (as === 'Table') {
    return encoding === 'protobuf' ? undefined : { encoding, form: 'table', ...older };
  }
  if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') {
    return { encoding, form: 'partial', partialList: as.endsWith('List'), ...older };
  }
  return undefined;
}

function encodingOf(type: string): Output['encoding'] | undefined {
  if (type === 'application/json' || type === '*/*' || type === 'application/*') return 'json';
  if (type === protobufType) return 'protobuf';
  return type === 'application/yaml' ? 'yaml' : undefined;
}

/** Media ranges, the most wanted first; equal ones in the order given. */
export function parseAccept(accept: string): readonly MediaRange[] {
  return accept
    .split(',')
    .map(parseRange)
    .sort((a, b) => b.quality - a.quality);
}

function parseRange(text: string): MediaRange {
  const [type = '', ...rest] = text.split(';');
  const parameters: Record<string, string> = {};
  for (const parameter of rest) {
    const [key = '', value = ''] = parameter.split('=');
    parameters[key.trim()] = value.trim();
  }
  const { q = '1' } = parameters;
  const quality = Number(q);
  return {
    type: type.trim().toLowerCase(),
    parameters,
    quality: Number.isFinite(quality) ? quality : 1,
  };
}
