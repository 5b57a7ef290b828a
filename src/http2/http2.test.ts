/**
 * What a server of HTTP/2 says to clients that keep to the protocol and to those that do not:
 * greeting, frames, streams, heads, and the end (RFC 9113).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { Http2Peer, type Http2PeerOptions, numbers, preface } from '#test/http2-peer.ts';
import { flag, frameOf, frameType, headerBlock } from '#test/raw-http2.ts';
import { errorCode, setting } from './frames.ts';
import type { Http2Stream } from './http2.ts';

const priority = 2;
const pushPromise = 5;
const padded = 8;
const hasPriority = 0x20;

const ok = [':status', '200'];

/** Answers what is asked with what was asked for. */
const echo = (stream: Http2Stream): void =>
  stream.answer(ok, Buffer.from(stream.headers[':path'] ?? ''));

const request = { ':method': 'GET', ':scheme': 'https', ':path': '/', ':authority': 'x' };

/** A head in literals, names more than once and in any order. */
function block(...fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => headerBlock({ [name]: value })));
}

/** The connection still answers a request. */
async function isServing(peer: Http2Peer, stream: number): Promise<void> {
  peer.get(stream, { ':path': '/still' });
  await peer.settled();
  assert.equal(peer.goodbye, undefined);
  const last = peer.arrived.at(-1)?.stream;
  assert.equal(last?.id, stream);
  last?.answer(ok, Buffer.from('here'));
  await peer.settled();
  assert.equal(peer.body(stream).toString(), 'here');
}

test('the server greets with its limits, and with more room on the connection', async () => {
  const peer = new Http2Peer({ streamsMax: 7, windowBytes: 100_000, headerBytesMax: 5_000 });
  await peer.settled();
  const [settings, update, ...more] = peer.frames;
  const pairs: [number, number][] = [];
  const bytes = settings?.payload ?? Buffer.alloc(0);
  for (let at = 0; at < bytes.length; at += 6) {
    pairs.push([bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2)]);
  }
  assert.deepEqual(
    new Map(pairs),
    new Map([
      [3, 7],
      [4, 100_000],
      [6, 5_000],
    ] as const),
  );
  assert.deepEqual([update?.type, update?.stream], [frameType.windowUpdate, 0]);
  assert.equal(update?.payload.readUInt32BE(0), 100_000 - 65_535);
  assert.deepEqual(more, []);
});

test('settings are acknowledged and pings answered, acknowledgements are not', async () => {
  const peer = await Http2Peer.open();
  peer.settings([setting.headerTableSize, 100], [99, 1]);
  peer.send(frameType.settings, flag.acknowledge, 0);
  peer.send(frameType.ping, 0, 0, Buffer.from('12345678'));
  peer.send(frameType.ping, flag.acknowledge, 0, Buffer.from('notasked'));
  await peer.settled();
  assert.deepEqual(
    peer.frames.map(({ type, flags, payload }) => [type, flags, payload.toString()]),
    [
      [frameType.settings, flag.acknowledge, ''],
      [frameType.ping, flag.acknowledge, '12345678'],
    ],
  );
});

test('what comes byte by byte is what comes at once', async () => {
  const peer = new Http2Peer({ onRequest: echo });
  const head = frameOf(
    frameType.headers,
    flag.endHeaders | flag.endStream,
    1,
    headerBlock({ ...request, ':path': '/slow' }),
  );
  const bytes = Buffer.concat([Buffer.from(preface), frameOf(4, 0, 0, Buffer.alloc(0)), head]);
  for (const byte of bytes) peer.write(Uint8Array.of(byte));
  await peer.settled();
  assert.equal(peer.body(1).toString(), '/slow');
});

