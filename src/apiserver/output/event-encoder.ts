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
import type { EventEncoder, WatchEventType } from '../watch/hub-event.ts';
import { envelope, type ProtobufOutput, protobufType } from './protobuf.ts';
import { type IncludeObject, partialObject, table, tableRow } from './table.ts';

export interface WatchOutput {
  readonly encoder: EventEncoder;
  readonly contentType: string;
  /**
   * Tells the client how far it has seen everything; the last one of the initial state says so.
   */
  bookmark(revision: number, mark: { readonly initialEventsEnd: boolean }): Uint8Array;
  /** The last frame of a watch that failed. */
  error(status: object): Uint8Array;
}

export interface WatchOutputDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly protobufOutput: ProtobufOutput;
}

export function watchOutput(
  deps: WatchOutputDeps,
  options: {
    readonly served: Served;
    readonly output: Output;
    readonly includeObject: IncludeObject;
  },
): WatchOutput {
  const { served, output, includeObject } = options;
  if (output.encoding === 'protobuf')
    return protobufWatch(deps.protobufOutput, served, output.form);
  const { form } = output;
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
): WatchOutput {
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
