/**
 * OpenAPI v2 for clients older than v3 (kubectl before v1.27, such as Debian 12's): a valid
 * document that describes no types.
 *
 * Such a client asks for it before each `apply`, and gives up without one. A kind that the document
 * does not describe it leaves to the server to validate, and merges by what it knows itself. Types
 * are described in v3 (`openapi.ts`). Called by `paths.ts`.
 */
import { Writer } from '#kit/protobuf-wire.ts';

export const openApiV2Types = {
  // Asked for with an @, which media types must not have: Go's parser refuses it in an answer.
  protobuf: 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
  json: 'application/json',
} as const;

const title = 'Kubernetes';

export interface OpenApiV2 {
  readonly type: string;
  readonly body: Uint8Array;
}

/** In protobuf where the client asks for it, else as JSON. */
export function openApiV2(accept: string, version: string): OpenApiV2 {
  const { json, protobuf } = openApiV2Types;
  // The older and the newer name of the same form.
  if (/proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/.test(accept)) {
    return { type: protobuf, body: encode(version) };
  }
  const document = { swagger: '2.0', info: { title, version }, paths: {}, definitions: {} };
  return { type: json, body: Buffer.from(JSON.stringify(document)) };
}

/** Fields 1 (swagger), 2 (info: 1 title, 2 version) and 8 (paths, empty). */
function encode(version: string): Uint8Array {
  const writer = new Writer();
  const text = (number: number, value: string): void => {
    writer.tag(number, 2);
    writer.text(value);
  };
  text(1, '2.0');
  writer.tag(2, 2);
  writer.nested(() => {
    text(1, title);
    text(2, version);
  });
  writer.tag(8, 2);
  writer.nested(() => {});
  return writer.finish();
}
