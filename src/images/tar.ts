/**
 * Tar archives with the same bytes every time: entries in the order of their paths, modification
 * time 0, numeric owners, no names of users or groups. The format is ustar; a path that does not
 * fit is announced by a pax record, as every reader of container layers understands.
 *
 * Called by `oci-layout.ts` for layers and for the layout's own archive.
 */
import { assert } from '#kit/assert.ts';

interface Owned {
  /** Relative, without a leading slash: `usr/bin/env`. */
  readonly path: string;
  /** Permission bits, including set-uid and sticky. */
  readonly mode: number;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export type Entry =
  | (Owned & { readonly kind: 'file'; readonly content: Uint8Array })
  | (Owned & { readonly kind: 'directory' })
  | (Owned & { readonly kind: 'symlink'; readonly target: string });

const blockBytes = 512;
const typeFlags = { file: '0', symlink: '2', directory: '5', pax: 'x' } as const;

/** The whole archive. Parents must be listed by the caller where their mode matters. */
export function formatTar(entries: readonly Entry[]): Buffer {
  const sorted = entries.toSorted((a, b) => compareText(a.path, b.path));
  const parts: Uint8Array[] = [];
  let previous: string | undefined;
  for (const entry of sorted) {
    assert(entry.path !== previous, `two entries of a tar archive have the path ${entry.path}`);
    previous = entry.path;
    appendEntry(parts, entry);
  }
  parts.push(new Uint8Array(2 * blockBytes));
  return Buffer.concat(parts);
}

function appendEntry(parts: Uint8Array[], entry: Entry): void {
  const path = entry.kind === 'directory' ? `${entry.path}/` : entry.path;
  const target = entry.kind === 'symlink' ? entry.target : '';
  const pax: string[] = [];
  if (!fitsAscii(path, 100)) pax.push(formatPaxRecord('path', path));
  if (!fitsAscii(target, 100)) pax.push(formatPaxRecord('linkpath', target));
  if (pax.length > 0) {
    const content = Buffer.from(pax.join(''));
    parts.push(
      formatHeader({ path: 'pax', size: content.length, flag: typeFlags.pax, mode: 0o644 }),
    );
    appendContent(parts, content);
  }
  const content = entry.kind === 'file' ? entry.content : new Uint8Array(0);
  const { mode, uid, gid } = entry;
  const flag = typeFlags[entry.kind];
  parts.push(formatHeader({ path, size: content.length, flag, mode, uid, gid, target }));
  appendContent(parts, content);
}

function appendContent(parts: Uint8Array[], content: Uint8Array): void {
  if (content.length === 0) return;
  parts.push(content);
  const rest = content.length % blockBytes;
  if (rest > 0) parts.push(new Uint8Array(blockBytes - rest));
}

interface HeaderFields {
  readonly path: string;
  readonly size: number;
  readonly flag: string;
  readonly mode: number;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly target?: string | undefined;
}

function formatHeader(fields: HeaderFields): Buffer {
  const header = Buffer.alloc(blockBytes);
  header.write(fields.path, 0, 100, 'latin1');
  writeOctal(header, fields.mode & 0o7777, 100, 8);
  writeOctal(header, fields.uid ?? 0, 108, 8);
  writeOctal(header, fields.gid ?? 0, 116, 8);
  writeOctal(header, fields.size, 124, 12);
  writeOctal(header, 0, 136, 12);
  header.write(' '.repeat(8), 148, 'latin1');
  header.write(fields.flag, 156, 'latin1');
  header.write(fields.target ?? '', 157, 100, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148, 'latin1');
  return header;
}

function writeOctal(header: Buffer, value: number, offset: number, width: number): void {
  const text = value.toString(8).padStart(width - 1, '0');
  assert(text.length === width - 1, `${value} does not fit into ${width - 1} octal digits`);
  header.write(text, offset, 'latin1');
}

/** `27 path=…\n`, where the number counts the whole record including itself. */
function formatPaxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let total = rest + String(rest).length;
  if (String(total).length !== String(rest).length) total = rest + String(total).length;
  return `${total} ${key}=${value}\n`;
}

function fitsAscii(text: string, lengthMax: number): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: everything that is plain ASCII fits.
  return text.length <= lengthMax && /^[\x00-\x7f]*$/.test(text);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
