/**
 * Gives a volume to the group of a pod (`fsGroup`): everything in it belongs to the group, the
 * group may read and write, and what is made later belongs to the group too.
 *
 * With the policy `OnRootMismatch` a volume whose top is right already is left as it is, since
 * walking a large one takes long. Behaviour: kubernetes.io, Configure a Security Context.
 */
import { closeSync, fstatSync, realpathSync } from 'node:fs';
import { chmod, chown, readdir } from 'node:fs/promises';
import { openInside, openName } from './sub-paths.ts';

const modes = { readWrite: 0o660, readOnly: 0o440, folder: 0o110, keepsGroup: 0o2000 } as const;
/** Folders in folders: one is open for each. */
const depthMax = 1000;

interface Gift {
  readonly gid: number;
  readonly isReadOnly: boolean;
  readonly signal: AbortSignal;
}

export async function giveToGroup(
  path: string,
  { policy, ...gift }: Gift & { readonly policy?: string | undefined },
): Promise<void> {
  // The volume itself may be named by a link; what its user puts in it is never followed.
  const folder = realpathSync(path);
  const descriptor = openInside(folder, folder);
  try {
    if (policy === 'OnRootMismatch' && isRight(descriptor, gift)) return;
    await giveAll(descriptor, gift, 0);
  } finally {
    closeSync(descriptor);
  }
}

/** By what is open: whoever uses the volume may put a link where a file was, at any time. */
async function giveAll(descriptor: number, gift: Gift, depth: number): Promise<void> {
  gift.signal.throwIfAborted();
  await give(descriptor, gift);
  if (!fstatSync(descriptor).isDirectory()) return;
  if (depth === depthMax) throw new Error(`folders are more than ${depthMax} deep in each other`);
  for (const entry of await readdir(pathOf(descriptor), { withFileTypes: true })) {
    // Changing what a link points to would change things outside.
    if (entry.isSymbolicLink()) continue;
    const inner = openName(descriptor, entry.name);
    try {
      await giveAll(inner, gift, depth + 1);
    } finally {
      closeSync(inner);
    }
  }
}

async function give(descriptor: number, { gid, isReadOnly }: Gift): Promise<void> {
  const found = fstatSync(descriptor);
  const path = pathOf(descriptor);
  if (found.gid !== gid) await chown(path, found.uid, gid);
  const mode = found.mode & 0o7777;
  const wanted = mode | wantedMode(found.isDirectory(), isReadOnly);
  if (wanted !== mode || found.gid !== gid) await chmod(path, wanted);
}

function pathOf(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`;
}

function wantedMode(isFolder: boolean, isReadOnly: boolean): number {
  const files = isReadOnly ? modes.readOnly : modes.readWrite;
  return isFolder ? files | modes.folder | modes.keepsGroup : files;
}

function isRight(descriptor: number, { gid, isReadOnly }: Gift): boolean {
  const found = fstatSync(descriptor);
  const wanted = wantedMode(true, isReadOnly);
  return found.gid === gid && (found.mode & wanted) === wanted;
}
