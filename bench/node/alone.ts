/**
 * Containerd without us: the CRI calls that a pod needs (sandbox, container, start), on the socket
 * of the benchmark's own node, with the node's pod network and image. What they take is what no
 * kubelet can be faster than.
 */
import { openRuntime, type Runtime } from '#cri';
import { systemClock } from '#kit/clock.ts';
import { openLog } from '#kit/log.ts';
import { type BenchNode, idleCommand, image } from './bench-node.ts';

const clock = systemClock();
const { signal } = new AbortController();

export class AloneRuntime implements AsyncDisposable {
  readonly #runtime: Runtime;
  readonly #folder: string;
  readonly #imageRef: string;
  readonly #sandboxes: string[] = [];
  #made = 0;

  private constructor(runtime: Runtime, folder: string, imageRef: string) {
    this.#runtime = runtime;
    this.#folder = folder;
    this.#imageRef = imageRef;
  }

  static async open(node: BenchNode): Promise<AloneRuntime> {
    const log = openLog({ clock, level: 'info', format: 'text', write: () => {} });
    const runtime = await openRuntime({ clock, log }, { socketPath: node.socketPath });
    const found = await runtime.imageStatus(image, { signal });
    if (found === undefined) throw new Error(`there is no ${image}`);
    return new AloneRuntime(runtime, `${node.cluster.folder}/alone`, found.id);
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
    this.#runtime[Symbol.dispose]();
  }
}
