/**
 * One real node for a test: own containerd and pod network in a data directory of its own, an API
 * server in memory, and a kubelet that can be stopped and started again in between.
 *
 * `RealNode.open()` makes it, disposing takes down every pod, process, mount and cgroup that came
 * of it. The only image is a busybox, built from the machine's own.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, openClient, openInformers } from '#client';
import { type Containerd, openContainerd, openRuntime, type Runtime } from '#cri';
import { buildImage, buildPauseImage } from '#images';
import { systemClock } from '#kit/clock.ts';
import { type Logger, openLog } from '#kit/log.ts';
import { readMounts, unmountBelow } from '#kit/mounts.ts';
import { systemRandom } from '#kit/random.ts';
import { runCommand } from '#kit/run-command.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { defaultSettings, type KubeletOptions, type KubeletSettings, runKubelet } from '#kubelet';
import { runPodNetwork } from '#network';
import { pods } from '#resources/kinds.ts';
import type { Container, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { admin, openTestServer, type TestServer } from './fixtures.ts';
import { freePort } from './free-port.ts';
import { openTestLog } from './test-log.ts';

export const busyboxImage = 'localhost/busybox:test';
const clusterId = 'ndtst';
const nodeName = 'node-1';
const untilMsMax = 120_000;

const applets = ['sh', 'sleep', 'cat', 'ls', 'echo', 'env', 'id', 'true', 'false', 'touch', 'rm'];
const moreApplets = [
  'test',
  'grep',
  'head',
  'tail',
  'wc',
  'nc',
  'httpd',
  'mount',
  'stat',
  'seq',
  'dd',
];

/** Upstream's, whatever disk this machine has: no pod and no image goes because it is full. */
export const machineSettings: KubeletSettings = {
  ...defaultSettings,
  evictionHard: {
    'memory.available': '100Mi',
    'nodefs.available': '1%',
    'imagefs.available': '1%',
  },
  ...{ imageGCHighThresholdPercent: 100, imageGCLowThresholdPercent: 99 },
};

export interface Certificates {
  readonly ca: KeyPair;
  readonly apiServer: KeyPair;
  readonly stranger: KeyPair;
}

export class RealNode implements AsyncDisposable {
  readonly dataDir: string;
  readonly server: TestServer;
  readonly client: Client;
  readonly containerd: Containerd;
  readonly runtime: Runtime;
  readonly certificates: Certificates;
  readonly kubeletPort: number;
  readonly #network: Promise<void>;
  readonly #networkStop: AbortController;
  #kubelet: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  readonly #signal = new AbortController().signal;

  private constructor(made: {
    readonly dataDir: string;
    readonly server: TestServer;
    readonly client: Client;
    readonly containerd: Containerd;
    readonly runtime: Runtime;
    readonly network: Promise<void>;
    readonly networkStop: AbortController;
    readonly kubeletPort: number;
  }) {
    this.dataDir = made.dataDir;
    this.server = made.server;
    this.client = made.client;
    this.containerd = made.containerd;
    this.runtime = made.runtime;
    this.#network = made.network;
    this.#networkStop = made.networkStop;
    this.certificates = makeCertificates();
    this.kubeletPort = made.kubeletPort;
  }

