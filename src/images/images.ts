/**
 * Images without a registry and without a daemon: from a folder, from Debian packages, or by
 * recipe, to one tar file that `ctr -n k8s.io images import` takes.
 *
 *     coracle image build ──► buildImage / buildExampleImages ──► x.tar ──► importImages ──► pods
 *
 * `recipes.ts` says what the project's own images hold, `debian-rootfs.ts` fetches and unpacks
 * packages, `oci-layout.ts` and `tar.ts` write the file, `pause.ts` is the smallest program of all.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '#kit/log.ts';
import { mustRun } from '#kit/run-command.ts';
import { debianRootfs } from './debian-rootfs.ts';
import { type Architecture, type ImageConfig, type Layer, writeLayout } from './oci-layout.ts';
import { pauseFile, pauseProgram } from './pause.ts';
import { addFiles } from './recipe-files.ts';
import {
  architectureOf,
  exampleRecipes,
  fileEntries,
  pauseReference,
  type Recipe,
  recipeVersion,
} from './recipes.ts';

export const limits = { toolTimeoutMs: 120_000 } as const;

export interface ImagesDeps {
  readonly log: Logger;
}

export interface BuiltImage {
  readonly reference: string;
  /** The tar file. */
  readonly path: string;
}

export interface BuildImageOptions {
  /** A folder or entries; or several layers, lowest first. */
  readonly rootfs: Layer | { readonly layers: readonly Layer[] };
  readonly reference: string;
  readonly config: ImageConfig;
  /** This machine's, when absent. */
  readonly architecture?: Architecture;
  readonly outputPath: string;
}

/** Writes one image; the same input gives the same bytes. */
export async function buildImage(options: BuildImageOptions): Promise<BuiltImage> {
  const { rootfs, reference, config, outputPath } = options;
  checkReference(reference);
  const layers = typeof rootfs === 'object' && 'layers' in rootfs ? rootfs.layers : [rootfs];
  const architecture = options.architecture ?? architectureOf(process.arch);
  await writeLayout({ layers, reference, config, architecture, outputPath });
  return { reference, path: outputPath };
}

/** The sandbox image, a few kilobytes. */
export async function buildPauseImage(options: {
  readonly outputDir: string;
  readonly architecture?: Architecture;
}): Promise<BuiltImage> {
  const architecture = options.architecture ?? architectureOf(process.arch);
  const content = pauseProgram(architecture);
  return await buildImage({
    rootfs: [{ kind: 'file', path: 'pause', mode: 0o755, content }],
    reference: pauseReference,
    config: { Entrypoint: ['/pause'] },
    architecture,
    outputPath: path.join(options.outputDir, pauseFile),
  });
}

/** Builds the project's own images (without pause) where they do not exist yet. */
export async function buildExampleImages(
  deps: ImagesDeps,
  options: { readonly outputDir: string; readonly signal: AbortSignal },
): Promise<readonly BuiltImage[]> {
  const images: BuiltImage[] = [];
  await mkdir(options.outputDir, { recursive: true });
  for (const recipe of exampleRecipes) images.push(await buildRecipe(deps, recipe, options));
  return images;
}

/** Builds one recipe, or finds what was built from it before. */
export async function buildRecipe(
  deps: ImagesDeps,
  recipe: Recipe,
  options: { readonly outputDir: string; readonly signal: AbortSignal },
): Promise<BuiltImage> {
  const { outputDir, signal } = options;
  const { reference } = recipe;
  const outputPath = path.join(outputDir, `${recipeFileName(recipe)}.tar`);
  if (await exists(outputPath)) return { reference, path: outputPath };
  deps.log.info('building image', { reference });
  const cacheFolder = path.join(outputDir, 'packages');
  const folder = await mkdtemp(path.join(outputDir, 'rootfs-'));
  try {
    await chmod(folder, 0o755);
    const { packages, omit } = recipe;
    await debianRootfs(deps, { packages, omit, folder, cacheFolder, signal });
    await addFiles(folder, recipe, { signal });
    const layers: Layer[] = [folder];
    if (recipe.overlay !== undefined) layers.push(fileEntries(recipe.overlay));
    return await buildImage({ rootfs: { layers }, reference, config: recipe.config, outputPath });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Gives images to a containerd, under the namespace that Kubernetes uses. */
export async function importImages(
  paths: readonly string[],
  options: { readonly containerdSocket: string; readonly signal: AbortSignal },
): Promise<void> {
  for (const file of paths) {
    await runCtr(['images', 'import', file], options);
  }
}

/** References that a containerd knows, without the digests that it lists beside them. */
export async function listImages(options: {
  readonly containerdSocket: string;
  readonly signal: AbortSignal;
}): Promise<readonly string[]> {
  const text = await runCtr(['images', 'ls', '-q'], options);
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('sha256:'));
}

export { pauseFile } from './pause.ts';
export { architectureOf, exampleRecipes, pauseReference } from './recipes.ts';
export type { Entry } from './tar.ts';
export type { Architecture, ImageConfig, Layer, Recipe };

async function runCtr(
  args: readonly string[],
  options: { readonly containerdSocket: string; readonly signal: AbortSignal },
): Promise<string> {
  const base = ['--address', options.containerdSocket, '--namespace', 'k8s.io'];
  const { signal } = options;
  return await mustRun('ctr', [...base, ...args], { signal, timeoutMs: limits.toolTimeoutMs });
}

/** `nginx-1.22-3f2a91c04d5e`: another recipe is another file. */
function recipeFileName(recipe: Recipe): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([recipeVersion, process.arch, recipe]))
    .digest('hex');
  const name = recipe.reference.slice(recipe.reference.lastIndexOf('/') + 1);
  return `${name.replace(':', '-')}-${hash.slice(0, 12)}`;
}

function checkReference(reference: string): void {
  if (/^[a-z0-9.:-]+\/[a-z0-9._/-]+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(reference)) return;
  throw new Error(`an image reference looks like localhost/name:tag, not like "${reference}"`);
}

async function exists(file: string): Promise<boolean> {
  return await stat(file).then(
    () => true,
    () => false,
  );
}
