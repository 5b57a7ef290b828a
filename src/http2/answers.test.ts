/**
 * Answers on a connection of HTTP/2: within the windows that the client gives, in turns, whole when
 * the server leaves, and over when the client has gone (RFC 9113, sections 5.2 and 6.9).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Http2Peer } from '#test/http2-peer.ts';
import { type Frame, flag, frameType } from '#test/raw-http2.ts';
import { errorCode, setting } from './frames.ts';
import type { Http2Stream } from './http2.ts';

const ok = [':status', '200'];
const { initialWindowSize, frameSizeMax } = setting;
const padded = 8;

function stream(peer: Http2Peer, id: number): Http2Stream {
  const found = peer.arrived.find((one) => one.stream.id === id)?.stream;
  assert.ok(found, `stream ${id} has come`);
  return found;
}

function told(peer: Http2Peer, id: number): readonly string[] {
  return peer.arrived.find((one) => one.stream.id === id)?.told ?? [];
}

/** Bytes that differ from place to place. */
function bytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, n) => (n * 7 + (n >> 8)) & 0xff));
}

function lengths(frames: readonly Frame[]): readonly number[] {
  return frames.map(({ payload }) => payload.length);
}

/** Streams 1, 3, … so many, asked for. */
async function ask(peer: Http2Peer, count: number): Promise<void> {
  for (let n = 0; n < count; n++) peer.get(1 + 2 * n);
  await peer.settled();
}

test('a client that opens its window byte by byte gets the answer byte by byte', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 0]]);
  await ask(peer, 1);
  stream(peer, 1).answer(ok, bytes(5));
  await peer.settled();
  assert.deepEqual([peer.of(frameType.headers, 1).length, peer.body(1).length], [1, 0]);
  for (let length = 1; length <= 5; length++) {
    assert.ok(!peer.isWhole(1));
    peer.widen(1, 1);
    await peer.settled();
    assert.deepEqual(peer.body(1), bytes(5).subarray(0, length));
  }
  assert.ok(peer.isWhole(1));
  assert.deepEqual(lengths(peer.of(frameType.data)), [1, 1, 1, 1, 1]);
  assert.ok(stream(peer, 1).isAnswered);
  assert.deepEqual(told(peer, 1), ['end', 'close']);
});

test('a window that was opened before there was an answer counts', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 0]]);
  await ask(peer, 1);
  peer.widen(1, 3);
  await peer.settled();
  stream(peer, 1).answer(ok, bytes(5));
  await peer.settled();
  assert.deepEqual(peer.body(1), bytes(3));
});

test('a change of the first window moves those of streams that are open, below zero too', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 10]]);
  await ask(peer, 1);
  const one = stream(peer, 1);
  one.begin(ok);
  one.write(bytes(40));
  await peer.settled();
  assert.equal(peer.body(1).length, 10);
  peer.settings([initialWindowSize, 15]);
  await peer.settled();
  assert.equal(peer.body(1).length, 15);
  // 15 were sent, so the window is 12 below zero.
  peer.settings([initialWindowSize, 3]);
  peer.widen(1, 12);
  await peer.settled();
  assert.equal(peer.body(1).length, 15);
  peer.widen(1, 1);
  await peer.settled();
  assert.equal(peer.body(1).length, 16);
  peer.settings([initialWindowSize, 100]);
  one.end();
  await peer.settled();
  assert.deepEqual(peer.body(1), bytes(40));
  assert.ok(peer.isWhole(1));
});

test('the end of an answer needs no window', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 10]]);
  await ask(peer, 2);
  for (const id of [1, 3]) {
    stream(peer, id).begin(ok);
    stream(peer, id).write(bytes(10));
  }
  await peer.settled();
  stream(peer, 1).end();
  peer.settings([initialWindowSize, 5]);
  await peer.settled();
  // Below zero by now.
  stream(peer, 3).end();
  await peer.settled();
  for (const id of [1, 3]) {
    assert.deepEqual(lengths(peer.of(frameType.data, id)), [10, 0]);
    assert.ok(peer.isWhole(id));
  }
});

