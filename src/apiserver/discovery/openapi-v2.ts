/**
 * OpenAPI v2: all group versions in one document, as JSON and in the protobuf form that kubectl
 * before v1.27 asks for. Such a client checks manifests against it before each `apply`, and
 * explains fields from it.
 *
 * Written a definition at a time, so that other requests run in between. `openapi.ts` keeps what
 * comes out, compressed.
 */
import type { GroupVersionKinds } from './discovery.ts';
import type { OpenApiForm } from './openapi.ts';
import { operationsIn, schemasIn } from './openapi-contents.ts';
import { byPath, pathV2 } from './openapi-paths.ts';
import type { SchemaDocument, SchemaWriter } from './openapi-schemas.ts';
import { encodeDefinition, encodeHead, encodePath } from './openapi-v2-protobuf.ts';

const title = 'Kubernetes';

export interface OpenApiV2Options {
  readonly writer: SchemaWriter;
  readonly groups: readonly GroupVersionKinds[];
  readonly version: string;
  readonly form: OpenApiForm;
}

/** The bytes of the document, in pieces. */
export function* openApiV2({
  writer,
  groups,
  version,
  form,
}: OpenApiV2Options): Generator<Uint8Array, void> {
  const schemas = new Map<string, SchemaDocument>();
  for (const group of groups) {
    schemasIn(writer, group, schemas);
    yield empty;
  }
  const isJson = form === 'json';
  if (isJson)
    yield bytes(`{"swagger":"2.0","info":${JSON.stringify({ title, version })},"paths":{`);
  else yield encodeHead(title, version);
  let between = '';
  for (const group of groups) {
    for (const [path, operations] of byPath(operationsIn(group))) {
      const document = pathV2(operations);
      yield isJson ? member(between, path, document) : encodePath(path, document);
      between = ',';
    }
  }
  if (isJson) yield bytes('},"definitions":{');
  between = '';
  for (const [name, schema] of [...schemas].sort(byName)) {
    yield isJson ? member(between, name, schema) : encodeDefinition(name, schema);
    between = ',';
  }
  if (isJson) yield bytes(`},${security}}\n`);
}

const empty = new Uint8Array();

const security = JSON.stringify({
  securityDefinitions: { BearerToken: { type: 'apiKey', name: 'authorization', in: 'header' } },
  security: [{ BearerToken: [] }],
}).slice(1, -1);

function member(between: string, name: string, value: object): Uint8Array {
  return bytes(`${between}${JSON.stringify(name)}:${JSON.stringify(value)}`);
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}
