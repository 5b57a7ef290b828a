/**
 * What the scheduler tells people: Events (`Scheduled`, `FailedScheduling`, `Preempted`), for a pod
 * that has no node the PodScheduled condition with the reason, and the node that it is nominated
 * to. Written beside the scheduling loop, never waited for; what the pod says already is not
 * written again.
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
  /** One for each profile: events say which scheduler speaks. */
  readonly recorders: ReadonlyMap<string, Recorder>;
  readonly scope: Scope;
}

export interface SchedulingFailure {
  readonly reason: 'Unschedulable' | 'SchedulerError';
  readonly message: string;
  /** A node for which room is made; empty to end a nomination; undefined to leave it. */
  readonly nominatedNodeName?: string | undefined;
}

export interface Preemption {
  readonly message: string;
  /** Whose profile it was. */
  readonly scheduler: string;
}

/** Statuses written at the same time; more wait, the newest of each pod. */
const writesMax = 16;

/** Longer texts are cut in events, as upstream does, and end in this. */
const eventLengthMax = 1024;
const cutMark = ' ...';

interface Note {
  readonly pod: Pod;
  readonly condition: PodCondition | undefined;
  readonly nominatedNodeName: string | undefined;
}

export class Reporter {
  readonly #deps: ReporterDeps;
  /** By pod uid. */
  readonly #waiting = new Map<string, Note>();
  #writers = 0;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  scheduled(pod: Pod, nodeName: string, scheduler: string): void {
    const { namespace, name } = pod.metadata;
    this.#waiting.delete(pod.metadata.uid ?? '');
    this.#deps.recorders.get(scheduler)?.record(pod, {
      type: 'Normal',
      reason: 'Scheduled',
      action: 'Binding',
      message: `Successfully assigned ${namespace}/${name} to ${nodeName}`,
    });
  }

  waitsForDevices(pod: Pod, nodeName: string, scheduler: string): void {
    this.#deps.recorders.get(scheduler)?.record(pod, {
      type: 'Normal',
      reason: 'BindingConditionsPending',
      action: 'Scheduling',
      message: `waiting for binding conditions for device on node ${nodeName}`,
    });
  }

  preempted(victim: Pod, by: Pod, { message, scheduler }: Preemption): void {
    this.#deps.recorders.get(scheduler)?.record(victim, {
      type: 'Normal',
      reason: 'Preempted',
      action: 'Preempting',
      related: by,
      message,
    });
  }

  failed(pod: Pod, failure: SchedulingFailure, scheduler: string): void {
    const { message } = failure;
    this.#deps.recorders.get(scheduler)?.record(pod, {
      type: 'Warning',
      reason: 'FailedScheduling',
      action: 'Scheduling',
      message:
        message.length <= eventLengthMax
          ? message
          : message.slice(0, eventLengthMax - cutMark.length) + cutMark,
    });
    const condition = this.#conditionOf(pod, failure);
    this.#note({ pod, condition, nominatedNodeName: nominationOf(pod, failure) });
  }

  /** Ends (empty) or sets a nomination, and says nothing else. */
  nominated(pod: Pod, nodeName: string): void {
    const nominatedNodeName = nominationOf(pod, { nominatedNodeName: nodeName });
    this.#note({ pod, condition: undefined, nominatedNodeName });
  }

  #note(note: Note): void {
    if (note.condition === undefined && note.nominatedNodeName === undefined) return;
    const uid = note.pod.metadata.uid ?? '';
    const before = this.#waiting.get(uid);
    this.#waiting.set(uid, {
      pod: note.pod,
      condition: note.condition ?? before?.condition,
      nominatedNodeName: note.nominatedNodeName ?? before?.nominatedNodeName,
    });
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
      const [uid, note] = next;
      this.#waiting.delete(uid);
      await this.#write(note, signal);
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

  async #write({ pod, condition, nominatedNodeName }: Note, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid } = pod.metadata;
    const status = {
      ...(condition === undefined ? {} : { conditions: [condition] }),
      // Null takes the field away.
      ...(nominatedNodeName === undefined ? {} : { nominatedNodeName: nominatedNodeName || null }),
    };
    // The uid makes the patch miss a pod that was made anew under the same name.
    const patch = { metadata: { uid }, status };
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

/** Undefined where there is nothing to write. */
function nominationOf(
  pod: Pod,
  { nominatedNodeName }: Pick<SchedulingFailure, 'nominatedNodeName'>,
): string | undefined {
  const known = pod.status?.nominatedNodeName ?? '';
  return nominatedNodeName === known ? undefined : nominatedNodeName;
}
