/** Bytes of D-Bus: as the specification has them, there and back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DBusMessage, decodeMessage, encodeMessage, splitSignature } from './dbus-message.ts';

function thereAndBack(message: DBusMessage) {
  const bytes = encodeMessage(message);
  const decoded = decodeMessage(bytes);
  assert.equal(decoded?.length, bytes.length);
  return decoded?.message;
}

test('a hello is what the specification says, byte by byte', () => {
  const bytes = encodeMessage({
    ...{ type: 'call', serial: 1, body: [] },
    path: '/org/freedesktop/DBus',
    member: 'Hello',
    destination: 'org.freedesktop.DBus',
  });
  // As libdbus sends it, but for the interface, which may be left out.
  const expected =
    '6c010001' +
    '00000000' +
    '01000000' +
    '4d000000' +
    '01016f00' +
    '15000000' +
    Buffer.from('/org/freedesktop/DBus\0').toString('hex') +
    '0000' +
    '03017300' +
    '05000000' +
    Buffer.from('Hello\0').toString('hex') +
    '0000' +
    '06017300' +
    '14000000' +
    Buffer.from('org.freedesktop.DBus\0').toString('hex') +
    '000000';
  assert.equal(bytes.toString('hex'), expected);
});

test('values of every kind come back as they went', () => {
  const properties = [
    ['Description', { signature: 's', value: 'a slice' }],
    ['Wants', { signature: 'as', value: ['-.slice', 'x.slice'] }],
    ['MemoryAccounting', { signature: 'b', value: true }],
    ['MemoryMax', { signature: 't', value: 2n ** 64n - 1n }],
    ['Small', { signature: 'y', value: 7 }],
  ];
  const back = thereAndBack({
    ...{ type: 'call', serial: 9, path: '/p', interface: 'i.f', member: 'M', destination: 'd.e' },
    signature: 'ssa(sv)a(sa(sv))uxi',
    body: ['unit', 'replace', properties, [], 4_000_000_000, -5n, -7],
  });
  assert.deepEqual(back?.body, [
    'unit',
    'replace',
    [
      ['Description', 'a slice'],
      ['Wants', ['-.slice', 'x.slice']],
      ['MemoryAccounting', true],
      ['MemoryMax', 2n ** 64n - 1n],
      ['Small', 7],
    ],
    [],
    4_000_000_000,
    -5n,
    -7,
  ]);
  assert.deepEqual([back?.path, back?.interface, back?.member], ['/p', 'i.f', 'M']);
});

test('what has only half come is waited for, and two at once are two', () => {
  const answer: DBusMessage = {
    ...{ type: 'return', serial: 3, replySerial: 9, signature: 'o', body: ['/job/1'] },
  };
  const failure: DBusMessage = {
    ...{ type: 'error', serial: 4, replySerial: 10, errorName: 'a.b.C', signature: 's' },
    body: ['no'],
  };
  const bytes = Buffer.concat([encodeMessage(answer), encodeMessage(failure)]);
  for (let length = 0; length < encodeMessage(answer).length; length++) {
    assert.equal(decodeMessage(bytes.subarray(0, length)), undefined);
  }
  const first = decodeMessage(bytes);
  assert.deepEqual([first?.message.replySerial, first?.message.body], [9, ['/job/1']]);
  const second = decodeMessage(bytes.subarray(first?.length));
  assert.deepEqual([second?.message.errorName, second?.message.body], ['a.b.C', ['no']]);
});

test('a signature is taken apart into whole types', () => {
  assert.deepEqual(splitSignature('ssa(sv)a(sa(sv))'), ['s', 's', 'a(sv)', 'a(sa(sv))']);
  assert.deepEqual(splitSignature('a{sv}aasu'), ['a{sv}', 'aas', 'u']);
  assert.throws(() => splitSignature('a(sv'), /without an end/);
});

test('what is no message is refused', () => {
  const bytes = encodeMessage({ type: 'call', serial: 1, path: '/', member: 'M', body: [] });
  const wrong = Buffer.from(bytes);
  wrong[0] = 'B'.charCodeAt(0);
  assert.throws(() => decodeMessage(wrong), /byte order/);
  const long = Buffer.from(bytes);
  long.writeUInt32LE(2 ** 31, 4);
  assert.throws(() => decodeMessage(long), /too long/);
  const of = { type: 'signal', serial: 1, path: '/', member: 'M' } as const;
  const list = encodeMessage({ ...of, signature: 'ay', body: [[1, 2]] });
  list.writeUInt32LE(9, list.length - 6);
  assert.throws(() => decodeMessage(list), /ends too early/);
  const empty = encodeMessage({ ...of, signature: 'a(t)', body: [[[1n]]] });
  // The same length of signature, with a structure in which nothing is.
  empty.write('a()s', empty.indexOf('a(t)'));
  assert.throws(() => decodeMessage(empty), /list of nothing: \(\)/);
});
