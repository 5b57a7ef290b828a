/** What the sender writes, byte by byte, and that the receiver's table stays in step with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeaderDecoder } from './header-decoder.ts';
import { HeaderEncoder } from './header-encoder.ts';

/** An encoder and the decoder that hears of all that it sends. */
class Pair {
  readonly encoder = new HeaderEncoder();
  readonly #decoder = new HeaderDecoder({ tableBytesMax: 4096 });

  /** The bytes, read back. */
  send(...fields: string[]): string {
    const block = this.encoder.encode(fields);
    const read: string[] = [];
    this.#decoder.decode(block, (name, value) => {
      read.push(name, value);
    });
    assert.deepEqual(read, fields);
    return block.toString('hex');
  }
}

function hex(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('hex');
}

test('a field of the static table is its number', () => {
  const pair = new Pair();
  assert.equal(pair.send(':status', '200', ':status', '404'), '888d');
  assert.equal(pair.send(':method', 'GET', 'accept-encoding', 'gzip, deflate'), '8290');
});

test('a field is written out once and is one byte from then on', () => {
  const pair = new Pair();
  assert.equal(pair.send('content-type', 'a/b'), `5f03${hex('a/b')}`);
  assert.equal(pair.send('x-new', 'y'), `4005${hex('x-new')}01${hex('y')}`);
  assert.equal(pair.send('content-type', 'a/b', 'x-new', 'y'), 'bfbe');
  // The name is known by the entry, of whatever value.
  assert.equal(pair.send('x-new', 'z'), `7e01${hex('z')}`);
  assert.equal(pair.send('x-new', 'y', 'x-new', 'z', 'content-type', 'a/b'), 'bfbec0');
  assert.equal(pair.send(':status', '201'), `4803${hex('201')}`);
  assert.equal(pair.send(':status', '201'), 'be');
});

test('a value that is another one each time is not added to the table', () => {
  const pair = new Pair();
  assert.equal(pair.send('content-length', '12'), `0f0d02${hex('12')}`);
  assert.equal(pair.send('content-length', '12'), `0f0d02${hex('12')}`);
  assert.equal(pair.send('date', 'now'), `0f1203${hex('now')}`);
  // A name without a number gets one, by one entry.
  assert.equal(pair.send('audit-id', 'a1'), `4008${hex('audit-id')}02${hex('a1')}`);
  assert.equal(pair.send('audit-id', 'a2'), `0f2f02${hex('a2')}`);
  assert.equal(pair.send('audit-id', 'a1'), `0f2f02${hex('a1')}`);
  assert.equal(pair.send('x', 'y'), `4001${hex('x')}01${hex('y')}`);
  assert.equal(pair.send('audit-id', 'a3'), `0f3002${hex('a3')}`);
});

test('a secret is in no table', () => {
  const pair = new Pair();
  for (const _ of [1, 2]) {
    assert.equal(pair.send('set-cookie', 'a=b'), `1f2803${hex('a=b')}`);
    assert.equal(pair.send('authorization', 'x'), `1f0801${hex('x')}`);
  }
});

test('numbers and lengths of several bytes', () => {
  const pair = new Pair();
  for (const length of [0, 1, 126, 127, 128, 254, 255, 256, 16_510, 16_511, 16_512, 3_000_000]) {
    pair.send('content-length', 'x'.repeat(length), 'warning', 'y'.repeat(length));
  }
  // More entries than numbers of one byte.
  for (const _ of [1, 2]) {
    for (let i = 0; i < 100; i++) pair.send('x', String(i));
  }
  // The newest is 62: so 35 is 126, 34 is 127 and 0 is 161.
  assert.equal(pair.send('x', '35', 'x', '34', 'x', '33', 'x', '0'), 'feff00ff01ff22');
});

test('texts are latin1, a byte each', () => {
  const pair = new Pair();
  assert.equal(pair.send('a', 'é\0ÿ'), '40016103e900ff');
  const cut = new HeaderEncoder().encode(['a', 'ĀЖ']).toString('hex');
  assert.equal(cut, '400161020016');
});

test('no fields make no bytes', () => {
  assert.equal(new HeaderEncoder().encode([]).length, 0);
});

test('the table goes round and stays in step with the peer', () => {
  const pair = new Pair();
  for (let round = 0; round < 500; round++) {
    const values = [round, round >> 1, round % 7, round % 100].map(String);
    const fields = values.flatMap((value, i) => [
      `x-${(round + i) % 3}`,
      value.repeat(1 + (round % 9)),
    ]);
    pair.send(':status', '201', ...fields, 'audit-id', String(round), 'content-type', 'a/b');
  }
});

test('what is in use stays findable while older entries go', () => {
  const pair = new Pair();
  const large = 'v'.repeat(1000);
  for (const value of ['1', '2', '3']) pair.send('x', value + large);
  // The fourth of 1034 bytes makes the first one go.
  pair.send('x', `4${large}`);
  assert.equal(pair.send('x', `2${large}`, 'x', `3${large}`, 'x', `4${large}`), 'c0bfbe');
  assert.ok(pair.send('x', `1${large}`).startsWith('7e'));
});

test('a field that would fill most of the table is not added', () => {
  const pair = new Pair();
  pair.send('x', 'y');
  const value = 'v'.repeat(2048 - 32 - 1);
  assert.ok(pair.send('x', `${value}v`).startsWith('0f2f'));
  assert.ok(pair.send('x', value).startsWith('7e'));
  assert.equal(pair.send('x', 'y', 'x', value), 'bfbe');
});

test('a smaller table is told with the next block, and the oldest entries go', () => {
  const pair = new Pair();
  pair.send('a', 'b', 'c', 'd', 'e', 'f');
  pair.encoder.setTableBytesMax(70);
  // Two entries of 34 bytes have room.
  assert.equal(pair.send('e', 'f', 'c', 'd'), '3f27bebf');
  assert.equal(pair.send('e', 'f'), 'be');
  assert.equal(pair.send('a', 'b'), '4001610162');
});

test('without a table nothing is added', () => {
  const pair = new Pair();
  pair.send('a', 'b');
  pair.encoder.setTableBytesMax(0);
  assert.equal(pair.send('a', 'b', ':status', '200'), '20000161016288');
  assert.equal(pair.send('a', 'b', ':status', '201'), `00016101620803${hex('201')}`);
});

test('a table that was smaller in between is told to have been', () => {
  const pair = new Pair();
  pair.send('a', 'b');
  pair.encoder.setTableBytesMax(100);
  pair.encoder.setTableBytesMax(0);
  pair.encoder.setTableBytesMax(200);
  pair.encoder.setTableBytesMax(4096);
  assert.equal(pair.send('a', 'b'), '203fe11f4001610162');
  assert.equal(pair.send('a', 'b'), 'be');
});

test('more than 4096 bytes are not used, and what is as before is not told', () => {
  const pair = new Pair();
  pair.encoder.setTableBytesMax(65_536);
  pair.encoder.setTableBytesMax(4096);
  assert.equal(pair.send(':status', '200'), '88');
  pair.encoder.setTableBytesMax(4000);
  pair.encoder.setTableBytesMax(65_536);
  assert.equal(pair.send(':status', '200'), '3f811f3fe11f88');
});

test('fields of any length have room', () => {
  for (const length of [10, 5000, 200_000, 200_001, 0]) {
    const pair = new Pair();
    pair.send('x', 'v'.repeat(length), 'y', 'v'.repeat(length));
    // The news of the table need room, too.
    pair.encoder.setTableBytesMax(1000);
    assert.equal(pair.send(), '3fc907');
  }
});