test('the window of the connection is shared in turns', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 1_000_000]]);
  await ask(peer, 4);
  for (const id of [1, 3, 5, 7]) stream(peer, id).answer(ok, bytes(100_000));
  await peer.settled();
  const sent = () => [1, 3, 5, 7].map((id) => peer.body(id).length);
  const isFair = (all: number): void => {
    const each = sent();
    assert.equal(
      each.reduce((sum, one) => sum + one),
      all,
    );
    assert.ok(Math.max(...each) - Math.min(...each) <= 2 * 16_384, each.join());
  };
  isFair(65_535);
  for (let n = 1; n <= 10; n++) {
    peer.widen(0, 20_000);
    await peer.settled();
    isFair(65_535 + n * 20_000);
  }
  peer.widen(0, 1_000_000);
  await peer.settled();
  for (const id of [1, 3, 5, 7]) assert.deepEqual(peer.body(id), bytes(100_000));
});

test('a stream whose window is closed holds up no other', async () => {
  const peer = await Http2Peer.open();
  await ask(peer, 2);
  peer.widen(0, 1_000_000);
  stream(peer, 1).answer(ok, bytes(100_000));
  await peer.settled();
  assert.equal(peer.body(1).length, 65_535);
  stream(peer, 3).answer(ok, bytes(20_000));
  await peer.settled();
  assert.ok(peer.isWhole(3));
  assert.ok(!peer.isWhole(1));
  peer.widen(1, 100_000);
  await peer.settled();
  assert.deepEqual(peer.body(1), bytes(100_000));
});

test('a short answer comes before the rest of a long one', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 10_000_000]]);
  peer.widen(0, 10_000_000);
  await ask(peer, 2);
  stream(peer, 1).answer(ok, bytes(1_000_000));
  stream(peer, 3).answer(ok, bytes(10));
  await peer.settled();
  const at = peer.frames.findIndex((one) => one.stream === 3 && one.type === frameType.data);
  assert.ok(at >= 0 && at < 10, `frame ${at}`);
  assert.deepEqual(peer.body(1), bytes(1_000_000));
});

test('short answers use up the window of the connection as well', async () => {
  const peer = await Http2Peer.open();
  await ask(peer, 10);
  const part = bytes(10_000);
  for (const one of peer.arrived) one.stream.answer(ok, part);
  await peer.settled();
  const sent = () => Buffer.concat(peer.of(frameType.data).map(({ payload }) => payload)).length;
  assert.equal(sent(), 65_535);
  peer.widen(0, 100_000);
  await peer.settled();
  assert.equal(sent(), 100_000);
});

test('of a long answer no more is on its way than a write, so that others get in', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 10_000_000]]);
  peer.widen(0, 10_000_000);
  await ask(peer, 2);
  peer.socket.pause();
  stream(peer, 1).answer(ok, Buffer.alloc(2_000_000));
  await peer.settled();
  stream(peer, 3).answer(ok, bytes(10));
  await peer.settled();
  peer.socket.resume();
  await peer.settled();
  const at = peer.frames.findIndex((one) => one.stream === 3 && one.type === frameType.data);
  assert.ok(at >= 0 && at < 40, `frame ${at}`);
  assert.ok(peer.isWhole(1));
});

