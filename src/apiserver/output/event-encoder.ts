/**
 * Lines of a watch, for one view and one form. The JSON form splices stored bytes and decodes
 * nothing; Table and metadata-only forms decode once per event, however many watchers share them.
 */
import type { Served } from '#api/catalog.ts';
import { formatGroupVersion } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import { decodeStored, encodeView } from '../registry.ts';
import type { Output } from '../request.ts';
import type { EventEncoder, WatchEventType } from '../watch/hub-event.ts';
import { type IncludeObject, partialObject, table, tableRow } from './table.ts';

export function eventEncoder(
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

export function eventLine(type: WatchEventType | 'ERROR', object: Uint8Array): Uint8Array {
  const head = `{"type":"${type}","object":`;
  const line = Buffer.allocUnsafe(head.length + object.length + 2);
  line.write(head, 0, 'latin1');
  line.set(object, head.length);
  line.write('}\n', head.length + object.length, 'latin1');
  return line;
}

/** Tells the client how far it has seen everything; the last one of the initial state says so. */
export function bookmarkLine(
  served: Served,
  form: Output['form'],
  revision: number,
  { initialEventsEnd }: { readonly initialEventsEnd: boolean },
): Uint8Array {
  const metadata = {
    resourceVersion: String(revision),
    ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  };
  const object =
    form === 'object'
      ? { kind: served.resource.kind, apiVersion: formatGroupVersion(served.view), metadata }
      : form === 'table'
        ? table(served, [], metadata)
        : { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
  return json({ type: 'BOOKMARK', object }, '\n');
}

function json(value: object, end = ''): Uint8Array {
  return Buffer.from(JSON.stringify(value) + end);
}
