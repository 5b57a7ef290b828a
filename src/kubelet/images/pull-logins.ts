/**
 * Everything that a pod may show a registry, in the order in which it is tried: its own Secrets,
 * the node's files, what plugins say. `start-container.ts` brings the Secrets; `registry-logins.ts`
 * says what fits.
 *
 * The node's files are those of container clients, read anew each time: the first `config.json` of
 * the folders that can be read, else the first `.dockercfg`.
 */
import { join } from 'node:path';
import type { Pod, Secret } from '#resources/types/core-v1.ts';
import type { CredentialPlugins } from './credential-plugins.ts';
import { parseImageName } from './image-name.ts';
import {
  fittingLogins,
  type LoginFile,
  parseLoginFile,
  secretLogins,
  type TrackedLogin,
} from './registry-logins.ts';

/** Where a node's own logins may be, best first. */
export interface LoginFolders {
  /** With a `config.json`. */
  readonly modern: readonly string[];
  /** With a `.dockercfg`. */
  readonly old: readonly string[];
}

export class PullLogins {
  readonly #readFile: (path: string) => string;
  readonly #plugins: CredentialPlugins | undefined;
  readonly #folders: LoginFolders;

  constructor(
    deps: {
      /** Empty where there is none. */
      readonly readFile: (path: string) => string;
      readonly plugins: CredentialPlugins | undefined;
    },
    { folders }: { readonly folders: LoginFolders },
  ) {
    this.#readFile = deps.readFile;
    this.#plugins = deps.plugins;
    this.#folders = folders;
  }

  async of(
    image: string,
    pod: Pod,
    secrets: readonly Secret[],
    options: { readonly signal: AbortSignal },
  ): Promise<readonly TrackedLogin[]> {
    const name = parseImageName(image);
    if (typeof name === 'string') return [];
    const { repository } = name;
    const own = secrets.map((secret) => {
      const { uid = '', namespace = '', name: called = '' } = secret.metadata;
      const source = { secret: { uid, namespace, name: called } };
      return { file: secretLogins(secret), source };
    });
    const given = (await this.#plugins?.filesFor(repository, pod, options)) ?? [];
    return [
      ...fittingLogins(repository, own),
      ...fittingLogins(repository, [{ file: this.#nodeFile(), source: {} }]),
      ...fittingLogins(repository, given),
    ];
  }

  #nodeFile(): LoginFile {
    for (const folder of this.#folders.modern) {
      const text = this.#readFile(join(folder, 'config.json'));
      if (text !== '') return parseLoginFile(text, { isModern: true });
    }
    for (const folder of this.#folders.old) {
      const text = this.#readFile(join(folder, '.dockercfg'));
      if (text !== '') return parseLoginFile(text, { isModern: false });
    }
    return new Map();
  }
}