test('frames are no longer than the client takes them', async () => {
  for (const [size, lengthMax] of [
    [undefined, 16_384],
    [20_000, 20_000],
    [1_000_000, 65_536],
  ] as const) {
    const settings = size === undefined ? [] : ([[frameSizeMax, size]] as const);
    const peer = await Http2Peer.open({}, [[initialWindowSize, 1_000_000], ...settings]);
    peer.widen(0, 1_000_000);
    await ask(peer, 1);
    stream(peer, 1).answer([...ok, 'long', 'y'.repeat(70_000)], bytes(200_000));
    await peer.settled();
    const [head, ...rest] = peer.frames;
    assert.deepEqual([head?.type, head?.payload.length], [frameType.headers, lengthMax]);
    assert.equal(peer.of(frameType.continuation, 1).length, Math.ceil(70_000 / lengthMax) - 1);
    const ends = [head, ...rest].filter(
      ({ type, flags } = { type: 0, flags: 0 } as Frame) =>
        type !== frameType.data && (flags & flag.endHeaders) !== 0,
    );
    assert.equal(ends.length, 1);
    const data = lengths(peer.of(frameType.data));
    assert.deepEqual(data.slice(0, 2), [lengthMax, lengthMax]);
    assert.deepEqual(peer.body(1), bytes(200_000));
  }
});

test('a writer is told when the client is slow, and when it has read enough', async () => {
  const peer = await Http2Peer.open();
  await ask(peer, 1);
  const one = stream(peer, 1);
  one.begin(ok);
  assert.equal(one.write(bytes(65_535)), true);
  await peer.settled();
  assert.equal(one.write(bytes(1_000)), true);
  assert.equal(one.write(bytes(100_000)), false);
  let drained = 0;
  one.onceDrained(() => {
    drained += 1;
  });
  peer.widen(0, 1_000_000);
  peer.widen(1, 101_000 - 1);
  await peer.settled();
  assert.equal(drained, 0);
  peer.widen(1, 1_000);
  await peer.settled();
  assert.equal(drained, 1);
  assert.equal(peer.body(1).length, 65_535 + 101_000);
  one.write(bytes(10));
  one.write(new Uint8Array(0));
  one.end();
  one.write(bytes(10));
  await peer.settled();
  assert.equal(drained, 1);
  assert.equal(peer.body(1).length, 65_535 + 101_000 + 10);
});

test('a client that stops reading holds up a writer, and goes on where it stopped', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 2 ** 31 - 1]]);
  peer.widen(0, 2 ** 31 - 1 - 65_535);
  await ask(peer, 1);
  peer.socket.pause();
  const one = stream(peer, 1);
  one.begin(ok);
  let written = 0;
  // What the pair of sockets and the connection hold is far less.
  for (let n = 0; n < 100 && one.write(bytes(65_536)); n++) {
    written += 65_536;
    await peer.settled();
  }
  assert.ok(written < 50 * 65_536, `${written} bytes`);
  peer.socket.resume();
  one.end();
  await peer.settled();
  assert.ok(peer.isWhole(1));
  assert.equal(peer.body(1).length, written + 65_536);
});

test('room for a body is given back while it comes, with its padding', async () => {
  const peer = await Http2Peer.open({ windowBytes: 100_000 });
  peer.post(1);
  let room = 100_000;
  let connectionRoom = 100_000;
  for (let n = 0; n < 40; n++) {
    assert.ok(room >= 10_000 && connectionRoom >= 10_000);
    for (let frame = 0; frame < 10; frame++) {
      const payload = Buffer.alloc(1_000);
      payload[0] = 255;
      peer.send(frameType.data, padded, 1, payload);
    }
    await peer.settled();
    const given = (id: number): number =>
      peer
        .of(frameType.windowUpdate, id)
        .reduce((sum, one) => sum + one.payload.readUInt32BE(0), 0);
    room += given(1) - 10_000;
    connectionRoom += given(0) - 10_000;
    assert.ok(room <= 100_000 && connectionRoom <= 100_000);
    peer.forget();
  }
  const body = Buffer.concat(peer.arrived[0]?.body ?? []);
  assert.equal(body.length, 400 * (1_000 - 256));
});

