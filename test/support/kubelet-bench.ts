/**
 * One kubelet under a virtual clock: real API server in memory, runtime in memory, folders below a
 * temporary one. `until` moves the clock in small steps until something holds. Time stands still
 * while a file is read or written (`settle-files.ts`), so that no disk is slower than the clock.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, openClient, openInformers } from '#client';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import {
  type CgroupLimits,
  defaultSettings,
  type KubeletOptions,
  type KubeletSettings,
  runKubelet,
  type ShutdownSource,
} from '#kubelet';
import { configMaps, pods, serviceAccounts } from '#resources/kinds.ts';
import type { Container, ContainerStatus, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { type Entry, openMemoryStore, type Store } from '#store';
import { SkewedClock } from '../simulation/skewed-clock.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { admin, openTestServer, type TestServer } from './fixtures.ts';
import { settleFiles } from './settle-files.ts';
import { openTestLog } from './test-log.ts';

export const testImage = 'example.com/app:1';
const gibibyte = 1024 ** 3;
const stepMs = 10;
const stepsMax = 100_000;

export class KubeletBench implements AsyncDisposable {
  readonly clock: VirtualClock;
  /** The machine's, for kubelet and runtime: it runs with the other, and can be set. */
  readonly machineClock: SkewedClock;
  readonly runtime: FakeRuntime;
  readonly dataDir = mkdtempSync(join(tmpdir(), 'coracle-kubelet-'));
  /** Of static pods. */
  readonly manifestDir = join(this.dataDir, 'manifests');
  /** Where plugins meet the kubelet, if the bench is opened with them. */
  readonly pluginsRoot = join(this.dataDir, 'kubelet');
  #pluginsRoot: string | undefined;
  #server: TestServer;
  #client: Client;
  #rolledBack: Store | undefined;
  readonly signal = new AbortController().signal;
  #kubelet:
    | {
        readonly stop: AbortController;
        readonly ended: Promise<unknown>;
        readonly kubelet: Promise<void>;
      }
    | undefined;

  private constructor(server: TestServer, clock: VirtualClock) {
    this.clock = clock;
    this.machineClock = new SkewedClock(clock, { onStandstill: () => {} });
    this.runtime = new FakeRuntime({ clock: this.machineClock });
    this.#server = server;
    this.#client = openClient({ transport: server.server.direct(admin), clock });
    this.runtime.images.add(testImage);
  }

  get server(): TestServer {
    return this.#server;
  }

  get client(): Client {
    return this.#client;
  }

  static async open(
    options: {
      readonly withPlugins?: boolean;
      readonly settings?: Partial<KubeletSettings>;
      readonly files?: KubeletBench['files'];
      readonly folders?: KubeletBench['folders'];
      readonly cgroupFiles?: KubeletBench['cgroupFiles'];
      readonly options?: KubeletBench['options'];
      /** Of the server's admission; its own where nothing is said. */
      readonly admissionPlugins?: ReadonlySet<string>;
    } = {},
  ): Promise<KubeletBench> {
    const clock = new VirtualClock({ settle: settleFiles });
    const { admissionPlugins } = options;
    const admission = admissionPlugins === undefined ? {} : { options: { admissionPlugins } };
    const server = await openTestServer({ clock, log: openTestLog({ clock }), ...admission });
    const bench = new KubeletBench(server, clock);
    if (options.withPlugins === true) bench.#pluginsRoot = bench.pluginsRoot;
    bench.settings = options.settings ?? {};
    bench.files = options.files ?? {};
    bench.folders = options.folders ?? {};
    bench.cgroupFiles = options.cgroupFiles;
    bench.options = options.options ?? {};
    const namespace = 'default';
    const { signal } = bench;
    await bench.while(
      bench.client.create(
        serviceAccounts,
        { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name: 'default' } },
        { signal },
      ),
    );
    await bench.while(
      bench.client.create(
        configMaps,
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { namespace, name: 'kube-root-ca.crt' },
          data: { 'ca.crt': 'x' },
        },
        { signal },
      ),
    );
    bench.start();
    return bench;
  }

  /** What the machine has left, in bytes. */
  memory = { total: 8 * gibibyte, available: 4 * gibibyte };
  disk = { bytes: 100 * gibibyte, freeBytes: 50 * gibibyte };

  #meminfo(): string {
    const { total, available } = this.memory;
    return `MemTotal: ${total / 1024} kB\nAnonPages: ${(total - available) / 1024} kB\n`;
  }

  /** Of the machine: what files and folders of `/sys` and the like say. */
  files: Readonly<Record<string, string>> = {};
  folders: Readonly<Record<string, readonly string[]>> = {};
  settings: Partial<KubeletSettings> = {};
  options: Partial<KubeletOptions> = {};
  /** What cgroups that are no pod's were set to. */
  readonly limits = new Map<string, CgroupLimits>();
  /** What cgroups of pods were changed to, in order. */
  readonly quotas: string[] = [];
  /** Of all pods; undefined: the machine does not tell. */
  podsMemory: number | undefined;
  /** By path, where it differs from the one disk. */
  readonly disks = new Map<string, { bytes: number; freeBytes: number }>();
  /** Sizes of what was mounted. */
  readonly hugepages: string[] = [];
  /** What the kernel says next. */
  readonly kernelLines: string[] = [];
  /** Of every cgroup, by name: they are of version 2 then. */
  cgroupFiles: Readonly<Record<string, string>> | undefined;
  /** Files that were labelled, by path. */
  readonly labels = new Map<string, string>();
  /** Begins shutdowns of the machine, and calls them off. */
  readonly shutdowns = new FakeShutdowns();

  /** The kubelet does not reach the API; what it has open goes on. */
  isCutOff = false;
  /** Requests of which this is true are not answered. */
  isUnanswered = (_path: string): boolean => false;

  start(): void {
    const stop = new AbortController();
    const { clock, machineClock, runtime, dataDir } = this;
    const client = openClient({
      clock,
      transport: {
        send: async (request, options) => {
          if (this.isCutOff) throw new Error('connection refused');
          if (this.isUnanswered(request.path)) await untilAborted(options.signal);
          return this.server.server.direct(admin).send(request, options);
        },
      },
    });
    const log = openTestLog({ clock: machineClock });
    const deps = { clock: machineClock, random: seededRandom(1), log };
    const informers = openInformers({ client, ...deps });
    const machine = this.#openMachine();
    const kubelet = runKubelet(
      { client, informers, runtime, machine, shutdowns: this.shutdowns, ...deps },
      {
        ...{ nodeName: 'node-1', nodeIP: '192.0.2.1', dataDir, clusterId: 'test' },
        ...{ clusterDNS: '10.43.0.10', clusterDomain: 'cluster.local', port: 10250 },
        staticPods: { path: this.manifestDir },
        pluginsRoot: this.#pluginsRoot,
        settings: { ...defaultSettings, ...this.settings },
        ...this.options,
        signal: stop.signal,
      },
    );
    const ended = Promise.allSettled([kubelet, informers.run(stop.signal)]);
    this.#kubelet = { stop, ended, kubelet };
  }

  /** Cgroups and mounts are only noted. */
  #openMachine() {
    const mounted = new Set<string>();
    return {
      cgroups: {
        driver: 'cgroupfs' as const,
        pathOf: (path: string) => path,
        containerPath: (path: string, id: string) => `${path}/${id}`,
        isThere: () => true,
        create: async () => {},
        update: async (path: string, { cpuQuota }: { readonly cpuQuota?: number | undefined }) => {
          this.quotas.push(`${path.split('/').at(-1)} ${cpuQuota}`);
        },
        remove: async () => true,
        children: () => [],
        missing: () => [],
        limit: async (path: string, set: CgroupLimits) => {
          this.limits.set(path, set);
        },
        workingSetBytes: () => this.podsMemory,
        version: this.cgroupFiles === undefined ? (1 as const) : (2 as const),
        read: async (_path: string, _controller: string, name: string) =>
          this.cgroupFiles?.[name] ?? '',
      },
      isMounted: (folder: string) =>
        !/~empty-dir|volume-subpaths/.test(folder) || mounted.has(folder),
      mountTmpfs: async (folder: string) => {
        mounted.add(folder);
      },
      mountHugepages: async (folder: string, { pageSize }: { readonly pageSize: string }) => {
        mounted.add(folder);
        this.hugepages.push(pageSize);
      },
      mountDevice: async () => {},
      growFileSystem: async () => {},
      bindDescriptor: async () => {},
      labelFile: async (path: string, label: string) => {
        this.labels.set(path, label);
      },
      unmountBelow: async () => {},
      removeFolder: (folder: string) => rmSync(folder, { recursive: true, force: true }),
      isSameDisk: (path: string, other: string) => this.disks.get(path) === this.disks.get(other),
      readFile: (path: string) =>
        this.files[path] ?? (path === '/proc/meminfo' ? this.#meminfo() : ''),
      listFolder: (path: string) => this.folders[path] ?? [],
      kernelNews: () => this.kernelLines.splice(0),
      diskSpace: (path: string) => {
        return { ...(this.disks.get(path) ?? this.disk), inodes: 0, freeInodes: 0 };
      },
    };
  }

  /** Starts, and says why it does not stay. */
  async startFailure(): Promise<string> {
    this.start();
    const why = await this.while(
      Promise.resolve(this.#kubelet?.kubelet).catch((error: unknown) => error),
    );
    return why instanceof Error ? why.message : '';
  }

  async stop(): Promise<void> {
    this.#kubelet?.stop.abort(new Error('the kubelet is stopped'));
    if (this.#kubelet !== undefined) await this.while(this.#kubelet.ended);
    this.#kubelet = undefined;
  }

  /** The API server comes back with what its store once held, and lower revisions. */
  async rollBack(entries: readonly Entry[]): Promise<void> {
    const { clock } = this;
    const log = openTestLog({ clock });
    const store = openMemoryStore({ clock, log });
    for (const { key, value } of entries) {
      await this.while(store.put({ key, value, expect: 'absent' }));
    }
    const before = this.#server;
    this.#server = await this.while(openTestServer({ clock, log, store }));
    this.#client = openClient({ transport: this.#server.server.direct(admin), clock });
    this.#rolledBack = store;
    await this.while(Promise.resolve(before[Symbol.asyncDispose]()));
  }

  /** Waits for a promise while virtual time goes on. */
  async while<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const ended = work.finally(() => {
      isDone = true;
    });
    ended.catch(() => {});
    for (let step = 0; step < stepsMax && !isDone; step++) {
      await settleFiles();
      if (!isDone) await this.clock.advance(stepMs);
    }
    return ended;
  }

  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      await this.clock.advance(stepMs);
      await settleFiles();
    }
  }

  async create(name: string, spec: Partial<PodSpec> = {}): Promise<Pod> {
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'default', name },
      spec: { containers: [this.container()], nodeName: 'node-1', ...spec },
    };
    return this.while(this.client.create(pods, pod, { signal: this.signal }));
  }

  container(more: Partial<Container> = {}): Container {
    return { name: 'web', image: testImage, ...more };
  }

  get(name: string): Promise<Pod> {
    const at = { namespace: 'default', name };
    return this.while(this.client.get(pods, at, { signal: this.signal }));
  }

  async until(name: string, wanted: (status: ContainerStatus, pod: Pod) => boolean): Promise<Pod> {
    for (let step = 0; step < 2000; step++) {
      const pod = await this.get(name);
      const [status] = pod.status?.containerStatuses ?? [];
      if (status !== undefined && wanted(status, pod)) return pod;
      await this.advance(50);
    }
    const pod = await this.get(name);
    throw new Error(`it never came true; the status is ${JSON.stringify(pod.status)}`);
  }

  untilReady(name: string): Promise<Pod> {
    return this.until(name, ({ ready }) => ready);
  }

  /** Until the API has no such pod. */
  async untilGone(name: string): Promise<void> {
    for (let step = 0; step < 2000; step++) {
      const path = `/api/v1/namespaces/default/pods/${name}`;
      if ((await this.while(this.server.request('GET', path))).status === 404) return;
      await this.advance(50);
    }
    throw new Error(`${name} is still there`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.while(Promise.resolve(this.server[Symbol.asyncDispose]()));
    await this.#rolledBack?.[Symbol.asyncDispose]();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** Somebody who shuts a machine down, and waits for those who hold a lock. */
class FakeShutdowns implements ShutdownSource {
  locks = 0;
  waitsMs = 5000;
  #tell: ((isBeginning: boolean) => void) | undefined;

  tell(isBeginning: boolean): void {
    this.#tell?.(isBeginning);
  }

  async delayMs(): Promise<number> {
    return this.waitsMs;
  }

  async setDelay(delayMs: number): Promise<void> {
    this.waitsMs = delayMs;
  }

  async hold(): Promise<Disposable> {
    this.locks += 1;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.locks -= 1;
      isHeld = false;
    };
    return { [Symbol.dispose]: release };
  }

  async *events({ signal }: { readonly signal: AbortSignal }): AsyncIterable<boolean> {
    while (!signal.aborted) {
      const told = Promise.withResolvers<boolean | undefined>();
      this.#tell = told.resolve;
      signal.addEventListener('abort', () => told.resolve(undefined), { once: true });
      const isBeginning = await told.promise;
      if (isBeginning !== undefined) yield isBeginning;
    }
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
