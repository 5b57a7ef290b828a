/**
 * Reads what `image-sources.ts` names: mirrors and registries for the runtime, the node's logins
 * and credential provider plugins for the kubelet. What is wrong is refused with a line that names
 * the file; `up` and `agent` look before they start anything, the node's process reads for itself.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Registries } from '#cri';
import { parseCredentialPlugins, type RegistryOptions } from '#kubelet';
import { ConfigError } from '../settings/config-error.ts';
import type { ImageSources } from '../settings/image-sources.ts';
import { parseRegistries } from '../settings/registries.ts';

export interface RegistryFiles {
  readonly registries: Registries;
  /** Instead: containerd's own files. */
  readonly hostsFolder: string | undefined;
}

export function readRegistries({ registryPath }: ImageSources): RegistryFiles {
  const none: Registries = { mirrors: new Map(), access: new Map() };
  if (registryPath === undefined) return { registries: none, hostsFolder: undefined };
  const refuse = (why: string): never => {
    throw new ConfigError(`--private-registry ${registryPath}: ${why}`);
  };
  const found = statSync(registryPath, { throwIfNoEntry: false });
  if (found === undefined) return refuse('no such file');
  if (found.isDirectory()) return { registries: none, hostsFolder: registryPath };
  const registries = parseRegistries(readFileSync(registryPath, 'utf8'), dirname(registryPath));
  if (typeof registries === 'string') return refuse(registries);
  return { registries, hostsFolder: undefined };
}

/** With upstream's words. */
export function readPlugins(
  sources: Pick<ImageSources, 'pluginConfig' | 'pluginFolder'>,
  environment: NodeJS.ProcessEnv,
): RegistryOptions['plugins'] {
  const { pluginConfig, pluginFolder } = sources;
  if (pluginConfig === undefined && pluginFolder === undefined) return undefined;
  const refuse = (why: string): never => {
    throw new ConfigError(`failed to register CRI auth plugins: ${why}`);
  };
  if (pluginFolder === undefined || pluginConfig === undefined) {
    throw new ConfigError(
      'one of --image-credential-provider-config and --image-credential-provider-bin-dir is missing',
    );
  }
  if (!existsSync(pluginFolder)) {
    return refuse(`plugin binary directory ${pluginFolder} did not exist`);
  }
  const list = parseCredentialPlugins(readConfigFiles(pluginConfig, refuse));
  if (typeof list === 'string') return refuse(list);
  for (const { name } of list) {
    const program = join(pluginFolder, name);
    const { mode = 0 } = statSync(program, { throwIfNoEntry: false }) ?? {};
    if ((mode & 0o111) === 0) return refuse(`plugin binary executable ${program} did not exist`);
  }
  return { list, programFolder: pluginFolder, environment };
}

/** A folder stands for its files, in the order of their names. */
function readConfigFiles(
  path: string,
  refuse: (why: string) => never,
): readonly { readonly path: string; readonly text: string }[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    return refuse(`unable to access path "${path}": stat ${path}: no such file or directory`);
  }
  const files = found.isDirectory()
    ? readdirSync(path)
        .filter((name) => /\.(json|ya?ml)$/.test(name))
        .sort()
        .map((name) => join(path, name))
    : [path];
  if (files.length === 0) refuse(`no configuration files found in directory "${path}"`);
  return files.map((file) => ({ path: file, text: readFileSync(file, 'utf8') }));
}

/** For the kubelet, whose own files are below `root`. */
export function registryOptions(
  sources: Omit<ImageSources, 'registryPath'>,
  options: { readonly root: string; readonly environment: NodeJS.ProcessEnv },
): RegistryOptions {
  const { home, workingFolder } = sources;
  const { root, environment } = options;
  return {
    loginFolders: {
      modern: [root, workingFolder, join(home, '.docker'), '/.docker'],
      old: [root, workingFolder, home, '/'],
    },
    plugins: readPlugins(sources, environment),
  };
}