test('bodies are the same wherever the reads of the socket end', async () => {
  const random = seededRandom(5);
  const body = Buffer.from(Array.from({ length: 30_000 }, (_, n) => (n * 7) & 0xff));
  const padding = Buffer.concat([Buffer.from([3]), body.subarray(20_000), Buffer.alloc(3)]);
  const post = headerBlock({ ...request, ':method': 'POST', 'content-length': '30000' });
  const bytes = Buffer.concat([
    frameOf(frameType.headers, flag.endHeaders, 1, post),
    frameOf(frameType.headers, flag.endHeaders, 3, post),
    frameOf(frameType.data, 0, 1, body.subarray(0, 10_000)),
    frameOf(frameType.data, 0, 3, body.subarray(0, 16_384)),
    frameOf(frameType.data, 0, 1, body.subarray(10_000, 20_000)),
    frameOf(frameType.ping, 0, 0, Buffer.alloc(8)),
    frameOf(frameType.data, flag.endStream | padded, 1, padding),
    frameOf(frameType.data, flag.endStream, 3, body.subarray(16_384)),
  ]);
  for (const longest of [1, 40, 3_000, 16_384, 100_000]) {
    const peer = await Http2Peer.open({ windowBytes: 1_000_000 });
    for (let at = 0; at < bytes.length; ) {
      const end = at + 1 + Math.floor(random.fraction() * longest);
      peer.write(bytes.subarray(at, end));
      at = end;
    }
    await peer.settled();
    assert.equal(peer.goodbye, undefined);
    assert.equal(peer.arrived.length, 2);
    for (const one of peer.arrived) {
      assert.deepEqual(Buffer.concat(one.body), body, `parts of ${longest}`);
      assert.deepEqual(one.told, ['end']);
    }
    assert.deepEqual(
      peer.frames.map(({ type }) => type),
      [frameType.ping],
    );
  }
});

test('a body that was given up is read over, also the rest of its frame', async () => {
  const peer = await Http2Peer.open({
    onRequest: (stream) => {
      if (stream.headers[':method'] === 'POST') {
        stream.read({ onPart: () => stream.reset(errorCode.cancel), onEnd: () => {} });
      }
    },
  });
  peer.post(1);
  const data = frameOf(frameType.data, flag.endStream, 1, Buffer.alloc(5_000));
  for (const part of [data.subarray(0, 100), data.subarray(100, 2_000), data.subarray(2_000)]) {
    peer.write(part);
    await peer.settled();
  }
  assert.equal(peer.resetOf(1), errorCode.cancel);
  assert.equal(peer.of(frameType.resetStream).length, 1);
  peer.forget();
  await isServing(peer, 3);
});

test('a connection that does not begin as HTTP/2 does is let go', async () => {
  const nothing = Buffer.alloc(0);
  for (const bytes of [
    Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
    Buffer.concat([Buffer.from(preface), frameOf(frameType.ping, 0, 0, Buffer.alloc(8))]),
    Buffer.concat([
      Buffer.from(preface),
      frameOf(frameType.settings, flag.acknowledge, 0, nothing),
    ]),
  ]) {
    const peer = new Http2Peer();
    peer.write(bytes);
    await peer.settled();
    assert.deepEqual(peer.goodbye, { lastStream: 0, code: errorCode.protocol });
    assert.ok(peer.isEnded);
  }
});

test('a window that cannot be is refused before there is a stream too', async () => {
  const peer = await Http2Peer.open();
  peer.settings([setting.initialWindowSize, 2 ** 31]);
  await peer.settled();
  assert.equal(peer.goodbye?.code, errorCode.flowControl);
});

interface Refused {
  readonly what: string;
  readonly code: number;
  readonly send: (peer: Http2Peer) => void;
  readonly options?: Http2PeerOptions;
}

const { protocol, frameSize, flowControl, streamClosed, compression, cancel } = errorCode;

function settingOf(id: number, value: number, code: number): Refused {
  return { what: `setting ${id} ${value}`, code, send: (peer) => peer.settings([id, value]) };
}

