/**
 * Clients of HTTP/2 that make the server work or keep much for little: it lets go of them, and of
 * what it kept. What costs nothing is let pass.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Http2Peer, numbers } from '#test/http2-peer.ts';
import { flag, frameOf, frameType, headerBlock } from '#test/raw-http2.ts';
import { errorCode, setting } from './frames.ts';

const ok = [':status', '200'];
const { enhanceYourCalm, protocol } = errorCode;
const priority = 2;

/** Sends until the server has had enough; says how many it took. */
async function flood(
  peer: Http2Peer,
  frame: (n: number) => Buffer,
  { countMax = 5_000 } = {},
): Promise<number> {
  for (let n = 0; n < countMax; n++) {
    peer.write(frame(n));
    if (n % 50 !== 0) continue;
    await peer.settled();
    if (peer.isLetGo) return n;
  }
  await peer.settled();
  return countMax;
}

const whole = flag.endHeaders | flag.endStream;
const get = headerBlock({
  ...{ ':method': 'GET', ':scheme': 'https', ':path': '/', ':authority': 'x' },
});
const nothing = Buffer.alloc(0);

/** Streams from 3 on, opened and then spoilt in some way; the last is 1 + 2 · 5,000. */
function spoilt(spoil: (stream: number) => Buffer): (n: number) => Buffer {
  return (n) => {
    const stream = 3 + 2 * n;
    return Buffer.concat([frameOf(frameType.headers, whole, stream, get), spoil(stream)]);
  };
}

const floods: Readonly<Record<string, (n: number) => Buffer>> = {
  'streams that are reset': spoilt((stream) =>
    frameOf(frameType.resetStream, 0, stream, numbers(8)),
  ),
  'streams that the server is made to reset by a window': spoilt((stream) =>
    frameOf(frameType.windowUpdate, 0, stream, numbers(0)),
  ),
  'streams that the server is made to reset by their body': spoilt((stream) =>
    frameOf(frameType.data, 0, stream, nothing),
  ),
  'heads that are none': (n) => frameOf(frameType.headers, whole, 3 + 2 * n, nothing),
  'bodies of nothing': () => frameOf(frameType.data, 0, 1, nothing),
  'bodies of padding': () => frameOf(frameType.data, 8, 1, Buffer.from([1, 0])),
  settings: () => frameOf(frameType.settings, 0, 0, nothing),
  acknowledgements: () => frameOf(frameType.settings, flag.acknowledge, 0, nothing),
  priorities: () => frameOf(priority, 0, 1, Buffer.alloc(5)),
  'what nobody knows': () => frameOf(99, 0, 0, nothing),
};

test('a client that sends what brings nothing is told to be calm', async (t) => {
  for (const what in floods) {
    await t.test(what, async () => {
      const peer = await Http2Peer.open();
      peer.post(1);
      const frame = floods[what];
      assert.ok(frame);
      const count = await flood(peer, frame);
      assert.ok(count >= 900 && count < 1_200, `${count}`);
      assert.equal(peer.goodbye?.code, enhanceYourCalm);
      await peer.clock.advance(1_000);
      assert.ok(peer.isClosed);
      for (const { told } of peer.arrived) {
        assert.equal(told.filter((event) => event === 'close').length, 1);
      }
    });
  }
});

test('a client that resets a stream now and then goes on for ever', async () => {
  const peer = await Http2Peer.open();
  const frame = floods['streams that are reset'];
  assert.ok(frame);
  for (let n = 0; n < 3_000; n++) {
    peer.write(frame(n));
    if (n % 33 !== 0) continue;
    await peer.settled();
    await peer.clock.advance(1_000);
  }
  assert.equal(peer.goodbye, undefined);
});

test('a head of many parts, and one without end, are cut', async () => {
  for (const part of [nothing, headerBlock({ long: 'y'.repeat(1_000) })]) {
    const peer = await Http2Peer.open({ headerBytesMax: 20_000 });
    peer.send(frameType.headers, 0, 1, get.subarray(0, 5));
    const count = await flood(peer, () => frameOf(frameType.continuation, 0, 1, part));
    assert.ok(count < 100, `${count}`);
    assert.equal(peer.goodbye?.code, enhanceYourCalm);
  }
});

