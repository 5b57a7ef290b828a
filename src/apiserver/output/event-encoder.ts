/**
 * The frames of a watch, for one view, form and encoding: a line of JSON, or a length and a message
 * in protobuf.
 *
 * The JSON form splices stored bytes and decodes nothing; protobuf, Table and metadata-only forms
 * decode once per event, however many watchers share them. `verbs/watch.ts` makes one for each
 * watch; equal keys share what was encoded.
 */
import type { Served } from '#api/catalog.ts';
import { formatGroupVersion } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import { Writer } from '#kit/protobuf-wire.ts';
import { decodeStored, encodeView } from '../registry.ts';
import type { Output } from '../request.ts';
import type { Bookmark, EventEncoder, WatchEventType, WatchFrames } from '../watch/hub-event.ts';
import { envelope, type ProtobufOutput, protobufType } from './protobuf.ts';
import { type IncludeObject, partialObject, table, tableRow } from './table.ts';

export interface WatchOutputDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly protobufOutput: ProtobufOutput;
}

interface FramesOptions {
  readonly served: Served;
  readonly output: Output;
  readonly includeObject: IncludeObject;
}

/** Makes frames once for each view and form, for all watches that ask for them. */
export class WatchOutput {
  readonly #deps: WatchOutputDeps;
  /** Kinds come and go at run time, and what was made for them with them. */
  readonly #made = new WeakMap<Served, Map<string, WatchFrames>>();

  constructor(deps: WatchOutputDeps) {
    this.#deps = deps;
  }

  frames(options: FramesOptions): WatchFrames {
    const { served, output, includeObject } = options;
    let made = this.#made.get(served);
    if (made === undefined) {
      made = new Map();
      this.#made.set(served, made);
    }
    const key = `${output.encoding}|${output.form}|${includeObject}`;
    let frames = made.get(key);
    if (frames === undefined) {
      frames = makeFrames(this.#deps, options);
      made.set(key, frames);
    }
    return frames;
  }
}

function makeFrames(deps: WatchOutputDeps, options: FramesOptions): WatchFrames {
  const { served, output } = options;
  if (output.encoding === 'protobuf')
    return protobufWatch(deps.protobufOutput, served, output.form);
  if (output.form === 'table') return tableWatch(deps.clock, options);
  const encoder = jsonEncoder(served, output.form);
  return {
    encoder: () => encoder,
    contentType: 'application/json',
    bookmark: (revision, mark) =>
      eventLine('BOOKMARK', json(bookmarkObject(served, output.form, revision, mark))),
    error: (status) => eventLine('ERROR', json(status)),
  };
}

function jsonEncoder(served: Served, form: 'object' | 'partial'): EventEncoder {
  if (form === 'object') {
    return {
      key: formatGroupVersion(served.view),
      encode: (type, value, revision) => eventLine(type, encodeView(served, value, revision)),
    };
  }
  return {
    key: 'partial',
    encode: (type, value, revision) =>
      eventLine(type, json(partialObject(decodeStored(value, revision)))),
  };
}

/** Each event is a Table of one row, a bookmark too; only the first of a watch has the columns. */
function tableWatch(
  clock: Pick<Clock, 'now'>,
  { served, includeObject }: FramesOptions,
): WatchFrames {
  const encoderOf = (hasColumns: boolean): EventEncoder => ({
    key: `${formatGroupVersion(served.view)}|table|${includeObject}|${hasColumns}`,
    encode: (type, value, revision) => {
      const hub = decodeStored(value, revision);
      const row = tableRow(served, hub, { includeObject, nowMs: clock.now() });
      const metadata = { resourceVersion: String(revision) };
      return eventLine(type, json(table(served, [row], metadata, { hasColumns })));
    },
  });
  const [first, later] = [encoderOf(true), encoderOf(false)];
  return {
    encoder: (isFirst) => (isFirst ? first : later),
    contentType: 'application/json',
    bookmark: (revision, mark) => {
      const { apiVersion, kind, metadata } = bookmarkObject(served, 'object', revision, mark);
      const hub = { apiVersion, kind, metadata };
      // It stands for no object, so there is nothing to print.
      const cells = served.resource.columns.map((column) => (column.type === 'string' ? '' : null));
      const object = includeObject === 'Metadata' ? partialObject(hub) : hub;
      const row = { cells, object: includeObject === 'None' ? null : object };
      const { resourceVersion } = metadata;
      const body = table(served, [row], { resourceVersion }, { hasColumns: mark.isFirst });
      return eventLine('BOOKMARK', json(body));
    },
    error: (status) => eventLine('ERROR', json(status)),
  };
}

function protobufWatch(
  protobufOutput: ProtobufOutput,
  served: Served,
  form: Output['form'],
): WatchFrames {
  const isPartial = form === 'partial';
  const view = formatGroupVersion(served.view);
  const apiVersion = isPartial ? metaApiVersion : view;
  const kind = isPartial ? 'PartialObjectMetadata' : served.resource.kind;
  const whole = (object: object): Uint8Array =>
    // What is written here has a form in protobuf, or the watch would have been one of JSON.
    protobufOutput.object({ ...object }) ?? new Uint8Array();
  const encoder: EventEncoder = {
    key: `protobuf|${isPartial ? 'partial' : view}`,
    encode: (type, value, revision) => {
      const message = isPartial
        ? protobufOutput.partialMessage(value, revision)
        : protobufOutput.message(served, value, revision);
      return eventFrame(type, envelope(apiVersion, kind, message));
    },
  };
  return {
    encoder: () => encoder,
    contentType: `${protobufType};stream=watch`,
    bookmark: (revision, mark) =>
      eventFrame('BOOKMARK', whole(bookmarkObject(served, form, revision, mark))),
    error: (status) => eventFrame('ERROR', whole(status)),
  };
}

type FrameType = WatchEventType | 'BOOKMARK' | 'ERROR';

function eventLine(type: FrameType, object: Uint8Array): Uint8Array {
  const head = `{"type":"${type}","object":`;
  const line = Buffer.allocUnsafe(head.length + object.length + 2);
  line.write(head, 0, 'latin1');
  line.set(object, head.length);
  line.write('}\n', head.length + object.length, 'latin1');
  return line;
}

/** Four bytes of length, then a WatchEvent: its type, and the object with its own envelope. */
function eventFrame(type: FrameType, object: Uint8Array): Uint8Array {
  const writer = new Writer(object.length + 64);
  writer.tag(1, 2);
  writer.text(type);
  writer.tag(2, 2);
  writer.nested(() => {
    writer.tag(1, 2);
    writer.bytes(object);
  });
  const event = writer.finish();
  const frame = Buffer.allocUnsafe(4 + event.length);
  frame.writeUInt32BE(event.length, 0);
  frame.set(event, 4);
  return frame;
}

const metaApiVersion = 'meta.k8s.io/v1';

function bookmarkObject(
  served: Served,
  form: Output['form'],
  revision: number,
  { initialEventsEnd }: Pick<Bookmark, 'initialEventsEnd'>,
) {
  const metadata = {
    resourceVersion: String(revision),
    ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  };
  return form === 'partial'
    ? { kind: 'PartialObjectMetadata', apiVersion: metaApiVersion, metadata }
    : { kind: served.resource.kind, apiVersion: formatGroupVersion(served.view), metadata };
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
