/**
 * A runtime for a kubelet that runs alone: containerd, a pod network and two small images, in a
 * data directory of their own. Disposing takes down every pod, process, mount and cgroup.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Containerd, openContainerd, openRuntime, type Runtime } from '#cri';
import { buildImage, buildPauseImage } from '#images';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { unmountBelow } from '#kit/mounts.ts';
import { removePodNetwork, runPodNetwork } from '#network';
import { removeCgroups } from './real-node.ts';
import { openTestLog } from './test-log.ts';

export const busyboxImage = 'localhost/busybox:alone';

const clusterId = 'alone';
const clusterCIDR = '10.214.0.0/16';
const { signal } = new AbortController();

const applets = ['sh', 'sleep', 'cat', 'echo', 'hostname', 'httpd', 'mkdir', 'wget', 'true'];

export class OwnRuntime implements AsyncDisposable {
  readonly folder: string;
  readonly containerd: Containerd;
  readonly runtime: Runtime;
  /** For `--cgroup-root`. */
  readonly cgroupRoot = `/coracle-${clusterId}`;
  readonly #network: Promise<void>;
  readonly #stop: AbortController;

  private constructor(
    folder: string,
    parts: {
      readonly containerd: Containerd;
      readonly runtime: Runtime;
      readonly network: Promise<void>;
      readonly stop: AbortController;
    },
  ) {
    this.folder = folder;
    this.containerd = parts.containerd;
    this.runtime = parts.runtime;
    this.#network = parts.network;
    this.#stop = parts.stop;
  }

  static async open(): Promise<OwnRuntime> {
    const folder = mkdtempSync(join(tmpdir(), 'coracle-e2e-'));
    const clock = systemClock();
    const deps = { clock, log: openTestLog({ clock }) };
    const containerd = await openContainerd(deps, { dataDir: folder, clusterId, signal });
    const runtime = await openRuntime(deps, { socketPath: containerd.socketPath });
    const stop = new AbortController();
    const range = { podCIDR: '10.214.0.0/24', clusterCIDR };
    const network = runPodNetwork(deps, {
      ...{ dataDir: folder, clusterId, nodeIP: '127.0.0.1', ...range, signal: stop.signal },
    }).catch(() => {});
    const own = new OwnRuntime(folder, { containerd, runtime, network, stop });
    try {
      for (const path of await buildImages(join(folder, 'images'))) {
        await containerd.importImage(path, { signal });
      }
      return own;
    } catch (error) {
      await own[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { id } of await this.runtime.listPodSandboxes({}, { signal }).catch(() => [])) {
      await this.runtime.stopPodSandbox(id, { signal }).catch(() => {});
      await this.runtime.removePodSandbox(id, { signal }).catch(() => {});
    }
    this.#stop.abort(new Error('the test is over'));
    await this.#network;
    this.runtime[Symbol.dispose]();
    await this.containerd.stop({ signal });
    const dataDir = this.folder;
    await removePodNetwork({ log: silentLog }, { dataDir, clusterId, clusterCIDR, signal });
    await unmountBelow(dataDir, { signal });
    await removeCgroups(clusterId);
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function buildImages(folder: string): Promise<readonly string[]> {
  mkdirSync(folder, { recursive: true });
  const pause = await buildPauseImage({ outputDir: folder });
  const busybox = readFileSync('/usr/bin/busybox');
  const link = (name: string) =>
    ({ kind: 'symlink', path: `bin/${name}`, mode: 0o777, target: 'busybox' }) as const;
  const { path } = await buildImage({
    reference: busyboxImage,
    outputPath: join(folder, 'busybox.tar'),
    config: { Cmd: ['sh'], Env: ['PATH=/bin'] },
    rootfs: [
      { kind: 'directory', path: 'bin', mode: 0o755 },
      { kind: 'directory', path: 'tmp', mode: 0o1777 },
      { kind: 'directory', path: 'etc', mode: 0o755 },
      { kind: 'file', path: 'bin/busybox', mode: 0o755, content: busybox },
      ...applets.map(link),
    ],
  });
  return [pause.path, path];
}