test('room on the connection comes back from bodies that nobody reads', async () => {
  const peer = await Http2Peer.open({ windowBytes: 65_535 });
  for (let n = 0; n < 40; n++) {
    const id = 1 + 2 * n;
    peer.post(id);
    peer.reset(id);
    peer.data(id, Buffer.alloc(16_384));
    await peer.settled();
  }
  const given = peer.of(frameType.windowUpdate, 0);
  const sum = given.reduce((all, one) => all + one.payload.readUInt32BE(0), 0);
  assert.ok(65_535 + sum - 40 * 16_384 >= 16_384);
  assert.equal(peer.goodbye, undefined);
});

test('an answer is a head and its body, or a head that ends', async () => {
  const peer = await Http2Peer.open();
  await ask(peer, 3);
  stream(peer, 1).answer(ok, Buffer.from('all'));
  stream(peer, 3).answer([':status', '204'], undefined);
  const three = stream(peer, 5);
  three.inform([':status', '100']);
  three.begin([...ok, 'a', 'b']);
  three.inform([':status', '100']);
  three.begin(ok);
  three.answer(ok, Buffer.from('again'));
  three.write(Buffer.from('one'));
  three.end();
  three.end();
  await peer.settled();
  const said = (id: number) =>
    peer.frames
      .filter((one) => one.stream === id)
      .map(({ type, flags, payload }) => [type, flags, type === 0 ? payload.toString() : '']);
  const { endStream, endHeaders } = flag;
  assert.deepEqual(said(1), [
    [frameType.headers, endHeaders, ''],
    [frameType.data, endStream, 'all'],
  ]);
  assert.deepEqual(said(3), [[frameType.headers, endHeaders | endStream, '']]);
  assert.equal(peer.of(frameType.headers, 5).length, 2);
  assert.equal(peer.body(5).toString(), 'one');
  assert.ok(peer.isWhole(5));
  for (const { stream: each, told: events } of peer.arrived) {
    assert.ok(each.isAnswered && each.isClosed);
    assert.deepEqual(events, ['end', 'close']);
  }
  assert.deepEqual(peer.said, ['idle', 'busy', 'idle']);
});

test('an answer before the body has come ends the stream, and the rest is read over', async () => {
  const peer = await Http2Peer.open();
  peer.post(1);
  peer.data(1, 'some');
  await peer.settled();
  stream(peer, 1).answer([':status', '413'], Buffer.from('no'));
  await peer.settled();
  assert.deepEqual(
    peer.frames.map(({ type }) => type),
    [frameType.headers, frameType.data, frameType.resetStream],
  );
  assert.equal(peer.resetOf(1), errorCode.none);
  peer.forget();
  peer.data(1, 'more');
  peer.send(frameType.headers, flag.endHeaders | flag.endStream, 1, Buffer.from([0x82]));
  peer.widen(1, 1);
  await peer.settled();
  assert.deepEqual(peer.frames, []);
  assert.deepEqual(told(peer, 1), ['close']);
});

test('either side may reset a stream, which is told once', async () => {
  const peer = await Http2Peer.open();
  await ask(peer, 3);
  for (const id of [1, 3]) {
    stream(peer, id).begin(ok);
    stream(peer, id).write(bytes(100_000));
  }
  const calls: string[] = [];
  stream(peer, 1).onceDrained(() => calls.push('drained'));
  stream(peer, 1).onceClosed(() => calls.push('closed'));
  peer.reset(1);
  stream(peer, 3).reset(errorCode.internal);
  stream(peer, 3).reset(errorCode.cancel);
  await peer.settled();
  assert.deepEqual(calls, ['drained', 'closed']);
  stream(peer, 1).onceDrained(() => calls.push('at once'));
  assert.deepEqual(calls.splice(0), ['drained', 'closed', 'at once']);
  assert.equal(peer.resetOf(1), undefined);
  assert.deepEqual(peer.of(frameType.resetStream, 3).length, 1);
  assert.equal(peer.resetOf(3), errorCode.internal);
  peer.forget();
  // What is done with them after that does nothing.
  for (const id of [1, 3]) {
    const one = stream(peer, id);
    assert.ok(one.isClosed && !one.isAnswered);
    assert.equal(one.write(bytes(10)), true);
    one.end();
    one.answer(ok, bytes(10));
    assert.deepEqual(told(peer, id), ['end', 'close']);
  }
  peer.widen(0, 1_000_000);
  peer.widen(1, 1_000_000);
  await peer.settled();
  assert.deepEqual(peer.frames, []);
  assert.deepEqual(told(peer, 5), ['end']);
});

