/**
 * What the scheduler tells people: Events (`Scheduled`, `FailedScheduling`) and, for a pod that has
 * no node, the PodScheduled condition with the reason. Written beside the scheduling loop, never
 * waited for; a condition that says the same already is not written again.
 */
import { isReason } from '#api/errors.ts';
import type { Client, Recorder } from '#client';
import { type Clock, formatTime } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Scope } from '#kit/scope.ts';
import { pods } from '#resources/kinds.ts';
import type { Pod, PodCondition } from '#resources/types/core-v1.ts';

export interface ReporterDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: Recorder;
  readonly scope: Scope;
}

export interface SchedulingFailure {
  readonly reason: 'Unschedulable' | 'SchedulerError';
  readonly message: string;
}

/** Conditions written at the same time; more wait, the newest of each pod. */
const writesMax = 16;

interface Note {
  readonly pod: Pod;
  readonly condition: PodCondition;
}

export class Reporter {
  readonly #deps: ReporterDeps;
  /** By pod uid. */
  readonly #waiting = new Map<string, Note>();
  #writers = 0;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  scheduled(pod: Pod, nodeName: string): void {
    const { namespace, name } = pod.metadata;
    this.#deps.recorder.record(pod, {
      type: 'Normal',
      reason: 'Scheduled',
      message: `Successfully assigned ${namespace}/${name} to ${nodeName}`,
    });
  }

  failed(pod: Pod, failure: SchedulingFailure): void {
    this.#deps.recorder.record(pod, {
      type: 'Warning',
      reason: 'FailedScheduling',
      message: failure.message,
    });
    const condition = this.#conditionOf(pod, failure);
    if (condition === undefined) return;
    this.#waiting.set(pod.metadata.uid ?? '', { pod, condition });
    if (this.#writers >= writesMax) return;
    this.#writers += 1;
    this.#deps.scope.spawn(async (signal) => {
      try {
        await this.#writeWaiting(signal);
      } finally {
        this.#writers -= 1;
      }
    });
  }

  async #writeWaiting(signal: AbortSignal): Promise<void> {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [uid, { pod, condition }] = next;
      this.#waiting.delete(uid);
      await this.#write(pod, condition, signal);
    }
  }

  /** Undefined where the pod says so already. */
  #conditionOf(pod: Pod, { reason, message }: SchedulingFailure): PodCondition | undefined {
    const known = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    const since = known?.status === 'False' ? known.lastTransitionTime : undefined;
    if (known?.status === 'False' && known.reason === reason && known.message === message) {
      return undefined;
    }
    return {
      type: 'PodScheduled',
      status: 'False',
      reason,
      message,
      lastTransitionTime: since ?? formatTime(this.#deps.clock.now()),
      observedGeneration: pod.metadata.generation,
    };
  }

  async #write(pod: Pod, condition: PodCondition, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid } = pod.metadata;
    // The uid makes the patch miss a pod that was made anew under the same name.
    const patch = { metadata: { uid }, status: { conditions: [condition] } };
    try {
      await this.#deps.client.patch(pods, { namespace, name }, patch, {
        type: 'strategic',
        subresource: 'status',
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (isReason(error, 'NotFound') || isReason(error, 'Conflict')) return;
      this.#deps.log.warn('condition was not written', { pod: `${namespace}/${name}`, error });
    }
  }
}
