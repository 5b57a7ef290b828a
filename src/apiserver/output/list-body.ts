/**
 * The bytes of a list, in slices of a few milliseconds.
 *
 * A list that is finished within one slice is one buffer; a longer one is a stream that lets other
 * requests run between its slices. Stored bytes are copied, not parsed, wherever the view has the
 * stored shape.
 */
import type { Served } from '#api/catalog.ts';
import { formatGroupVersion } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import type { Entry } from '#store';
import { decodeEntry, type ItemWriter, itemWriter } from '../registry.ts';
import type { Output } from '../request.ts';
import { type KeptRows, rowWriter } from './stored-row.ts';
import { columnDefinitions, type IncludeObject, partialObject } from './table.ts';

export interface ListMeta {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export interface ListBodyOptions {
  readonly served: Served;
  readonly entries: readonly Entry[];
  readonly metadata: ListMeta;
  readonly form: Output['form'];
  readonly includeObject: IncludeObject;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly keptRows: KeptRows;
}

/**
 * How long one slice may keep the thread, checked every so many objects, and how long it may be:
 * encrypting it keeps the thread too.
 */
export const sliceMs = 4;
const sliceBytes = 512 * 1024;
const entriesPerCheck = 32;

export function listBody(options: ListBodyOptions): Uint8Array | AsyncIterable<Uint8Array> {
  const slices = sliceList(options);
  const first = slices.next();
  if (first.done) return first.value;
  return spread(first.value, slices);
}

async function* spread(
  first: Uint8Array,
  rest: Generator<Uint8Array, Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  yield first;
  for (;;) {
    await nextTurn();
    const slice = rest.next();
    yield slice.value;
    if (slice.done) return;
  }
}

/** Lets everything else that is ready run first. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function* sliceList(options: ListBodyOptions): Generator<Uint8Array, Uint8Array> {
  const { entries, clock } = options;
  const write = entryWriter(options);
  const comma = Buffer.from(',');
  let pieces: Uint8Array[] = [listHead(options)];
  let startedMs = clock.monotonic();
  let bytes = 0;
  for (const [index, entry] of entries.entries()) {
    if (index > 0) pieces.push(comma);
    write(entry, pieces);
    bytes += entry.value.length;
    const isLooked = bytes >= sliceBytes || index % entriesPerCheck === 0;
    if (!isLooked || (bytes < sliceBytes && clock.monotonic() - startedMs < sliceMs)) continue;
    yield Buffer.concat(pieces);
    pieces = [];
    bytes = 0;
    startedMs = clock.monotonic();
  }
  pieces.push(Buffer.from(']}\n'));
  return Buffer.concat(pieces);
}

export function entryWriter(options: ListBodyOptions): ItemWriter {
  const { served, form, includeObject, clock, keptRows } = options;
  switch (form) {
    case 'object':
      return itemWriter(served);
    case 'partial':
      return (entry, pieces) => pieces.push(json(partialObject(decodeEntry(entry))));
    case 'table':
      return rowWriter(keptRows, served, { includeObject, nowMs: clock.now() });
    default:
      return form satisfies never;
  }
}

export function listHead({ served, metadata, form }: ListBodyOptions): Uint8Array {
  const meta = JSON.stringify(metadata);
  switch (form) {
    case 'object': {
      const apiVersion = formatGroupVersion(served.view);
      const kind = `${served.resource.kind}List`;
      return Buffer.from(
        `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${meta},"items":[`,
      );
    }
    case 'partial':
      return Buffer.from(
        '{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",' +
          `"metadata":${meta},"items":[`,
      );
    case 'table':
      return Buffer.from(
        `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":${meta},` +
          `"columnDefinitions":${JSON.stringify(columnDefinitions(served))},"rows":[`,
      );
    default:
      return form satisfies never;
  }
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
