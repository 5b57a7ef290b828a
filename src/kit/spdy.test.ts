/** SPDY as clients speak it: what is written, and what is made of what comes. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { constants, inflateSync } from 'node:zlib';
import { limits, SpdyConnection } from './spdy.ts';

class Wire extends Duplex {
  written = Buffer.alloc(0);
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written = Buffer.concat([this.written, chunk]);
    done();
  }
}

interface Frame {
  readonly head: Buffer;
  readonly body: Buffer;
}

function framesOf(bytes: Buffer): readonly Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at + 5, 3);
    frames.push({
      head: bytes.subarray(at, at + 8),
      body: bytes.subarray(at + 8, at + 8 + length),
    });
    at += 8 + length;
  }
  return frames;
}

function data(stream: number, text: string, { isLast = false } = {}): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(stream, 0);
  head.writeUInt8(isLast ? 1 : 0, 4);
  head.writeUIntBE(text.length, 5, 3);
  return Buffer.concat([head, Buffer.from(text)]);
}

function open({ head = Buffer.alloc(0), wait = async (): Promise<void> => {} } = {}) {
  const wire = new Wire();
  const seen: string[] = [];
  const connection = new SpdyConnection(wire, head, {
    onData: (stream, bytes) => {
      seen.push(`${stream}:${bytes}`);
      return wait();
    },
    onEnd: (stream) => seen.push(`${stream} ends`),
    onClose: () => seen.push('closed'),
  });
  return { wire, seen, connection };
}

test('streams are opened with headers in one zlib stream', () => {
  const { wire, connection } = open();
  assert.equal(connection.open({ streamtype: 'error' }), 1);
  assert.equal(connection.open({ streamtype: 'stdin', port: '80' }), 3);
  const [first, second] = framesOf(wire.written);
  assert.ok(first !== undefined && second !== undefined);
  assert.equal(first.head.toString('hex', 0, 5), '8003000100');
  assert.equal(first.body.readUInt32BE(0), 1);
  assert.equal(second.body.readUInt32BE(0), 3);
  // An empty block ends each: without it the peer would wait for more.
  assert.match(first.body.toString('hex'), /000000ffff$/);
  // The peer reads all blocks of a connection with one decompressor.
  const blocks = Buffer.concat([first.body.subarray(10), second.body.subarray(10)]);
  const plain = inflateSync(blocks, { finishFlush: constants.Z_SYNC_FLUSH });
  const pairs = (...texts: readonly string[]): Buffer =>
    Buffer.concat([
      Buffer.from([0, 0, 0, texts.length / 2]),
      ...texts.map((text) =>
        Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]),
      ),
    ]);
  const wanted = [pairs('streamtype', 'error'), pairs('streamtype', 'stdin', 'port', '80')];
  assert.deepEqual(plain, Buffer.concat(wanted));
});

test('data goes out in frames of bounded size, and an end is a frame of its own', () => {
  const { wire, connection } = open();
  connection.send(3, Buffer.alloc(limits.frameBytesMax + 5, 'x'));
  connection.end(3);
  const frames = framesOf(wire.written);
  assert.deepEqual(
    frames.map(({ body }) => body.length),
    [limits.frameBytesMax, 5, 0],
  );
  assert.deepEqual(
    frames.map(({ head }) => [head.readUInt32BE(0), head.readUInt8(4)]),
    [
      [3, 0],
      [3, 0],
      [3, 1],
    ],
  );
});

test('frames are found however the bytes are cut, the first behind the answer', async () => {
  const bytes = Buffer.concat([data(5, 'one'), data(7, ''), data(5, 'two', { isLast: true })]);
  for (const size of [1, 3, 9, 100]) {
    const { wire, seen } = open({ head: bytes.subarray(0, 4) });
    for (let at = 4; at < bytes.length; at += size) wire.push(bytes.subarray(at, at + size));
    wire.push(null);
    wire.destroy();
    for (let turns = 0; turns < 10; turns++) await turn();
    assert.deepEqual(seen, ['5:one', '5:two', '5 ends', 'closed']);
  }
});

test('a ping is answered as it came, and a reset ends its stream', async () => {
  const { wire, seen } = open();
  const ping = Buffer.from('8003000600000004deadbeef', 'hex');
  wire.push(ping);
  wire.push(Buffer.from('80030003000000080000000500000001', 'hex'));
  await turn();
  assert.deepEqual(wire.written, ping);
  assert.deepEqual(seen, ['5 ends']);
});

test('what had come when the peer closed is handed out before the end is told', async () => {
  const taken = Promise.withResolvers<void>();
  const { wire, seen } = open({ wait: () => taken.promise });
  wire.push(Buffer.concat([data(1, 'a'), data(1, 'b')]));
  await turn();
  wire.destroy();
  await turn();
  assert.deepEqual(seen, ['1:a']);
  taken.resolve();
  await turn();
  assert.deepEqual(seen, ['1:a', '1:b', 'closed']);
});
