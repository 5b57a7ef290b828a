/**
 * The files of one container's log, in the order in which they were written, for whoever follows.
 *
 * The newest has always the same name; rotation gives what was written before another one
 * (`log-rotation.ts`). A reader that falls behind goes on with the files between its own and the
 * newest, compressed or not; one that begins between renaming and the new file, with what was
 * renamed. The runtime opens the new file before it has written all to the old
 * one, so the old one is looked at for as long as the next is read: nothing is lost. Used by
 * `log-reader.ts`.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';

const newline = 0x0a;
/** As much as is read at a time: the most, and where it begins for who writes little. */
const blockBytes = { most: 256 * 1024, least: 16 * 1024 } as const;

export class FollowedLog implements AsyncDisposable {
  readonly #path: string;
  #newest: LogFile;
  /** The one before it, which the runtime may still write to. */
  #before: LogFile | undefined;
  /** Name of the last file that is older than the newest. */
  #lastOlder: string;

  private constructor(path: string, { file, lastOlder }: Opened) {
    this.#path = path;
    this.#newest = file;
    this.#lastOlder = lastOlder;
  }

  static async open(path: string): Promise<FollowedLog> {
    return new FollowedLog(path, await openNewest(path));
  }

  async seek(find: (handle: FileHandle) => Promise<number>): Promise<void> {
    await this.#newest.seek(find);
  }

