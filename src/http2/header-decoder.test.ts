/** The examples of RFC 7541, appendix C, and each way in which a block can be wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompressionError, HeaderDecoder } from './header-decoder.ts';

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
}

/** Each field as `name: value`. */
function read(decoder: HeaderDecoder, block: Buffer | string): readonly string[] {
  const fields: string[] = [];
  decoder.decode(typeof block === 'string' ? bytesOf(block) : block, (name, value) => {
    fields.push(`${name}: ${value}`);
  });
  return fields;
}

/** What the dynamic table holds, the newest first: asked by number, which changes nothing. */
function tableOf(decoder: HeaderDecoder): readonly string[] {
  const entries: string[] = [];
  for (let index = 62; ; index++) {
    const numbered = index < 127 ? [0x80 | index] : [0xff, index - 127];
    try {
      entries.push(...read(decoder, Buffer.from(numbered)));
    } catch (error) {
      assert.ok(error instanceof CompressionError);
      return entries;
    }
  }
}

/** As section 4.1 counts. */
function bytesIn(entries: readonly string[]): number {
  return entries.reduce((sum, entry) => sum + entry.length - ': '.length + 32, 0);
}

function decoderOf(tableBytesMax = 4096): HeaderDecoder {
  return new HeaderDecoder({ tableBytesMax });
}

interface Step {
  readonly hex: string;
  readonly fields: readonly string[];
  readonly table: readonly string[];
  readonly bytes: number;
}

function follow(steps: readonly Step[], before = ''): void {
  const decoder = decoderOf();
  assert.deepEqual(read(decoder, before), []);
  for (const { hex, fields, table, bytes } of steps) {
    assert.deepEqual(read(decoder, hex), fields);
    assert.deepEqual(tableOf(decoder), table);
    assert.equal(bytesIn(table), bytes);
  }
}

test('C.2.1: a literal that is added', () => {
  const field = 'custom-key: custom-header';
  const hex = '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572';
  follow([{ hex, fields: [field], table: [field], bytes: 55 }]);
});

test('C.2.2: a literal that is not added', () => {
  const hex = '040c 2f73 616d 706c 652f 7061 7468';
  follow([{ hex, fields: [':path: /sample/path'], table: [], bytes: 0 }]);
});

test('C.2.3: a literal that is never added', () => {
  const hex = '1008 7061 7373 776f 7264 0673 6563 7265 74';
  follow([{ hex, fields: ['password: secret'], table: [], bytes: 0 }]);
});

test('C.2.4: a field of the static table', () => {
  follow([{ hex: '82', fields: [':method: GET'], table: [], bytes: 0 }]);
});

const authority = ':authority: www.example.com';
const noCache = 'cache-control: no-cache';
const custom = 'custom-key: custom-value';

function requests(first: string, second: string, third: string): readonly Step[] {
  const get = ':method: GET';
  return [
    {
      hex: first,
      fields: [get, ':scheme: http', ':path: /', authority],
      table: [authority],
      bytes: 57,
    },
    {
      hex: second,
      fields: [get, ':scheme: http', ':path: /', authority, noCache],
      table: [noCache, authority],
      bytes: 110,
    },
    {
      hex: third,
      fields: [get, ':scheme: https', ':path: /index.html', authority, custom],
      table: [custom, noCache, authority],
      bytes: 164,
    },
  ];
}

test('C.3: requests on one connection', () => {
  follow(
    requests(
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ),
  );
});

test('C.4: requests on one connection, coded', () => {
  follow(
    requests(
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ),
  );
});

const found = ':status: 302';
const redirect = ':status: 307';
const isPrivate = 'cache-control: private';
const date = 'date: Mon, 21 Oct 2013 20:13:21 GMT';
const later = 'date: Mon, 21 Oct 2013 20:13:22 GMT';
const location = 'location: https://www.example.com';
const gzip = 'content-encoding: gzip';
const cookie = 'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';

/** The table has 256 bytes, of which the examples assume that it was agreed on before. */
const tableOf256 = '3fe1 01';

function answers(first: string, second: string, third: string): readonly Step[] {
  return [
    {
      hex: first,
      fields: [found, isPrivate, date, location],
      table: [location, date, isPrivate, found],
      bytes: 222,
    },
    {
      hex: second,
      fields: [redirect, isPrivate, date, location],
      table: [redirect, location, date, isPrivate],
      bytes: 222,
    },
    {
      hex: third,
      fields: [':status: 200', isPrivate, later, location, gzip, cookie],
      table: [cookie, gzip, later],
      bytes: 215,
    },
  ];
}

test('C.5: answers on one connection, whose table gets full', () => {
  follow(
    answers(
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
       3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
       677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
       553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
    ),
    tableOf256,
  );
});

