/**
 * Bodies of answers: whole, or line by line.
 *
 * `readWhole` gathers a body up to a limit. `readJsonLines` cuts a watch into its JSON documents,
 * one per line, however the bytes were cut into chunks on their way. Used by `client.ts`.
 *
 * A member that is null is as good as absent, for the API as for the types of its objects, and is
 * taken away: the API shows some lists that hold nothing as null (`rules: null`).
 */
import { Buffer } from 'node:buffer';
import type { PlainResponse } from '#kit/transport.ts';

export const bodyLimits = {
  /** Largest answer that is read as one piece: a page of a list. */
  wholeBytesMax: 512 * 1024 * 1024,
  /** Largest single event of a watch. */
  lineBytesMax: 16 * 1024 * 1024,
} as const;

const newline = 10;

export async function readWhole(response: PlainResponse): Promise<Buffer> {
  if (response.body instanceof Uint8Array) return asBuffer(response.body);
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body) {
    length += part.byteLength;
    if (length > bodyLimits.wholeBytesMax) throw new Error('the answer is too large');
    parts.push(part);
  }
  const first = parts[0];
  return first !== undefined && parts.length === 1 ? asBuffer(first) : Buffer.concat(parts);
}

/** The documents of a body with one JSON document per line. Blank lines are skipped. */
export async function* readJsonLines(body: PlainResponse['body']): AsyncGenerator<unknown> {
  const kept: Buffer[] = [];
  let keptBytes = 0;
  for await (const part of body instanceof Uint8Array ? [body] : body) {
    const chunk = asBuffer(part);
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      const piece = chunk.subarray(from, end);
      from = end + 1;
      const line = kept.length === 0 ? piece : Buffer.concat([...kept, piece]);
      kept.length = 0;
      keptBytes = 0;
      if (line.length > 0) yield parseJson(line);
    }
    if (from === chunk.length) continue;
    const rest = chunk.subarray(from);
    keptBytes += rest.length;
    if (keptBytes > bodyLimits.lineBytesMax) throw new Error('an event is too large');
    kept.push(rest);
  }
  if (keptBytes > 0) yield parseJson(Buffer.concat(kept));
}

export function parseJson(bytes: Buffer): unknown {
  const value: unknown = JSON.parse(bytes.toString('utf8'));
  // Most have none, and are not walked through.
  return bytes.includes(':null') || bytes.includes(': null') ? withoutNulls(value) : value;
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, withoutNulls(member)]));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
