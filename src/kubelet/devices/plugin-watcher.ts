/**
 * Finds plugins by the sockets that they put into `plugins_registry`, asks each what it is, and
 * hands it to the handler of its type: device plugins, drivers of dynamic resources; drivers of
 * volumes find their place here as one more handler.
 *
 * The folder is looked through when it changes, and from time to time because news of folders
 * below it, or news at all, may be missing. A socket that was made anew is a new plugin; one that
 * is gone takes its plugin with it. A plugin that cannot be registered is tried again, later and
 * later. Texts are upstream's.
 */
import { type FSWatcher, mkdirSync, readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import { type GrpcChannel, GrpcError, openGrpcChannel } from '#kit/grpc.ts';
import type { Logger } from '#kit/log.ts';
import { registration } from './messages.ts';

export interface PluginHandler {
  /** Undefined: it will do. Otherwise why not. */
  validate(name: string, versions: readonly string[]): string | undefined;
  register(name: string, endpoint: string, versions: readonly string[]): Promise<void>;
  deregister(name: string, endpoint: string): void;
}

export interface PluginWatcherDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** By type: `DevicePlugin`, `DRAPlugin`. */
  readonly handlers: ReadonlyMap<string, () => Promise<PluginHandler>>;
}

const limits = {
  lookMs: 10_000,
  callMs: 5000,
  retryMs: 500,
  retryMsMax: 122_000,
  foldersDeepMax: 3,
} as const;

interface Plugin {
  /** Of the socket's file: another one is another plugin. */
  readonly identity: string;
  readonly leave: (() => void) | undefined;
  readonly failures: number;
  readonly retryAtMs: number;
}

export class PluginWatcher {
  readonly #deps: PluginWatcherDeps;
  readonly #dir: string;
  /** By path of the socket. */
  readonly #plugins = new Map<string, Plugin>();
  #wake: (() => void) | undefined;
  #isDirty = false;

  constructor(deps: PluginWatcherDeps, { dir }: { readonly dir: string }) {
    this.#deps = deps;
    this.#dir = dir;
  }

  async run(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#dir, { recursive: true, mode: 0o750 });
    const watcher = this.#watch();
    try {
      for (;;) {
        signal.throwIfAborted();
        this.#isDirty = false;
        await this.#look(signal);
        await this.#sleep(signal);
      }
    } finally {
      watcher?.close();
      for (const { leave } of this.#plugins.values()) leave?.();
    }
  }

  #watch(): FSWatcher | undefined {
    const { log } = this.#deps;
    const changed = (): void => {
      this.#isDirty = true;
      this.#wake?.();
    };
    try {
      return watch(this.#dir, changed).on('error', (error) => {
        log.warn('no news of the folder of plugins', { error });
      });
    } catch (error) {
      log.warn('no news of the folder of plugins, looking from time to time', { error });
      return undefined;
    }
  }

  async #sleep(signal: AbortSignal): Promise<void> {
    if (this.#isDirty) return;
    const { clock } = this.#deps;
    const retries = [...this.#plugins.values()].filter(({ leave }) => leave === undefined);
    const untilMs = Math.min(...retries.map(({ retryAtMs }) => retryAtMs));
    const restMs = Math.max(Math.min(untilMs - clock.monotonic(), limits.lookMs), 0);
    await new Promise<void>((resolve) => {
      const cancel = clock.after(restMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
      signal.addEventListener('abort', this.#wake, { once: true });
    });
    if (this.#wake !== undefined) signal.removeEventListener('abort', this.#wake);
    this.#wake = undefined;
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    const found = new Map(socketsBelow(this.#dir));
    for (const [socket, { identity, leave }] of this.#plugins) {
      if (found.get(socket) === identity) continue;
      leave?.();
      this.#plugins.delete(socket);
    }
    for (const [socket, identity] of found) {
      const known = this.#plugins.get(socket);
      if (known?.leave !== undefined || (known?.retryAtMs ?? 0) > clock.monotonic()) continue;
      try {
        const leave = await this.#register(socket, signal);
        this.#plugins.set(socket, { identity, leave, failures: 0, retryAtMs: 0 });
      } catch (error) {
        signal.throwIfAborted();
        const failures = (known?.failures ?? 0) + 1;
        const delayMs = Math.min(limits.retryMs * 2 ** (failures - 1), limits.retryMsMax);
        const retryAtMs = clock.monotonic() + delayMs;
        this.#plugins.set(socket, { identity, leave: undefined, failures, retryAtMs });
        log.warn('a plugin cannot be registered', { socket, error, delayMs });
      }
    }
  }

  async #register(socket: string, signal: AbortSignal): Promise<() => void> {
    const { clock, handlers, log } = this.#deps;
    using channel = await openGrpcChannel({ clock }, `unix://${socket}`);
    const call = { signal, timeoutMs: limits.callMs };
    const info = await channel.unary(registration.getInfo.client, {}, call);
    const { type, name, supportedVersions } = info;
    const endpoint = info.endpoint === '' ? socket : info.endpoint;
    const prefix = 'RegisterPlugin error -- ';
    const handler = await handlers.get(type)?.();
    if (handler === undefined) {
      const text = `no handler registered for plugin type: ${type} at socket ${socket}`;
      return await this.#refuse(channel, prefix + text, call);
    }
    const problem = handler.validate(name, supportedVersions);
    if (problem !== undefined) {
      const text = `plugin validation failed with err: ${problem}`;
      return await this.#refuse(channel, prefix + text, call);
    }
    try {
      await handler.register(name, endpoint, supportedVersions);
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      const text = `plugin registration failed with err: ${error.message}`;
      return await this.#refuse(channel, prefix + text, call);
    }
    try {
      await channel.unary(registration.notify.client, { pluginRegistered: true }, call);
    } catch (error) {
      handler.deregister(name, endpoint);
      throw error;
    }
    log.info('a plugin is registered', { type, name, endpoint });
    return () => handler.deregister(name, endpoint);
  }

  async #refuse(
    channel: GrpcChannel,
    error: string,
    call: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<never> {
    await channel.unary(registration.notify.client, { pluginRegistered: false, error }, call);
    throw new GrpcError(registration.notify.client.path, 'UNKNOWN', error);
  }
}

/** Paths, each with what tells it from another one of the same path; hidden ones are not meant. */
function socketsBelow(dir: string, deep = 0): readonly (readonly [string, string])[] {
  const found: (readonly [string, string])[] = [];
  let entries: ReturnType<typeof namesIn>;
  try {
    entries = namesIn(dir);
  } catch {
    // A folder that goes away while it is looked through has no plugins.
    return [];
  }
  for (const entry of entries) {
    const path = join(dir, entry.name);
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory() && deep < limits.foldersDeepMax) {
      found.push(...socketsBelow(path, deep + 1));
    } else if (entry.isSocket()) {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat !== undefined) found.push([path, `${stat.ino}/${stat.birthtimeMs}`]);
    }
  }
  return found;
}

function namesIn(dir: string) {
  return readdirSync(dir, { withFileTypes: true });
}
