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
import { messageOf } from '#kit/error-message.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { Store, ValueTransformer } from '#store';
import { ConfigError } from '../settings/config.ts';
import { type EncryptionConfiguration, parseEncryptionConfiguration } from './encryption-config.ts';
import { EncryptionFigures } from './encryption-figures.ts';
import type { KmsProvider } from './kms-provider.ts';
import { openTransformer, type ResourceOfKey } from './transformer.ts';

export const limits = {
  /** Between two looks at the file, as upstream. */
  encryptionLookMs: 60_000,
  /** Between two looks at key management services that are well, and at some that are not. */
  kmsLookMs: 20_000,
  kmsRetryMs: 3_000,
} as const;

export interface EncryptionDeps {
  readonly random: Random;
  readonly catalog: Catalog;
}

/** The configuration of one cluster, in use. */
export interface Encryption {
  readonly transformer: ValueTransformer;
  readonly healthChecks: readonly HealthCheck[];
  /** For `/metrics`. */
  readonly figures: () => string;
  /** Looks at the file and at key management services again and again, where that is wanted. */
  run(store: Store, signal: AbortSignal): Promise<void>;
}

interface OpenDeps extends EncryptionDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

interface LoadDeps extends OpenDeps {
  readonly figures: EncryptionFigures;
}

/** A file that was read, and what it takes to do what it says. */
interface Loaded {
  readonly hash: string;
  readonly kms: readonly KmsProvider[];
  /** As of now: it knows the keys that the services use at the moment. */
  readonly transformer: () => ValueTransformer;
  readonly close: () => void;
}

/** Throws `ConfigError`, with upstream's words, where the file cannot be used. */
export async function openEncryption(
  deps: OpenDeps,
  { file, reload }: { readonly file: string; readonly reload: boolean },
): Promise<Encryption> {
  const figures = new EncryptionFigures();
  const tools = { ...deps, figures };
  const current = { loaded: await load(tools, await readSource(file)) };
  figures.noteConfiguration(current.loaded.hash);
  const isHealthy = (): boolean => current.loaded.kms.every((provider) => provider.isHealthy);
  const hasCheck = reload || current.loaded.kms.length > 0;
  return {
    transformer: current.loaded.transformer(),
    // As upstream: one for all services, there with automatic reload also where there is none.
    figures: () => figures.format(),
    healthChecks: hasCheck ? [{ name: 'kms-providers', except: 'livez', isHealthy }] : [],
    run: async (store, signal) => {
      const scope = new Scope(signal);
      // A service that does not answer holds up no end.
      signal.addEventListener('abort', () => current.loaded.close(), { once: true });
      if (hasCheck) scope.spawn((each) => runKmsChecks({ ...tools, store }, current, each));
      if (reload) scope.spawn((each) => runReload({ ...tools, store }, { file, current }, each));
      try {
        await scope.join();
      } finally {
        current.loaded.close();
      }
    },
  };
}

interface Source {
  readonly file: string;
  readonly text: string;
  readonly hash: string;
}

async function readSource(file: string): Promise<Source> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const reading = `error reading encryption provider configuration file "${file}"`;
    const why = `error while parsing file: error while loading file: ${reading}`;
    throw new ConfigError(`${why}: open ${file}: ${reasonOf(cause)}`, { cause });
  });
  return { file, text, hash: createHash('sha256').update(text).digest('hex') };
}

async function load(deps: LoadDeps, { file, text, hash }: Source): Promise<Loaded> {
  const configuration = parseEncryptionConfiguration(text, file);
  if (typeof configuration === 'string') throw new ConfigError(configuration);
  const closing = new AbortController();
  const kms = await openKms(deps, configuration, closing.signal);
  const byName = new Map(kms.map((provider) => [provider.settings.name, provider]));
  const resourceOf = resourcesOfKeys(deps.catalog);
  const { signal } = closing;
  const { random, figures } = deps;
  return {
    hash,
    kms,
    transformer: () =>
      openTransformer({ random, resourceOf, kms: byName, signal, figures }, configuration),
    close: () => {
      if (closing.signal.aborted) return;
      closing.abort(new Error('another configuration is in use'));
      for (const provider of kms) provider[Symbol.dispose]();
    },
  };
}

/** Each was asked once; one that is not well may become so later. */
async function openKms(
  deps: OpenDeps,
  { resources }: EncryptionConfiguration,
  signal: AbortSignal,
): Promise<readonly KmsProvider[]> {
  const settings = resources.flatMap(({ providers }) =>
    providers.flatMap((provider) => (provider.kind === 'kms' ? [provider] : [])),
  );
  if (settings.length === 0) return [];
  const { KmsProvider } = await import('./kms-provider.ts');
  const kms = settings.map((each) => new KmsProvider(deps, each));
  await Promise.all(kms.map((provider) => provider.check(signal)));
  return kms;
}

interface Current {
  loaded: Loaded;
}

/** Where a service has another key, or is back, the store has to know. */
async function runKmsChecks(
  deps: OpenDeps & { readonly store: Store },
  current: Current,
  signal: AbortSignal,
): Promise<void> {
  const { clock, store } = deps;
  for (;;) {
    const { loaded } = current;
    const isWell = loaded.kms.every((provider) => provider.isHealthy);
    await clock.sleep(isWell ? limits.kmsLookMs : limits.kmsRetryMs, { signal });
    if (loaded !== current.loaded || loaded.kms.length === 0) continue;
    const before = loaded.kms.map(({ keyID }) => keyID).join();
    await Promise.all(loaded.kms.map((provider) => provider.check(signal)));
    const isNew = loaded.kms.map(({ keyID }) => keyID).join() !== before;
    if (loaded !== current.loaded || store.atRest === undefined) continue;
    if (isNew) await store.atRest.use(loaded.transformer());
    else if (store.atRest.unreadable.length > 0) await store.atRest.retry();
  }
}

async function runReload(
  deps: LoadDeps & { readonly store: Store },
  { file, current }: { readonly file: string; readonly current: Current },
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, store, figures } = deps;
  for (;;) {
    await clock.sleep(limits.encryptionLookMs, { signal });
    try {
      const source = await readSource(file);
      if (source.hash === current.loaded.hash) continue;
      const next = await load(deps, source);
      requireWell(next);
      const former = current.loaded;
      current.loaded = next;
      figures.noteConfiguration(next.hash);
      await store.atRest?.use(next.transformer());
      former.close();
      const unreadable = store.atRest?.unreadable.length ?? 0;
      log.info('encryption configuration was read again', { file, unreadable });
      figures.countReload('success', clock.now());
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      figures.countReload('failure', clock.now());
      log.error('error processing encryption config file', { file, error });
    }
  }
}

function requireWell(next: Loaded): void {
  if (next.kms.every((provider) => provider.isHealthy)) return;
  next.close();
  throw new ConfigError('health check for new transformers failed');
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
  return messageOf(error);
}
