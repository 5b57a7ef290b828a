/**
 * Where it is written from where a node's images may come, and with which logins: paths, read by
 * `image-source-files.ts` when a node starts. Part of the settings of `up` and `agent`.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';

export interface ImageSources {
  /** `registries.yaml`, or a folder of containerd's `hosts.toml` files. */
  readonly registryPath: string | undefined;
  /** A `CredentialProviderConfig`, or a folder of them; and where the programs are. */
  readonly pluginConfig: string | undefined;
  readonly pluginFolder: string | undefined;
  /** Of the user whose logins count for the node. */
  readonly home: string;
  readonly workingFolder: string;
}

export interface ImageFlags {
  readonly privateRegistry?: string;
  readonly imageCredentialProviderConfig?: string;
  readonly imageCredentialProviderBinDir?: string;
}

const usualFile = '/etc/coracle/registries.yaml';

export function imageSources(flags: ImageFlags): ImageSources {
  const given = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(path);
  return {
    registryPath: given(flags.privateRegistry) ?? (existsSync(usualFile) ? usualFile : undefined),
    pluginConfig: given(flags.imageCredentialProviderConfig),
    pluginFolder: given(flags.imageCredentialProviderBinDir),
    home: homedir(),
    workingFolder: process.cwd(),
  };
}
