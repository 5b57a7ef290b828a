/**
 * Keeps the node alive when memory, disk or processes run short: observes every ten seconds, says
 * so in the node's conditions, cleans up, and evicts one pod at a time.
 *
 * `thresholds.ts` and `plan.ts` decide; this file looks, remembers and acts. `kubelet.ts` runs it
 * and asks it for the pressures that pod admission and the node's status are about.
 */
import type { Recorder } from '#client';
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import type { ImageGC } from '../images/image-gc.ts';
import type { Machine } from '../node/machine.ts';
import { readMemory, readProcesses } from '../node/node-figures.ts';
import type { KubeletPaths } from '../pods/pod-paths.ts';
import type { PodWorker } from '../pods/pod-worker.ts';
import type { KubeletSettings } from '../settings.ts';
import {
  type Eviction,
  type EvictionMemory,
  noMemory,
  planEviction,
  planPressures,
  planStorageEvictions,
} from './plan.ts';
import {
  isMet,
  type Observations,
  parseThresholds,
  type Signal,
  signals,
  type Threshold,
} from './thresholds.ts';
import { hasStorageLimit, podUses } from './usage.ts';

export interface EvictorDeps {
  readonly runtime: Runtime;
  readonly machine: Machine;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: Pick<Recorder, 'record'>;
  readonly images: Pick<ImageGC, 'freeUnused'>;
  /** Containers that have ended, as far as nobody needs them. */
  readonly removeDead: (signal: AbortSignal) => Promise<void>;
  readonly paths: KubeletPaths;
}

export interface EvictorOptions {
  readonly settings: KubeletSettings;
  /** Where images are, if not on the disk of the pods. */
  readonly imagesPath: () => string;
  readonly node: () => Node;
  readonly workers: () => readonly PodWorker[];
  /** Memory that pods may have in all, and what they use of it, if that is known. */
  readonly podMemory: () =>
    | { readonly bytes: number; readonly workingSetBytes: number }
    | undefined;
}

export const limits = {
  observeMs: 10_000,
  /** Given to a pod to be gone before the next one is looked at. */
  goneMs: 30_000,
} as const;

export class Evictor {
  readonly #deps: EvictorDeps;
  readonly #options: EvictorOptions;
  readonly #thresholds: readonly Threshold[];
  #memory: EvictionMemory = noMemory;
  #pressures: readonly string[] = [];

  /** Throws where the settings make no sense. */
  constructor(deps: EvictorDeps, options: EvictorOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#thresholds = parseThresholds(options.settings);
  }

  /** Conditions of the node that hold. */
  get pressures(): readonly string[] {
    return this.#pressures;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    for (;;) {
      try {
        await this.#look(signal);
      } catch (error) {
        if (signal.aborted) throw error;
        log.warn('cannot look after the resources of the node', { error });
      }
      await clock.sleep(limits.observeMs, { signal });
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { settings } = this.#options;
    const plan = planPressures(
      {
        thresholds: this.#thresholds,
        observations: this.#observe(),
        memory: this.#memory,
        transitionMs: settings.evictionPressureTransitionPeriodMs,
      },
      this.#deps.clock.now(),
    );
    this.#memory = plan.memory;
    this.#pressures = plan.pressures;
    const { threshold, starved } = plan;
    const isDiskShort =
      threshold !== undefined && signals[threshold.signal].condition === 'DiskPressure';
    const workers = this.#options.workers().filter(({ isActive }) => isActive);
    const pods = workers.map(({ pod }) => pod);
    const { localStorageCapacityIsolation: isCounted } = settings;
    if (threshold === undefined && !(isCounted && pods.some(hasDiskLimit))) return;
    const uses = await podUses(this.#deps, pods, { isDiskShort, signal });
    const excessive = isCounted ? planStorageEvictions(uses) : [];
    for (const eviction of excessive) await this.#evict(eviction, workers);
    if (excessive.length > 0 || threshold === undefined) return;
    this.#say('EvictionThresholdMet', `Attempting to reclaim ${starved}`);
    if (isDiskShort && (await this.#cleansUp(threshold, signal))) return;
    const eviction = planEviction(threshold, uses, {
      observed: this.#observe().get(threshold.signal),
      maxGraceSeconds: settings.evictionMaxPodGracePeriodSeconds,
      hasImageDisk: this.#hasImageDisk(),
    });
    if (eviction === undefined) {
      this.#deps.log.error('nothing is left to evict', { starved });
      return;
    }
    await this.#evict(eviction, workers);
  }

  /** True when the shortage is over without that a pod had to go. */
  async #cleansUp(threshold: Threshold, signal: AbortSignal): Promise<boolean> {
    // Images and containers are on a disk of their own: without them the other is as full.
    if (threshold.signal.startsWith('nodefs.') && this.#hasImageDisk()) return false;
    await this.#deps.removeDead(signal);
    await this.#deps.images.freeUnused(signal);
    return !isMet(threshold, this.#observe(), { withReclaim: false });
  }

  #hasImageDisk(): boolean {
    const { machine, paths } = this.#deps;
    return !machine.isSameDisk(paths.root, this.#options.imagesPath());
  }

  async #evict(
    { pod, message, graceSeconds, isForOthers }: Eviction,
    workers: readonly PodWorker[],
  ): Promise<void> {
    const worker = workers.find((one) => one.pod.metadata.uid === pod.metadata.uid);
    if (worker === undefined) return;
    const failure = { reason: 'Evicted', message };
    this.#deps.recorder.record(pod, { type: 'Warning', ...failure });
    this.#deps.log.warn('pod evicted', {
      pod: pod.metadata.name,
      namespace: pod.metadata.namespace,
      why: message,
    });
    const disruption = isForOthers ? message : undefined;
    const rest = new AbortController();
    const late = this.#deps.clock.sleep(limits.goneMs, { signal: rest.signal }).catch(() => {});
    await Promise.race([worker.evict(failure, { graceSeconds, disruption }), late]);
    rest.abort(new Error('the pod is gone'));
  }

  #say(reason: string, message: string): void {
    this.#deps.recorder.record(this.#options.node(), { type: 'Warning', reason, message });
  }

  #observe(): Observations {
    const { machine, paths } = this.#deps;
    const observations = new Map<Signal, { available: number; capacity: number }>();
    const { availableBytes, totalBytes } = readMemory(machine);
    if (totalBytes > 0) {
      observations.set('memory.available', { available: availableBytes, capacity: totalBytes });
    }
    const ofPods = this.#options.podMemory();
    if (ofPods !== undefined) {
      observations.set('allocatableMemory.available', {
        available: ofPods.bytes - ofPods.workingSetBytes,
        capacity: ofPods.bytes,
      });
    }
    for (const [name, path] of [
      ['nodefs', paths.root],
      ['imagefs', this.#options.imagesPath()],
    ] as const) {
      const space = machine.diskSpace(path);
      observations.set(`${name}.available`, { available: space.freeBytes, capacity: space.bytes });
      // Some file systems do not count inodes.
      if (space.inodes === 0) continue;
      const inodes = { available: space.freeInodes, capacity: space.inodes };
      observations.set(`${name}.inodesFree`, inodes);
    }
    const { running, most } = readProcesses(machine);
    if (most > 0 && running > 0) {
      observations.set('pid.available', { available: most - running, capacity: most });
    }
    return observations;
  }
}

function hasDiskLimit(pod: Pod): boolean {
  const volumes = pod.spec?.volumes ?? [];
  return hasStorageLimit(pod) || volumes.some(({ emptyDir }) => emptyDir?.sizeLimit !== undefined);
}
