/**
 * Opens what plugins need: the folders, `device-plugins/kubelet.sock` where device plugins
 * register, `plugins_registry` where all others are found, and `pod-resources/kubelet.sock`, which
 * tells monitoring agents who has what.
 *
 * Called once by `kubelet.ts`, before the first pod. Claims and their drivers are loaded when the
 * first driver or the first pod with claims comes, or when there were some before a restart. A
 * socket that cannot be opened is told and left out: pods run all the same.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Client } from '#client';
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import { type Served, serveGrpc } from '#kit/grpc.ts';
import type { Logger } from '#kit/log.ts';
import type { Slots } from '#kit/slots.ts';
import type { Container, ContainerStatus, Pod, PodStatus } from '#resources/types/core-v1.ts';
import type { Machine } from '../node/machine.ts';
import type { NodePlacement } from '../placement/placement.ts';
import type { Provider } from '../placement/provider.ts';
import type { ClaimDrivers } from './claim-drivers.ts';
import type { Claims } from './claims.ts';
import { DeviceManager } from './device-manager.ts';
import { DevicePlugins } from './device-plugins.ts';
import type { ContainerDevices, NodeDevices } from './devices.ts';
import { mergeDevices } from './merge.ts';
import { type PluginHandler, PluginWatcher } from './plugin-watcher.ts';
import { podResourcesMethods } from './pod-resources.ts';
import { wipeSlices } from './slices.ts';

export interface DevicesDeps {
  readonly client: Client;
  readonly runtime: Pick<Runtime, 'version'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly spawn: (task: (signal: AbortSignal) => Promise<void>) => void;
  /** Pods whose end has not come; undefined as long as not all are known. */
  readonly activePods: () => readonly Pod[] | undefined;
  readonly machine: Pick<Machine, 'labelFile'>;
  readonly findPod: (namespace: string, name: string) => Pod | undefined;
  /** Nothing else of the node is given meanwhile. */
  readonly turn: Slots;
  /** For the pod resources API. */
  readonly placement: () => Pick<NodePlacement, 'cpusOf' | 'memoryOf' | 'allocatable'>;
  /** The node's status counts otherwise than before. */
  readonly onAmounts: () => void;
  /** The status of these pods has changed. */
  readonly onHealth: (podUids: readonly string[]) => void;
}

export interface DevicesOptions {
  /** Of the kubelet: `device-plugins`, `plugins_registry` and `pod-resources` are below it. */
  readonly root: string;
  readonly nodeName: string;
  /** Files have labels. */
  readonly hasSELinux: boolean;
  readonly signal: AbortSignal;
}

/** Of SELinux: containers may use what is there. */
const sharedLabel = 'system_u:object_r:container_file_t:s0';

const limits = {
  /** Between two looks for claims of pods that have gone. */
  reconcileMs: 60_000,
  /** The same as long as not all pods are known. */
  syncedMs: 1000,
} as const;

export async function openDevices(
  deps: DevicesDeps,
  options: DevicesOptions,
): Promise<NodeDevices> {
  const { root } = options;
  const { spawn, clock, log } = deps;
  const pluginsDir = join(root, 'device-plugins');
  const activePods = (): ReadonlySet<string> | undefined => {
    const pods = deps.activePods();
    return pods === undefined ? undefined : new Set(pods.map(({ metadata }) => metadata.uid ?? ''));
  };
  const manager = new DeviceManager({ ...deps, activePods }, { dir: pluginsDir });
  const plugins = new DevicePlugins(
    { clock, log, spawn, manager, onChange: deps.onAmounts },
    { dir: pluginsDir },
  );
  const claims = new LazyClaims(deps, { ...options, activePods });
  const devices = new OpenDevices(deps.runtime, manager, claims);
  const facts = { ...deps, manager, claims: () => claims.current };
  plugins.removeSockets();
  const registry = join(root, 'plugins_registry');
  for (const dir of [pluginsDir, registry, join(root, 'plugins')]) await share(deps, dir, options);
  await listen(deps, join(pluginsDir, 'kubelet.sock'), plugins.methods);
  await listen(deps, join(root, 'pod-resources', 'kubelet.sock'), podResourcesMethods(facts));
  const watcher = new PluginWatcher(
    {
      clock,
      log,
      handlers: new Map<string, () => Promise<PluginHandler>>([
        ['DevicePlugin', async () => plugins],
        ['DRAPlugin', async () => (await claims.open()).drivers],
      ]),
    },
    { dir: registry },
  );
  await claims.reopen();
  spawn((signal) => watcher.run(signal));
  return devices;
}

/** With plugins that are unprivileged containers. */
async function share(
  { machine, log }: DevicesDeps,
  path: string,
  { hasSELinux, signal }: DevicesOptions,
): Promise<void> {
  mkdirSync(path, { recursive: true, mode: 0o750 });
  if (!hasSELinux) return;
  try {
    await machine.labelFile(path, sharedLabel, { signal });
  } catch (error) {
    log.warn('unprivileged containerized plugins might not work', { path, error });
  }
}

