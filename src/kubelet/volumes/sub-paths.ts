/**
 * Parts of volumes, so that nobody can exchange what is on the way to them.
 *
 * Who shares a volume may put a link where a folder was, also between a look at a path and its
 * mount. So a sub-path is opened one name after the other from its volume on, never through a
 * link, and what is open is bound to a place of the kubelet's own (`PodPaths.subPaths`), which the
 * runtime mounts. Links that lead to somewhere in the volume are resolved beforehand, and what they
 * led to is opened in the same way. Called by `mounts.ts` for mounts that ask for a part; the
 * bindings stay until the pod's volumes go.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import type { Machine } from '../node/machine.ts';

export type Binder = Pick<Machine, 'isMounted' | 'bindDescriptor' | 'unmountBelow'>;

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
/** `O_PATH` of Linux: names a file without opening it, so that no pipe or device is touched. */
const onlyPath = 0o10000000;

/**
 * Makes the folders of a sub-path that are missing, alike to the volume: who may use the volume may
 * use what is made in it. Only in the volume, and never through a link.
 */
export function makeSubPath(volume: string, subPath: string): void {
  if (!isMissing(join(volume, subPath))) return;
  const root = realpathSync(volume);
  const names = namesOf(subPath);
  const there = names.findIndex((_, index) => isMissing(join(root, ...names.slice(0, index + 1))));
  const mode = statSync(root).mode & 0o7777;
  const parent = join(root, ...names.slice(0, there));
  let descriptor = openInside(root, realpathSync(parent));
  try {
    for (const name of names.slice(there)) {
      mkdirSync(within(descriptor, name), { mode });
      const made = openSync(within(descriptor, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      closeSync(descriptor);
      descriptor = made;
      // What the process masks of a new folder's mode is not masked here.
      fchmodSync(descriptor, mode);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The sub-path, which must be there, is to be seen at the target from then on. */
export async function bindSubPath(
  binder: Binder,
  place: { readonly volume: string; readonly subPath: string; readonly target: string },
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const { volume, subPath, target } = place;
  const descriptor = openInside(realpathSync(volume), realpathSync(join(volume, subPath)));
  try {
    if (binder.isMounted(target)) {
      // By a container that ran before, or a kubelet.
      if (isSame(descriptor, target)) return;
      await binder.unmountBelow(target, { signal });
    }
    makeTarget(target, { isFolder: fstatSync(descriptor).isDirectory() });
    await binder.bindDescriptor(descriptor, target);
  } finally {
    closeSync(descriptor);
  }
}

/** A descriptor of what a path without links names below a root; a link by now is an error. */
export function openInside(root: string, path: string): number {
  if (path !== root && !path.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw new Error(`subpath "${path}" not within volume path "${root}"`);
  }
  let descriptor = openSync(root, onlyPath | O_DIRECTORY | O_NOFOLLOW);
  try {
    for (const name of namesOf(relative(root, path))) {
      const next = openName(descriptor, name);
      closeSync(descriptor);
      descriptor = next;
    }
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Of what has this name in an open folder; a link is an error. */
export function openName(folder: number, name: string): number {
  const path = within(folder, name);
  try {
    // A folder that is mounted on demand is mounted for those only who ask for a folder.
    return openSync(path, onlyPath | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (!hasCode(error, 'ENOTDIR')) throw error;
  }
  const descriptor = openSync(path, onlyPath | O_NOFOLLOW);
  if (!fstatSync(descriptor).isSymbolicLink()) return descriptor;
  closeSync(descriptor);
  throw new Error(`unexpected symlink found: "${name}"`);
}

/** The file of this name in an open folder, wherever that is by now. */
function within(folder: number, name: string): string {
  return `/proc/self/fd/${folder}/${name}`;
}

function namesOf(path: string): readonly string[] {
  return path.split(sep).filter((name) => name !== '' && name !== '.');
}

/** What was bound before is the same file. */
function isSame(descriptor: number, target: string): boolean {
  const [one, other] = [
    fstatSync(descriptor, { bigint: true }),
    statSync(target, { bigint: true }),
  ];
  return one.dev === other.dev && one.ino === other.ino;
}

/** A file or an empty folder, to be mounted upon; nothing is deleted but what was such a one. */
function makeTarget(target: string, { isFolder }: { readonly isFolder: boolean }): void {
  mkdirSync(dirname(target), { recursive: true, mode: 0o750 });
  const before = lstatSync(target, { throwIfNoEntry: false });
  if (before?.isDirectory() === true) rmdirSync(target);
  else if (before !== undefined) unlinkSync(target);
  if (isFolder) mkdirSync(target, { mode: 0o750 });
  else writeFileSync(target, '', { mode: 0o640, flag: 'wx' });
}

/** Links followed. Of what cannot be told, it shows when it is used. */
function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return hasCode(error, 'ENOENT');
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
