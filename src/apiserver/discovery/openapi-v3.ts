/**
 * OpenAPI v3 of one group version: paths, schemas and all that these refer to, in pieces of JSON
 * or of protobuf.
 *
 * `openapi.ts` keeps what comes out, compressed. It is what `kubectl explain` reads, and clients
 * that make types out of it.
 */
import type { GroupVersionKinds } from './discovery.ts';
import type { OpenApiForm } from './openapi.ts';
import { operationsIn, schemasIn } from './openapi-contents.ts';
import { byPath, pathV3 } from './openapi-paths.ts';
import type { SchemaDocument, SchemaWriter } from './openapi-schemas.ts';
import {
  encodeHead,
  encodePath,
  encodeSchema,
  encodeSecuritySchemes,
} from './openapi-v3-protobuf.ts';

export interface OpenApiV3Options {
  readonly writer: SchemaWriter;
  readonly group: GroupVersionKinds;
  readonly version: string;
  readonly form: OpenApiForm;
}

export function* openApiV3({
  writer,
  group,
  version,
  form,
}: OpenApiV3Options): Generator<Uint8Array, void> {
  const isJson = form === 'json';
  const info = { title: 'Kubernetes', version };
  yield isJson
    ? Buffer.from(`{"openapi":"3.0.0","info":${JSON.stringify(info)},"paths":{`)
    : encodeHead(info);
  let between = '';
  for (const [path, operations] of byPath(operationsIn(group))) {
    const document = pathV3(operations);
    yield isJson ? member(between, path, document) : encodePath(path, document);
    between = ',';
  }
  if (isJson) yield Buffer.from('},"components":{"schemas":{');
  const schemas = new Map<string, SchemaDocument>();
  schemasIn(writer, group, schemas);
  between = '';
  for (const [name, schema] of schemas) {
    yield isJson ? member(between, name, schema) : encodeSchema(name, schema);
    between = ',';
  }
  yield isJson
    ? Buffer.from(`},"securitySchemes":${JSON.stringify(securitySchemes)}}}\n`)
    : encodeSecuritySchemes(securitySchemes);
}

const securitySchemes = {
  BearerToken: { type: 'apiKey', name: 'authorization', in: 'header' },
};

function member(between: string, name: string, value: object): Uint8Array {
  return Buffer.from(`${between}${JSON.stringify(name)}:${JSON.stringify(value)}`);
}
