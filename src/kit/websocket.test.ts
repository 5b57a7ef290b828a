/** Frames of WebSocket: reading what clients send, and writing what they read. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { acceptWebSocket, readFrame } from './websocket.ts';

/** A client's frame: masked. */
function frame(opcode: number, payload: Buffer, { isLast = true } = {}): Buffer {
  const mask = Buffer.from([1, 2, 3, 4]);
  const masked = payload.map((byte, index) => byte ^ (mask[index & 3] ?? 0));
  const first = (isLast ? 0x80 : 0) | opcode;
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([first, 0x80 | length])
      : Buffer.from([first, 0x80 | 126, length >> 8, length & 255]);
  return Buffer.concat([head, mask, masked]);
}

class Wire extends Duplex {
  readonly written: Buffer[] = [];
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(chunk);
    done();
  }
  get text(): Buffer {
    return Buffer.concat(this.written);
  }
}

function open(head = Buffer.alloc(0)) {
  const wire = new Wire();
  // The key and its answer are those of the RFC's own example.
  const options = { key: 'dGhlIHNhbXBsZSBub25jZQ==', protocol: 'p', head };
  const peer = acceptWebSocket(wire, options);
  const seen: string[] = [];
  peer.listen({
    onMessage: (message) => seen.push(message.toString()),
    onClose: () => seen.push('closed'),
  });
  return { wire, peer, seen };
}

test('the handshake is answered with the hash of the key', () => {
  const { wire } = open();
  assert.match(wire.text.toString(), /^HTTP\/1\.1 101 /);
  assert.match(wire.text.toString(), /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
  assert.match(wire.text.toString(), /Sec-WebSocket-Protocol: p\r\n/);
});

test('messages come whole, however they were cut', () => {
  const long = 'x'.repeat(300);
  const sent = Buffer.concat([
    frame(1, Buffer.from('one')),
    frame(2, Buffer.from('tw'), { isLast: false }),
    frame(9, Buffer.from('ping')),
    frame(0, Buffer.from('o')),
    frame(2, Buffer.from(long)),
    frame(8, Buffer.from([3, 232])),
  ]);
  const { wire, seen } = open(sent.subarray(0, 5));
  for (let at = 5; at < sent.length; at += 7) wire.emit('data', sent.subarray(at, at + 7));
  assert.deepEqual(seen, ['one', 'two', long, 'closed']);
  const answer = wire.text.subarray(wire.text.indexOf('\r\n\r\n') + 4);
  assert.deepEqual(answer, Buffer.from([0x8a, 4, ...Buffer.from('ping'), 0x88, 2, 3, 232]));
});

test('a frame without a mask, or one too large, ends the connection', () => {
  assert.equal(readFrame(Buffer.from([0x82, 1, 65])), 'broken');
  assert.equal(readFrame(Buffer.from([0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0])), 'broken');
  assert.equal(readFrame(Buffer.from([0x82])), 'incomplete');
  const { wire, seen } = open();
  wire.emit('data', Buffer.from([0x82, 1, 65]));
  assert.deepEqual(seen, ['closed']);
});

test('lengths of all three forms are written', async () => {
  const { wire, peer } = open();
  const before = wire.text.length;
  for (const length of [125, 126, 70_000]) await peer.send(Buffer.alloc(length));
  assert.equal(wire.text.length - before, 2 + 125 + 4 + 126 + 10 + 70_000);
});
