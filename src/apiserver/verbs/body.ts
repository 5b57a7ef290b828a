/**
 * The body of a write → an object of the requested view.
 *
 * JSON, YAML or protobuf by Content-Type; decoded along the kind's schema. `fieldValidation` says
 * what happens to unknown and duplicate fields: `Strict` refuses, `Warn` (the default) answers with
 * warnings, `Ignore` says nothing. Called by create, update and the sub-resources.
 */
import type { Served } from '#api/catalog.ts';
import { decodeObject, parseJson, refusal } from '#api/decode.ts';
import { badRequest, unsupportedMediaType } from '#api/errors.ts';
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import type { PlainRequest } from '#kit/transport.ts';
import type { Parts } from '../parts.ts';
import { textOf } from '../registry.ts';
import type { Call } from '../request.ts';

export interface ReadObject {
  readonly object: KubeObject;
  readonly warnings: readonly string[];
}

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

const bodyTypes = [
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
] as const;

export async function readObject(
  parts: Pick<Parts, 'catalog' | 'protobuf'>,
  call: Call,
): Promise<ReadObject> {
  const validation = fieldValidationOf(call.info.query);
  const { json, problems } = await readJson(parts, call.request, {
    duplicates: validation !== 'Ignore',
  });
  checkKind(json, call.served);
  return decodeFor(parts, call.served, json, { validation, problems });
}

/** Decodes along the view's schema; used for bodies and for what a patch produced. */
export function decodeFor(
  { catalog }: Pick<Parts, 'catalog'>,
  served: Served,
  json: unknown,
  options: { readonly validation: FieldValidation; readonly problems: readonly string[] },
): ReadObject {
  const decoded = decodeObject(json, served.view.schema, catalog);
  // Unknown names before repeated ones, as clients expect it of one text with both.
  const problems = [...decoded.problems, ...options.problems];
  if (options.validation === 'Strict' && problems.length > 0) {
    throw badRequest(refusal(json, `strict decoding error: ${problems.join(', ')}`));
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

/** A body that is no object of a kind in the catalog: DeleteOptions, Binding, reviews. */
export async function readJson(
  { protobuf }: Pick<Parts, 'protobuf'>,
  request: PlainRequest,
  { duplicates }: { readonly duplicates: boolean },
): Promise<{ readonly json: unknown; readonly problems: readonly string[] }> {
  const { body } = request;
  if (body === undefined || body.length === 0)
    throw badRequest('the body of the request was empty');
  const type = mediaTypeOf(request);
  if (type === '' || type === 'application/json') return parseJson(body, { duplicates });
  if (type === 'application/vnd.kubernetes.protobuf') {
    return { json: protobuf.decode(body), problems: [] };
  }
  if (type !== 'application/yaml') throw unsupportedMediaType(bodyTypes);
  const { parseYaml, YamlError } = await import('#kit/yaml.ts');
  try {
    return { json: parseYaml(textOf(body)), problems: [] };
  } catch (error) {
    if (error instanceof YamlError)
      throw badRequest(`error converting YAML to JSON: ${error.message}`);
    throw error;
  }
}

export function mediaTypeOf(request: PlainRequest): string {
  const header = request.headers['content-type'] ?? '';
  const end = header.indexOf(';');
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase();
}

function checkKind(json: unknown, { resource, view }: Served): void {
  if (json === null || typeof json !== 'object') return;
  const { kind, apiVersion } = json as { readonly kind?: unknown; readonly apiVersion?: unknown };
  const expected = formatGroupVersion(view);
  if (apiVersion !== undefined && apiVersion !== '' && apiVersion !== expected) {
    throw badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${expected})`,
    );
  }
  if (kind !== undefined && kind !== '' && kind !== resource.kind) {
    throw badRequest(
      `the kind in the data (${String(kind)}) does not match the expected kind (${resource.kind})`,
    );
  }
}

export function fieldValidationOf(query: URLSearchParams): FieldValidation {
  const value = query.get('fieldValidation') ?? '';
  if (value === '') return 'Warn';
  if (value === 'Strict' || value === 'Warn' || value === 'Ignore') return value;
  throw badRequest(`unsupported value for fieldValidation: "${value}"`);
}

export function isDryRun(values: readonly string[]): boolean {
  const given = values.filter((value) => value !== '');
  if (given.length === 0) return false;
  if (given.every((value) => value === 'All')) return true;
  throw badRequest(`dryRun: Unsupported value: "${given.join(',')}": supported values: "All"`);
}
