/**
 * What the parts of a cluster or node last said of themselves: shown while they start, answered to
 * `coracle status`, and waited for. `cluster.ts` and `agent.ts` have one each.
 */
import { aborted } from '#kit/aborted.ts';
import { type Clock, formatTime } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { ClusterStatus, ComponentStatus } from './control-socket.ts';
import type { NodeReport } from './node/node-process.ts';

interface Deps {
  readonly clock: Clock;
  readonly log: Logger;
}

interface Options {
  readonly version: string;
  readonly progress: { component(status: ComponentStatus): void };
}

/** What each component last said, for `coracle status` and the progress display. */
export class StatusBoard {
  readonly #deps: Deps;
  readonly #options: Options;
  readonly #startedAt: string;
  readonly #components = new Map<string, ComponentStatus>();
  readonly #waiters = new Set<() => void>();

  constructor(deps: Deps, options: Options) {
    this.#deps = deps;
    this.#options = options;
    this.#startedAt = formatTime(deps.clock.now());
  }

  ready(name: string, detail: string): void {
    this.#set({ name, state: 'ready', detail });
  }

  report(report: NodeReport): void {
    if ('ready' in report) this.#set({ name: report.ready, state: 'ready', detail: report.detail });
    else this.#set({ name: 'node process', state: 'failed', detail: report.failed });
  }

  async waitFor(name: string, signal: AbortSignal): Promise<void> {
    while (this.#components.get(name)?.state !== 'ready') {
      signal.throwIfAborted();
      const changed = Promise.withResolvers<void>();
      this.#waiters.add(changed.resolve);
      await Promise.race([changed.promise, aborted(signal)]);
    }
  }

  snapshot(): ClusterStatus {
    return {
      version: this.#options.version,
      pid: process.pid,
      startedAt: this.#startedAt,
      server: this.#components.get('control plane')?.detail ?? '',
      components: [...this.#components.values()],
    };
  }

  #set(component: ComponentStatus): void {
    this.#components.set(component.name, component);
    this.#options.progress.component(component);
    this.#deps.log.info('component changed', { ...component });
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }
}