  /** What has come since, in blocks of whole lines, each good until the next is asked for. */
  async *lines(): AsyncGenerator<Buffer> {
    if (this.#before !== undefined) yield* this.#before.lines();
    yield* this.#newest.lines();
  }

  /** Another file has taken the place of the newest. */
  async isReplaced(): Promise<boolean> {
    const inode = await inodeOf(this.#path);
    return inode !== undefined && inode !== this.#newest.inode;
  }

  /** Goes on with the newest, and gives what was written between it and the one before. */
  async *goOn(): AsyncGenerator<Buffer> {
    yield* this.#newest.rest();
    await this.#read(this.#newest);
    const own = this.#newest;
    const { file, lastOlder } = await openNewest(this.#path);
    this.#newest = file;
    const since = (await olderFiles(this.#path)).filter(
      (name) => name > this.#lastOlder && name <= lastOlder,
    );
    this.#lastOlder = lastOlder;
    const folder = dirname(this.#path);
    for (const [index, name] of since.entries()) {
      const older = join(folder, name);
      // The one that was read until now is the first, unless it has been removed.
      if (index === 0 && (await own.isAt(older))) continue;
      const between = await openIfThere(older);
      if (between === undefined) {
        yield* compressedFile(`${older}.gz`);
      } else {
        await this.#read(between);
        yield* between.lines();
      }
    }
  }

  /** What was the last before is done with. */
  async #read(before: LogFile): Promise<void> {
    await this.#before?.close();
    this.#before = before;
  }

  /** A last line that has no end. */
  async *rest(): AsyncGenerator<Buffer> {
    yield* this.#newest.rest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#before?.close();
    await this.#newest.close();
  }
}

interface Opened {
  readonly file: LogFile;
  readonly lastOlder: string;
}

/** The file and the names of those before it, as they were at one moment. */
async function openNewest(path: string): Promise<Opened> {
  for (;;) {
    const file = await openIfThere(path);
    if (file === undefined) return await openRotated(path);
    const lastOlder = (await olderFiles(path)).at(-1) ?? '';
    const inode = await inodeOf(path);
    if (inode === file.inode || inode === undefined) return { file, lastOlder };
    await file.close();
  }
}

/** It was renamed, and the runtime has not begun another: what was written until now is there. */
async function openRotated(path: string): Promise<Opened> {
  const names = await olderFiles(path);
  const rotated = names.at(-1);
  const file = rotated === undefined ? undefined : await openIfThere(join(dirname(path), rotated));
  // Begun or put back meanwhile; or there is none.
  if (file === undefined) return { file: await LogFile.open(path), lastOlder: rotated ?? '' };
  return { file, lastOlder: names.at(-2) ?? '' };
}

/** Without the ending of those that are compressed; oldest first. */
async function olderFiles(path: string): Promise<readonly string[]> {
  const prefix = `${basename(path)}.`;
  const names = (await readdir(dirname(path))).filter((name) => name.startsWith(prefix));
  const plain = new Set(names.map((name) => name.replace(/\.(gz|gz\.tmp|tmp)$/, '')));
  return [...plain].toSorted();
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    // Between the renaming of the old one and the making of the new one.
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function openIfThere(path: string): Promise<LogFile | undefined> {
  try {
    return await LogFile.open(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Nothing where it has gone meanwhile: only so many are kept. */
async function* compressedFile(path: string): AsyncGenerator<Buffer> {
  const lines = new WholeLines();
  const packed = createReadStream(path);
  const text = createGunzip();
  packed.on('error', (error) => text.destroy(error));
  try {
    for await (const block of packed.pipe(text)) yield* lines.add(block);
    yield* lines.rest();
  } catch (error) {
    if (!isMissing(error)) throw error;
  } finally {
    packed.destroy();
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

/**
 * One file, read on from where it was left, always into the same memory: new blocks, hundreds a
 * second, would be as many reasons for V8 to collect its whole heap.
 */
class LogFile {
  readonly inode: number;
  readonly #handle: FileHandle;
  #block: Buffer = Buffer.alloc(0);
  /** Bytes at its beginning: of a line whose end has not come. */
  #kept = 0;
  #offset = 0;

  private constructor(handle: FileHandle, inode: number) {
    this.#handle = handle;
    this.inode = inode;
  }

  static async open(path: string): Promise<LogFile> {
    const handle = await open(path, 'r');
    return new LogFile(handle, (await handle.stat()).ino);
  }

  async seek(find: (handle: FileHandle) => Promise<number>): Promise<void> {
    this.#offset = await find(this.#handle);
  }

  async *lines(): AsyncGenerator<Buffer> {
    for (let isFirst = true; ; isFirst = false) {
      this.#makeRoom();
      const block = this.#block;
      const room = block.length - this.#kept;
      const { bytesRead } = await this.#handle.read(block, this.#kept, room, this.#offset);
      if (bytesRead === 0) {
        // It rests; many may do so at a time.
        if (isFirst && this.#kept === 0) this.#block = Buffer.alloc(0);
        return;
      }
      this.#offset += bytesRead;
      const read = block.subarray(0, this.#kept + bytesRead);
      const end = read.lastIndexOf(newline) + 1;
      if (end > 0) yield read.subarray(0, end);
      block.copyWithin(0, end, read.length);
      this.#kept = read.length - end;
      if (bytesRead === room) this.#widen();
    }
  }

  #makeRoom(): void {
    if (this.#block.length === 0) this.#block = Buffer.allocUnsafeSlow(blockBytes.least);
    // A line that is longer than the most.
    if (this.#kept === this.#block.length) this.#widen(2 * this.#kept);
  }

  #widen(most: number = blockBytes.most): void {
    if (this.#block.length >= most) return;
    const wider = Buffer.allocUnsafeSlow(Math.min(4 * this.#block.length, most));
    this.#block.copy(wider, 0, 0, this.#kept);
    this.#block = wider;
  }

  *rest(): Generator<Buffer> {
    const rest = this.#block.subarray(0, this.#kept);
    this.#kept = 0;
    if (rest.length > 0) yield rest;
  }

  /** Whether it has got that name, or was compressed under it: that keeps the time. */
  async isAt(path: string): Promise<boolean> {
    if ((await inodeOf(path)) === this.inode) return true;
    try {
      const [packed, own] = await Promise.all([stat(`${path}.gz`), this.#handle.stat()]);
      return Math.abs(packed.mtimeMs - own.mtimeMs) < 1;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Blocks to blocks that end with a line. */
class WholeLines {
  #rest: Buffer = Buffer.alloc(0);

  *add(block: Buffer): Generator<Buffer> {
    const whole = this.#rest.length === 0 ? block : Buffer.concat([this.#rest, block]);
    const end = whole.lastIndexOf(newline) + 1;
    this.#rest = whole.subarray(end);
    if (end > 0) yield whole.subarray(0, end);
  }

  *rest(): Generator<Buffer> {
    if (this.#rest.length > 0) yield this.#rest;
    this.#rest = Buffer.alloc(0);
  }
}