async function listen(
  { spawn, log }: DevicesDeps,
  path: string,
  methods: readonly Served[],
): Promise<void> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
    rmSync(path, { force: true });
    const server = await serveGrpc(`unix://${path}`, methods);
    spawn(async (signal) => {
      using _ = server;
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    });
  } catch (error) {
    log.warn('cannot listen for plugins', { path, error });
  }
}

class OpenDevices implements NodeDevices {
  readonly #runtime: DevicesDeps['runtime'];
  readonly #manager: DeviceManager;
  readonly #claims: LazyClaims;

  constructor(runtime: DevicesDeps['runtime'], manager: DeviceManager, claims: LazyClaims) {
    this.#runtime = runtime;
    this.#manager = manager;
    this.#claims = claims;
  }

  manages(resource: string): boolean {
    return this.#manager.manages(resource);
  }

  amounts() {
    return this.#manager.amounts();
  }

  get provider(): Provider {
    return this.#manager;
  }

  async prepare(pod: Pod, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const extended = pod.status?.extendedResourceClaimStatus;
    if ((pod.spec?.resourceClaims ?? []).length === 0 && extended === undefined) return;
    try {
      const { claims } = await this.#claims.open();
      await claims.prepare(pod, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) throw error;
      throw new Error(`prepare dynamic resources: ${error.message}`, { cause: error });
    }
  }

  async settingsOf(
    pod: Pod,
    container: Container,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<ContainerDevices | string> {
    const problem = await this.#manager.preStart(pod, container, signal);
    if (problem !== undefined) return problem;
    try {
      const cdi = this.#claims.current?.claims.cdiDevices(pod, container) ?? [];
      const settings = mergeDevices(this.#manager.responses(pod, container), cdi);
      return settings.cdiDevices.length === 0 ? settings : await this.#named(settings, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) throw error;
      return error.message;
    }
  }

  async #named(
    settings: ContainerDevices,
    signal: AbortSignal,
  ): Promise<ContainerDevices | string> {
    const { applyNames, cdiDirs, knowsNames, readCdiSpecs } = await import('./cdi.ts');
    const { runtimeName, runtimeVersion } = await this.#runtime.version({ signal });
    if (knowsNames(runtimeName, runtimeVersion)) return settings;
    return applyNames(settings, readCdiSpecs(cdiDirs));
  }

  async unprepare(podUid: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const claims = this.#claims.current?.claims;
    if (claims?.hasPod(podUid) === true) await claims.unprepare(podUid, signal);
  }

  withHealth(pod: Pod, status: PodStatus): PodStatus {
    const { containerStatuses } = status;
    if (containerStatuses === undefined) return status;
    const withHealth = containerStatuses.map((each): ContainerStatus => {
      const container = pod.spec?.containers?.find(({ name }) => name === each.name);
      const claimed =
        container === undefined ? [] : this.#claims.current?.claims.statuses(pod, container);
      const all = [...this.#manager.statuses(pod, each.name), ...(claimed ?? [])];
      return all.length === 0 ? each : { ...each, allocatedResourcesStatus: all };
    });
    return { ...status, containerStatuses: withHealth };
  }
}

interface OpenClaims {
  readonly claims: Claims;
  readonly drivers: ClaimDrivers;
}

class LazyClaims {
  readonly #deps: DevicesDeps;
  readonly #options: DevicesOptions & {
    readonly activePods: () => ReadonlySet<string> | undefined;
  };
  readonly #path: string;
  #opening: Promise<OpenClaims> | undefined;
  current: OpenClaims | undefined;

  constructor(
    deps: DevicesDeps,
    options: DevicesOptions & { readonly activePods: () => ReadonlySet<string> | undefined },
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#path = join(options.root, 'dra_manager_state');
  }

  /** Claims of before the restart have to be given back, and slices of before to go. */
  async reopen(): Promise<void> {
    if (existsSync(this.#path)) await this.open();
    this.#deps.spawn((signal) => wipeSlices(this.#deps, this.#options, signal));
  }

  open(): Promise<OpenClaims> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<OpenClaims> {
    const [{ Claims: ClaimsClass }, { ClaimDrivers: DriversClass }] = await Promise.all([
      import('./claims.ts'),
      import('./claim-drivers.ts'),
    ]);
    const { spawn, onHealth } = this.#deps;
    const drivers = new DriversClass(
      {
        ...this.#deps,
        onHealth: (driver) => onHealth(this.current?.claims.podsOf(driver) ?? []),
      },
      this.#options,
    );
    const claims = new ClaimsClass({ ...this.#deps, drivers }, { path: this.#path });
    this.current = { claims, drivers };
    spawn((signal) => this.#reconcile(claims, signal).finally(() => drivers.close()));
    return this.current;
  }

  async #reconcile(claims: Claims, signal: AbortSignal): Promise<void> {
    for (;;) {
      const active = this.#options.activePods();
      if (active !== undefined) await claims.reconcile(active, signal);
      const delayMs = active === undefined ? limits.syncedMs : limits.reconcileMs;
      await this.#deps.clock.sleep(delayMs, { signal });
    }
  }
}
