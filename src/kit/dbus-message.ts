/**
 * Messages of D-Bus as bytes: those that are sent are put together, those that come taken apart.
 *
 * A value is described by a signature (`s` text, `u` number, `as` list of texts, `(sv)` a pair),
 * as the specification of D-Bus has it; every kind of value starts at a multiple of its size. What
 * is not here: file descriptors, and big-endian senders, which nobody on Linux is. For `dbus.ts`.
 */
import { assert } from './assert.ts';

export type DBusValue = string | number | bigint | boolean | DBusVariant | readonly DBusValue[];

/** A value that carries its own signature. */
export interface DBusVariant {
  readonly signature: string;
  readonly value: DBusValue;
}

export interface DBusMessage {
  readonly type: 'call' | 'return' | 'error' | 'signal';
  readonly serial: number;
  readonly path?: string | undefined;
  readonly interface?: string | undefined;
  readonly member?: string | undefined;
  readonly errorName?: string | undefined;
  readonly replySerial?: number | undefined;
  readonly destination?: string | undefined;
  readonly sender?: string | undefined;
  readonly signature?: string | undefined;
  readonly body: readonly DBusValue[];
}

const types = ['call', 'return', 'error', 'signal'] as const;
const littleEndian = 'l'.charCodeAt(0);
const headerBytes = 16;
/** The bus itself takes no more. */
const messageBytesMax = 128 * 1024 * 1024;

/** Fields of a header by their number. */
const fields = {
  path: [1, 'o'],
  interface: [2, 's'],
  member: [3, 's'],
  errorName: [4, 's'],
  replySerial: [5, 'u'],
  destination: [6, 's'],
  sender: [7, 's'],
  signature: [8, 'g'],
} as const;

type Field = keyof typeof fields;

// The keys are those of the table.
const fieldNames = Object.keys(fields) as readonly Field[];

/** Where each kind of value starts; a structure at eight. */
const alignment: Readonly<Record<string, number>> = {
  ...{ y: 1, g: 1, v: 1, n: 2, q: 2, i: 4, u: 4, b: 4, s: 4, o: 4, a: 4, h: 4 },
  ...{ x: 8, t: 8, d: 8, '(': 8, '{': 8 },
};

export function encodeMessage(message: DBusMessage): Buffer {
  const body = new Writer();
  body.all(message.signature ?? '', message.body);
  const header = new Writer();
  header.byte(littleEndian);
  header.byte(types.indexOf(message.type) + 1);
  header.byte(0);
  header.byte(1);
  header.number('u', body.length);
  header.number('u', message.serial);
  const present = fieldNames.flatMap((name): DBusValue[][] => {
    const value = message[name];
    const [code, signature] = fields[name];
    return value === undefined ? [] : [[code, { signature, value }]];
  });
  header.value('a(yv)', present);
  header.align(8);
  return Buffer.concat([header.bytes(), body.bytes()]);
}

/** The first whole message; undefined as long as bytes are missing. */
export function decodeMessage(
  bytes: Buffer,
): { readonly message: DBusMessage; readonly length: number } | undefined {
  if (bytes.length < headerBytes) return undefined;
  if (bytes[0] !== littleEndian) throw new Error('a D-Bus message of another byte order');
  const fieldsEnd = headerBytes + bytes.readUInt32LE(12);
  const bodyStart = Math.ceil(fieldsEnd / 8) * 8;
  const length = bodyStart + bytes.readUInt32LE(4);
  if (length > messageBytesMax) throw new Error('a D-Bus message that is too long');
  if (bytes.length < length) return undefined;
  const found = readFields(new Reader(bytes.subarray(0, bodyStart), headerBytes - 4));
  // The body counts its alignment from its own start, which is a multiple of eight.
  const body = new Reader(bytes.subarray(bodyStart, length), 0);
  const type = types[(bytes[1] ?? 0) - 1];
  if (type === undefined) throw new Error('a D-Bus message of an unknown type');
  const message = {
    ...{ type, serial: bytes.readUInt32LE(8), ...found },
    body: body.all(found.signature ?? ''),
  };
  return { message, length };
}

function readFields(reader: Reader): Omit<DBusMessage, 'type' | 'serial' | 'body'> {
  const entries = reader.value('a(yv)');
  const values = new Map<DBusValue | undefined, DBusValue | undefined>();
  for (const entry of Array.isArray(entries) ? entries : []) {
    const [code, value] = Array.isArray(entry) ? entry : [];
    values.set(code, value);
  }
  const text = (name: Field): string | undefined => {
    const value = values.get(fields[name][0]);
    return typeof value === 'string' ? value : undefined;
  };
  const replySerial = values.get(fields.replySerial[0]);
  return {
    path: text('path'),
    interface: text('interface'),
    member: text('member'),
    errorName: text('errorName'),
    replySerial: typeof replySerial === 'number' ? replySerial : undefined,
    destination: text('destination'),
    sender: text('sender'),
    signature: text('signature'),
  };
}

