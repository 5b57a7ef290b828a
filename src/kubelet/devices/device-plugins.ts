/**
 * Connections to device plugins: whoever registers is asked for its options and then listened to
 * until it goes away.
 *
 * Plugins come in two ways: they call `Register` on `device-plugins/kubelet.sock`, or put a socket
 * into `plugins_registry` (`plugin-watcher.ts`). A kubelet that starts removes the sockets of
 * before, which is how plugins notice that they have to register again. What they tell goes to
 * `device-manager.ts`.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import { GrpcError, openGrpcChannel, type Served } from '#kit/grpc.ts';
import type { Logger } from '#kit/log.ts';
import type { DeviceManager, Endpoint } from './device-manager.ts';
import { devicePlugin } from './messages.ts';
import type { PluginHandler } from './plugin-watcher.ts';

export interface DevicePluginsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly manager: DeviceManager;
  readonly spawn: (task: (signal: AbortSignal) => Promise<void>) => void;
  /** What is counted has changed. */
  readonly onChange: () => void;
}

const limits = { connectMs: 10_000 } as const;
const version = 'v1beta1';

export class DevicePlugins implements PluginHandler {
  readonly #deps: DevicePluginsDeps;
  readonly #dir: string;
  /** By resource; a newer one takes the place of the older. */
  readonly #clients = new Map<string, AbortController>();

  constructor(deps: DevicePluginsDeps, { dir }: { readonly dir: string }) {
    this.#deps = deps;
    this.#dir = dir;
  }

  removeSockets(): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o750 });
    for (const entry of readdirSync(this.#dir, { withFileTypes: true })) {
      if (entry.isSocket()) rmSync(join(this.#dir, entry.name), { force: true });
    }
  }

  /** For the server on `kubelet.sock`. */
  get methods(): readonly Served[] {
    return [
      devicePlugin.register.serve(async (request) => {
        const name = request.resourceName;
        this.#deps.log.info('a device plugin registers', { resource: name });
        if (request.version !== version) {
          throw refused(
            `requested API version "${request.version}" is not supported by kubelet. ` +
              `Supported version is ["${version}"]`,
          );
        }
        if (!isExtendedResourceName(name)) throw refused(invalidName(name));
        await this.register(name, join(this.#dir, request.endpoint));
        return {};
      }),
    ];
  }

  validate(name: string, versions: readonly string[]): string | undefined {
    if (!versions.includes(version)) {
      const offered = versions.join(' ');
      return `manager version, ${version}, is not among plugin supported versions [${offered}]`;
    }
    if (isExtendedResourceName(name)) return undefined;
    return `invalid name of device plugin socket: ${invalidName(name)}`;
  }

  async register(name: string, socket: string): Promise<void> {
    const { clock, manager, spawn } = this.#deps;
    const channel = await openGrpcChannel({ clock }, `unix://${socket}`);
    const client = new AbortController();
    this.#clients.get(name)?.abort(new Error('another plugin has taken its place'));
    this.#clients.set(name, client);
    try {
      const call = { signal: client.signal, timeoutMs: limits.connectMs };
      const options = await channel.unary(devicePlugin.options.client, {}, call);
      const endpoint = { channel, options };
      manager.connected(name, endpoint);
      spawn((ending) => this.#listen(name, endpoint, client, ending));
    } catch (error) {
      channel[Symbol.dispose]();
      if (this.#clients.get(name) === client) this.#clients.delete(name);
      if (!(error instanceof GrpcError)) throw error;
      throw refused(`failed to get device plugin options: ${error.message}`);
    }
  }

  deregister(name: string): void {
    this.#clients.get(name)?.abort(new Error('the plugin has gone'));
  }

  async #listen(
    name: string,
    endpoint: Endpoint,
    client: AbortController,
    ending: AbortSignal,
  ): Promise<void> {
    const { log, manager, onChange } = this.#deps;
    const { channel } = endpoint;
    const signal = AbortSignal.any([ending, client.signal]);
    try {
      const stream = channel.stream(devicePlugin.listAndWatch.client, {}, { signal });
      for await (const { devices } of stream) {
        manager.told(name, endpoint, devices);
        onChange();
      }
      log.info('a device plugin has ended', { resource: name });
    } catch (error) {
      if (!signal.aborted) log.warn('a device plugin is gone', { resource: name, error });
    } finally {
      channel[Symbol.dispose]();
      if (this.#clients.get(name) === client) this.#clients.delete(name);
      manager.disconnected(name, endpoint);
      onChange();
    }
  }
}

function refused(message: string): GrpcError {
  return new GrpcError(devicePlugin.register.client.path, 'UNKNOWN', message);
}

function invalidName(name: string): string {
  return `the ResourceName "${name}" is invalid`;
}

/** `domain/name`, of nobody's own domain: not `kubernetes.io`, and not as quotas are named. */
function isExtendedResourceName(name: string): boolean {
  const [domain = '', last = '', ...more] = name.split('/');
  if (domain === '' || last === '' || more.length > 0) return false;
  if (domain.includes('kubernetes.io') || name.startsWith('requests.')) return false;
  const label = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
  const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
  return domain.length <= 253 && subdomain.test(domain) && label.test(last);
}
