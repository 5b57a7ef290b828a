/**
 * The other side of the contract between kubelet and plugins, for tests: a device plugin, a plugin
 * in the registry and a driver of dynamic resources on real sockets, answered in this process,
 * with what they were asked kept in order.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as realSleep } from 'node:timers/promises';
import { systemClock } from '#kit/clock.ts';
import { GrpcError, openGrpcChannel, serveGrpc } from '#kit/grpc.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';
import {
  type ClaimService,
  claimCalls,
  devicePlugin,
  type Received,
  registration,
  type Sent,
  watchHealth,
} from './messages.ts';

const waitMs = 60_000;

export class TestDevicePlugin implements Disposable {
  readonly resource: string;
  readonly calls: string[] = [];
  options: Sent<'DevicePluginOptions'> = {};
  preferred: readonly string[] = [];
  /** What `Allocate` answers; a text is an error. */
  answer: (ids: readonly string[]) => Sent<'ContainerAllocateResponse'> | string = (ids) => ({
    envs: { DEVICES: ids.join(',') },
  });
  preStartError = '';
  /** NUMA nodes of devices that are not on node 0. */
  nodesOf: Readonly<Record<string, number>> = {};
  #devices: readonly Sent<'Device'>[] = [];
  #tell: (() => void) | undefined;
  readonly #dir: string;
  readonly #name: string;
  #server: Disposable | undefined;

  constructor(root: string, resource: string) {
    this.resource = resource;
    this.#dir = join(root, 'device-plugins');
    this.#name = `${resource.replace('/', '-')}.sock`;
  }

  get socket(): string {
    return join(this.#dir, this.#name);
  }

  /** What `ListAndWatch` tells, now and to whoever asks later. */
  set devices(devices: Readonly<Record<string, 'Healthy' | 'Unhealthy'>>) {
    this.#devices = Object.entries(devices).map(([id, health]) => ({
      ...{ id, health },
      topology: { nodes: [{ id: this.nodesOf[id] ?? 0 }] },
    }));
    this.#tell?.();
  }

  async serve(): Promise<void> {
    mkdirSync(this.#dir, { recursive: true });
    rmSync(this.socket, { force: true });
    this.#server = await serveGrpc(`unix://${this.socket}`, [
      devicePlugin.options.serve(async () => this.options),
      devicePlugin.listAndWatch.serveStream((_, signal) => this.#list(signal)),
      devicePlugin.preferred.serve(async ({ containerRequests: [request] }) => {
        this.calls.push(
          `GetPreferredAllocation ${request?.availableDeviceIds.join(',')} of ${request?.allocationSize}`,
        );
        return { containerResponses: [{ deviceIds: this.preferred }] };
      }),
      devicePlugin.allocate.serve(async ({ containerRequests: [request] }) => {
        const ids = request?.deviceIds ?? [];
        this.calls.push(`Allocate ${ids.join(',')}`);
        const answer = this.answer(ids);
        if (typeof answer === 'string') throw new GrpcError('', 'UNKNOWN', answer);
        return { containerResponses: [answer] };
      }),
      devicePlugin.preStart.serve(async ({ deviceIds }) => {
        this.calls.push(`PreStartContainer ${deviceIds.join(',')}`);
        if (this.preStartError !== '') throw new GrpcError('', 'UNKNOWN', this.preStartError);
        return {};
      }),
    ]);
  }

  async *#list(signal: AbortSignal): AsyncIterable<Sent<'ListAndWatchResponse'>> {
    while (!signal.aborted) {
      const told = new Promise<void>((resolve) => {
        this.#tell = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      yield { devices: this.#devices };
      await told;
    }
  }

  /** As plugins do: through the socket of the kubelet. */
  async register(request: Sent<'RegisterRequest'> = {}): Promise<void> {
    const endpoint = `unix://${join(this.#dir, 'kubelet.sock')}`;
    using channel = await openGrpcChannel({ clock: systemClock() }, endpoint);
    const message = {
      ...{ version: 'v1beta1', endpoint: this.#name, resourceName: this.resource },
      ...request,
    };
    const limits = { signal: new AbortController().signal, timeoutMs: waitMs };
    await channel.unary(devicePlugin.register.client, message, limits);
  }

  [Symbol.dispose](): void {
    this.#tell?.();
    this.#server?.[Symbol.dispose]();
    rmSync(this.socket, { force: true });
  }
}

/** A plugin in `plugins_registry`: says what it is, and keeps what it is told. */
export class TestRegistration implements Disposable {
  readonly told: Received<'RegistrationStatus'>[] = [];
  readonly #socket: string;
  readonly #info: Sent<'PluginInfo'>;
  #server: Disposable | undefined;

  constructor(root: string, info: Sent<'PluginInfo'>) {
    const dir = join(root, 'plugins_registry');
    mkdirSync(dir, { recursive: true });
    this.#socket = join(dir, `${String(info.name).replace('/', '-')}-reg.sock`);
    this.#info = info;
  }

  async serve(): Promise<void> {
    this.#server = await serveGrpc(`unix://${this.#socket}`, [
      registration.getInfo.serve(async () => this.#info),
      registration.notify.serve(async (status) => {
        this.told.push(status);
        return {};
      }),
    ]);
  }

  [Symbol.dispose](): void {
    this.#server?.[Symbol.dispose]();
    rmSync(this.#socket, { force: true });
  }
}

export class TestClaimDriver implements Disposable {
  readonly calls: string[] = [];
  readonly socket: string;
  /** A text instead of devices: why a claim cannot be prepared. */
  prepare: (claim: Received<'Claim'>) => readonly Sent<'ClaimDevice'>[] | string = ({ name }) => [
    { requestNames: ['one'], poolName: 'pool', deviceName: 'd1', cdiDeviceIds: [`cdi/x=${name}`] },
  ];
  unprepareError = '';
  health: readonly Sent<'DeviceHealth'>[] = [];
  /** Times that a kubelet has begun to listen to the health of devices, since it serves. */
  watchers = 0;
  #server: Disposable | undefined;

  constructor(root: string) {
    const dir = join(root, 'plugins');
    mkdirSync(dir, { recursive: true });
    this.socket = join(dir, 'dra.sock');
  }

  async serve(service: ClaimService = 'v1.DRAPlugin'): Promise<void> {
    const calls = claimCalls(service);
    rmSync(this.socket, { force: true });
    this.#server = await serveGrpc(`unix://${this.socket}`, [
      calls.prepare.serve(async ({ claims }) => {
        const answers = claims.map((claim) => {
          this.calls.push(`prepare ${claim.name}`);
          const devices = this.prepare(claim);
          return [claim.uid, typeof devices === 'string' ? { error: devices } : { devices }];
        });
        return { claims: Object.fromEntries(answers) };
      }),
      calls.unprepare.serve(async ({ claims }) => {
        for (const { name } of claims) this.calls.push(`unprepare ${name}`);
        const error = this.unprepareError;
        return { claims: Object.fromEntries(claims.map(({ uid }) => [uid, { error }])) };
      }),
      watchHealth.serveStream((_, signal) => this.#watch(signal)),
    ]);
  }

  async *#watch(signal: AbortSignal): AsyncIterable<Sent<'NodeWatchResourcesResponse'>> {
    this.watchers += 1;
    yield { devices: this.health };
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }

  [Symbol.dispose](): void {
    this.watchers = 0;
    this.#server?.[Symbol.dispose]();
    rmSync(this.socket, { force: true });
  }
}

