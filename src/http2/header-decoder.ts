/**
 * Fields out of header blocks: the receiving half of HPACK (RFC 7541, section 6).
 *
 * A block is a row of entries, told apart by their first bits: a field known by number, a field
 * written out (its name by number or written out too), which may be added to the dynamic table, or
 * a new limit of that table. Numbers and lengths are integers that start in the rest of the first
 * byte; texts may be coded (`huffman.ts`). Whatever is wrong ends the connection, since the tables
 * of both sides cannot be brought together again.
 */
import { DynamicTable, entrySize } from './dynamic-table.ts';
import { decodeHuffman } from './huffman.ts';
import { firstDynamicIndex, staticNames, staticValues } from './static-table.ts';

/** What the peer sent is not HPACK: the connection cannot go on (COMPRESSION_ERROR). */
export class CompressionError extends Error {
  override readonly name = 'CompressionError';
}

/** The limit of the table before anyone said anything (RFC 9113, section 6.5.2). */
const tableBytesAtFirst = 4096;

const integerMax = 2 ** 31;
const continuationBytesMax = 5;

export class HeaderDecoder {
  readonly #tableBytesAllowed: number;
  readonly #table = new DynamicTable();
  #tableBytesMax = tableBytesAtFirst;
  /** What of the block comes next. */
  #at = 0;

  /**
   * `tableBytesMax` is what was announced as SETTINGS_HEADER_TABLE_SIZE. Where it is less than 4096
   * the table has that size until the peer, who may not know yet, says that it keeps to it.
   */
  constructor({ tableBytesMax }: { readonly tableBytesMax: number }) {
    this.#tableBytesAllowed = tableBytesMax;
  }

  /**
   * Calls back with each field, in order; names and values are latin1, a byte each. Throws
   * CompressionError. `block` is a whole header block. What is called must not throw: the rest of
   * the block belongs to the table.
   */
  decode(block: Buffer, onField: (name: string, value: string) => void): void {
    this.#at = 0;
    let isBeginning = true;
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0;
      if (first >= 0x20 && first < 0x40) {
        if (!isBeginning) throw new CompressionError('size update after a field');
        this.#resize(this.#integer(block, 0x1f));
        continue;
      }
      isBeginning = false;
      if (first >= 0x80) {
        const index = this.#integer(block, 0x7f);
        onField(this.#name(index), this.#value(index));
        continue;
      }
      const isAdded = first >= 0x40;
      const index = this.#integer(block, isAdded ? 0x3f : 0x0f);
      const name = index === 0 ? this.#text(block) : this.#name(index);
      const value = this.#text(block);
      if (isAdded) this.#add(name, value);
      onField(name, value);
    }
  }

  #name(index: number): string {
    if (index >= firstDynamicIndex) return this.#table.name(this.#entry(index));
    if (index === 0) throw new CompressionError('index 0');
    return staticNames[index] ?? '';
  }

  #value(index: number): string {
    if (index >= firstDynamicIndex) return this.#table.value(this.#entry(index));
    return staticValues[index] ?? '';
  }

  /** Of the dynamic table, whose newest entry has the first number. */
  #entry(index: number): number {
    const entry = this.#table.next - 1 - (index - firstDynamicIndex);
    if (entry < this.#table.oldest) throw new CompressionError(`index ${index} beyond the table`);
    return entry;
  }

  #add(name: string, value: string): void {
    const size = entrySize(name, value);
    this.#makeRoom(size);
    // What is larger than the whole table empties it, and that is not an error (section 4.4).
    if (size <= this.#tableBytesMax) this.#table.add(name, value);
  }

  #resize(bytesMax: number): void {
    if (bytesMax > this.#tableBytesAllowed) {
      throw new CompressionError(`table of ${bytesMax} bytes, ${this.#tableBytesAllowed} allowed`);
    }
    this.#tableBytesMax = bytesMax;
    this.#makeRoom(0);
  }

  #makeRoom(bytes: number): void {
    const table = this.#table;
    while (table.bytes + bytes > this.#tableBytesMax && table.bytes > 0) table.removeOldest();
  }

  /** Section 5.1. `mask` has the bits of the first byte that belong to the integer. */
  #integer(block: Buffer, mask: number): number {
    const prefix = this.#byte(block) & mask;
    if (prefix < mask) return prefix;
    let value = mask;
    // Multiplied, not shifted, since five bytes are more than the bits of a shift.
    let weight = 1;
    for (let bytes = 0; bytes < continuationBytesMax; bytes++) {
      const byte = this.#byte(block);
      value += (byte & 0x7f) * weight;
      weight *= 0x80;
      if (value > integerMax) break;
      if (byte < 0x80) return value;
    }
    throw new CompressionError('integer too large');
  }

  /** Section 5.2. */
  #text(block: Buffer): string {
    const isCoded = this.#at < block.length && (block[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(block, 0x7f);
    const start = this.#at;
    const end = start + length;
    if (end > block.length) throw new CompressionError('text beyond the end of the block');
    this.#at = end;
    if (!isCoded) return block.toString('latin1', start, end);
    const text = decodeHuffman(block, start, end);
    if (text === undefined) throw new CompressionError('text in no valid code');
    return text;
  }

  #byte(block: Buffer): number {
    if (this.#at >= block.length) throw new CompressionError('block ends within a field');
    return block[this.#at++] ?? 0;
  }
}
