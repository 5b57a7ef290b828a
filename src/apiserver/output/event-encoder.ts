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
import type { EventEncoder, WatchEventType, WatchFrames } from '../watch/hub-event.ts';
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
  const { served, output, includeObject } = options;
  const { form } = output;
  if (output.encoding === 'protobuf') return protobufWatch(deps.protobufOutput, served, form);
  return {
    encoder: jsonEncoder(served, form, includeObject, deps.clock),
    contentType: 'application/json',
    bookmark: (revision, mark) =>
      eventLine('BOOKMARK', json(bookmarkObject(served, form, revision, mark))),
    error: (status) => eventLine('ERROR', json(status)),
  };
}

function jsonEncoder(
  served: Served,
  form: Output['form'],
  includeObject: IncludeObject,
  clock: Pick<Clock, 'now'>,
): EventEncoder {
  const view = formatGroupVersion(served.view);
  switch (form) {
    case 'object':
      return {
        key: view,
        encode: (type, value, revision) => eventLine(type, encodeView(served, value, revision)),
      };
    case 'partial':
      return {
        key: 'partial',
        encode: (type, value, revision) =>
          eventLine(type, json(partialObject(decodeStored(value, revision)))),
      };
    case 'table':
      return {
        key: `${view}|table|${includeObject}`,
        encode: (type, value, revision) => {
          const hub = decodeStored(value, revision);
          const row = tableRow(served, hub, { includeObject, nowMs: clock.now() });
          const metadata = { resourceVersion: String(revision) };
          return eventLine(type, json(table(served, [row], metadata)));
        },
      };
    default:
      return form satisfies never;
  }
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
  return {
    encoder: {
      key: `protobuf|${isPartial ? 'partial' : view}`,
      encode: (type, value, revision) => {
        const message = isPartial
          ? protobufOutput.partialMessage(value, revision)
          : protobufOutput.message(served, value, revision);
        return eventFrame(type, envelope(apiVersion, kind, message));
      },
    },
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
  { initialEventsEnd }: { readonly initialEventsEnd: boolean },
): object {
  const metadata = {
    resourceVersion: String(revision),
    ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  };
  switch (form) {
    case 'object':
      return { kind: served.resource.kind, apiVersion: formatGroupVersion(served.view), metadata };
    case 'table':
      return table(served, [], metadata);
    case 'partial':
      return { kind: 'PartialObjectMetadata', apiVersion: metaApiVersion, metadata };
    default:
      return form satisfies never;
  }
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
