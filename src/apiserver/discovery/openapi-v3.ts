/**
 * OpenAPI v3 of one group version: paths, schemas and all that these refer to, in pieces of JSON.
 *
 * `openapi.ts` keeps what comes out, compressed. It is what `kubectl explain` reads, and clients
 * that make types out of it.
 */
import type { GroupVersionKinds } from './discovery.ts';
import { operationsIn, schemasIn } from './openapi-contents.ts';
import { byPath, pathV3 } from './openapi-paths.ts';
import type { SchemaDocument, SchemaWriter } from './openapi-schemas.ts';

export function* openApiV3(
  writer: SchemaWriter,
  group: GroupVersionKinds,
  version: string,
): Generator<Uint8Array, void> {
  const info = JSON.stringify({ title: 'Kubernetes', version });
  yield Buffer.from(`{"openapi":"3.0.0","info":${info},"paths":{`);
  let between = '';
  for (const [path, operations] of byPath(operationsIn(group))) {
    yield member(between, path, pathV3(operations));
    between = ',';
  }
  yield Buffer.from('},"components":{"schemas":{');
  const schemas = new Map<string, SchemaDocument>();
  schemasIn(writer, group, schemas);
  between = '';
  for (const [name, schema] of schemas) {
    yield member(between, name, schema);
    between = ',';
  }
  yield Buffer.from(`},"securitySchemes":${securitySchemes}}}\n`);
}

const securitySchemes = JSON.stringify({
  BearerToken: { type: 'apiKey', name: 'authorization', in: 'header' },
});

function member(between: string, name: string, value: object): Uint8Array {
  return Buffer.from(`${between}${JSON.stringify(name)}:${JSON.stringify(value)}`);
}
