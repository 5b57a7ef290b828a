/**
 * Gives a volume to the group of a pod (`fsGroup`): everything in it belongs to the group, the
 * group may read and write, and what is made later belongs to the group too.
 *
 * With the policy `OnRootMismatch` a volume whose top is right already is left as it is, since
 * walking a large one takes long. Behaviour: kubernetes.io, Configure a Security Context.
 */
import { chmod, chown, lstat, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';

const modes = { readWrite: 0o660, readOnly: 0o440, folder: 0o110, keepsGroup: 0o2000 } as const;

export async function giveToGroup(
  path: string,
  options: {
    readonly gid: number;
    readonly isReadOnly: boolean;
    readonly policy?: string | undefined;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { gid, isReadOnly, policy, signal } = options;
  // The volume itself may be named by a link; what its user puts in it is never followed.
  const folder = await realpath(path);
  if (policy === 'OnRootMismatch' && (await isRight(folder, gid, isReadOnly))) return;
  await give(folder, options);
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    signal.throwIfAborted();
    await give(join(entry.parentPath, entry.name), options);
  }
}

async function give(
  path: string,
  { gid, isReadOnly }: { readonly gid: number; readonly isReadOnly: boolean },
): Promise<void> {
  const found = await lstat(path);
  // Changing what a link points to would change things outside.
  if (found.isSymbolicLink()) return;
  if (found.gid !== gid) await chown(path, found.uid, gid);
  const mode = found.mode & 0o7777;
  const wanted = mode | wantedMode(found.isDirectory(), isReadOnly);
  if (wanted !== mode || found.gid !== gid) await chmod(path, wanted);
}

function wantedMode(isFolder: boolean, isReadOnly: boolean): number {
  const files = isReadOnly ? modes.readOnly : modes.readWrite;
  return isFolder ? files | modes.folder | modes.keepsGroup : files;
}

async function isRight(folder: string, gid: number, isReadOnly: boolean): Promise<boolean> {
  const found = await lstat(folder);
  const wanted = wantedMode(true, isReadOnly);
  return found.gid === gid && (found.mode & wanted) === wanted;
}
