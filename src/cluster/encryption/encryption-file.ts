/**
 * `--encryption-provider-config`: the file that says what is encrypted at rest, read at the start,
 * and again while the server runs where that is wanted.
 *
 * A file that cannot be used is refused at the start; later the one before goes on, and it is tried
 * again at the next look. Whose value a key of the store has is known from the catalog, and of
 * kinds that are not there yet from the key itself: `/registry/GROUP/RESOURCE/…`.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Catalog } from '#api/catalog.ts';
import { type HealthCheck, KeyIndex, registryRoot } from '#apiserver';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { Store, ValueTransformer } from '#store';
import { ConfigError } from '../config.ts';
import { parseEncryptionConfiguration } from './encryption-config.ts';
import { openTransformer, type ResourceOfKey } from './transformer.ts';

/** Between two looks at the file, as upstream. */
export const limits = { encryptionLookMs: 60_000 } as const;

export interface EncryptionDeps {
  readonly random: Random;
  readonly catalog: Catalog;
}

/** The configuration of one cluster, in use. */
export interface Encryption {
  readonly transformer: ValueTransformer;
  readonly healthChecks: readonly HealthCheck[];
  /** Looks at the file again and again, where that is wanted. */
  run(store: Store, signal: AbortSignal): Promise<void>;
}

/** Throws `ConfigError`, with upstream's words, where the file cannot be used. */
export async function openEncryption(
  deps: EncryptionDeps & { readonly clock: Clock; readonly log: Logger },
  { file, reload }: { readonly file: string; readonly reload: boolean },
): Promise<Encryption> {
  const { transformer, hash } = await readEncryption(deps, file);
  return {
    transformer,
    // As upstream: there are no such providers, so nothing can be wrong with them.
    healthChecks: reload ? [{ name: 'kms-providers', except: 'livez', isHealthy: () => true }] : [],
    run: async (store, signal) => {
      if (reload) await runEncryptionReload({ ...deps, store }, { file, hash }, signal);
    },
  };
}

async function readEncryption(
  { random, catalog }: EncryptionDeps,
  file: string,
): Promise<{ readonly transformer: ValueTransformer; readonly hash: string }> {
  const source = await readFile(file, 'utf8').catch((cause: unknown) => {
    const reading = `error reading encryption provider configuration file "${file}"`;
    const why = `error while parsing file: error while loading file: ${reading}`;
    throw new ConfigError(`${why}: open ${file}: ${reasonOf(cause)}`, { cause });
  });
  const configuration = parseEncryptionConfiguration(source, file);
  if (typeof configuration === 'string') throw new ConfigError(configuration);
  const resourceOf = resourcesOfKeys(catalog);
  return {
    transformer: openTransformer({ random, resourceOf }, configuration),
    hash: createHash('sha256').update(source).digest('hex'),
  };
}

async function runEncryptionReload(
  deps: EncryptionDeps & { readonly clock: Clock; readonly log: Logger; readonly store: Store },
  options: { readonly file: string; readonly hash: string },
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, store } = deps;
  const { file } = options;
  let { hash } = options;
  for (;;) {
    await clock.sleep(limits.encryptionLookMs, { signal });
    try {
      const now = await readEncryption(deps, file);
      if (now.hash === hash) continue;
      hash = now.hash;
      store.atRest?.use(now.transformer);
      const unreadable = store.atRest?.unreadable.length ?? 0;
      log.info('encryption configuration was read again', { file, unreadable });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      log.error('error processing encryption config file', { file, error });
    }
  }
}

export function resourcesOfKeys(catalog: Catalog): ResourceOfKey {
  const keys = new KeyIndex(catalog);
  return (key) => {
    const resource = keys.resourceOf(key);
    if (resource !== undefined) {
      return { group: resource.views[0]?.group ?? '', resource: resource.plural };
    }
    const [group = '', plural = ''] = key.slice(registryRoot.length).split('/');
    return group.includes('.') ? { group, resource: plural } : undefined;
  };
}

function reasonOf(error: unknown): string {
  // What a file system says has a code.
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'no such file or directory';
  if (code === 'EACCES') return 'permission denied';
  return error instanceof Error ? error.message : String(error);
}