test('a server that leaves answers what is under way, refuses the rest, and closes', async () => {
  const peer = await Http2Peer.open();
  peer.get(1);
  peer.post(3);
  await peer.settled();
  peer.connection.leave();
  peer.connection.leave();
  peer.get(5);
  await peer.settled();
  assert.deepEqual(peer.of(frameType.goAway).length, 1);
  assert.deepEqual(peer.goodbye, { lastStream: 3, code: errorCode.none });
  assert.equal(peer.resetOf(5), errorCode.refusedStream);
  stream(peer, 1).answer(ok, bytes(100_000));
  peer.data(3, 'body', { ends: true });
  await peer.settled();
  stream(peer, 3).answer(ok, Buffer.from('done'));
  await peer.settled();
  assert.ok(!peer.isEnded);
  peer.widen(0, 100_000);
  peer.widen(1, 100_000);
  await peer.settled();
  assert.deepEqual(peer.body(1), bytes(100_000));
  assert.equal(peer.body(3).toString(), 'done');
  assert.ok(peer.isEnded);
});

test('a server that leaves an idle connection closes it at once', async () => {
  const peer = await Http2Peer.open();
  peer.connection.leave();
  await peer.settled();
  assert.deepEqual(peer.goodbye, { lastStream: 0, code: errorCode.none });
  assert.ok(peer.isEnded);
  assert.ok(!peer.isClosed);
  // A client that does not close its side is not waited for much longer.
  await peer.clock.advance(60_000);
  assert.ok(peer.isClosed);
});

test('a slow client reads the whole of its last answers', async () => {
  const peer = await Http2Peer.open({}, [[initialWindowSize, 1_000_000]]);
  peer.widen(0, 1_000_000);
  await ask(peer, 20);
  peer.socket.pause();
  for (let n = 0; n < 20; n++) {
    stream(peer, 1 + 2 * n).answer(ok, bytes(16_384));
    await peer.settled();
  }
  peer.connection.leave();
  await peer.settled();
  await peer.clock.advance(10_000);
  peer.socket.resume();
  await peer.settled();
  assert.ok(peer.isEnded);
  for (let n = 0; n < 20; n++) assert.deepEqual(peer.body(1 + 2 * n), bytes(16_384));
});

test('when the connection breaks every stream is told once, and nothing more is done', async () => {
  for (const cut of [
    (peer: Http2Peer) => peer.cut(),
    (peer: Http2Peer) => peer.connection.destroy(),
  ]) {
    const peer = await Http2Peer.open({ streamsMax: 1_000 });
    await ask(peer, 500);
    peer.post(1_001);
    await peer.settled();
    const part = bytes(70_000);
    for (const { stream: one } of peer.arrived) {
      one.begin(ok);
      one.write(part);
    }
    await peer.settled();
    cut(peer);
    await peer.settled();
    assert.ok(peer.isClosed);
    assert.equal(peer.arrived.length, 501);
    for (const { stream: one, told: events } of peer.arrived) {
      assert.equal(events.filter((event) => event === 'close').length, 1);
      assert.ok(one.isClosed && !one.isAnswered);
      one.write(bytes(10));
      one.end();
      one.reset(errorCode.internal);
    }
    peer.connection.leave();
    peer.connection.destroy();
    await peer.settled();
    assert.ok(peer.isClosed);
  }
});