function frame(
  code: number,
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Refused {
  const what = `frame ${type} flags ${flags} stream ${stream} of ${payload.length} bytes`;
  return { what, code, send: (peer) => peer.send(type, flags, stream, payload) };
}

const whole = flag.endHeaders | flag.endStream;
const get = headerBlock(request);

/** Stream 1 is open and receiving, 3 is open and has all; each of these ends the connection. */
const refused: readonly Refused[] = [
  settingOf(setting.enablePush, 2, protocol),
  settingOf(setting.initialWindowSize, 2 ** 31, flowControl),
  settingOf(setting.frameSizeMax, 16_383, protocol),
  settingOf(setting.frameSizeMax, 2 ** 24, protocol),
  frame(protocol, frameType.data, 0, 0, Buffer.from('a')),
  frame(protocol, frameType.data, 0, 5, Buffer.from('a')),
  frame(protocol, frameType.data, 0, 2, Buffer.from('a')),
  frame(protocol, frameType.data, padded, 1, Buffer.from([4, 65, 0, 0])),
  frame(protocol, frameType.data, padded, 1),
  frame(protocol, frameType.headers, whole, 0, get),
  frame(protocol, frameType.headers, whole, 6, get),
  frame(protocol, frameType.headers, whole | padded, 5, Buffer.from([200, 0x82])),
  frame(frameSize, frameType.headers, whole | hasPriority, 5, Buffer.from([0, 0, 0])),
  frame(compression, frameType.headers, whole, 5, Buffer.from([0x80])),
  frame(compression, frameType.headers, whole, 5, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])),
  frame(protocol, priority, 0, 0, Buffer.alloc(5)),
  frame(protocol, frameType.resetStream, 0, 0, numbers(cancel)),
  frame(protocol, frameType.resetStream, 0, 5, numbers(cancel)),
  frame(frameSize, frameType.resetStream, 0, 1, Buffer.alloc(3)),
  frame(protocol, frameType.settings, 0, 1),
  frame(frameSize, frameType.settings, 0, 0, Buffer.alloc(5)),
  frame(frameSize, frameType.settings, flag.acknowledge, 0, Buffer.alloc(6)),
  frame(protocol, pushPromise, flag.endHeaders, 1, Buffer.concat([numbers(2), get])),
  frame(protocol, frameType.ping, 0, 1, Buffer.alloc(8)),
  frame(frameSize, frameType.ping, 0, 0, Buffer.alloc(7)),
  frame(protocol, frameType.goAway, 0, 1, Buffer.alloc(8)),
  frame(frameSize, frameType.windowUpdate, 0, 0, Buffer.alloc(3)),
  frame(frameSize, frameType.windowUpdate, 0, 1, Buffer.alloc(5)),
  frame(protocol, frameType.windowUpdate, 0, 0, numbers(0)),
  frame(protocol, frameType.windowUpdate, 0, 5, numbers(1)),
  frame(flowControl, frameType.windowUpdate, 0, 0, numbers(2 ** 31 - 1)),
  frame(protocol, frameType.continuation, flag.endHeaders, 1, get),
  frame(frameSize, 99, 0, 0, Buffer.alloc(16_385)),
  {
    what: 'a window of a stream that grows too large by a setting',
    code: flowControl,
    send: (peer) => {
      peer.widen(3, 2 ** 31 - 1 - 65_535);
      peer.settings([setting.initialWindowSize, 65_536]);
    },
  },
  {
    what: 'another frame between the parts of a head',
    code: protocol,
    send: (peer) => {
      peer.send(frameType.headers, flag.endStream, 5, get.subarray(0, 9));
      peer.send(frameType.ping, 0, 0, Buffer.alloc(8));
    },
  },
  {
    what: 'the rest of a head on another stream',
    code: protocol,
    send: (peer) => {
      peer.send(frameType.headers, flag.endStream, 5, get.subarray(0, 9));
      peer.send(frameType.continuation, flag.endHeaders, 7, get.subarray(9));
    },
  },
  {
    what: 'a stream with a lower number than the last',
    code: streamClosed,
    send: (peer) => {
      peer.get(9);
      peer.get(7);
    },
  },
  {
    what: 'a head for a stream that the client has reset',
    code: streamClosed,
    send: (peer) => {
      peer.reset(3);
      peer.get(3);
    },
  },
  {
    what: 'more than the window of the connection',
    code: flowControl,
    send: (peer) => peer.data(1, Buffer.alloc(10_001)),
    options: { windowBytes: 10_000 },
  },
];

