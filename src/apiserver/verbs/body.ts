/**
 * The body of a write → an object of the requested view.
 *
 * JSON, YAML or protobuf by Content-Type; decoded along the kind's schema. `fieldValidation` says
 * what happens to unknown and duplicate fields: `Strict` refuses, `Warn` (the default) answers with
 * warnings, `Ignore` says nothing. Called by create, update and the sub-resources.
 */
import type { Catalog, Served } from '#api/catalog.ts';
import { decodeObject } from '#api/decode.ts';
import { type ApiError, badRequest, unsupportedMediaType } from '#api/errors.ts';
import { goTypeWord } from '#api/go-text.ts';
import { parseJson } from '#api/json-text.ts';
import {
  formatGroupVersion,
  type GroupVersion,
  type KubeObject,
  parseGroupVersion,
} from '#api/object.ts';
import type { PlainRequest } from '#kit/transport.ts';
import type { Parts } from '../parts.ts';
import { internalName, textOf } from '../registry.ts';
import type { Call } from '../request.ts';
import { type FieldValidation, fieldValidationOf } from './options.ts';

export interface ReadObject {
  readonly object: KubeObject;
  readonly warnings: readonly string[];
}

const bodyTypes = [
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
] as const;

/** Warnings of it are told at once: the client is to have them even if the object is refused. */
export async function readObject(
  parts: Pick<Parts, 'catalog' | 'protobuf'>,
  call: Call,
): Promise<KubeObject> {
  const { served, request } = call;
  const validation = fieldValidationOf(call.info.query);
  const { kind } = served.resource;
  const { json, problems } = await readJson(parts, request, {
    duplicates: validation !== 'Ignore',
    refuse: (why) => unrecognized(kind, why, request.body),
  });
  const expected = formatGroupVersion(served.view);
  const known = recognize(json, { kind, apiVersion: expected }, (why) =>
    unrecognized(kind, `couldn't get version/kind; json parse error: ${why}`, request.body),
  );
  checkKnown(parts, served, known);
  const { version } = parseGroupVersion(known.apiVersion);
  const refuse = (why: string): ApiError =>
    badRequest(`${known.kind} in version "${version}" cannot be handled as a ${kind}: ${why}`);
  const read = decodeFor(parts, served, json ?? {}, { validation, problems, refuse });
  call.warn(read.warnings);
  if (known.apiVersion === expected) return read.object;
  throw badRequest(
    `the API version in the data (${known.apiVersion}) does not match the expected API version (${expected})`,
  );
}

/** Decodes along the view's schema; used for bodies and for what a patch produced. */
export function decodeFor(
  { catalog }: Pick<Parts, 'catalog'>,
  served: Served,
  json: unknown,
  options: {
    readonly validation: FieldValidation;
    readonly problems: readonly string[];
    readonly refuse?: (why: string) => ApiError;
    readonly words?: 'json' | 'restored';
  },
): ReadObject {
  const { refuse = badRequest, words } = options;
  const decoded = decodeObject(json, served.view.schema, catalog, refuse, words);
  // Unknown names before repeated ones, as clients expect it of one text with both.
  const problems = [...decoded.problems, ...options.problems];
  if (options.validation === 'Strict' && problems.length > 0) {
    throw refuse(`strict decoding error: ${strictly(decoded.problems, options.problems)}`);
  }
  const { kind: _kind, apiVersion: _version, metadata, ...rest } = decoded.object;
  // Parse boundary: the schema has been checked, so metadata has its shape.
  const object = {
    kind: served.resource.kind,
    apiVersion: formatGroupVersion(served.view),
    metadata: metadata ?? {},
    ...rest,
  } as KubeObject;
  return { object, warnings: options.validation === 'Warn' ? problems : [] };
}

/** Repeated keys of YAML come first and together, as its library tells of them. */
function strictly(unknown: readonly string[], repeated: readonly string[]): string {
  const inYaml = repeated.filter((problem) => problem.startsWith('line '));
  const said = inYaml.map((problem) => `\n  ${problem}`).join('');
  const first = inYaml.length === 0 ? [] : [`yaml: unmarshal errors:${said}`];
  const rest = repeated.filter((problem) => !inYaml.includes(problem));
  return [...first, ...unknown, ...rest].join(', ');
}

