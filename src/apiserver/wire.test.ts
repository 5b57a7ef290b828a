/** What an answer's fields become on a connection of HTTP/2. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Http2Stream } from '#http2';
import { Http2Wire, type OutgoingHeaders } from './wire.ts';

function fieldsSent(headers: OutgoingHeaders): readonly string[] {
  let sent: readonly string[] = [];
  const stream: Http2Stream = {
    ...{ id: 1, headers: { ':method': 'GET', ':path': '/' } },
    ...{ isReceiving: false, isClosed: false, isAnswered: false },
    read: () => {},
    inform: () => {},
    answer: (fields) => {
      sent = fields;
    },
    begin: () => {},
    write: () => true,
    end: () => {},
    reset: () => {},
    onceDrained: () => {},
    onceClosed: () => {},
    letHeadersGo: () => {},
  };
  new Http2Wire(stream).answer(200, headers, Buffer.from('x'));
  return sent;
}

test('names are in lower case, and each warning is a field of its own', () => {
  assert.deepEqual(
    fieldsSent({ 'Content-Length': 1, warning: '299 - "one, two", 299 - "three"' }),
    [
      ...[':status', '200', 'content-length', '1'],
      ...['warning', '299 - "one, two"', 'warning', '299 - "three"'],
    ],
  );
});

test('what is about one connection, and what no field may have, is left out', () => {
  const headers = {
    ...{ connection: 'close', 'transfer-encoding': 'chunked' },
    // Of the last, a byte each would end the line.
    ...{ 'x-good': 'caf\u00e9', 'x-line': 'a\r\nb', 'x-wide': 'a\u010d\u010ab' },
  };
  assert.deepEqual(fieldsSent(headers), [':status', '200', 'x-good', 'caf\u00e9']);
});