test('what breaks the protocol is said goodbye to with its code, and every stream is told', async (t) => {
  for (const { what, code, send, options } of refused) {
    await t.test(what, async () => {
      const peer = await Http2Peer.open(options);
      peer.post(1);
      peer.get(3);
      await peer.settled();
      send(peer);
      // Nothing behind it counts.
      peer.get(101);
      await peer.settled();
      assert.equal(peer.goodbye?.code, code);
      assert.ok(peer.isEnded);
      assert.ok(!peer.arrived.some(({ stream }) => stream.id === 101));
      for (const { told } of peer.arrived) {
        assert.deepEqual(
          told.filter((one) => one === 'close'),
          ['close'],
        );
      }
      assert.ok(!peer.isClosed);
      // It has a moment to read that, and does not close its side.
      await peer.clock.advance(1_000);
      assert.ok(peer.isClosed);
    });
  }
});

/** Stream 1 is open and receiving, 3 has all of its request; the stream that is meant is reset. */
const reset: readonly (Refused & { readonly stream: number })[] = [
  {
    ...{ what: 'a body behind its reset', stream: 1, code: streamClosed },
    send: (peer) => {
      peer.reset(1);
      peer.data(1, 'a');
    },
  },
  { stream: 1, ...frame(protocol, frameType.windowUpdate, 0, 1, numbers(0)) },
  { stream: 3, ...frame(flowControl, frameType.windowUpdate, 0, 3, numbers(2 ** 31 - 1)) },
  { stream: 3, ...frame(frameSize, priority, 0, 3, Buffer.alloc(4)) },
  { stream: 3, ...frame(streamClosed, frameType.data, 0, 3, Buffer.from('a')) },
  { stream: 3, ...frame(streamClosed, frameType.headers, whole, 3, headerBlock({ a: 'b' })) },
  { stream: 1, ...frame(protocol, frameType.headers, flag.endHeaders, 1, headerBlock({ a: 'b' })) },
  { stream: 1, ...frame(protocol, frameType.headers, whole, 1, headerBlock({ ':path': '/' })) },
  { stream: 1, ...frame(protocol, frameType.headers, whole, 1, headerBlock({ Upper: 'b' })) },
];

test('what concerns one stream ends that stream, and the others go on', async (t) => {
  for (const { what, code, stream, send } of reset) {
    await t.test(what, async () => {
      const peer = await Http2Peer.open();
      peer.post(1);
      peer.get(3);
      await peer.settled();
      send(peer);
      await peer.settled();
      assert.equal(peer.resetOf(stream), code);
      for (const one of peer.arrived) {
        assert.deepEqual(one.told.includes('close'), one.stream.id === stream);
        assert.ok(!one.stream.isAnswered);
      }
      await isServing(peer, 5);
    });
  }
});

test('what means nothing here is read over', async () => {
  const peer = await Http2Peer.open();
  // Kinds of frames, flags and settings that nobody knows, priorities, and the reserved bit.
  peer.send(99, 0xff, 0, Buffer.from('x'));
  peer.send(99, 0, 77, Buffer.alloc(0));
  peer.send(priority, 0, 9, Buffer.from([0, 0, 0, 9, 1]));
  peer.send(frameType.ping, 0xfe, 0, Buffer.alloc(8));
  peer.send(frameType.goAway, 0, 0, numbers(0, 0));
  peer.settings([setting.headerListSizeMax, 1], [setting.concurrentStreamsMax, 0]);
  const head = Buffer.concat([Buffer.from([0x80, 0, 0, 9, 1]), get]);
  peer.send(frameType.headers, whole | hasPriority | 0x40, 2 ** 31 + 1, head);
  await peer.settled();
  assert.equal(peer.arrived[0]?.stream.id, 1);
  assert.deepEqual(peer.arrived[0]?.told, ['end']);
  await isServing(peer, 3);
});

test('a head comes in parts, with padding and a priority', async () => {
  const peer = await Http2Peer.open({ onRequest: echo });
  const head = headerBlock({ ...request, ':path': '/parts', long: 'y'.repeat(5_000) });
  const first = Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 1]), head.subarray(0, 4), numbers(0)]);
  const flags = flag.endStream | padded | hasPriority;
  peer.send(frameType.headers, flags, 1, first.subarray(0, -2));
  for (let at = 4; at < head.length; at += 1_000) {
    const last = at + 1_000 >= head.length ? flag.endHeaders : 0;
    peer.send(frameType.continuation, last, 1, head.subarray(at, at + 1_000));
  }
  await peer.settled();
  assert.equal(peer.body(1).toString(), '/parts');
  assert.equal(peer.arrived[0]?.stream.headers['long']?.length, 5_000);
});

