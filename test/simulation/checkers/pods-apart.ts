/**
 * Pods that keep apart, by anti-affinity or by a port of the host, are never bound to a node that
 * has one of their sort. Excused is what a scheduler cannot know, as in `pods-fit.ts`.
 */
import type { Pod } from '#resources/types/core-v1.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import { isLoner } from '../workload/placements.ts';
import type { Checker } from './checker.ts';
import type { Disturbances } from './disturbances.ts';
import { justBound, podsOn, schedulersQuiet } from './pods-fit.ts';

export class PodsApart implements Checker {
  readonly name = 'pods apart';
  judged = 0;
  readonly #truth: Truth;
  readonly #disturbances: Disturbances;

  constructor(truth: Truth, disturbances: Disturbances) {
    this.#truth = truth;
    this.#disturbances = disturbances;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    const pod = justBound(event);
    if (pod === undefined || !isLoner(pod)) return undefined;
    if (!schedulersQuiet(this.#disturbances, nowMs)) return undefined;
    this.judged += 1;
    const { nodeName = '' } = pod.spec ?? {};
    const same = (other: Pod): boolean =>
      isLoner(other) && other.metadata.labels?.['app'] === pod.metadata.labels?.['app'];
    const [one, two] = podsOn(this.#truth, nodeName).filter(same);
    if (one === undefined || two === undefined) return undefined;
    return `${one.metadata.name} and ${two.metadata.name} are both bound to ${nodeName}`;
  }
}
