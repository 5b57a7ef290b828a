/**
 * Containerd without us: the CRI calls that a pod needs (sandbox, container, start), by a
 * containerd of its own with the same configuration and pod network, and no kubelet, which would
 * remove what is not its own. What they take is what no kubelet can be faster than.
 */
import type { Runtime } from '#cri';
import { systemClock } from '#kit/clock.ts';
import { busyboxImage, RealNode } from '#test/real-node.ts';
import { idleCommand } from './bench-node.ts';

const clock = systemClock();
const { signal } = new AbortController();

export class AloneRuntime implements AsyncDisposable {
  readonly #node: RealNode;
  readonly #runtime: Runtime;
  readonly #folder: string;
  readonly #imageRef: string;
  readonly #sandboxes: string[] = [];
  #made = 0;

  private constructor(node: RealNode, imageRef: string) {
    this.#node = node;
    this.#runtime = node.runtime;
    this.#folder = `${node.dataDir}/alone`;
    this.#imageRef = imageRef;
  }

  static async open(): Promise<AloneRuntime> {
    const node = await RealNode.open();
    const found = await node.runtime.imageStatus(busyboxImage, { signal });
    if (found === undefined) throw new Error(`there is no ${busyboxImage}`);
    return new AloneRuntime(node, found.id);
  }

  /** Resolves with the milliseconds until all of them run. */
  async start(count: number): Promise<number> {
    const begin = clock.monotonic();
    await Promise.all(Array.from({ length: count }, () => this.#startOne()));
    return clock.monotonic() - begin;
  }

  async #startOne(): Promise<void> {
    const number = this.#made++;
    const name = `alone-${number}`;
    const config = {
      metadata: { name, namespace: 'alone', uid: `00000000-0000-0000-0000-${number}`, attempt: 0 },
      hostname: name,
      logDirectory: `${this.#folder}/${name}`,
      linux: { securityContext: { namespaceOptions: { pid: 'CONTAINER' as const } } },
    };
    const podSandboxId = await this.#runtime.runPodSandbox({ config }, { signal });
    this.#sandboxes.push(podSandboxId);
    const container = {
      metadata: { name: 'main', attempt: 0 },
      image: { image: this.#imageRef },
      command: idleCommand,
      logPath: 'main.log',
    };
    const request = { podSandboxId, config: container, sandboxConfig: config };
    const id = await this.#runtime.createContainer(request, { signal });
    await this.#runtime.startContainer(id, { signal });
  }

  async removeAll(): Promise<void> {
    await Promise.all(
      this.#sandboxes.splice(0).map(async (id) => {
        await this.#runtime.stopPodSandbox(id, { signal });
        await this.#runtime.removePodSandbox(id, { signal });
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.removeAll();
    await this.#node[Symbol.asyncDispose]();
  }
}
