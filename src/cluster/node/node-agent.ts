/**
 * The inside of the node's process: containerd, images, pod network, service proxy, DNS, kubelet.
 *
 * Started by `node-process.ts`, which sends the settings and later the order to stop. When the
 * other end of the channel is gone the process ends at once: pods and rules live on in containerd
 * and the kernel, and the next start adopts them. Next in the walk: `kubelet/kubelet.ts`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Client,
  type Informers,
  logRequests,
  openClient,
  openHttpTransport,
  openInformers,
} from '#client';
import { type Containerd, openContainerd, openRuntime, type Runtime } from '#cri';
import { runDNS } from '#dns';
import { buildPauseImage, pauseFile } from '#images';
import { loadsAppArmor } from '#kit/apparmor.ts';
import { assert } from '#kit/assert.ts';
import { type Clock, systemClock } from '#kit/clock.ts';
import { giveBackLater } from '#kit/give-back-later.ts';
import { type Logger, openLog } from '#kit/log.ts';
import { linesTo } from '#kit/log-lines.ts';
import { systemRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { type KubeletOptions, limits as kubeletLimits, runKubelet } from '#kubelet';
import { runPodNetwork } from '#network';
import { runServiceProxy } from '#proxy';
import { nodes } from '#resources/kinds.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { tellDnsPort } from '../control-plane/cluster-dns.ts';
import { type NodeKubelet, readNodeKubelet } from '../kubelet-settings/node-kubelet-config.ts';
import { clusterRangesText } from '../state.ts';
import { readRegistries, registryOptions } from './image-source-files.ts';
import { openNodeFolders } from './node-folders.ts';
import type { NodeCommand, NodeReport, NodeSettings, Renewal } from './node-process.ts';
import { runNodeRoutes } from './node-routes.ts';
import { secondAddressBeside } from './second-address.ts';
import { stopAllPods } from './stop-pods.ts';

interface Deps {
  readonly clock: Clock;
  readonly log: Logger;
}

const limits = { stopPodsMs: 60_000 } as const;

/** As services have it: pods of any user read what is made for them, whoever started us. */
const nodeUmask = 0o022;

