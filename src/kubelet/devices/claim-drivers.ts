/**
 * Drivers of dynamic resources on this node: their connections, their devices' health, and the end
 * of their ResourceSlices.
 *
 * Several plugins of one driver may be there at a time, while it is updated; the newest that is
 * connected is asked. A driver without any is given 30 s to come back; then its slices of this
 * node go, because nobody would prepare what the scheduler gives out of them. When the kubelet
 * starts, all slices of the node go: drivers that live write theirs again.
 */
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import { type GrpcChannel, GrpcError, isGrpcCode, openGrpcChannel } from '#kit/grpc.ts';
import type { Logger } from '#kit/log.ts';
import { type ClaimService, claimServices, type Received, watchHealth } from './messages.ts';
import type { PluginHandler } from './plugin-watcher.ts';
import { wipeSlices } from './slices.ts';

export interface ClaimDriversDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly spawn: (task: (signal: AbortSignal) => Promise<void>) => void;
  readonly onHealth: (driver: string) => void;
}

const limits = {
  wipeAfterMs: 30_000,
  healthRetryMs: 5000,
  healthTimeoutMs: 30_000,
  messageLengthMax: 1024,
} as const;

export interface ClaimPlugin {
  readonly driver: string;
  readonly endpoint: string;
  readonly service: ClaimService;
  readonly channel: GrpcChannel;
}

interface Plugin extends ClaimPlugin {
  readonly leaving: AbortController;
  isConnected: boolean;
}

export interface DeviceHealth {
  readonly health: 'Healthy' | 'Unhealthy' | 'Unknown';
  readonly message: string;
  readonly untilMs: number;
  readonly timeoutMs: number;
}

const healthWords = { HEALTHY: 'Healthy', UNHEALTHY: 'Unhealthy', UNKNOWN: 'Unknown' } as const;

export class ClaimDrivers implements PluginHandler {
  readonly #deps: ClaimDriversDeps;
  readonly #nodeName: string;
  /** By driver, the newest last. */
  readonly #plugins = new Map<string, readonly Plugin[]>();
  /** By driver: cancels what is going to happen to its slices. */
  readonly #wipes = new Map<string, AbortController>();
  /** By driver, by `pool/device`. */
  readonly #health = new Map<string, Map<string, DeviceHealth>>();

  constructor(deps: ClaimDriversDeps, { nodeName }: { readonly nodeName: string }) {
    this.#deps = deps;
    this.#nodeName = nodeName;
  }

  find(driver: string): ClaimPlugin | undefined {
    const plugins = this.#plugins.get(driver) ?? [];
    return plugins.findLast(({ isConnected }) => isConnected) ?? plugins.at(-1);
  }

