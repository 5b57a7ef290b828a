/**
 * Table and PartialObjectMetadata under the name that they had before v1.15, for clients that ask
 * for `v=v1beta1` and know no other: kubectl up to v1.14. Only the name differs.
 *
 * It is written by us, in one piece, and nothing of an object looks the same: a quotation mark in a
 * value has a backslash before it. Called by the lifecycle for the few who ask.
 */
import type { ServerResponse } from '../request.ts';

const today = '"apiVersion":"meta.k8s.io/v1"';
const older = '"apiVersion":"meta.k8s.io/v1beta1"';

export function withOlderMeta(response: ServerResponse): ServerResponse {
  const { body, headers } = response;
  const isJson = headers['content-type']?.startsWith('application/json') === true;
  if (!isJson || response.status >= 400) return response;
  if (body instanceof Uint8Array) return { ...response, body: renamed(body) };
  return { ...response, body: renamedParts(body) };
}

async function* renamedParts(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  for await (const part of parts) yield renamed(part);
}

function renamed(part: Uint8Array): Uint8Array {
  const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  if (!bytes.includes(today)) return part;
  return Buffer.from(bytes.toString('utf8').replaceAll(today, older));
}
