/**
 * Which form of answer does the client want? Reads `Accept`.
 *
 * Understood: JSON, YAML and protobuf, and of these the forms Table (not in protobuf, as upstream)
 * and PartialObjectMetadata of meta.k8s.io (`application/json;as=Table;v=v1;g=meta.k8s.io`). The
 * first acceptable one by preference wins; none: 406. Kinds without a form in protobuf, as custom
 * resources are, skip it. The lifecycle calls it before routing.
 */
import { notAcceptable } from '#api/errors.ts';
import type { Output, RequestInfo, ResourceInfo } from '../request.ts';
import { protobufType } from './protobuf.ts';

export interface MediaRange {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly quality: number;
}

const plainJson: Output = { encoding: 'json', form: 'object' };
export const acceptedTypes = ['application/json', 'application/yaml', protobufType] as const;

export function negotiate(
  accept: string | undefined,
  info: RequestInfo,
  hasProtobuf: (info: ResourceInfo) => boolean,
): Output {
  if (accept === undefined || accept === '' || accept === '*/*') return plainJson;
  if (accept === 'application/json') return plainJson;
  // Plain text (health, metrics, logs) and discovery look at the header themselves; what is
  // behind a proxy does too.
  if (info.type === 'path' || /^(log|proxy)$/.test(info.subresource)) return lenient(accept);
  for (const range of parseAccept(accept)) {
    const output = outputFor(range);
    if (output === undefined) continue;
    const isMade = output.encoding !== 'protobuf' || output.form === 'partial' || hasProtobuf(info);
    if (isMade) return output;
  }
  throw notAcceptable(acceptedTypes);
}

function lenient(accept: string): Output {
  for (const range of parseAccept(accept)) {
    const encoding = encodingOf(range.type);
    if (encoding !== undefined && encoding !== 'protobuf') return { encoding, form: 'object' };
  }
  return plainJson;
}

/** In which encoding the client reads errors: the one that it would have read the answer in. */
export function errorEncoding(accept: string | undefined): Output['encoding'] {
  if (accept === undefined || accept === '' || accept === 'application/json') return 'json';
  for (const { type } of parseAccept(accept)) {
    const encoding = encodingOf(type);
    if (encoding !== undefined) return encoding;
  }
  return 'json';
}

function outputFor({ type, parameters }: MediaRange): Output | undefined {
  const encoding = encodingOf(type);
  if (encoding === undefined) return undefined;
  const { as, g: group, v: version } = parameters;
  if (as === undefined) return encoding === 'json' ? plainJson : { encoding, form: 'object' };
  if (group !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) return undefined;
  if (as === 'Table') return encoding === 'protobuf' ? undefined : { encoding, form: 'table' };
  if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') {
    return { encoding, form: 'partial' };
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
  const ranges = accept.split(',').map(parseRange);
  return ranges.filter(({ quality }) => quality > 0).sort((a, b) => b.quality - a.quality);
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
