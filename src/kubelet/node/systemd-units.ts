/**
 * Slices of systemd, made, changed and ended over D-Bus: one connection, opened when it is first
 * needed and again after systemd or the bus has gone.
 *
 * Systemd answers a request for a start or a stop with the path of a job, and says later how the
 * job ended: who asked waits for that. The system's bus is asked where there is one; root may also
 * speak to systemd itself. Used by `systemd-cgroups.ts`; the names of units are from `slices.ts`.
 */
import { existsSync } from 'node:fs';
import type { Clock } from '#kit/clock.ts';
import { addMatch, type DBus, DBusError, openDBus } from '#kit/dbus.ts';
import type { DBusMessage, DBusValue } from '#kit/dbus-message.ts';
import type { Property } from './slices.ts';

export interface Units {
  /** False: there is such a unit already. */
  start(
    name: string,
    properties: readonly Property[],
    options: { readonly signal: AbortSignal },
  ): Promise<boolean>;
  /** False: there is no such unit. */
  set(
    name: string,
    properties: readonly Property[],
    options: { readonly signal: AbortSignal },
  ): Promise<boolean>;
  /** With all that is in it; also when it is not there. */
  stop(name: string, options: { readonly signal: AbortSignal }): Promise<void>;
}

export const limits = { jobMs: 30_000, jobsKept: 1000 } as const;

const sockets = [
  { socketPath: '/run/dbus/system_bus_socket', isBus: true },
  { socketPath: '/run/systemd/private', isBus: false },
] as const;

const systemd = {
  destination: 'org.freedesktop.systemd1',
  path: '/org/freedesktop/systemd1',
  interface: 'org.freedesktop.systemd1.Manager',
} as const;

const jobPath = /^\/org\/freedesktop\/systemd1\/job\/\d{1,10}$/;
const jobResult = /^[a-z]{1,20}$/;

export interface UnitsOptions {
  readonly sockets?: readonly { readonly socketPath: string; readonly isBus: boolean }[];
  readonly userId: number;
}

export class SystemdUnits implements Units {
  readonly #clock: Clock;
  readonly #options: UnitsOptions;
  #opening: Promise<DBus> | undefined;
  #bus: DBus | undefined;
  /** How jobs ended, by path, those of others too; the oldest go. */
  readonly #results = new Map<string, string>();
  readonly #waiting = new Map<string, (result: string) => void>();

  constructor({ clock }: { readonly clock: Clock }, options: UnitsOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  async start(
    name: string,
    properties: readonly Property[],
    options: { readonly signal: AbortSignal },
  ): Promise<boolean> {
    const signature = 'ssa(sv)a(sa(sv))';
    const body = [name, 'replace', properties.map(asPair), []];
    try {
      const result = await this.#job('StartTransientUnit', { signature, body }, options);
      if (result === 'done') return true;
      throw new Error(`error creating systemd unit \`${name}\`: got \`${result}\``);
    } catch (error) {
      if (isNamed(error, 'UnitExists')) return false;
      throw error;
    }
  }

  async set(
    name: string,
    properties: readonly Property[],
    options: { readonly signal: AbortSignal },
  ): Promise<boolean> {
    const body = [name, true, properties.map(asPair)];
    try {
      await this.#call('SetUnitProperties', { signature: 'sba(sv)', body }, options);
      return true;
    } catch (error) {
      if (isNamed(error, 'NoSuchUnit')) return false;
      throw error;
    }
  }

  async stop(name: string, options: { readonly signal: AbortSignal }): Promise<void> {
    const call = { signature: 'ss', body: [name, 'replace'] };
    try {
      await this.#job('StopUnit', call, options);
    } catch (error) {
      if (!isNamed(error, 'NoSuchUnit')) throw error;
    }
    try {
      // One that has failed would be kept for people to look at.
      await this.#call('ResetFailedUnit', { signature: 's', body: [name] }, options);
    } catch (error) {
      if (!(error instanceof DBusError)) throw error;
    }
  }

  async #job(member: string, call: Call, options: { readonly signal: AbortSignal }) {
    const [path] = await this.#call(member, call, options);
    if (typeof path !== 'string') throw new Error(`${member}: systemd names no job`);
    return this.#resultOf(path, options);
  }

  async #resultOf(path: string, { signal }: { readonly signal: AbortSignal }): Promise<string> {
    const known = this.#results.get(path);
    if (known !== undefined) return known;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#waiting.set(path, resolve);
    const over = new AbortController();
    try {
      const ended = AbortSignal.any([signal, over.signal]);
      const late = this.#clock.sleep(limits.jobMs, { signal: ended }).then(
        () => 'timeout',
        () => 'canceled',
      );
      const result = await Promise.race([promise, late]);
      signal.throwIfAborted();
      return result;
    } finally {
      over.abort(new Error('the job has ended'));
      this.#waiting.delete(path);
    }
  }

  async #call(
    member: string,
    call: Call,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly DBusValue[]> {
    const bus = await this.#open(options);
    return bus.call({ ...systemd, member, ...call }, options);
  }

  async #open(options: { readonly signal: AbortSignal }): Promise<DBus> {
    if (this.#bus?.isClosed === false) return this.#bus;
    this.#opening ??= this.#connect(options);
    try {
      this.#bus = await this.#opening;
      return this.#bus;
    } finally {
      this.#opening = undefined;
    }
  }

  async #connect(options: { readonly signal: AbortSignal }): Promise<DBus> {
    const all = this.#options.sockets ?? sockets;
    const found = all.find(({ socketPath }) => existsSync(socketPath));
    if (found === undefined) {
      const looked = all.map(({ socketPath }) => socketPath).join(', ');
      throw new Error(`systemd does not run here, or cannot be asked: no ${looked}`);
    }
    const { userId } = this.#options;
    const onSignal = (message: DBusMessage): void => this.#hear(message);
    const bus = await openDBus(
      { clock: this.#clock },
      { ...found, userId, onSignal, signal: options.signal },
    );
    // Anybody may send signals to all on a bus: those of systemd count.
    const from = `type='signal',sender='${systemd.destination}',interface='${systemd.interface}'`;
    const rule = `${from},member='JobRemoved'`;
    try {
      if (found.isBus) await addMatch(bus, rule, options);
      await bus.call({ ...systemd, member: 'Subscribe' }, options);
      return bus;
    } catch (error) {
      bus[Symbol.dispose]();
      throw error;
    }
  }

  #hear({ member, body }: DBusMessage): void {
    const [, path, , result] = body;
    if (member !== 'JobRemoved' || typeof path !== 'string' || typeof result !== 'string') return;
    // Anybody may send one to us alone as well: what is no end of a job is not kept.
    if (!jobPath.test(path) || !jobResult.test(result)) return;
    this.#waiting.get(path)?.(result);
    this.#results.set(path, result);
    const [oldest] = this.#results.keys();
    if (this.#results.size > limits.jobsKept && oldest !== undefined) this.#results.delete(oldest);
  }
}

interface Call {
  readonly signature: string;
  readonly body: readonly DBusValue[];
}

function asPair([name, signature, value]: Property): DBusValue {
  return [name, { signature, value }];
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof DBusError && error.errorName === `org.freedesktop.systemd1.${name}`;
}