/** The complete types that a signature consists of: `ssa(sv)` is `s`, `s` and `a(sv)`. */
export function splitSignature(signature: string): readonly string[] {
  const parts: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const end = endOfType(signature, at);
    parts.push(signature.slice(at, end));
    at = end;
  }
  return parts;
}

function endOfType(signature: string, start: number): number {
  let at = start;
  while (signature[at] === 'a') at++;
  if (signature[at] !== '(' && signature[at] !== '{') return at + 1;
  let depth = 0;
  for (; at < signature.length; at++) {
    if ('({'.includes(signature[at] ?? '')) depth++;
    if (')}'.includes(signature[at] ?? '') && --depth === 0) return at + 1;
  }
  throw new Error(`a D-Bus signature without an end: ${signature}`);
}

class Writer {
  readonly #parts: Buffer[] = [];
  /** Where it begins in the whole; only what is left of eight counts. */
  readonly #start: number;
  length = 0;

  constructor(start = 0) {
    this.#start = start;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  byte(value: number): void {
    this.#add(Buffer.from([value]));
  }

  align(size: number): void {
    const missing = (size - ((this.#start + this.length) % size)) % size;
    if (missing > 0) this.#add(Buffer.alloc(missing));
  }

  all(signature: string, values: readonly DBusValue[]): void {
    const parts = splitSignature(signature);
    assert(parts.length === values.length, `${values.length} values for ${signature}`);
    for (const [index, part] of parts.entries()) this.value(part, values[index] ?? '');
  }

  value(type: string, value: DBusValue): void {
    this.align(alignment[type[0] ?? ''] ?? 1);
    if (typeof value === 'string') this.#text(type, value);
    else if (typeof value === 'boolean') this.number('u', value ? 1 : 0);
    else if (typeof value === 'number' || typeof value === 'bigint') this.number(type, value);
    else if (!('signature' in value)) this.#list(type, value);
    else {
      this.value('g', value.signature);
      this.value(value.signature, value.value);
    }
  }

  number(type: string, value: number | bigint): void {
    const bytes = Buffer.alloc(alignment[type] ?? 1);
    if (type === 't') bytes.writeBigUInt64LE(BigInt(value));
    else if (type === 'x') bytes.writeBigInt64LE(BigInt(value));
    else if (type === 'i') bytes.writeInt32LE(Number(value));
    else bytes.writeUIntLE(Number(value), 0, bytes.length);
    this.#add(bytes);
  }

  #text(type: string, value: string): void {
    const bytes = Buffer.from(value, 'utf8');
    if (type === 'g') this.byte(bytes.length);
    else this.number('u', bytes.length);
    this.#add(bytes);
    this.byte(0);
  }

  #list(type: string, values: readonly DBusValue[]): void {
    if (type.startsWith('(')) {
      this.all(type.slice(1, -1), values);
      return;
    }
    const inner = type.slice(1);
    const size = alignment[inner[0] ?? ''] ?? 1;
    // After the length, and a gap up to where the first element may stand.
    const content = new Writer(Math.ceil((this.#start + this.length + 4) / size) * size);
    for (const each of values) content.value(inner, each);
    this.number('u', content.length);
    this.align(size);
    this.#add(content.bytes());
  }

  #add(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.length += bytes.length;
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  all(signature: string): readonly DBusValue[] {
    return splitSignature(signature).map((type) => this.value(type));
  }

  value(type: string): DBusValue {
    const first = type[0] ?? '';
    const size = alignment[first] ?? 1;
    this.#at = Math.ceil(this.#at / size) * size;
    if (first === 'v') return this.value(this.#text(this.#take(1).readUInt8()));
    if (first === '(' || first === '{') return this.all(type.slice(1, -1));
    if (first === 'a') return this.#list(type.slice(1));
    if (first === 'g') return this.#text(this.#take(1).readUInt8());
    if (first === 's' || first === 'o') return this.#text(this.#take(4).readUInt32LE());
    const bytes = this.#take(size);
    if (first === 'b') return bytes.readUInt32LE() === 1;
    if (first === 't') return bytes.readBigUInt64LE();
    if (first === 'x') return bytes.readBigInt64LE();
    if (first === 'd') return bytes.readDoubleLE();
    return first === 'i' || first === 'n' ? bytes.readIntLE(0, size) : bytes.readUIntLE(0, size);
  }

  #list(inner: string): readonly DBusValue[] {
    const bytes = this.#take(4).readUInt32LE();
    const size = alignment[inner[0] ?? ''] ?? 1;
    this.#at = Math.ceil(this.#at / size) * size;
    const end = this.#at + bytes;
    if (end > this.#bytes.length) throw new Error('a D-Bus message that ends too early');
    const values: DBusValue[] = [];
    while (this.#at < end) {
      const start = this.#at;
      values.push(this.value(inner));
      // Of elements without bytes, as empty structures, there would be no end.
      if (this.#at === start) throw new Error(`a D-Bus list of nothing: ${inner}`);
    }
    return values;
  }

  #text(length: number): string {
    const text = this.#take(length).toString('utf8');
    this.#at++;
    return text;
  }

  #take(length: number): Buffer {
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error('a D-Bus message that ends too early');
    this.#at += length;
    return bytes;
  }
}
