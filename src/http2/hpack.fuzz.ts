/**
 * Laws of HPACK, on blocks made at random from a seed: what is sent is read, whoever sends it; what
 * is wrong is refused, and nothing else happens; the table keeps to its limit. Canaries show that a
 * law which is broken is noticed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import { encodeHuffman } from '#test/huffman-code.ts';
import { CompressionError, HeaderDecoder } from './header-decoder.ts';
import { HeaderEncoder } from './header-encoder.ts';
import { decodeHuffman } from './huffman.ts';
import { firstDynamicIndex, staticNames, staticValues } from './static-table.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 2_000);

type Field = readonly [name: string, value: string];

function pick<T>(random: Random, from: readonly T[]): T {
  const picked = from[random.integer(from.length)];
  assert.ok(picked !== undefined);
  return picked;
}

function textAt(random: Random, lengthMax: number): string {
  return Buffer.from(random.bytes(random.integer(lengthMax + 1))).toString('latin1');
}

/** Few enough to come again, and some that are new, long or odd. */
function fieldAt(random: Random): Field {
  const names = [...staticNames.slice(1), 'audit-id', 'x-a', 'x-b', textAt(random, 12)];
  const values = ['', '200', 'GET', 'a', 'b', String(random.integer(40)), textAt(random, 200)];
  if (random.integer(50) === 0) values.push('v'.repeat(random.integer(5000)));
  return [pick(random, names), pick(random, values)];
}

function fieldsAt(random: Random): readonly Field[] {
  return Array.from({ length: random.integer(12) }, () => fieldAt(random));
}

function read(decoder: HeaderDecoder, block: Buffer): readonly Field[] {
  const fields: Field[] = [];
  decoder.decode(block, (name, value) => {
    fields.push([name, value]);
  });
  return fields;
}

/** As read, or what is refused. */
function tryRead(decoder: HeaderDecoder, block: Buffer): readonly Field[] | undefined {
  try {
    return read(decoder, block);
  } catch (error) {
    if (error instanceof CompressionError) return undefined;
    throw error;
  }
}

