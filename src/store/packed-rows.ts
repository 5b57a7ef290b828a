/**
 * Rows as one piece of memory, to cross between threads without being copied object by object.
 *
 * Layout: the number of rows, then seven numbers for each (64-bit floats, in the order of `pack`),
 * then, row by row, the bytes of the key and of the value. A value's length of -1 says that the key
 * was removed. Both ends are threads of one process, so byte order and alignment are the machine's.
 */
import type { LogRow } from './log.ts';

const numbersPerRow = 7;

export function packRows(rows: readonly LogRow[]): Uint8Array<ArrayBuffer> {
  const headBytes = 8 * (1 + numbersPerRow * rows.length);
  let total = headBytes;
  for (const row of rows) total += Buffer.byteLength(row.key) + (row.value?.byteLength ?? 0);
  // A buffer of its own, so that it can be handed over whole.
  const bytes = Buffer.from(new ArrayBuffer(total));
  const numbers = new Float64Array(bytes.buffer, 0, headBytes / 8);
  numbers[0] = rows.length;
  let at = 1;
  let offset = headBytes;
  for (const row of rows) {
    const keyLength = bytes.write(row.key, offset);
    offset += keyLength;
    if (row.value !== undefined) bytes.set(row.value, offset);
    offset += row.value?.byteLength ?? 0;
    numbers[at] = row.revision;
    numbers[at + 1] = row.createRevision;
    numbers[at + 2] = row.previousRevision;
    numbers[at + 3] = row.expiresMs;
    numbers[at + 4] = row.writtenMs;
    numbers[at + 5] = keyLength;
    numbers[at + 6] = row.value?.byteLength ?? -1;
    at += numbersPerRow;
  }
  return bytes;
}

/** Values are views of the packed bytes, or have memory of their own (`own`) to be kept. */
export function unpackRows(
  packed: Uint8Array,
  options: { readonly values: 'views' | 'own' },
): LogRow[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const count = new Float64Array(packed.buffer, packed.byteOffset, 1)[0] ?? 0;
  const length = 1 + numbersPerRow * count;
  const numbers = new Float64Array(packed.buffer, packed.byteOffset, length);
  const rows: LogRow[] = [];
  let offset = length * 8;
  for (let at = 1; at < length; at += numbersPerRow) {
    const keyLength = numbers[at + 5] ?? 0;
    const valueLength = numbers[at + 6] ?? -1;
    const key = bytes.toString('utf8', offset, offset + keyLength);
    offset += keyLength;
    let value: Uint8Array | undefined;
    if (valueLength >= 0) {
      const view = new Uint8Array(packed.buffer, packed.byteOffset + offset, valueLength);
      value = options.values === 'views' ? view : new Uint8Array(view);
      offset += valueLength;
    }
    rows.push({
      key,
      value,
      revision: numbers[at] ?? 0,
      createRevision: numbers[at + 1] ?? 0,
      previousRevision: numbers[at + 2] ?? 0,
      expiresMs: numbers[at + 3] ?? 0,
      writtenMs: numbers[at + 4] ?? 0,
    });
  }
  return rows;
}
