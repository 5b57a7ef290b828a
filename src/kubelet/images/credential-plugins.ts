/**
 * Programs that know logins: asked for an image that one of their patterns fits, with a request on
 * standard input and the answer on standard output. What they say is kept for as long as they say,
 * for the image, its registry or everything; the same question is asked once at a time.
 *
 * A program may want a token of the pod's service account; then what it says is of that account
 * only. What goes wrong is told in the log, and the pull goes on without. Behaviour: kubernetes.io,
 * "Configure a kubelet image credential provider". Asked by `pull-logins.ts`.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import { parseDuration } from '#kit/duration.ts';
import type { Logger } from '#kit/log.ts';
import { runCommand } from '#kit/run-command.ts';
import type { Pod, ServiceAccount } from '#resources/types/core-v1.ts';
import type { CredentialPlugin, TokenAttributes } from './credential-plugin-config.ts';
import { type Coordinates, fits, type LoginFile, type LoginSource } from './registry-logins.ts';

export const limits = {
  credentialPluginMs: 60_000,
  credentialAnswerBytesMax: 1024 * 1024,
} as const;

/** Runs a program; exits are values. */
export type RunPlugin = (
  plugin: CredentialPlugin,
  input: string,
  options: { readonly signal: AbortSignal },
) => Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;

export interface CredentialPluginsDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Logger;
  readonly run: RunPlugin;
  readonly account: (
    at: { readonly namespace: string; readonly name: string },
    options: { readonly signal: AbortSignal },
  ) => Promise<ServiceAccount>;
  /** A token of the account, bound to the pod. */
  readonly token: (
    pod: Pod,
    of: { readonly account: Coordinates; readonly audience: string },
    options: { readonly signal: AbortSignal },
  ) => Promise<string>;
}

/** The programs of a folder, with the kubelet's environment and their own on top. */
export function runPluginsIn(folder: string, environment: NodeJS.ProcessEnv): RunPlugin {
  return ({ name, args, env }, input, { signal }) =>
    runCommand(join(folder, name), args, {
      signal,
      input,
      timeoutMs: limits.credentialPluginMs,
      outputBytesMax: limits.credentialAnswerBytesMax,
      env: { ...environment, ...env },
    });
}

/** In whose name a program is asked, where it wants to know. */
interface Account {
  readonly coordinates: Coordinates;
  readonly token: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Part of the key under which answers are kept. */
  readonly cacheKey: string;
}

interface Answer {
  readonly cacheKeyType: 'Image' | 'Registry' | 'Global';
  readonly cacheMs: number | undefined;
  readonly file: LoginFile;
}

const globalKey = '<global>';

export class CredentialPlugins {
  readonly #deps: CredentialPluginsDeps;
  readonly #plugins: readonly CredentialPlugin[];
  readonly #signal: AbortSignal;
  readonly #kept = new Map<string, { readonly file: LoginFile; readonly untilMs: number }>();
  readonly #asking = new Map<string, Promise<Answer>>();

  constructor(
    deps: CredentialPluginsDeps,
    plugins: readonly CredentialPlugin[],
    { signal }: { readonly signal: AbortSignal },
  ) {
    this.#deps = deps;
    this.#plugins = plugins;
    this.#signal = signal;
  }

