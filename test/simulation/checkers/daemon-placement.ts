/**
 * A DaemonSet has one pod on a node, or two while it rolls with a surge: it never makes another for
 * a node that has one. Excused is what nobody can know, after uncertain writes.
 */
import { controllerOf } from '#api/object.ts';
import type { DaemonSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isActive } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';
import type { Disturbances } from './disturbances.ts';
import { madeOf } from './written.ts';

const excuseMs = 20_000;

export class DaemonPlacement implements Checker {
  readonly name = 'daemon placement';
  judged = 0;
  readonly #truth: Truth;
  readonly #disturbances: Disturbances;

  constructor(truth: Truth, disturbances: Disturbances) {
    this.#truth = truth;
    this.#disturbances = disturbances;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    const pod = madeOf<Pod>(event, 'Pod');
    if (pod === undefined) return undefined;
    const set = this.#truth.get<DaemonSet>('DaemonSet', controllerOf(pod)?.uid);
    const node = targetOf(pod);
    if (set === undefined || node === undefined) return undefined;
    if (!this.#disturbances.quietOf('controllers', excuseMs, nowMs)) return undefined;
    this.judged += 1;
    let count = 0;
    for (const other of this.#truth.ownedBy<Pod>('Pod', set.metadata.uid)) {
      if (targetOf(other) === node && isActive(other)) count += 1;
    }
    const surges = (set.spec?.updateStrategy?.rollingUpdate?.maxSurge ?? 0) !== 0;
    if (count <= (surges ? 2 : 1)) return undefined;
    return `${set.metadata.name} makes pod number ${count} for ${node}`;
  }
}

/** The node that the controller made it for. */
function targetOf({ spec }: Pod): string | undefined {
  const terms =
    spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const field = terms?.[0]?.matchFields?.find(({ key }) => key === 'metadata.name');
  return field?.values?.[0];
}
