/** The codec against bytes worked out by hand from the public description of the wire format. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtobufCodec } from './protobuf.ts';

const codec = new ProtobufCodec({
  Inner: { id: [1, 'int32'] },
  'enum State': { READY: 0, GONE: 1 },
  Outer: {
    name: [1, 'string'],
    count: [2, 'int64'],
    inner: [3, 'Inner'],
    list: [4, 'repeated Inner'],
    numbers: [5, 'repeated int32'],
    labels: [6, 'map<string,string>'],
    state: [7, 'State'],
    raw: [8, 'bytes'],
    on: [9, 'bool'],
    ratio: [16, 'double'],
    delta: [17, 'sint32'],
    words: [18, 'repeated string'],
  },
});

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('scalars, nested messages and maps have the documented bytes', () => {
  assert.equal(hex(codec.encode('Outer', { count: 150 })), '109601');
  assert.equal(hex(codec.encode('Outer', { name: 'testing' })), '0a0774657374696e67');
  assert.equal(hex(codec.encode('Outer', { inner: { id: 150 } })), '1a03089601');
  assert.equal(hex(codec.encode('Outer', { labels: { a: 'b' } })), '32060a01611201' + '62');
  assert.equal(hex(codec.encode('Outer', { count: -1 })), '10ffffffffffffffffff01');
  assert.equal(hex(codec.encode('Outer', { delta: -2 })), '880103');
  assert.equal(hex(codec.encode('Outer', { state: 'GONE', on: true })), '38014801');
});

test('zero values are not written, but empty list items and present messages are', () => {
  assert.equal(hex(codec.encode('Outer', { name: '', count: 0, on: false, state: 'READY' })), '');
  assert.equal(hex(codec.encode('Outer', { inner: {}, words: [''] })), '1a00920100');
});

test('what was written is read back, with defaults for the rest', () => {
  const message = {
    name: 'ü',
    count: 2 ** 52 + 1,
    inner: { id: -5 },
    list: [{ id: 1 }, { id: 0 }],
    numbers: [1, 2, 300],
    labels: { x: 'y', __proto__x: '' },
    state: 'GONE' as const,
    raw: Uint8Array.of(0, 255),
    on: true,
    ratio: 0.5,
    delta: -7,
    words: ['a', ''],
  };
  assert.deepEqual(codec.decode('Outer', codec.encode('Outer', message)), message);
  const empty = codec.decode('Outer', new Uint8Array(0));
  assert.deepEqual([empty.name, empty.state, empty.list, empty.labels], ['', 'READY', [], {}]);
  assert.equal(empty.inner, undefined);
});

test('packed lists, unknown fields and unknown enum values are understood', () => {
  const packed = Buffer.from('2a0401028e02', 'hex');
  assert.deepEqual(codec.decode('Outer', packed).numbers, [1, 2, 270]);
  const unknown = Buffer.from('a2060161' + '9806' + '05' + '9d0601020304' + '1007', 'hex');
  assert.equal(codec.decode('Outer', unknown).count, 7);
  assert.equal(String(codec.decode('Outer', Buffer.from('3809', 'hex')).state), '9');
});

test('numbers beyond 2^53 are rounded, not refused', () => {
  const nanoseconds = 1_791_234_567_123 * 1e6 + 456;
  const back = codec.decode('Outer', codec.encode('Outer', { count: nanoseconds })).count;
  assert.ok(Math.abs(back - nanoseconds) <= 256);
});

test('bytes that end too early are an error, not a hang', () => {
  for (const bad of ['10', '0a05', '1a0510', '10ffffffffffffffffffffff']) {
    assert.throws(() => codec.decode('Outer', Buffer.from(bad, 'hex')), RangeError);
  }
});
