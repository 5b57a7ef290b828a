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
import { Writer } from '#kit/protobuf-wire.ts';
import type { Entry } from '#store';
import type { Output } from '../request.ts';
import { type ListMeta, nextTurn, sliceMs } from './list-body.ts';
import { envelopeEnds, type ProtobufOutput } from './protobuf.ts';

export interface ProtobufListOptions {
  readonly protobufOutput: ProtobufOutput;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly served: Served;
  readonly entries: readonly Entry[];
  readonly metadata: ListMeta;
  readonly form: Output['form'];
}

const entriesPerCheck = 16;
/** What goes out in one piece, and what is one buffer from the start. */
const pieceBytes = 256 * 1024;

export async function protobufList(
  options: ProtobufListOptions,
): Promise<Uint8Array | AsyncIterable<Uint8Array>> {
  const { protobufOutput, clock, served, entries, metadata, form } = options;
  const isPartial = form === 'partial';
  const apiVersion = isPartial ? 'meta.k8s.io/v1' : formatGroupVersion(served.view);
  const kind = isPartial ? 'PartialObjectMetadataList' : `${served.resource.kind}List`;
  const parts: Uint8Array[] = [fieldHead(1, protobufOutput.listMeta(metadata))];
  let startedMs = clock.monotonic();
  for (const [index, { value, revision }] of entries.entries()) {
    const item = isPartial
      ? protobufOutput.partialMessage(value, revision)
      : protobufOutput.message(served, value, revision);
    parts.push(head(2, item.length), item);
    if (index % entriesPerCheck !== 0 || clock.monotonic() - startedMs < sliceMs) continue;
    await nextTurn();
    startedMs = clock.monotonic();
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const ends = envelopeEnds(apiVersion, kind, length);
  parts.unshift(ends.head);
  parts.push(ends.tail);
  return length <= pieceBytes ? Buffer.concat(parts) : pieces(parts);
}

/** A few parts at a time; whoever reads says when it wants the next ones. */
async function* pieces(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  let from = 0;
  while (from < parts.length) {
    let bytes = 0;
    let to = from;
    for (; to < parts.length && bytes < pieceBytes; to++) bytes += parts[to]?.length ?? 0;
    yield Buffer.concat(parts.slice(from, to));
    await nextTurn();
    from = to;
  }
}

function head(number: number, length: number): Uint8Array {
  const writer = new Writer(16);
  writer.tag(number, 2);
  writer.whole(length);
  return writer.finish();
}

function fieldHead(number: number, message: Uint8Array): Uint8Array {
  return Buffer.concat([head(number, message.length), message]);
}
