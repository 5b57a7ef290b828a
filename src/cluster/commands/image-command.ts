/**
 * `coracle image build|load|ls`: images without a registry, through `#images`.
 */
import { existsSync, renameSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { containerdLayout } from '#cri';
import { buildImage, buildRecipe, exampleRecipes, importImages, listImages } from '#images';
import { systemClock } from '#kit/clock.ts';
import { openLog } from '#kit/log.ts';
import { type ClusterConfig, ConfigError } from '../settings/config.ts';
import { readState } from '../state.ts';
import type { ImageBuildOptions } from './command-line.ts';

/** From a folder, or one of the project's recipes by name. */
export async function build(options: ImageBuildOptions): Promise<void> {
  const output = resolve(options.output);
  const write = (line: string): boolean => process.stderr.write(line);
  const log = openLog({ clock: systemClock(), level: 'info', format: 'text', write });
  if (existsSync(options.from) && statSync(options.from).isDirectory()) {
    if (options.reference === '') throw new ConfigError('--reference is needed to name the image');
    const { from, reference } = options;
    await buildImage({ rootfs: resolve(from), reference, config: {}, outputPath: output });
    console.log(`${reference} written to ${output}`);
    return;
  }
  const recipe = exampleRecipes.find(({ reference }) =>
    reference.startsWith(`localhost/${options.from}:`),
  );
  if (recipe === undefined) {
    throw new ConfigError(`--from ${options.from}: neither a folder nor busybox nor nginx`);
  }
  const { signal } = new AbortController();
  const built = await buildRecipe({ log }, recipe, { outputDir: dirname(output), signal });
  renameSync(built.path, output);
  console.log(`${built.reference} written to ${output}`);
}

export async function load(config: ClusterConfig, files: readonly string[]): Promise<void> {
  await importImages(
    files.map((file) => resolve(file)),
    access(config),
  );
  console.log(`loaded ${files.length} archive${files.length === 1 ? '' : 's'}`);
}

export async function list(config: ClusterConfig): Promise<void> {
  for (const reference of await listImages(access(config))) console.log(reference);
}

function access(config: ClusterConfig) {
  const state = readState(config.dataDir);
  if (state === undefined) throw new ConfigError(`no cluster in ${config.dataDir}`);
  const { socketPath } = containerdLayout(config.dataDir, state.id);
  return { containerdSocket: socketPath, signal: new AbortController().signal };
}