test('a field that is kept and named a thousand times makes a head that is too large', async () => {
  const kept = Buffer.concat([
    ...[Buffer.from([0x40]), Buffer.from('\x04bomb'), Buffer.from([127, 0xa1, 0x1e])],
    Buffer.alloc(4_000, 'y'),
  ]);
  const peer = await Http2Peer.open({ headerBytesMax: 1_000_000 });
  const named = (times: number): Buffer => Buffer.alloc(times, 0x80 | 62);
  peer.send(frameType.headers, whole, 1, Buffer.concat([get, kept, named(100)]));
  peer.send(frameType.headers, whole, 3, Buffer.concat([get, named(300)]));
  await peer.settled();
  assert.deepEqual(
    peer.arrived.map(({ stream }) => stream.id),
    [1],
  );
  assert.equal(peer.arrived[0]?.stream.headers['bomb']?.length, 101 * 4_000 + 100 * 2);
  assert.match(peer.of(frameType.headers, 3)[0]?.payload.toString('latin1') ?? '', /431/);
  assert.ok(!peer.isLetGo);
  // So much more that nobody sends it by mistake.
  peer.send(frameType.headers, whole, 5, Buffer.concat([get, named(5_000)]));
  await peer.settled();
  assert.equal(peer.goodbye?.code, enhanceYourCalm);
});

test('answers that nobody reads are not gathered without end', async (t) => {
  const unread: Readonly<Record<string, (n: number) => Buffer>> = {
    pings: () => frameOf(frameType.ping, 0, 0, Buffer.alloc(8)),
    'heads without a body': (n) => frameOf(frameType.headers, whole, 3 + 2 * n, get),
    'more requests than there may be': (n) => frameOf(frameType.headers, whole, 3 + 2 * n, get),
  };
  for (const what in unread) {
    await t.test(what, async () => {
      const streamsMax = what.startsWith('more') ? 0 : 100;
      const peer = await Http2Peer.open({
        streamsMax,
        onRequest: (stream) => stream.answer([...ok, 'long', 'y'.repeat(3_000)], undefined),
      });
      peer.socket.pause();
      const frame = unread[what];
      assert.ok(frame);
      const count = await flood(peer, frame, { countMax: 30_000 });
      assert.ok(count < 20_000, `${count}`);
      await peer.clock.advance(1_000);
      assert.ok(peer.isClosed);
    });
  }
});

test('a client that asks for much and reads none of it is let go', async () => {
  const part = Buffer.alloc(1024 * 1024);
  const peer = await Http2Peer.open(
    { streamsMax: 1_000, onRequest: (stream) => stream.answer(ok, part) },
    [[setting.initialWindowSize, 0]],
  );
  for (let n = 0; n < 256; n++) peer.get(1 + 2 * n);
  await peer.settled();
  assert.ok(!peer.isLetGo);
  // What is sent, or has gone, waits no more.
  peer.widen(0, part.length);
  peer.widen(1, part.length);
  peer.reset(3);
  await peer.settled();
  for (const stream of [601, 603]) peer.get(stream);
  await peer.settled();
  assert.ok(peer.isWhole(1));
  assert.ok(!peer.isLetGo);
  peer.get(605);
  await peer.settled();
  assert.ok(peer.isClosed);
  for (const { stream } of peer.arrived) assert.ok(stream.isClosed);
});

test('windows that are opened byte by byte cost nothing but their bytes', async () => {
  const peer = await Http2Peer.open({}, [[setting.initialWindowSize, 0]]);
  peer.get(1);
  await peer.settled();
  peer.arrived[0]?.stream.answer(ok, Buffer.alloc(5_000, 'x'));
  const count = await flood(peer, () => frameOf(frameType.windowUpdate, 0, 1, numbers(1)));
  assert.equal(count, 5_000);
  assert.equal(peer.body(1).length, 5_000);
  assert.ok(peer.isWhole(1));
});

test('a client that breaks the protocol twice is said goodbye to once', async () => {
  const peer = await Http2Peer.open();
  peer.write(Buffer.concat([0, 0, 0].map(() => frameOf(frameType.data, 0, 0, nothing))));
  await peer.settled();
  peer.send(frameType.data, 0, 0);
  await peer.settled();
  assert.equal(peer.of(frameType.goAway).length, 1);
  assert.equal(peer.goodbye?.code, protocol);
});
