/**
 * What a recipe adds to the packages of an image: folders, files, links, and the names of busybox.
 *
 * Pods of any user read an image, so modes are what the recipe says, whatever the one who builds it
 * lets others read (umask). Called by `images.ts`.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { mustRun } from '#kit/run-command.ts';
import type { Recipe } from './recipes.ts';

const limits = { toolMs: 120_000 } as const;

export async function addFiles(
  folder: string,
  recipe: Pick<Recipe, 'folders' | 'files' | 'symlinks' | 'busyboxLinks'>,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  for (const { path: relative, mode } of recipe.folders) {
    await makeFolder(path.join(folder, relative));
    await chmod(path.join(folder, relative), mode);
  }
  for (const [relative, text] of Object.entries(recipe.files)) {
    const full = path.join(folder, relative);
    await makeFolder(path.dirname(full));
    await rm(full, { force: true });
    await writeFile(full, text);
    await chmod(full, 0o644);
  }
  for (const [relative, target] of Object.entries(recipe.symlinks)) {
    await makeFolder(path.dirname(path.join(folder, relative)));
    await rm(path.join(folder, relative), { force: true });
    await symlink(target, path.join(folder, relative));
  }
  if (!recipe.busyboxLinks) return;
  const busybox = path.join(folder, 'bin/busybox');
  const tools = await mustRun(busybox, ['--list'], { signal, timeoutMs: limits.toolMs });
  for (const tool of tools.split('\n')) {
    const link = path.join(folder, 'bin', tool);
    if (tool !== '' && tool !== 'busybox' && !existsSync(link)) await symlink('busybox', link);
  }
}

/** With those above it that are missing. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = path.dirname(made)) {
    await chmod(made, 0o755);
  }
}