/** Resolves with the exit code when the node has stopped. */
export async function runNodeAgent(): Promise<number> {
  assert(process.send !== undefined, 'the node process is started by coracle up');
  process.once('disconnect', () => process.exit(1));
  process.umask(nodeUmask);
  const stop = new AbortController();
  let leavePods = true;
  const renewals = new Renewals();
  const settings = await new Promise<NodeSettings>((resolve) => {
    process.on('message', (command: NodeCommand) => {
      if (command.do === 'start') resolve(command.settings);
      else if (command.do === 'renew') renewals.receive(command.renewal);
      else {
        leavePods = command.leavePods;
        stop.abort(new Error('told to stop'));
      }
    });
  });
  // Stopping is the parent's decision; a signal to the whole group must not come first.
  process.on('SIGTERM', () => {});
  const clock = systemClock();
  const write = linesTo(process.stdout);
  const log = openLog({ clock, level: settings.logLevel, format: 'text', write });
  const deps = { clock, log };
  const { registries, hostsFolder } = readRegistries(settings.images);
  const kubelet = await readNodeKubelet(settings.kubeletConfig);
  openNodeFolders(settings.dataDir);
  const containerd = await openContainerd(deps, {
    dataDir: settings.dataDir,
    clusterId: settings.state.id,
    registries,
    registryDir: hostsFolder,
    searchPath: process.env['PATH'],
    systemdCgroup: kubelet.settings.cgroupDriver === 'systemd',
    signal: stop.signal,
  });
  using runtime = await openRuntime(deps, { socketPath: containerd.socketPath });
  report({ ready: 'runtime', detail: `containerd ${containerd.version}` });
  const network = new AbortController();
  try {
    const { signal } = stop;
    await runComponents(deps, {
      settings,
      kubelet,
      renewals,
      containerd,
      runtime,
      network,
      signal,
    });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  if (leavePods) return 0;
  await takeDown(deps, { containerd, runtime });
  network.abort(new Error('no pod is left'));
  return 0;
}

/** Certificates that have come since the start, for whoever uses them. */
class Renewals {
  #latest: Renewal = {};
  readonly #followers: ((renewal: Renewal) => void)[] = [];

  receive(renewal: Renewal): void {
    this.#latest = { ...this.#latest, ...renewal };
    for (const follow of this.#followers) follow(renewal);
  }

  follow(follow: (renewal: Renewal) => void): void {
    this.#followers.push(follow);
    follow(this.#latest);
  }
}

function report(message: NodeReport): void {
  process.send?.(message);
}

async function runComponents(
  deps: Deps,
  options: {
    readonly settings: NodeSettings;
    readonly kubelet: NodeKubelet;
    readonly renewals: Renewals;
    readonly containerd: Containerd;
    readonly runtime: Runtime;
    /** Outlives the other components: pods are disconnected through it while they stop. */
    readonly network: AbortController;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { kubelet, renewals, containerd, runtime, network, signal } = options;
  const { clock, log } = deps;
  const settings = withRoutedFamilies(options.settings, log);
  const random = systemRandom();
  const connection = openHttpTransport({
    server: settings.server,
    ca: settings.caCert,
    connectionsMax: kubeletLimits.connectionsMax,
    ...settings.client,
  });
  renewals.follow(({ client: pair }) => pair && connection.useCertificate(pair));
  const told = { clock, log: log.child({ component: 'kubelet' }) };
  const transport = logRequests(connection, told, settings);
  const client = openClient({ transport, clock, userAgent: 'kubelet' });
  const informers = openInformers({ client, clock, random, log });
  const scope = new Scope(signal);
  const images = new ImageLoader(deps, { settings, containerd, signal });
  // No pod starts without it; all others load while the node makes itself ready.
  await images.loadPause();
  const imagesLoaded = images.loadArchives();
  scope.spawn(async () => {
    report({ ready: 'images', detail: `${await imagesLoaded} loaded` });
  });
  scope.spawn((ending) => containerd.supervise({ signal: ending }));
  spawnPodNetwork(scope, { ...deps, informers }, { settings, signal: network.signal });
  if (kubelet.unused.length > 0) {
    log.warn('fields of the kubelet that are not acted on', { fields: kubelet.unused });
  }
  spawnServices(scope, { ...deps, client, informers }, settings);
  scope.spawn((ending) => giveBackLater(clock, { signal: ending }));
  scope.spawn((ending) =>
    runKubelet(
      { client, informers, runtime, clock, random, log: log.child({ component: 'kubelet' }) },
      { ...kubeletOptions(settings, { kubelet, renewals }), imagesLoaded, signal: ending },
    ),
  );
  scope.spawn((ending) => informers.run(ending));
  await scope.join();
}

function kubeletOptions(
  settings: NodeSettings,
  { kubelet, renewals }: { readonly kubelet: NodeKubelet; readonly renewals: Renewals },
): Omit<KubeletOptions, 'imagesLoaded' | 'signal'> {
  const { state, nodeIP, dataDir } = settings;
  const second = settings.secondNodeIP ?? secondAddressBeside(nodeIP);
  return {
    ...{ nodeName: state.nodeName, clusterId: state.id, dataDir },
    ...{ nodeIP, secondNodeIP: state.secondClusterCIDR && second },
    clusterDNS: state.clusterDNS,
    clusterDomain: state.clusterDomain,
    port: state.kubeletPort,
    serving: {
      ...settings.serving,
      clientCA: settings.caCert,
      serves: kubelet.serves,
      onServe: (server) =>
        renewals.follow(({ serving }) => serving && server.useCertificate(serving)),
    },
    staticPods: { path: join(dataDir, 'agent/pod-manifests') },
    pluginsRoot: join(dataDir, 'agent/kubelet'),
    ...kubelet.options,
    settings: { ...kubelet.settings, appArmor: loadsAppArmor() },
    registries: registryOptions(settings.images, {
      root: join(dataDir, 'agent/kubelet'),
      environment: process.env,
    }),
  };
}

/** A kernel without IPv6 has a node whose pods have IPv4 alone. */
function withRoutedFamilies(settings: NodeSettings, log: Logger): NodeSettings {
  const { state } = settings;
  if (state.secondClusterCIDR === undefined || existsSync('/proc/sys/net/ipv6')) return settings;
  log.warn('this kernel has no IPv6: pods have addresses of IPv4 alone');
  return { ...settings, state: { ...state, secondClusterCIDR: undefined } };
}

/** Addresses of pods and the ways to them, those of other nodes included. */
function spawnPodNetwork(
  scope: Scope,
  parts: Deps & { readonly informers: Informers },
  options: { readonly settings: NodeSettings; readonly signal: AbortSignal },
): void {
  const { informers, log } = parts;
  const { settings, signal } = options;
  const { state, nodeIP, dataDir } = settings;
  const { secondClusterCIDR } = state;
  const podCIDR = Promise.withResolvers<string>();
  const secondPodCIDR = Promise.withResolvers<string | undefined>();
  const ownNode = informers.of(nodes, { fieldSelector: `metadata.name=${state.nodeName}` });
  const look = ({ spec }: Node): void => {
    if (!spec?.podCIDR) return;
    podCIDR.resolve(spec.podCIDR);
    secondPodCIDR.resolve(spec.podCIDRs?.find((range) => range.includes(':')));
  };
  ownNode.addHandler({ onAdd: look, onUpdate: look });
  const second = secondClusterCIDR && {
    ...{ clusterCIDR: secondClusterCIDR, podCIDR: secondPodCIDR.promise },
  };
  const networkEnded = runPodNetwork(parts, {
    dataDir,
    clusterId: state.id,
    podCIDR: podCIDR.promise,
    nodeIP,
    clusterCIDR: state.clusterCIDR,
    second: second || undefined,
    signal,
    onReady: () => report({ ready: 'network', detail: clusterRangesText(state) }),
  });
  networkEnded.catch((error: unknown) => scope.fail(error));
  const ranges = [{ podCIDR: podCIDR.promise, clusterCIDR: state.clusterCIDR }, second];
  for (const range of ranges) {
    if (!range) continue;
    scope.spawn((ending) =>
      runNodeRoutes(
        { informers, log: log.child({ component: 'routes' }) },
        { nodeName: state.nodeName, ...range, signal: ending },
      ),
    );
  }
}

/** What makes Services work, and names of them. */
function spawnServices(
  scope: Scope,
  parts: Deps & { readonly client: Client; readonly informers: Informers },
  { state, nodeIP }: NodeSettings,
): void {
  const { informers, clock, log } = parts;
  const { nodeName } = state;
  const proxy = (clusterCIDR: string, onReady?: () => void): void =>
    scope.spawn((signal) =>
      runServiceProxy(
        { informers, clock, log: log.child({ component: 'proxy' }) },
        { nodeName, clusterId: state.id, clusterCIDR, onReady, signal },
      ),
    );
  proxy(state.clusterCIDR, () => report({ ready: 'proxy', detail: 'nftables' }));
  if (state.secondClusterCIDR !== undefined) proxy(state.secondClusterCIDR);
  scope.spawn((ending) =>
    runDNS(
      { informers, clock, log: log.child({ component: 'dns' }) },
      {
        address: nodeIP,
        port: state.dnsPort,
        clusterDomain: state.clusterDomain,
        clusterCIDR: state.clusterCIDR,
        secondClusterCIDR: state.secondClusterCIDR,
        onReady: ({ port }) => {
          report({ ready: 'dns', detail: `${state.clusterDNS}:53` });
          scope.spawn((signal) => tellDnsPort(parts, { nodeName, port, signal }));
        },
        signal: ending,
      },
    ),
  );
}

/** Loads each archive once: what was loaded is known by its name, size and date. */
class ImageLoader {
  readonly #deps: Deps;
  readonly #folder: string;
  readonly #imageDirs: readonly string[];
  readonly #containerd: Containerd;
  readonly #signal: AbortSignal;
  readonly #loaded: Record<string, string>;

  constructor(
    deps: Deps,
    options: {
      readonly settings: NodeSettings;
      readonly containerd: Containerd;
      readonly signal: AbortSignal;
    },
  ) {
    this.#deps = deps;
    this.#folder = join(options.settings.dataDir, 'agent/images');
    this.#imageDirs = options.settings.imageDirs;
    this.#containerd = options.containerd;
    this.#signal = options.signal;
    mkdirSync(this.#folder, { recursive: true });
    this.#loaded = existsSync(this.#recordPath)
      ? JSON.parse(readFileSync(this.#recordPath, 'utf8'))
      : {};
  }

  get #recordPath(): string {
    return join(this.#folder, 'loaded.json');
  }

  async loadPause(): Promise<void> {
    const path = join(this.#folder, pauseFile);
    if (!existsSync(path)) await buildPauseImage({ outputDir: this.#folder });
    await this.#load([path]);
  }

  /** The archives of all folders; the number that was new. */
  loadArchives(): Promise<number> {
    return this.#load(this.#imageDirs.flatMap(archivesIn));
  }

  async #load(paths: readonly string[]): Promise<number> {
    const wanted = paths.filter((path) => this.#loaded[path] !== identityOf(path));
    const results = await Promise.allSettled(
      wanted.map(async (path) => {
        await this.#containerd.importImage(path, { signal: this.#signal });
        this.#loaded[path] = identityOf(path);
        this.#deps.log.info('image archive loaded', { path });
      }),
    );
    const failures = results.filter((result) => result.status === 'rejected');
    for (const { reason } of failures) {
      this.#deps.log.error('image archive not loaded', { error: reason });
    }
    if (wanted.length > 0) writeFileSync(this.#recordPath, JSON.stringify(this.#loaded));
    return wanted.length - failures.length;
  }
}

function archivesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.tar'))
    .map((name) => join(folder, name));
}

function identityOf(path: string): string {
  const { size, mtimeMs } = statSync(path);
  return `${size} ${mtimeMs}`;
}

async function takeDown(
  deps: Deps,
  { containerd, runtime }: { readonly containerd: Containerd; readonly runtime: Runtime },
): Promise<void> {
  const limit = new AbortController();
  const cancel = deps.clock.after(limits.stopPodsMs, () =>
    limit.abort(new Error(`pods did not stop within ${limits.stopPodsMs / 1000} s`)),
  );
  try {
    await stopAllPods({ runtime, ...deps }, { signal: limit.signal });
    await containerd.stop({ signal: limit.signal });
  } finally {
    cancel();
  }
}
