/**
 * A folder of small files that changes all at once, as ConfigMap and Secret volumes must.
 *
 * Files are written into a fresh `..<time>` folder; `..data` is a symbolic link to it that is
 * replaced by rename; each top-level name is a link through `..data`. A reader sees the old set or
 * the new one, and programs that watch `..data` notice the swap. Synchronous, because the files are
 * few and small.
 */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

export interface PayloadFile {
  readonly data: Uint8Array;
  /** Permission bits, as 0o644. */
  readonly mode: number;
  /** Whose file it is; without it, the one of who writes it. */
  readonly uid?: number | undefined;
}

/** By path relative to the volume; may contain slashes, never `..`. */
export type Payload = ReadonlyMap<string, PayloadFile>;

const dataLink = '..data';

/** True when something changed. `stamp` must differ from call to call. */
export function writePayload(
  folder: string,
  payload: Payload,
  options: { readonly stamp: string; readonly gid?: number | undefined },
): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  chmodSync(folder, options.gid === undefined ? 0o777 : 0o2777);
  const current = currentFolder(folder);
  if (current !== undefined && isSame(join(folder, current), payload)) return false;
  const next = `..${options.stamp}`;
  writeFiles(join(folder, next), payload, options.gid);
  const pending = join(folder, '..data_tmp');
  rmSync(pending, { force: true });
  symlinkSync(next, pending);
  renameSync(pending, join(folder, dataLink));
  linkNames(folder, payload);
  if (current !== undefined) rmSync(join(folder, current), { recursive: true, force: true });
  return true;
}

function currentFolder(folder: string): string | undefined {
  const link = join(folder, dataLink);
  if (lstatSync(link, { throwIfNoEntry: false }) === undefined) return undefined;
  return readlinkSync(link);
}

function isSame(folder: string, payload: Payload): boolean {
  const present = listFiles(folder, '');
  if (present.length !== payload.size) return false;
  return present.every((path) => {
    const wanted = payload.get(path);
    if (wanted === undefined) return false;
    const file = join(folder, path);
    const sameMode = (statSync(file).mode & 0o777) === wanted.mode;
    return sameMode && readFileSync(file).equals(wanted.data);
  });
}

function listFiles(folder: string, prefix: string): readonly string[] {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(prefix, entry.name);
    return entry.isDirectory() ? listFiles(join(folder, entry.name), path) : [path];
  });
}

function writeFiles(folder: string, payload: Payload, gid: number | undefined): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  for (const [path, { data, mode, uid }] of payload) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, data);
    // The process's umask has a say when files are made, so the mode is set afterwards.
    chmodSync(file, mode);
    if (uid !== undefined || gid !== undefined) chownSync(file, uid ?? 0, gid ?? 0);
  }
}

function linkNames(folder: string, payload: Payload): void {
  const names = new Set([...payload.keys()].map((path) => path.split('/')[0] ?? path));
  for (const name of readdirSync(folder)) {
    if (!name.startsWith('..') && !names.has(name)) rmSync(join(folder, name), { force: true });
  }
  for (const name of names) {
    const link = join(folder, name);
    if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) continue;
    symlinkSync(join(dataLink, name), link);
  }
}
