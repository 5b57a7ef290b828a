/**
 * Holds up a shutdown of the machine until pods have ended in peace.
 *
 * As long as the kubelet runs it has a lock at whoever shuts the machine down (`logind.ts`). When a
 * shutdown begins, the node says that it is not ready, takes no more pods, ends those that run
 * (`plan-shutdown.ts`) and lets go of the lock. They have failed, and stay so: whoever made them
 * makes others. A shutdown that is called off makes the node ready again.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Recorder } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Node } from '#resources/types/core-v1.ts';
import type { PodWorker } from '../pods/pod-worker.ts';
import type { Metric } from '../server/exposition.ts';
import type { ShutdownGracePeriod } from '../settings.ts';
import { planShutdown, totalMs } from './plan-shutdown.ts';

/** Whoever shuts the machine down. */
export interface ShutdownSource {
  /** For how long it waits at most for those who hold a lock. */
  delayMs(options: { readonly signal: AbortSignal }): Promise<number>;
  setDelay(delayMs: number, options: { readonly signal: AbortSignal }): Promise<void>;
  /** Until it is disposed of, the machine is not shut down without delay. */
  hold(options: { readonly signal: AbortSignal }): Promise<Disposable>;
  /** True: a shutdown begins; false: it was called off. Ends when the source has gone. */
  events(options: { readonly signal: AbortSignal }): AsyncIterable<boolean>;
}

export interface ShutdownDeps {
  readonly source: ShutdownSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: Pick<Recorder, 'record'>;
  readonly node: () => Node;
  readonly workers: () => readonly PodWorker[];
  /** Whether the node is ready has changed. */
  readonly onChange: () => void;
}

const limits = {
  /** After the source has gone. */
  reopenMs: 1000,
  /** Looks at a delay that was set, twice as long apart each time. */
  settingMs: 100,
  settingLooks: 5,
} as const;

const terminated = {
  reason: 'Terminated',
  message: 'Pod was terminated in response to imminent node shutdown.',
} as const;

export class GracefulShutdown {
  readonly #deps: ShutdownDeps;
  readonly #periods: readonly ShutdownGracePeriod[];
  readonly #file: string;
  #isNow = false;
  #lock: Disposable | undefined;
  #times: { readonly startTime?: number; readonly endTime?: number };

  constructor(
    deps: ShutdownDeps,
    periods: readonly ShutdownGracePeriod[],
    { rootDir }: { readonly rootDir: string },
  ) {
    this.#deps = deps;
    this.#periods = periods;
    this.#file = join(rootDir, 'graceful_node_shutdown_state');
    this.#times = readTimes(this.#file);
  }

  get isNow(): boolean {
    return this.#isNow;
  }

  metrics(): readonly Metric[] {
    const { startTime = 0, endTime = 0 } = this.#times;
    const gauge = (name: string, help: string, ms: number): Metric => ({
      ...{ name: `kubelet_graceful_shutdown_${name}_time_seconds`, help, type: 'gauge' },
      samples: [{ value: ms / 1000 }],
    });
    return [
      gauge('start', 'When the last shutdown in peace began.', startTime),
      gauge('end', 'When it was over.', endTime),
    ];
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    try {
      for (;;) {
        try {
          await this.#follow(signal);
        } catch (error) {
          if (signal.aborted) throw error;
          log.warn('cannot hold up shutdowns of the machine', { error });
        }
        await clock.sleep(limits.reopenMs, { signal });
      }
    } finally {
      this.#lock?.[Symbol.dispose]();
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { source, recorder, node, onChange } = this.#deps;
    await this.#ensureDelay(signal);
    await this.#hold(signal);
    for await (const isBeginning of source.events({ signal })) {
      const what = isBeginning ? 'event' : 'cancellation';
      const message = `Shutdown manager detected shutdown ${what}`;
      recorder.record(node(), { type: 'Normal', reason: 'NodeShutdown', message });
      this.#isNow = isBeginning;
      onChange();
      if (isBeginning) await this.#end(signal);
      else await this.#hold(signal);
    }
  }

  async #hold(signal: AbortSignal): Promise<void> {
    const lock = await this.#deps.source.hold({ signal });
    this.#lock?.[Symbol.dispose]();
    this.#lock = lock;
  }

  /** Whoever shuts down has to be willing to wait for so long. */
  async #ensureDelay(signal: AbortSignal): Promise<void> {
    const { source, clock } = this.#deps;
    const neededMs = totalMs(this.#periods);
    let delayMs = await source.delayMs({ signal });
    if (delayMs >= neededMs) return;
    await source.setDelay(neededMs, { signal });
    for (let look = 0; look < limits.settingLooks; look++) {
      await clock.sleep(limits.settingMs * 2 ** look, { signal });
      delayMs = await source.delayMs({ signal });
      if (delayMs >= neededMs) return;
    }
    throw new Error(
      `node shutdown manager was timed out after ${limits.settingLooks} attempts waiting for ` +
        `logind InhibitDelayMaxSec to update to ${neededMs / 1000}s (ShutdownGracePeriod), ` +
        `current value is ${delayMs / 1000}s`,
    );
  }

  async #end(signal: AbortSignal): Promise<void> {
    const { clock, log, workers } = this.#deps;
    const startTime = clock.now();
    this.#keep({ startTime });
    const active = workers().filter(({ isActive }) => isActive);
    const pods = active.map(({ pod }) => pod);
    for (const group of planShutdown(this.#periods, pods)) {
      const ends = group.pods.map(({ pod, graceSeconds }) => {
        const worker = active.find((each) => each.pod.metadata.uid === pod.metadata.uid);
        return worker?.evict(terminated, { graceSeconds, disruption: terminated.message });
      });
      log.info('ending pods before the machine is shut down', { pods: ends.length });
      const rest = new AbortController();
      const either = AbortSignal.any([signal, rest.signal]);
      const late = clock.sleep(group.seconds * 1000, { signal: either }).catch(() => {});
      await Promise.race([Promise.all(ends), late]);
      rest.abort(new Error('the group has ended'));
      signal.throwIfAborted();
    }
    this.#keep({ startTime, endTime: clock.now() });
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
  }

  #keep(times: { readonly startTime: number; readonly endTime?: number }): void {
    this.#times = times;
    try {
      mkdirSync(dirname(this.#file), { recursive: true });
      writeFileSync(`${this.#file}.new`, JSON.stringify(times));
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      this.#deps.log.warn('cannot keep the times of a shutdown', { error });
    }
  }
}

function readTimes(file: string): { readonly startTime?: number; readonly endTime?: number } {
  try {
    const { startTime, endTime } = JSON.parse(readFileSync(file, 'utf8'));
    return {
      ...(typeof startTime === 'number' ? { startTime } : {}),
      ...(typeof endTime === 'number' ? { endTime } : {}),
    };
  } catch {
    // There was none yet, or the machine went down while it was written.
    return {};
  }
}
