/**
 * Keeps running containers on the processors that they are to have: when somebody gets some alone,
 * all who share are told to leave them, and get them back when he has ended.
 *
 * Looks every so often, and at once when the pool has changed. What a container was told last is
 * remembered by its id, so that nothing is told twice; a kubelet that starts tells everybody once.
 */
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { Wake } from '#kit/wake.ts';
import { podLabels } from '../pods/pod-facts.ts';

export interface FollowCpusDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: Pick<Runtime, 'listContainers' | 'updateContainerResources'>;
  /** Where a container is to run, as cgroups write it; undefined: it is nobody's. */
  readonly cpusOf: (podUid: string, container: string) => string | undefined;
  /** Pods that have ended give back first. */
  readonly release: () => void;
}

export class CpuFollower {
  readonly #deps: FollowCpusDeps;
  readonly #wake: Wake;
  /** By container id. */
  readonly #told = new Map<string, string>();

  constructor(deps: FollowCpusDeps) {
    this.#deps = deps;
    this.#wake = new Wake(deps.clock);
  }

  /** It was made with these. */
  made(containerId: string, cpus: string): void {
    this.#told.set(containerId, cpus);
  }

  changed(): void {
    this.#wake.now();
  }

  async run(periodMs: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#look(signal);
      } catch (error) {
        if (signal.aborted) throw error;
        this.#deps.log.warn('cannot keep containers on their processors', { error });
      }
      await this.#wake.sleep(periodMs, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { runtime, log, cpusOf, release } = this.#deps;
    release();
    const containers = await runtime.listContainers({}, { signal });
    const ids = new Set(containers.map(({ id }) => id));
    for (const id of this.#told.keys()) if (!ids.has(id)) this.#told.delete(id);
    for (const { id, labels, state } of containers) {
      if (state !== 'CONTAINER_RUNNING') continue;
      const name = labels[podLabels.containerName] ?? '';
      const cpus = cpusOf(labels[podLabels.podUid] ?? '', name);
      if (cpus === undefined || cpus === this.#told.get(id)) continue;
      try {
        const request = { containerId: id, linux: { cpusetCpus: cpus } };
        await runtime.updateContainerResources(request, { signal });
        this.#told.set(id, cpus);
      } catch (error) {
        if (signal.aborted) throw error;
        // It may have ended meanwhile; else the next look tries again.
        log.warn('a container stays on its old processors', { container: name, cpus, error });
      }
    }
  }
}