function integer(first: number, mask: number, value: number): Buffer {
  if (value < mask) return Buffer.from([first | value]);
  const bytes = [first | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

function text(random: Random, value: string): Buffer {
  const isCoded = random.integer(2) === 0;
  const bytes = isCoded ? encodeHuffman(value) : Buffer.from(value, 'latin1');
  return Buffer.concat([integer(isCoded ? 0x80 : 0, 0x7f, bytes.length), bytes]);
}

/** A sender by the book and simple: the table is a list, and how to say a field is chance. */
class Sender {
  readonly #random: Random;
  readonly #tableBytesAllowed: number;
  #tableBytesMax = 4096;
  #table: readonly Field[] = [];

  constructor(random: Random, tableBytesAllowed: number) {
    this.#random = random;
    this.#tableBytesAllowed = tableBytesAllowed;
  }

  get table(): readonly Field[] {
    return this.#table;
  }

  get tableBytesMax(): number {
    return this.#tableBytesMax;
  }

  send(fields: readonly Field[]): Buffer {
    const parts: Buffer[] = [];
    while (this.#random.integer(20) === 0) {
      this.#tableBytesMax = this.#random.integer(this.#tableBytesAllowed + 1);
      this.#evict();
      parts.push(integer(0x20, 0x1f, this.#tableBytesMax));
    }
    return Buffer.concat([...parts, ...fields.map((field) => this.#entry(field))]);
  }

  #entry([name, value]: Field): Buffer {
    const known = staticNames.map((of, i): Field => [of, staticValues[i] ?? '']);
    const all = [...known, ...this.#table];
    assert.equal(known.length, firstDynamicIndex);
    const numbers = [...all.keys()].slice(1);
    const same = numbers.filter((i) => all[i]?.[0] === name && all[i]?.[1] === value);
    if (same.length > 0 && this.#random.integer(8) > 0) {
      return integer(0x80, 0x7f, pick(this.#random, same));
    }
    const named = numbers.filter((i) => all[i]?.[0] === name);
    const number = named.length > 0 && this.#random.integer(4) > 0 ? pick(this.#random, named) : 0;
    const [first, mask] = pick(this.#random, [
      [0x00, 0x0f],
      [0x10, 0x0f],
      [0x40, 0x3f],
      [0x40, 0x3f],
    ] as const);
    if (first === 0x40) {
      this.#table = [[name, value], ...this.#table];
      this.#evict();
    }
    const written = number === 0 ? text(this.#random, name) : Buffer.alloc(0);
    return Buffer.concat([integer(first, mask, number), written, text(this.#random, value)]);
  }

  #evict(): void {
    while (bytesIn(this.#table) > this.#tableBytesMax) this.#table = this.#table.slice(0, -1);
  }
}

/** As section 4.1 counts. */
function bytesIn(table: readonly Field[]): number {
  return table.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}

/** The dynamic table, asked by number, which changes nothing. */
function tableOf(decoder: HeaderDecoder): readonly Field[] {
  const table: Field[] = [];
  for (let index = firstDynamicIndex; ; index++) {
    const found = tryRead(decoder, integer(0x80, 0x7f, index));
    if (found === undefined) return table;
    table.push(...found);
  }
}

type Way = (block: Buffer, decoder: HeaderDecoder) => readonly Field[];

function checkSender(random: Random, count: number, way: Way): void {
  for (let round = 0; round < count; round += 20) {
    const tableBytesMax = pick(random, [0, 100, 4096, 10_000]);
    const decoder = new HeaderDecoder({ tableBytesMax });
    const sender = new Sender(random, tableBytesMax);
    for (let i = 0; i < 20; i++) {
      const fields = fieldsAt(random);
      assert.deepEqual(way(sender.send(fields), decoder), fields);
      if (i % 5 !== 0) continue;
      const table = tableOf(decoder);
      assert.deepEqual(table, sender.table);
      assert.ok(bytesIn(table) <= sender.tableBytesMax);
    }
  }
}

test(`whatever way fields are sent, they are read (seed ${seed})`, () => {
  checkSender(seededRandom(seed), rounds, (block, decoder) => read(decoder, block));
});

test('canary: a reader whose table is out of step is found', () => {
  const forgetful: Way = (block, decoder) => {
    const fields = read(decoder, block);
    // A table of no bytes, and one as before.
    decoder.decode(Buffer.from([0x20]), () => {});
    return fields;
  };
  assert.throws(() => checkSender(seededRandom(1), 100, forgetful));
});

function checkEncoder(random: Random, count: number, way: Way): void {
  for (let round = 0; round < count; round += 20) {
    const decoder = new HeaderDecoder({ tableBytesMax: 4096 });
    const encoder = new HeaderEncoder();
    for (let i = 0; i < 20; i++) {
      while (random.integer(10) === 0) encoder.setTableBytesMax(random.integer(6000));
      const fields = fieldsAt(random);
      assert.deepEqual(way(encoder.encode(fields.flat()), decoder), fields);
    }
  }
}

test(`what our encoder sends is read (seed ${seed})`, () => {
  checkEncoder(seededRandom(seed), rounds, (block, decoder) => read(decoder, block));
});

test('canary: a block that the reader missed is found', () => {
  const random = seededRandom(2);
  const missing: Way = (block, decoder) => {
    if (random.integer(20) > 0) return read(decoder, block);
    return read(new HeaderDecoder({ tableBytesMax: 4096 }), block);
  };
  assert.throws(() => checkEncoder(seededRandom(1), 1000, missing));
});

/** Random bytes, or a good block that was hurt. */
function damaged(random: Random, sender: Sender): Buffer {
  if (random.integer(3) === 0) return Buffer.from(random.bytes(random.integer(60)));
  const good = sender.send(fieldsAt(random));
  const block = Buffer.concat([good, Buffer.from(random.bytes(random.integer(4)))]);
  for (let i = random.integer(4); i > 0 && block.length > 0; i--) {
    block[random.integer(block.length)] = random.integer(256);
  }
  return block.subarray(0, random.integer(block.length + 1));
}

type TryRead = (decoder: HeaderDecoder, block: Buffer) => readonly Field[] | undefined;

/** The decoder goes on after a refusal, as no connection does: its table is sound all the same. */
function checkDamaged(random: Random, count: number, way: TryRead): void {
  let decoder = new HeaderDecoder({ tableBytesMax: 4096 });
  const sender = new Sender(random, 4096);
  for (let round = 0; round < count; round++) {
    if (round % 50 === 0) decoder = new HeaderDecoder({ tableBytesMax: 4096 });
    const block = damaged(random, sender);
    const fields = way(decoder, block) ?? [];
    assert.ok(fields.length <= block.length);
    if (round % 10 === 0) assert.ok(bytesIn(tableOf(decoder)) <= 4096);
  }
}

test(`damaged blocks are refused or read, without harm (seed ${seed})`, () => {
  checkDamaged(seededRandom(seed), rounds, tryRead);
});

test('canary: damaged blocks are refused', () => {
  assert.throws(() => checkDamaged(seededRandom(1), 100, read), CompressionError);
});

type Decode = (bytes: Buffer) => string | undefined;

/** A code is read in one way only: what is accepted is what the text is written as. */
function checkCode(random: Random, count: number, decode: Decode): void {
  for (let round = 0; round < count; round++) {
    const value = textAt(random, 30);
    const coded = encodeHuffman(value);
    assert.equal(decode(coded), value);
    const bytes =
      random.integer(2) === 0
        ? Buffer.from(random.bytes(random.integer(8)))
        : Buffer.concat([encodeHuffman(value.slice(0, 3)), Buffer.from([random.integer(256)])]);
    const found = decode(bytes);
    if (found !== undefined) assert.deepEqual(encodeHuffman(found), bytes);
  }
}

test(`a code is read in one way only (seed ${seed})`, () => {
  checkCode(seededRandom(seed), rounds, (bytes) => decodeHuffman(bytes, 0, bytes.length));
});

test('canary: padding that is taken for nothing is found', () => {
  assert.throws(() =>
    checkCode(seededRandom(1), 1000, (bytes) => {
      const whole = decodeHuffman(bytes, 0, bytes.length);
      return whole ?? decodeHuffman(bytes, 0, bytes.length - 1);
    }),
  );
});
