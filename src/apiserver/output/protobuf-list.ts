/**
 * A list in protobuf, in slices of a few milliseconds.
 *
 * The envelope says how long the message is before the message comes, so all items are encoded (or
 * found in the cache) first, with other requests in between; then they go out piece by piece with
 * back-pressure, never joined into one buffer.
 */
import type { Served } from '#api/catalog.ts';
import { formatGroupVersion } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import type { Entry } from '#store';
import type { Output } from '../request.ts';
import { type ListMeta, nextTurn } from './list-body.ts';
import { envelopeEnds, type ProtobufOutput } from './protobuf.ts';

export interface ProtobufListOptions {
  readonly protobufOutput: ProtobufOutput;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly served: Served;
  readonly entries: readonly Entry[];
  readonly metadata: ListMeta;
  readonly form: Output['form'];
}

/** Encoding leaves more to be collected than the JSON form does, which keeps the thread, too. */
const sliceMs = 2;
const entriesPerCheck = 8;
/** What goes out in one piece, and what is one buffer from the start. */
const pieceBytes = 256 * 1024;

export async function protobufList(
  options: ProtobufListOptions,
): Promise<Uint8Array | AsyncIterable<Uint8Array>> {
  const { protobufOutput, clock, served, entries, metadata, form } = options;
  const isPartial = form === 'partial';
  const apiVersion = isPartial ? 'meta.k8s.io/v1' : formatGroupVersion(served.view);
  const kind = isPartial ? 'PartialObjectMetadataList' : `${served.resource.kind}List`;
  const items: Uint8Array[] = [];
  const meta = protobufOutput.listMeta(metadata);
  let length = headBytes(meta.length) + meta.length;
  let startedMs = clock.monotonic();
  for (const [index, { value, revision }] of entries.entries()) {
    const item = isPartial
      ? protobufOutput.partialMessage(value, revision)
      : protobufOutput.message(served, value, revision);
    items.push(item);
    length += headBytes(item.length) + item.length;
    if (index % entriesPerCheck !== 0 || clock.monotonic() - startedMs < sliceMs) continue;
    await nextTurn();
    startedMs = clock.monotonic();
  }
  const ends = envelopeEnds(apiVersion, kind, length);
  const first = Buffer.concat([ends.head, joined(1, [meta])]);
  if (length <= pieceBytes) return Buffer.concat([first, joined(2, items), ends.tail]);
  return pieces(first, items, ends.tail);
}

/** A few items at a time; whoever reads says when it wants the next ones. */
async function* pieces(
  first: Uint8Array,
  items: readonly Uint8Array[],
  last: Uint8Array,
): AsyncGenerator<Uint8Array, void> {
  yield first;
  let from = 0;
  while (from < items.length) {
    let bytes = 0;
    let to = from;
    for (; to < items.length && bytes < pieceBytes; to++) bytes += items[to]?.length ?? 0;
    yield joined(2, items.slice(from, to));
    await nextTurn();
    from = to;
  }
  yield last;
}

/** Messages as fields of one number (below 16), each with its length in front. */
function joined(number: number, messages: readonly Uint8Array[]): Uint8Array {
  const total = messages.reduce((sum, { length }) => sum + headBytes(length) + length, 0);
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (const message of messages) {
    bytes[at++] = number * 8 + 2;
    let rest = message.length;
    for (; rest > 127; rest >>>= 7) bytes[at++] = (rest & 127) | 128;
    bytes[at++] = rest;
    bytes.set(message, at);
    at += message.length;
  }
  return bytes;
}

/** Bytes of a tag and of a length. */
function headBytes(length: number): number {
  let bytes = 2;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) bytes += 1;
  return bytes;
}
