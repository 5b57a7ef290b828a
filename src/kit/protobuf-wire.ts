/**
 * Bytes of the protobuf wire format: variable-length numbers, length-delimited blocks, fixed words.
 *
 * Knows nothing of messages; `protobuf.ts` walks its tables and calls this. Malformed input throws
 * a RangeError, because it came from outside.
 */
export class Writer {
  #buffer: Buffer;
  #length = 0;

  constructor(bytesExpected = 256) {
    this.#buffer = Buffer.allocUnsafe(bytesExpected);
  }

  finish(): Uint8Array {
    return new Uint8Array(this.#buffer.subarray(0, this.#length));
  }

  tag(number: number, wire: number): void {
    this.whole(number * 8 + wire);
  }

  whole(value: number): void {
    this.#reserve(10);
    if (value < 0 || value > Number.MAX_SAFE_INTEGER) {
      this.#wide(BigInt.asUintN(64, BigInt(value)));
      return;
    }
    let rest = value;
    while (rest > 127) {
      this.#buffer[this.#length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#length++] = rest;
  }

  #wide(value: bigint): void {
    let rest = value;
    while (rest > 127n) {
      this.#buffer[this.#length++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#buffer[this.#length++] = Number(rest);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.whole(length);
    this.#reserve(length);
    this.#length += this.#buffer.write(value, this.#length);
  }

  bytes(value: Uint8Array): void {
    this.whole(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /**
   * Writes a length-delimited block; its length is put in front once it is known. One byte is kept
   * free for it, which is enough for most; of a longer block the content moves up.
   */
  nested(body: () => void): void {
    this.#reserve(1);
    const start = this.#length + 1;
    this.#length = start;
    body();
    const length = this.#length - start;
    if (length < 128) {
      this.#buffer[start - 1] = length;
      return;
    }
    const moved = length < 2 ** 14 ? 1 : length < 2 ** 21 ? 2 : length < 2 ** 28 ? 3 : 4;
    this.#reserve(moved);
    this.#buffer.copyWithin(start + moved, start, this.#length);
    this.#length = start - 1;
    this.whole(length);
    this.#length += length;
  }

  double(value: number): void {
    this.#reserve(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  float(value: number): void {
    this.#reserve(4);
    this.#length = this.#buffer.writeFloatLE(value, this.#length);
  }

  fixed32(value: number): void {
    this.#reserve(4);
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  fixed64(value: bigint): void {
    this.#reserve(8);
    this.#length = this.#buffer.writeBigUInt64LE(value, this.#length);
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + length));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

export class Reader {
  readonly #buffer: Buffer;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  whole(sign: 'signed' | 'unsigned' = 'signed'): number {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#buffer[this.offset++];
      if (byte === undefined) throw new RangeError('a number ends outside the message');
      if (shift === 0n && byte < 128) return byte;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) {
        return Number(sign === 'signed' ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
      }
    }
    throw new RangeError('a number is longer than ten bytes');
  }

  /** Where the length-delimited block that starts here ends. */
  block(): number {
    const length = this.whole('unsigned');
    const end = this.offset + length;
    if (end > this.#buffer.length) throw new RangeError('a block ends outside the message');
    return end;
  }

  text(): string {
    const end = this.block();
    const value = this.#buffer.toString('utf8', this.offset, end);
    this.offset = end;
    return value;
  }

  bytes(): Uint8Array {
    const end = this.block();
    const value = new Uint8Array(this.#buffer.subarray(this.offset, end));
    this.offset = end;
    return value;
  }

  double(): number {
    this.offset += 8;
    return this.#buffer.readDoubleLE(this.offset - 8);
  }

  float(): number {
    this.offset += 4;
    return this.#buffer.readFloatLE(this.offset - 4);
  }

  fixed32(): number {
    this.offset += 4;
    return this.#buffer.readUInt32LE(this.offset - 4);
  }

  fixed64(): bigint {
    this.offset += 8;
    return this.#buffer.readBigUInt64LE(this.offset - 8);
  }

  skip(wire: number): void {
    if (wire === 0) this.whole();
    else if (wire === 1) this.offset += 8;
    else if (wire === 2) this.offset = this.block();
    else if (wire === 5) this.offset += 4;
    else throw new RangeError(`wire type ${wire} is not known`);
  }
}