test('C.6: answers on one connection, coded, whose table gets full', () => {
  follow(
    answers(
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
       919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
      '4883 640e ffc1 c0bf',
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
       821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
       4ee5 b106 3d50 07`,
    ),
    tableOf256,
  );
});

function refuses(block: Buffer | string, message: RegExp, before = ''): void {
  const decoder = decoderOf();
  read(decoder, before);
  assert.throws(() => read(decoder, block), { name: 'CompressionError', message });
}

/** Adds an entry of 34 bytes, named and valued by one letter each. */
const addsOne = '4001 6101 62';

test('index 0 and those beyond the table are refused', () => {
  refuses('80', /index 0/);
  refuses('be', /beyond the table/);
  refuses('bf', /beyond the table/, addsOne);
  refuses('fe', /beyond the table/, addsOne);
  refuses('ff80 8080 8007', /beyond the table/, addsOne);
  refuses('7e01 61', /beyond the table/);
  refuses('0f2f 0161', /beyond the table/);
  refuses('1f30 0161', /beyond the table/, addsOne);
  assert.deepEqual(read(decoderOf(), '4001 6101 62be'), ['a: b', 'a: b']);
});

test('a block that ends within a field is refused, wherever it ends', () => {
  const decoder = decoderOf();
  const whole = '400a 6375 7374 6f6d 2d6b 6579 7f80 01'.concat('61'.repeat(255));
  assert.deepEqual(read(decoder, whole), [`custom-key: ${'a'.repeat(255)}`]);
  const { length } = bytesOf(whole);
  for (let end = 1; end < length; end++) {
    assert.throws(() => read(decoderOf(), bytesOf(whole).subarray(0, end)), CompressionError);
  }
  refuses('ff', /ends within/);
  refuses('ff80', /ends within/);
  refuses('3f', /ends within/);
  refuses('0484 f1e3 c2', /beyond the end/);
});

test('integers have a limit, in value and in bytes', () => {
  // 5 bits: 31 + 127 × (1 + 2⁷ + 2¹⁴ + 2²¹) + 8 × 2²⁸ is more than 2³¹.
  refuses('3fff ffff ff08', /too large/);
  // A number of 2³¹ is one, though no table is as large.
  refuses('3fe1 ffff ff07', /2147483648 bytes, 4096 allowed/);
  refuses('3fe2 ffff ff07', /too large/);
  refuses('3f80 8080 8080 00', /too large/);
  refuses('7f80 8080 8080 8080 8080 8001', /too large/);
  assert.deepEqual(read(decoderOf(), '3f80 8080 8000'), []);
});

test('the examples of C.1 are the integers that they say', () => {
  // As limits of the table: of 1337 bytes and of 10.
  const allowed = decoderOf(1337);
  assert.deepEqual(read(allowed, '3f9a 0a2a'), []);
  const refusing = decoderOf(1336);
  assert.throws(() => read(refusing, '3f9a 0a'), /1337 bytes, 1336 allowed/);
});

test('a text that is not in the code is refused', () => {
  // o, then eight ones; 0, then 110; the end symbol.
  refuses('0482 3fff', /no valid code/);
  refuses('0481 06', /no valid code/);
  refuses('0484 ffff ffff', /no valid code/);
  assert.deepEqual(read(decoderOf(), '0480'), [':path: ']);
});

test('the table is resized at the beginning of a block only', () => {
  refuses('8220', /size update after a field/);
  refuses(`${addsOne} 20`, /size update after a field/);
  const decoder = decoderOf();
  read(decoder, addsOne);
  // None, and as large as allowed: what was in it is gone.
  assert.deepEqual(read(decoder, '203f e11f 82'), [':method: GET']);
  assert.deepEqual(tableOf(decoder), []);
  read(decoder, addsOne);
  assert.deepEqual(tableOf(decoder), ['a: b']);
});

test('the table is not made larger than it may be', () => {
  refuses('3fe2 1f', /4097 bytes, 4096 allowed/);
  const large = decoderOf(8192);
  assert.deepEqual(read(large, '3fe1 3f'), []);
  assert.throws(() => read(large, '3fe2 3f'), /8193 bytes, 8192 allowed/);
});

test('a table that is smaller than usual is, once the peer says so', () => {
  const decoder = decoderOf(40);
  read(decoder, addsOne + addsOne);
  assert.deepEqual(tableOf(decoder), ['a: b', 'a: b']);
  // Of 34 bytes each, one has room in 40.
  assert.deepEqual(read(decoder, '3f09'), []);
  assert.deepEqual(tableOf(decoder), ['a: b']);
  assert.throws(() => read(decoder, '3f0a'), /41 bytes, 40 allowed/);
});

test('the table keeps to its limit, and goes round', () => {
  const decoder = decoderOf();
  const added: string[] = [];
  for (let round = 0; round < 1000; round++) {
    const value = String(round);
    const block = [0x40, 1, 0x61, value.length, ...Buffer.from(value)];
    added.unshift(...read(decoder, Buffer.from(block)));
    const kept = tableOf(decoder);
    assert.ok(bytesIn(kept) <= 4096);
    assert.deepEqual(kept, added.slice(0, kept.length));
    assert.ok(kept.length === added.length || bytesIn(added.slice(0, kept.length + 1)) > 4096);
  }
});

test('an entry that is larger than the table empties it, and is a field all the same', () => {
  const decoder = decoderOf();
  read(decoder, addsOne);
  const value = 'v'.repeat(4064);
  // 4064 bytes: 127 + 97 + 30 × 128. With a name of one byte there is one too many.
  const large = Buffer.concat([bytesOf('4001 617f e11e'), Buffer.from(value)]);
  assert.deepEqual(read(decoder, large), [`a: ${value}`]);
  assert.deepEqual(tableOf(decoder), []);
  const full = Buffer.concat([bytesOf('4001 617f e01e'), Buffer.from(value.slice(1))]);
  assert.deepEqual(read(decoder, full), [`a: ${value.slice(1)}`]);
  assert.equal(bytesIn(tableOf(decoder)), 4096);
});

test('a name is taken from an entry that has to go for the new one', () => {
  const decoder = decoderOf();
  // 40 bytes have room for one entry.
  read(decoder, `3f09 ${addsOne}`);
  assert.deepEqual(read(decoder, '7e02 6363'), ['a: cc']);
  assert.deepEqual(tableOf(decoder), ['a: cc']);
});

test('texts are latin1, a byte each', () => {
  assert.deepEqual(read(decoderOf(), '0003 78e9 0002 ff00'), ['xé\0: ÿ\0']);
});
