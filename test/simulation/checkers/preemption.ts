/** A pod is pushed aside only for one of higher priority, which waits or has just had its way. */
import type { Pod } from '#resources/types/core-v1.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';

const excuseMs = 30_000;

export class Preemption implements Checker {
  readonly name = 'preemption';
  judged = 0;
  readonly #truth: Truth;
  /** Priority → when a pod of it last waited for a node. */
  readonly #waitedMs = new Map<number, number>();

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    if (event.object.kind !== 'Pod') return undefined;
    // The kind says the type of what the store holds.
    const [pod, before] = [event.object as Pod, event.before as Pod | undefined];
    const priority = pod.spec?.priority ?? 0;
    if (!pod.spec?.nodeName || !before?.spec?.nodeName) this.#waitedMs.set(priority, nowMs);
    if (!isPreempted(pod) || before === undefined || isPreempted(before)) return undefined;
    this.judged += 1;
    for (const other of this.#truth.of<Pod>('Pod')) {
      if (!other.spec?.nodeName && (other.spec?.priority ?? 0) > priority) return undefined;
    }
    for (const [other, atMs] of this.#waitedMs) {
      if (other > priority && nowMs - atMs < excuseMs) return undefined;
    }
    return `pod ${pod.metadata.name} of priority ${priority} is pushed aside for nobody higher`;
  }
}

function isPreempted({ status }: Pod): boolean {
  return (status?.conditions ?? []).some(
    ({ type, reason }) => type === 'DisruptionTarget' && reason === 'PreemptionByScheduler',
  );
}
