/**
 * Containerd without us: the CRI calls that a pod needs (sandbox, container, start), by a
 * containerd of its own with the same configuration and pod network. What they take is what no
 * kubelet can be faster than.
 *
 * The calls are those of our kubelet, word for word: it starts one pod, what it sends is kept, and
 * it is stopped before anything is measured, since it would remove what is not its own. Cgroups,
 * mounts, paths that are masked and the rest of what makes a runtime slower are then the same; all
 * pods share the files and the parent cgroup of that first one.
 */
import type { Runtime, Sent } from '#cri';
import { systemClock } from '#kit/clock.ts';
import { RealNode } from '#test/real-node.ts';
import { idleCommand } from './bench-node.ts';

const clock = systemClock();
const { signal } = new AbortController();
const model = 'model';

interface Calls {
  readonly sandbox: Sent<'RunPodSandboxRequest'>;
  readonly container: Sent<'CreateContainerRequest'>;
}

export class AloneRuntime implements AsyncDisposable {
  readonly #node: RealNode;
  readonly #runtime: Runtime;
  readonly #calls: Calls;
  readonly #sandboxes: string[] = [];
  #made = 0;

  private constructor(node: RealNode, calls: Calls) {
    this.#node = node;
    this.#runtime = node.runtime;
    this.#calls = calls;
  }

  static async open(): Promise<AloneRuntime> {
    const node = await RealNode.open();
    try {
      return new AloneRuntime(node, await callsOfKubelet(node));
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Resolves with the milliseconds until all of them run. */
  async start(count: number): Promise<number> {
    const begin = clock.monotonic();
    await Promise.all(Array.from({ length: count }, () => this.#startOne()));
    return clock.monotonic() - begin;
  }

  async #startOne(): Promise<void> {
    const name = `alone-${this.#made++}`;
    const { sandbox, container } = this.#calls;
    const metadata = { ...sandbox.config?.metadata, name, uid: name };
    const config = { ...sandbox.config, metadata, hostname: name };
    const podSandboxId = await this.#runtime.runPodSandbox({ ...sandbox, config }, { signal });
    this.#sandboxes.push(podSandboxId);
    const request = { ...container, podSandboxId, sandboxConfig: config };
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

/** What the kubelet asks of the runtime for a pod like those that are measured. */
async function callsOfKubelet(node: RealNode): Promise<Calls> {
  let sandbox: Calls['sandbox'] | undefined;
  let container: Calls['container'] | undefined;
  node.startKubelet({
    ...node.runtime,
    runPodSandbox: (request, options) => {
      sandbox = request;
      return node.runtime.runPodSandbox(request, options);
    },
    createContainer: (request, options) => {
      container = request;
      return node.runtime.createContainer(request, options);
    },
  });
  await node.create(model, { containers: [{ ...node.container(''), command: idleCommand }] });
  await node.untilReady(model);
  await node.stopKubelet();
  if (sandbox === undefined || container === undefined) throw new Error('the kubelet asks nothing');
  return { sandbox, container };
}
