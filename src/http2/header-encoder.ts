/**
 * Fields into header blocks: the sending half of HPACK (RFC 7541, section 6).
 *
 * A field that was sent before on the connection is one byte, its number in the static or the
 * dynamic table. What comes for the first time is written out and added to the table, except where
 * the value is another one each time, which would push out what is worth keeping, or a secret.
 * Texts are never Huffman coded: what is long is sent once, and the rest is too short to win by it.
 */
import { DynamicTable, entrySize } from './dynamic-table.ts';
import { firstDynamicIndex, staticNames, staticValues } from './static-table.ts';

/** More of the peer's table is not used: the fields of answers fit, for each connection. */
const tableBytesMost = 4096;

/** Longer fields than this part of the table are written out each time. */
const entryPartMax = 1 / 2;

/** Two integers of six bytes at most, and their first bits. */
const overheadBytes = 12;

type Form = 'indexed' | 'changing' | 'secret';

/** Of each name that is in the static table or has a form of its own. */
interface KnownName {
  /** In the static table; 0 where it is not. */
  readonly index: number;
  readonly form: Form;
  /** The static entries with a value. */
  readonly values: ReadonlyMap<string, number>;
}

const forms: Readonly<Record<Exclude<Form, 'indexed'>, readonly string[]>> = {
  changing: [
    'age',
    'audit-id',
    'content-length',
    'content-range',
    'date',
    'etag',
    'expires',
    'last-modified',
    'location',
    'retry-after',
    'warning',
  ],
  // A neighbour behind the same proxy could find out by guesses what the table holds (section 7.1).
  secret: ['authorization', 'cookie', 'proxy-authorization', 'set-cookie'],
};

const unknownName: KnownName = { index: 0, form: 'indexed', values: new Map() };
const knownNames = nameTable();

const noBlock = Buffer.alloc(0);

export class HeaderEncoder {
  readonly #table = new DynamicTable();
  #tableBytesMax = tableBytesMost;
  /** The smallest limit since the last block, where it changed: the next block has to tell. */
  #smallestUntold: number | undefined;
  /** The block that is being made, and how much of it is. */
  #block: Buffer = noBlock;
  #at = 0;

  /**
   * What the peer allows by its SETTINGS_HEADER_TABLE_SIZE; at most 4096 of it is used. Sends the
   * size update with the next block.
   */
  setTableBytesMax(bytes: number): void {
    const bytesMax = Math.min(bytes, tableBytesMost);
    if (bytesMax === this.#tableBytesMax) return;
    this.#smallestUntold = Math.min(bytesMax, this.#smallestUntold ?? bytesMax);
    this.#tableBytesMax = bytesMax;
    this.#makeRoom(0);
  }

  /**
   * The block of names (lower case) and values in turn, all of them latin1: of other characters the
   * low byte is sent.
   */
  encode(fields: readonly string[]): Buffer {
    let bytesMax = overheadBytes;
    for (const text of fields) bytesMax += overheadBytes + text.length;
    this.#block = Buffer.allocUnsafe(bytesMax);
    this.#at = 0;
    if (this.#smallestUntold !== undefined) this.#tell(this.#smallestUntold);
    for (let i = 0; i + 1 < fields.length; i += 2)
      this.#field(fields[i] ?? '', fields[i + 1] ?? '');
    const block = this.#block.subarray(0, this.#at);
    this.#block = noBlock;
    return block;
  }

  /** Both limits where the table was smaller in between, so that the peer drops what went (4.2). */
  #tell(smallest: number): void {
    if (smallest < this.#tableBytesMax) this.#integer(0x20, 0x1f, smallest);
    this.#integer(0x20, 0x1f, this.#tableBytesMax);
    this.#smallestUntold = undefined;
  }

  #field(name: string, value: string): void {
    const known = knownNames.get(name) ?? unknownName;
    if (known.form === 'secret') {
      this.#literal(0x10, 0x0f, known.index, name, value);
      return;
    }
    const found = known.values.get(value);
    if (found !== undefined) {
      this.#integer(0x80, 0x7f, found);
      return;
    }
    const isChanging = known.form === 'changing';
    const table = this.#table;
    let named = known.index;
    for (let entry = table.next - 1; entry >= table.oldest; entry--) {
      // Of what changes only the name is looked for.
      if (isChanging && named !== 0) break;
      if (table.name(entry) !== name) continue;
      const index = firstDynamicIndex + table.next - 1 - entry;
      if (!isChanging && table.value(entry) === value) {
        this.#integer(0x80, 0x7f, index);
        return;
      }
      if (named === 0) named = index;
    }
    const size = entrySize(name, value);
    // A name without a number is worth an entry, whatever its value.
    if ((isChanging && named !== 0) || size > this.#tableBytesMax * entryPartMax) {
      this.#literal(0, 0x0f, named, name, value);
      return;
    }
    this.#literal(0x40, 0x3f, named, name, value);
    this.#makeRoom(size);
    table.add(name, value);
  }

  #makeRoom(bytes: number): void {
    const table = this.#table;
    while (table.bytes + bytes > this.#tableBytesMax && table.bytes > 0) table.removeOldest();
  }

  #literal(first: number, mask: number, index: number, name: string, value: string): void {
    this.#integer(first, mask, index);
    if (index === 0) this.#text(name);
    this.#text(value);
  }

  /** Section 5.1: `first` are the bits before the integer, `mask` those that are left to it. */
  #integer(first: number, mask: number, value: number): void {
    if (value < mask) {
      this.#block[this.#at++] = first | value;
      return;
    }
    this.#block[this.#at++] = first | mask;
    let rest = value - mask;
    for (; rest >= 0x80; rest >>>= 7) this.#block[this.#at++] = rest | 0x80;
    this.#block[this.#at++] = rest;
  }

  #text(text: string): void {
    this.#integer(0, 0x7f, text.length);
    this.#at += this.#block.write(text, this.#at, 'latin1');
  }
}

function nameTable(): ReadonlyMap<string, KnownName> {
  const table = new Map<string, KnownName & { readonly values: Map<string, number> }>();
  const known = (name: string, index: number): Map<string, number> => {
    const form = forms.secret.includes(name)
      ? 'secret'
      : forms.changing.includes(name)
        ? 'changing'
        : 'indexed';
    const entry = table.get(name) ?? { index, form, values: new Map<string, number>() };
    table.set(name, entry);
    return entry.values;
  };
  for (let index = 1; index < firstDynamicIndex; index++) {
    const values = known(staticNames[index] ?? '', index);
    const value = staticValues[index] ?? '';
    if (value !== '') values.set(value, index);
  }
  for (const name of [...forms.changing, ...forms.secret]) known(name, 0);
  return table;
}