test('a body comes without its padding, and may end with fields', async () => {
  const peer = await Http2Peer.open();
  peer.post(1, { 'content-length': '5' });
  peer.send(frameType.data, padded, 1, Buffer.from('\x02ab\0\0', 'latin1'));
  peer.send(frameType.data, padded, 1, Buffer.from('\x01\0', 'latin1'));
  peer.data(1, 'cde');
  await peer.settled();
  const [arrived] = peer.arrived;
  assert.equal(Buffer.concat(arrived?.body ?? []).toString(), 'abcde');
  assert.deepEqual(arrived?.told, []);
  assert.equal(arrived?.stream.isReceiving, true);
  peer.send(frameType.headers, whole, 1, headerBlock({ checksum: '1' }));
  await peer.settled();
  assert.deepEqual(arrived?.told, ['end']);
  assert.equal(arrived?.stream.isReceiving, false);
  await isServing(peer, 3);
});

test('a body is as long as its head said', async () => {
  const peer = await Http2Peer.open();
  // The end of one that is too long is not waited for.
  const bodies = [[''], ['ab'], ['abcd'], ['ab', 'cde']];
  for (const [index, parts] of bodies.entries()) {
    const stream = 1 + 2 * index;
    peer.post(stream, { 'content-length': '3' });
    const ends = parts.join('').length < 3;
    for (const part of parts) peer.data(stream, part, { ends });
    await peer.settled();
    assert.equal(peer.resetOf(stream), protocol, parts.join());
    assert.deepEqual(peer.arrived[index]?.told, ['close'], parts.join());
  }
  peer.get(51, { 'content-length': '3' });
  await peer.settled();
  assert.equal(peer.resetOf(51), protocol);
  peer.post(53, { 'content-length': '3' });
  peer.data(53, 'abc', { ends: true });
  await peer.settled();
  assert.deepEqual(peer.arrived.at(-1)?.told, ['end']);
  await isServing(peer, 55);
});

const method = [':method', 'GET'] as const;
const scheme = [':scheme', 'https'] as const;
const path = [':path', '/'] as const;

test('a head that is none is refused, and its table of names is kept', async () => {
  const malformed: readonly (readonly (readonly [string, string])[])[] = [
    [scheme, path],
    [method, path],
    [method, scheme],
    [method, scheme, [':path', '']],
    [method, scheme, [':path', 'pods']],
    [method, scheme, path, method],
    [method, scheme, path, [':path', '/b']],
    [method, scheme, path, [':status', '200']],
    [method, scheme, path, [':protocol', 'websocket']],
    [method, scheme, ['accept', 'a'], path],
    [method, scheme, path, ['Accept', 'a']],
    [method, scheme, path, ['', 'a']],
    [method, scheme, path, ['a b', 'a']],
    [method, scheme, path, ['a:', 'a']],
    [method, scheme, path, ['connection', 'close']],
    [method, scheme, path, ['transfer-encoding', 'chunked']],
    [method, scheme, path, ['keep-alive', '1']],
    [method, scheme, path, ['proxy-connection', 'a']],
    [method, scheme, path, ['upgrade', 'h2c']],
    [method, scheme, path, ['te', 'gzip']],
    [method, scheme, path, ['a', 'b\0c']],
    [method, scheme, path, ['a', 'b\rc']],
    [method, scheme, path, ['a', 'b\nc']],
    [method, scheme, path, ['a', ' b']],
    [method, scheme, path, ['a', 'b ']],
    [method, scheme, [':path', '/\r\nx: y']],
    [method, scheme, path, ['content-length', '1'], ['content-length', '2']],
    [method, scheme, path, ['content-length', '-1']],
    [method, scheme, path, ['content-length', '1, 1']],
    [[':method', 'CONNECT'], scheme, path, [':authority', 'x']],
    [[':method', 'CONNECT']],
  ];
  const peer = await Http2Peer.open({ onRequest: echo });
  // Kept in the table, from a head that is refused.
  const kept = Buffer.from('\x40\x04name\x05value', 'latin1');
  for (const [index, fields] of malformed.entries()) {
    const stream = 1 + 2 * index;
    const head = index === 0 ? [kept, block(...fields)] : [block(...fields)];
    peer.send(frameType.headers, whole, stream, Buffer.concat(head));
    await peer.settled();
    assert.equal(peer.resetOf(stream), protocol, JSON.stringify(fields));
  }
  assert.equal(peer.arrived.length, 0);
  peer.send(frameType.headers, whole, 201, Buffer.concat([get, Buffer.from([0x80 | 62])]));
  await peer.settled();
  assert.equal(peer.arrived[0]?.stream.headers['name'], 'value');
  assert.equal(peer.body(201).toString(), '/');
});