/** A body that is no object of a kind in the catalog: DeleteOptions, Binding, reviews. */
export async function readJson(
  { protobuf }: Pick<Parts, 'protobuf'>,
  request: PlainRequest,
  {
    duplicates,
    refuse = badRequest,
  }: { readonly duplicates: boolean; readonly refuse?: (why: string) => ApiError },
): Promise<{ readonly json: unknown; readonly problems: readonly string[] }> {
  const { body = new Uint8Array() } = request;
  const type = mediaTypeOf(request);
  if (type === '' || type === 'application/json') {
    const noJson = (why: string) => refuse(`couldn't get version/kind; json parse error: ${why}`);
    return parseJson(body, { duplicates, refuse: noJson });
  }
  if (type === 'application/vnd.kubernetes.protobuf') {
    if (body.length === 0) throw badRequest('the body of the request was empty');
    return { json: protobuf.decode(body, refuse), problems: [] };
  }
  if (type !== 'application/yaml') throw unsupportedMediaType(bodyTypes);
  const { parseFirstYaml, YamlError } = await import('#kit/yaml.ts');
  try {
    const { value, repeated } = parseFirstYaml(textOf(body));
    return { json: value, problems: duplicates ? repeated : [] };
  } catch (error) {
    if (error instanceof YamlError) throw refuse(`yaml: ${error.goMessage}`);
    throw error;
  }
}

export function mediaTypeOf(request: PlainRequest): string {
  const header = request.headers['content-type'] ?? '';
  const end = header.indexOf(';');
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase();
}

export interface KnownType {
  readonly kind: string;
  readonly apiVersion: string;
}

const typeStruct =
  'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

/** Kind and version that a body names, or those that the path expects. */
export function recognize(
  json: unknown,
  expected: KnownType,
  refuse: (why: string) => ApiError,
): KnownType {
  if (json === null || json === undefined) return expected;
  if (typeof json !== 'object' || Array.isArray(json)) {
    throw refuse(`json: cannot unmarshal ${goTypeWord(json)} into Go value of type ${typeStruct}`);
  }
  // Parse boundary: looked at below.
  const given = json as { readonly kind?: unknown; readonly apiVersion?: unknown };
  for (const field of ['apiVersion', 'kind'] as const) {
    const value = given[field] ?? '';
    if (typeof value === 'string') continue;
    const word = goTypeWord(value);
    throw refuse(`json: cannot unmarshal ${word} into Go struct field .${field} of type string`);
  }
  return {
    kind: String(given.kind ?? '') || expected.kind,
    apiVersion: String(given.apiVersion ?? '') || expected.apiVersion,
  };
}

/** A body of another kind, whether there is such a kind or not. */
function checkKnown(
  { catalog }: Pick<Parts, 'catalog'>,
  { resource, view }: Served,
  { kind, apiVersion }: KnownType,
): void {
  const { group, version } = parseGroupVersion(apiVersion);
  // Scale is no resource of its own, so the catalog would not know it.
  if (kind === resource.kind && apiVersion === formatGroupVersion(view)) return;
  const found = findKnown(catalog, { group, version }, kind);
  if (found?.resource === resource && found.resource.kind === kind) return;
  const subject = `${kind} in version "${version}" cannot be handled as a ${resource.kind}`;
  if (found === undefined) throw badRequest(`${subject}: ${notRegistered({ kind, apiVersion })}`);
  const [from, to] = [`${version}.${kind}`, internalName({ resource, view })];
  throw badRequest(`${subject}: converting (${from}) to (${to}): unknown conversion`);
}

/** Lists are kinds of their own: there is one of each. */
function findKnown(catalog: Catalog, of: GroupVersion, kind: string): Served | undefined {
  return (
    catalog.findKind(of, kind) ??
    (kind.endsWith('List') ? catalog.findKind(of, kind.slice(0, -4)) : undefined)
  );
}

/** Where upstream registers its kinds; its errors name the place. */
const kindScheme = 'pkg/api/legacyscheme/scheme.go:30';

export function notRegistered({ kind, apiVersion }: KnownType, scheme = kindScheme): string {
  return `no kind "${kind}" is registered for version "${apiVersion}" in scheme "${scheme}"`;
}

const summaryLengthMax = 30;

/** A body of which not even the kind could be found out; a start of it is shown. */
function unrecognized(kind: string, why: string, body: Uint8Array | undefined): ApiError {
  return badRequest(
    `the object provided is unrecognized (must be of type ${kind}): ${why} (${summary(body)})`,
  );
}

function summary(body: Uint8Array | undefined): string {
  if (body === undefined || body.length === 0) return '<empty>';
  const text = Buffer.from(body.subarray(0, summaryLengthMax));
  const shown = body[0] === 0x7b ? text.toString('utf8') : text.toString('hex');
  return body.length > summaryLengthMax ? `${shown} ...` : shown;
}