/** Sockets answer in real time, the kubelet lives in virtual time. */
export async function eventually(
  bench: KubeletBench,
  holds: () => boolean | Promise<boolean>,
  { stepMs = 10 }: { readonly stepMs?: number } = {},
): Promise<void> {
  const deadlineMs = systemClock().monotonic() + waitMs;
  while (systemClock().monotonic() < deadlineMs) {
    if (await holds()) return;
    await realSleep(2);
    await bench.advance(stepMs);
  }
  throw new Error('it never came true');
}

async function untilNode(bench: KubeletBench): Promise<void> {
  const isListening = () => existsSync(join(bench.pluginsRoot, 'device-plugins/kubelet.sock'));
  await eventually(bench, async () => {
    const path = '/api/v1/nodes/node-1';
    const { status } = await bench.while(bench.server.request('GET', path));
    return status === 200 && isListening();
  });
}

export async function openBench(): Promise<KubeletBench> {
  const bench = await KubeletBench.open({ withPlugins: true });
  await untilNode(bench);
  return bench;
}

export async function untilPod(
  bench: KubeletBench,
  name: string,
  holds: (pod: Pod) => boolean,
): Promise<Pod> {
  let found: Pod | undefined;
  await eventually(bench, async () => {
    found = await bench.get(name);
    return holds(found);
  });
  assert.ok(found !== undefined);
  return found;
}

export const isReady = ({ status }: Pod): boolean => status?.containerStatuses?.[0]?.ready === true;