test('fields that come twice are one, and names are no members of objects', async () => {
  const peer = await Http2Peer.open();
  const fields = [
    ...[method, scheme, [':path', '/a?b=%20c'] as const],
    ...([
      ['accept', 'a'],
      ['te', 'trailers'],
      ['accept', 'b'],
    ] as const),
    ...([
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
    ] as const),
    ...([
      ['authorization', 'one'],
      ['authorization', 'two'],
    ] as const),
    ...([
      ['content-length', '0'],
      ['content-length', '0'],
    ] as const),
    ...([
      ['constructor', 'x'],
      ['__proto__', 'y'],
      ['tab', 'a\tb'],
      ['none', ''],
    ] as const),
    ['latin', '\xe4'] as const,
  ];
  peer.send(frameType.headers, whole, 1, block(...fields));
  await peer.settled();
  assert.deepEqual(Object.entries(peer.arrived[0]?.stream.headers ?? {}), [
    ...[method, scheme, [':path', '/a?b=%20c']],
    ...[
      ['accept', 'a, b'],
      ['te', 'trailers'],
      ['cookie', 'a=1; b=2'],
      ['authorization', 'one'],
    ],
    ...[
      ['content-length', '0'],
      ['constructor', 'x'],
      ['__proto__', 'y'],
      ['tab', 'a\tb'],
    ],
    ...[
      ['none', ''],
      ['latin', '\xe4'],
    ],
  ]);
});

test('OPTIONS may be about the server, and CONNECT names only whom', async () => {
  const peer = await Http2Peer.open();
  const server = [[':method', 'OPTIONS'], scheme, [':path', '*']] as const;
  peer.send(frameType.headers, whole, 1, block(...server));
  const connect = [
    [':method', 'CONNECT'],
    [':authority', 'x:1'],
  ] as const;
  peer.send(frameType.headers, whole, 3, block(...connect));
  await peer.settled();
  assert.deepEqual(
    peer.arrived.map(({ stream }) => stream.headers[':method']),
    ['OPTIONS', 'CONNECT'],
  );
});

test('a head that is too large is answered with 431, and the connection goes on', async () => {
  const peer = await Http2Peer.open({ headerBytesMax: 2_000 });
  peer.get(1, { long: 'y'.repeat(1_700) });
  const fields = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`f${n}`, '']));
  peer.post(3, fields);
  await peer.settled();
  const heads = peer.of(frameType.headers);
  assert.deepEqual(
    heads.map(({ stream }) => stream),
    [3],
  );
  assert.match(heads[0]?.payload.toString('latin1') ?? '', /431/);
  assert.ok(peer.isWhole(3));
  assert.deepEqual(
    peer.arrived.map(({ stream }) => stream.id),
    [1],
  );
  await isServing(peer, 5);
});

test('more requests at once than announced are refused until others have ended', async () => {
  const peer = await Http2Peer.open({ streamsMax: 2 });
  for (const stream of [1, 3, 5]) peer.get(stream);
  await peer.settled();
  assert.equal(peer.resetOf(5), errorCode.refusedStream);
  assert.deepEqual(
    peer.arrived.map(({ stream }) => stream.id),
    [1, 3],
  );
  peer.arrived[0]?.stream.answer(ok, undefined);
  peer.reset(3);
  for (const stream of [7, 9, 11]) peer.get(stream);
  await peer.settled();
  assert.deepEqual(
    peer.arrived.map(({ stream }) => stream.id),
    [1, 3, 7, 9],
  );
  assert.equal(peer.resetOf(11), errorCode.refusedStream);
});