  static async open(): Promise<RealNode> {
    // As the program does that runs a kubelet.
    process.umask(0o022);
    const dataDir = mkdtempSync(join(tmpdir(), 'coracle-e2e-'));
    const { signal } = new AbortController();
    const clock = systemClock();
    const log = nodeLog();
    const server = await openTestServer({ clock });
    const client = openClient({ transport: server.server.direct(admin), clock });
    // Another than the machine's, for tests of what newer ones can do.
    const searchPath = process.env['CORACLE_RUNTIME_PATH'];
    const its = { dataDir, clusterId, searchPath, signal };
    const containerd = await openContainerd({ clock, log }, its);
    const runtime = await openRuntime({ clock, log }, { socketPath: containerd.socketPath });
    const networkStop = new AbortController();
    const range = { podCIDR: '10.213.0.0/24', clusterCIDR: '10.213.0.0/16' };
    const network = runPodNetwork(
      { clock, log },
      { dataDir, clusterId, nodeIP: '127.0.0.1', ...range, signal: networkStop.signal },
    ).catch(() => {});
    const node = new RealNode({
      dataDir,
      server,
      client,
      containerd,
      runtime,
      network,
      networkStop,
      kubeletPort: await freePort(),
    });
    try {
      await node.#loadImages();
      await node.#createObjects();
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  async #loadImages(): Promise<void> {
    const folder = join(this.dataDir, 'images');
    mkdirSync(folder, { recursive: true });
    const pause = await buildPauseImage({ outputDir: folder });
    const { path } = await buildImage({
      reference: busyboxImage,
      outputPath: join(folder, 'busybox.tar'),
      config: { Cmd: ['sh'], Env: ['PATH=/bin'] },
      rootfs: busyboxTree(),
    });
    await this.containerd.importImage(pause.path, { signal: this.#signal });
    await this.containerd.importImage(path, { signal: this.#signal });
  }

  async #createObjects(): Promise<void> {
    const metadata = { namespace: 'default', name: 'kube-root-ca.crt' };
    await this.server.request('POST', '/api/v1/namespaces/default/serviceaccounts', {
      ...{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } },
    });
    await this.server.request('POST', '/api/v1/namespaces/default/configmaps', {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.crt': 'the ca' } },
    });
  }

  /** What it is started with, and started again. */
  kubeletOptions: Partial<Pick<KubeletOptions, 'settings' | 'podPidsMax'>> = {
    settings: machineSettings,
  };

  startKubelet(runtime: Runtime = this.runtime): void {
    const stop = new AbortController();
    const deps = { clock: systemClock(), random: systemRandom(), log: nodeLog() };
    const informers = openInformers({ client: this.client, ...deps });
    const { apiServer: _, ca, stranger: __, ...rest } = this.certificates;
    const serving = { ...servingPair(ca), clientCA: ca.cert, ...rest };
    const kubelet = runKubelet(
      { client: this.client, informers, runtime, ...deps },
      {
        ...{ nodeName, nodeIP: '127.0.0.1', dataDir: this.dataDir, clusterId },
        ...{ clusterDNS: '10.43.0.10', clusterDomain: 'cluster.local' },
        ...{ port: this.kubeletPort, serving, signal: stop.signal },
        pluginsRoot: join(this.dataDir, 'agent/kubelet'),
        ...this.kubeletOptions,
      },
    );
    const ended = Promise.allSettled([kubelet, informers.run(stop.signal)]).then(() => {});
    this.#kubelet = { stop, ended };
  }

  async stopKubelet(): Promise<void> {
    this.#kubelet?.stop.abort(new Error('the test stops the kubelet'));
    await this.#kubelet?.ended;
    this.#kubelet = undefined;
  }

  /** Creates a pod bound to this node. */
  async create(name: string, spec: Omit<PodSpec, 'nodeName'>): Promise<Pod> {
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'default', name },
      spec: { terminationGracePeriodSeconds: 1, ...spec, nodeName },
    };
    return this.client.create(pods, pod, { signal: this.#signal });
  }

  container(command: string, more: Partial<Container> = {}): Container {
    return { name: 'main', image: busyboxImage, command: ['sh', '-c', command], ...more };
  }

  get(name: string): Promise<Pod> {
    return this.client.get(pods, { namespace: 'default', name }, { signal: this.#signal });
  }

  /** Asks every 20 ms until the pod is as wanted; fails with its status in the end. */
  async until(name: string, wanted: (pod: Pod) => boolean, what: string): Promise<Pod> {
    const clock = systemClock();
    const startedMs = clock.monotonic();
    for (;;) {
      const pod = await this.get(name);
      if (wanted(pod)) return pod;
      if (clock.monotonic() - startedMs > untilMsMax) {
        throw new Error(`${name} is not ${what}: ${JSON.stringify(pod.status)}`);
      }
      await clock.sleep(20, { signal: this.#signal });
    }
  }

  untilReady(name: string): Promise<Pod> {
    const isReady = (pod: Pod): boolean =>
      pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ===
      true;
    return this.until(name, isReady, 'ready');
  }

  /** Until the pod is neither in the API nor in the runtime nor in the kubelet's folder. */
  async delete(name: string): Promise<void> {
    const clock = systemClock();
    const { metadata } = await this.get(name);
    const folder = join(this.dataDir, 'agent/kubelet/pods', metadata.uid ?? '');
    await this.client.delete(pods, { namespace: 'default', name }, { signal: this.#signal });
    for (let tries = 0; tries < untilMsMax / 20; tries++) {
      const { items } = await this.client.list(pods, { signal: this.#signal });
      const labelSelector = { 'io.kubernetes.pod.uid': metadata.uid ?? '' };
      const left = await this.runtime.listPodSandboxes({ labelSelector }, { signal: this.#signal });
      const isGone = !items.some((pod) => pod.metadata.name === name) && left.length === 0;
      // The last thing that goes.
      if (isGone && !existsSync(folder)) return;
      await clock.sleep(20, { signal: this.#signal });
    }
    throw new Error(`${name} is not gone`);
  }

  logText(pod: Pod, container = 'main', attempt = 0): string {
    const { namespace, name, uid } = pod.metadata;
    const folder = join(this.dataDir, 'agent/pod-logs', `${namespace}_${name}_${uid}`);
    const lines = readFileSync(join(folder, container, `${attempt}.log`), 'utf8').split('\n');
    return lines.map((line) => line.split(' ').slice(3).join(' ')).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopKubelet();
    const options = { signal: this.#signal };
    const sandboxes = await this.runtime.listPodSandboxes({}, options).catch(() => []);
    for (const { id } of sandboxes) {
      await this.runtime.stopPodSandbox(id, options).catch(() => {});
      await this.runtime.removePodSandbox(id, options).catch(() => {});
    }
    this.#networkStop.abort(new Error('the test is over'));
    await this.#network;
    this.runtime[Symbol.dispose]();
    await this.containerd.stop(options);
    await this.server[Symbol.asyncDispose]();
    await unmountBelow(this.dataDir, options);
    await removeCgroups(clusterId);
    const table = ['delete', 'table', 'ip', `coracle-${clusterId}-pods`];
    await runCommand('nft', table, { ...options, timeoutMs: 60_000 });
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** The machine's own busybox under its names. */
export function busyboxTree(): Parameters<typeof buildImage>[0]['rootfs'] {
  const content = readFileSync('/usr/bin/busybox');
  return [
    { kind: 'directory', path: 'bin', mode: 0o755 },
    { kind: 'directory', path: 'tmp', mode: 0o1777 },
    { kind: 'directory', path: 'etc', mode: 0o755 },
    { kind: 'file', path: 'bin/busybox', mode: 0o755, content },
    ...[...applets, ...moreApplets].map(
      (name) => ({ kind: 'symlink', path: `bin/${name}`, mode: 0o777, target: 'busybox' }) as const,
    ),
  ];
}

/** Seen at once if asked for, else when a test fails. */
function nodeLog(): Logger {
  const clock = systemClock();
  if (process.env['CORACLE_TEST_LOG'] === undefined) return openTestLog({ clock });
  const write = (line: string): void => void process.stderr.write(line);
  return openLog({ clock, level: 'debug', format: 'text', write });
}

function makeCertificates(): Certificates {
  const random = systemRandom();
  const now = systemClock().now();
  const valid = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 };
  const ca = issueCertificate({ random }, { commonName: 'test-ca', role: 'ca', ...valid });
  const client = (commonName: string): KeyPair =>
    issueCertificate({ random }, { commonName, role: 'client', ...valid, issuer: ca });
  return {
    ca,
    apiServer: client('kube-apiserver-kubelet-client'),
    stranger: client('somebody'),
  };
}

function servingPair(issuer: KeyPair): KeyPair {
  const now = systemClock().now();
  return issueCertificate(
    { random: systemRandom() },
    {
      commonName: `system:node:${nodeName}`,
      role: 'server',
      ipAddresses: ['127.0.0.1'],
      notBeforeMs: now - 60_000,
      notAfterMs: now + 3_600_000,
      issuer,
    },
  );
}

/** The kubelet keeps its own parents for the next pod; after the test nothing may be left. */
export async function removeCgroups(clusterId: string): Promise<void> {
  const clock = systemClock();
  const { signal } = new AbortController();
  const lateMs = clock.monotonic() + untilMsMax;
  const trees = readMounts().filter(({ type }) => type === 'cgroup' || type === 'cgroup2');
  for (const { mountPoint } of trees) {
    for (;;) {
      try {
        removeTree(join(mountPoint, `coracle-${clusterId}`));
        break;
      } catch (error) {
        // Busy while its last process is being reaped.
        const isBusy = error instanceof Error && 'code' in error && error.code === 'EBUSY';
        if (!isBusy || clock.monotonic() > lateMs) throw error;
        await clock.sleep(50, { signal });
      }
    }
  }
}

function removeTree(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  }
  rmdirSync(folder);
}