  /** What each program says, in their order. `repository` is whole, without tag. */
  async filesFor(
    repository: string,
    pod: Pod,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly { readonly file: LoginFile; readonly source: LoginSource }[]> {
    const files: { readonly file: LoginFile; readonly source: LoginSource }[] = [];
    for (const plugin of this.#plugins) {
      if (!plugin.matchImages.some((pattern) => fits(pattern, repository))) continue;
      try {
        const found = await this.#ask(plugin, repository, pod, options);
        if (found !== undefined) files.push(found);
      } catch (error) {
        options.signal.throwIfAborted();
        const facts = { provider: plugin.name, image: repository, error };
        this.#deps.log.error('failed to provide credentials for image', facts);
      }
    }
    return files;
  }

  async #ask(
    plugin: CredentialPlugin,
    repository: string,
    pod: Pod,
    options: { readonly signal: AbortSignal },
  ) {
    const account = await this.#accountFor(plugin.tokenAttributes, pod, options);
    if (account === 'none of its pods') return undefined;
    const source = account === undefined ? {} : { serviceAccount: account.coordinates };
    const keyOf = (base: string): string =>
      JSON.stringify([plugin.name, base, account?.cacheKey ?? '']);
    const nowMs = this.#deps.clock.now();
    for (const [key, { untilMs }] of this.#kept) if (untilMs < nowMs) this.#kept.delete(key);
    const registry = repository.split('/')[0] ?? '';
    for (const base of [repository, registry, globalKey]) {
      const kept = this.#kept.get(keyOf(base));
      if (kept !== undefined) return { file: kept.file, source };
    }
    const answer = await this.#runShared(plugin, repository, account);
    const echoes = [...answer.file.values()].some(({ password }) => password === account?.token);
    if (echoes && plugin.tokenAttributes?.cacheType !== 'Token') {
      throw new Error(
        'credential provider plugin returned the service account token as the password which is ' +
          "not allowed when service account cache type is not set to 'Token'",
      );
    }
    const cacheMs = answer.cacheMs ?? plugin.defaultCacheMs;
    const bases = { Image: repository, Registry: registry, Global: globalKey };
    const untilMs = nowMs + cacheMs;
    if (cacheMs > 0) {
      this.#kept.set(keyOf(bases[answer.cacheKeyType]), { file: answer.file, untilMs });
    }
    return { file: answer.file, source };
  }

  /** Undefined where the program is asked in nobody's name. */
  async #accountFor(
    attributes: TokenAttributes | undefined,
    pod: Pod,
    options: { readonly signal: AbortSignal },
  ): Promise<Account | 'none of its pods' | undefined> {
    if (attributes === undefined) return undefined;
    const { namespace = '' } = pod.metadata;
    const name = pod.spec?.serviceAccountName ?? '';
    if (name === '') return attributes.requireServiceAccount ? 'none of its pods' : undefined;
    const { metadata } = await this.#deps.account({ namespace, name }, options);
    const annotations: Record<string, string> = {};
    for (const key of attributes.requiredServiceAccountAnnotationKeys) {
      const value = metadata.annotations?.[key];
      if (value === undefined) return 'none of its pods';
      annotations[key] = value;
    }
    for (const key of attributes.optionalServiceAccountAnnotationKeys) {
      const value = metadata.annotations?.[key];
      if (value !== undefined) annotations[key] = value;
    }
    const coordinates = { namespace, name, uid: metadata.uid ?? '' };
    const audience = attributes.serviceAccountTokenAudience;
    const token = await this.#deps.token(pod, { account: coordinates, audience }, options);
    const sorted = Object.entries(annotations).sort();
    const ofToken = attributes.cacheType === 'Token' ? hash(token) : '';
    const cacheKey = JSON.stringify([coordinates, sorted, ofToken]);
    return { coordinates, token, annotations, cacheKey };
  }

  #runShared(
    plugin: CredentialPlugin,
    image: string,
    account: Account | undefined,
  ): Promise<Answer> {
    const { token = '', annotations = {} } = account ?? {};
    const key = JSON.stringify([plugin.name, image, hash(token), Object.entries(annotations)]);
    const running = this.#asking.get(key);
    if (running !== undefined) return running;
    const asking = this.#run(plugin, image, account).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #run(
    plugin: CredentialPlugin,
    image: string,
    account: Account | undefined,
  ): Promise<Answer> {
    const { apiVersion, name } = plugin;
    const { token, annotations = {} } = account ?? {};
    const request = {
      kind: 'CredentialProviderRequest',
      apiVersion,
      image,
      ...(token === undefined ? {} : { serviceAccountToken: token }),
      ...(Object.keys(annotations).length > 0 ? { serviceAccountAnnotations: annotations } : {}),
    };
    const { code, stdout, stderr } = await this.#deps.run(
      plugin,
      `${JSON.stringify(request)}\n`,
      // It goes on when one of those who wait for it gives up.
      { signal: this.#signal },
    );
    if (code !== 0) {
      const what = `error execing credential provider plugin ${name} for image ${image}`;
      throw new Error(`${what}: exit status ${code}: ${stderr}`);
    }
    return parseAnswer(stdout, apiVersion);
  }
}

/** Never shows what it was given: there are passwords in it. */
export function parseAnswer(text: string, apiVersion: string): Answer {
  const unreadable = 'error decoding credential provider plugin response from stdout';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(unreadable);
  }
  // Parse boundary: each member is looked at before it is used.
  const given = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  if (given['apiVersion'] !== apiVersion) {
    throw new Error(
      'apiVersion from credential plugin response did not match expected ' +
        `apiVersion:${apiVersion}, actual apiVersion:${String(given['apiVersion'] ?? '')}`,
    );
  }
  if (given['kind'] !== 'CredentialProviderResponse') throw new Error(unreadable);
  const { cacheKeyType, cacheDuration, auth = {} } = given;
  if (cacheKeyType !== 'Image' && cacheKeyType !== 'Registry' && cacheKeyType !== 'Global') {
    const what = 'credential provider plugin did not return a valid cacheKeyType';
    throw new Error(`${what}: ${String(cacheKeyType ?? '')}`);
  }
  const cacheMs = typeof cacheDuration === 'string' ? parseDuration(cacheDuration) : undefined;
  if (cacheDuration !== undefined && cacheDuration !== null && cacheMs === undefined) {
    throw new Error(unreadable);
  }
  const file = new Map(
    Object.entries(typeof auth === 'object' && auth !== null ? auth : {}).map(([place, login]) => {
      const { username = '', password = '' } = login as Record<string, unknown>;
      return [
        place,
        { username: String(username), password: String(password), identityToken: '' },
      ] as const;
    }),
  );
  return { cacheKeyType, cacheMs, file };
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