  healthOf(driver: string, pool: string, device: string): Omit<DeviceHealth, 'untilMs'> {
    const known = this.#health.get(driver)?.get(`${pool}/${device}`);
    if (known !== undefined && this.#deps.clock.monotonic() <= known.untilMs) return known;
    return { health: 'Unknown', message: '', timeoutMs: limits.healthTimeoutMs };
  }

  validate(name: string, versions: readonly string[]): string | undefined {
    if (serviceOf(versions) !== undefined) return undefined;
    const quoted = (list: readonly string[]): string =>
      `[${list.map((one) => `"${one}"`).join(' ')}]`;
    const why =
      versions.length === 0
        ? 'empty list of supported gRPC services (aka supported versions)'
        : `none of services supported by the plugin (${quoted(versions)}) are supported by the ` +
          `kubelet (${quoted(claimServices)})`;
    return `invalid supported gRPC versions of DRA driver plugin ${name}: ${why}`;
  }

  async register(driver: string, endpoint: string, versions: readonly string[]): Promise<void> {
    const { clock, spawn } = this.#deps;
    const service = serviceOf(versions);
    if (service === undefined) return;
    if (this.#plugins.get(driver)?.some((plugin) => plugin.endpoint === endpoint) === true) {
      const text = `endpoint ${endpoint} already registered for DRA driver plugin ${driver}`;
      throw new GrpcError(endpoint, 'ALREADY_EXISTS', text);
    }
    const channel = await openGrpcChannel({ clock }, `unix://${endpoint}`);
    const leaving = new AbortController();
    const plugin: Plugin = { driver, endpoint, service, channel, leaving, isConnected: false };
    this.#plugins.set(driver, [...(this.#plugins.get(driver) ?? []), plugin]);
    channel.watchConnection((isConnected) => {
      plugin.isConnected = isConnected;
      this.#followDriver(driver);
    });
    spawn((ending) => this.#watchHealth(plugin, ending));
  }

  deregister(driver: string, endpoint: string): void {
    const plugins = this.#plugins.get(driver) ?? [];
    const leaving = plugins.filter((plugin) => plugin.endpoint === endpoint);
    const rest = plugins.filter((plugin) => plugin.endpoint !== endpoint);
    if (rest.length === 0) this.#plugins.delete(driver);
    else this.#plugins.set(driver, rest);
    for (const plugin of leaving) {
      plugin.leaving.abort(new Error('the plugin has gone'));
      plugin.channel[Symbol.dispose]();
    }
    this.#followDriver(driver);
  }

  close(): void {
    for (const plugins of this.#plugins.values()) {
      for (const { channel } of plugins) channel[Symbol.dispose]();
    }
    this.#plugins.clear();
  }

  #followDriver(driver: string): void {
    const { clock, spawn } = this.#deps;
    const isUsable = (this.#plugins.get(driver) ?? []).some(({ isConnected }) => isConnected);
    const pending = this.#wipes.get(driver);
    if (isUsable) {
      pending?.abort(new Error('the driver is back'));
      this.#wipes.delete(driver);
      return;
    }
    if (pending !== undefined) return;
    const canceled = new AbortController();
    this.#wipes.set(driver, canceled);
    spawn(async (ending) => {
      const signal = AbortSignal.any([ending, canceled.signal]);
      try {
        await clock.sleep(limits.wipeAfterMs, { signal });
        await wipeSlices(this.#deps, { nodeName: this.#nodeName, driver }, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        if (this.#wipes.get(driver) === canceled) this.#wipes.delete(driver);
      }
    });
  }

  async #watchHealth(plugin: Plugin, ending: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    const { driver, channel } = plugin;
    const signal = AbortSignal.any([ending, plugin.leaving.signal]);
    for (;;) {
      try {
        for await (const { devices } of channel.stream(watchHealth.client, {}, { signal })) {
          this.#healthTold(driver, devices);
        }
      } catch (error) {
        if (signal.aborted) return;
        // Health is a driver's choice to tell; one that does not is not asked again.
        if (isGrpcCode(error, 'UNIMPLEMENTED')) return;
        log.debug('no news of the health of devices', { driver, error });
      } finally {
        if (this.#health.delete(driver)) this.#deps.onHealth(driver);
      }
      try {
        await clock.sleep(limits.healthRetryMs, { signal });
      } catch {
        // The plugin or the kubelet has gone meanwhile.
        return;
      }
    }
  }

  #healthTold(driver: string, devices: readonly Received<'DeviceHealth'>[]): void {
    const known = this.#health.get(driver) ?? new Map<string, DeviceHealth>();
    const nowMs = this.#deps.clock.monotonic();
    let isChanged = false;
    for (const { device, health, healthCheckTimeoutSeconds: seconds, message } of devices) {
      const key = `${device?.poolName}/${device?.deviceName}`;
      const timeoutMs = seconds > 0 ? seconds * 1000 : limits.healthTimeoutMs;
      const told: DeviceHealth = {
        health: healthWords[health] ?? 'Unknown',
        message: shortened(message),
        timeoutMs,
        untilMs: nowMs + timeoutMs,
      };
      const before = known.get(key);
      isChanged ||= before?.health !== told.health || before.message !== told.message;
      known.set(key, told);
    }
    this.#health.set(driver, known);
    if (isChanged) this.#deps.onHealth(driver);
  }
}

/** The first one of the plugin's that is known here. */
function serviceOf(versions: readonly string[]): ClaimService | undefined {
  for (const version of versions) {
    const found = claimServices.find((service) => service === version);
    if (found !== undefined) return found;
  }
  return undefined;
}

function shortened(message: string): string {
  const max = limits.messageLengthMax;
  return message.length <= max ? message : `${message.slice(0, max - 3)}...`;
}
