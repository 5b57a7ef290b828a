/**
 * A ReplicaSet never makes a pod beyond what it wants, and all sets of a rolling Deployment never
 * want more together than its replicas and maxSurge.
 *
 * Excused is what nobody can know: for a while after an uncertain write or a crash, and after the
 * wish itself has changed. Pods that end or go do not count.
 */
import { controllerOf } from '#api/object.ts';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isActive } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';
import type { Disturbances } from './disturbances.ts';

/** Informers that have lost the server try again after 20 s at most. */
const excuseMs = 30_000;

export class ReplicaExcess implements Checker {
  readonly name = 'replica excess';
  judged = 0;
  readonly #truth: Truth;
  readonly #disturbances: Disturbances;
  /** By uid of ReplicaSet or Deployment: when what it wants was changed, or an excess excused. */
  readonly #changedMs = new Map<string, number>();

  constructor(truth: Truth, disturbances: Disturbances) {
    this.#truth = truth;
    this.#disturbances = disturbances;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    if (event.what !== 'put') return undefined;
    const { object, before } = event;
    // The kind says the type of what the store holds.
    switch (object.kind) {
      case 'Pod':
        return before === undefined ? this.#judgePod(object as Pod, nowMs) : undefined;
      case 'ReplicaSet':
        this.#noteChange(object as ReplicaSet, before as ReplicaSet | undefined, nowMs);
        return this.#judgeSet(object as ReplicaSet, before as ReplicaSet | undefined, nowMs);
      case 'Deployment':
        this.#noteChange(object as Deployment, before as Deployment | undefined, nowMs);
        return undefined;
      default:
        return undefined;
    }
  }

  #noteChange(
    { metadata, spec }: ReplicaSet | Deployment,
    before: ReplicaSet | Deployment | undefined,
    nowMs: number,
  ): void {
    if ((spec?.replicas ?? 1) < (before?.spec?.replicas ?? 0)) {
      this.#changedMs.set(metadata.uid ?? '', nowMs);
    }
  }

  #isQuiet(uid: string | undefined, nowMs: number): boolean {
    if (!this.#disturbances.quietOf('controllers', excuseMs, nowMs)) return false;
    return nowMs - (this.#changedMs.get(uid ?? '') ?? Number.NEGATIVE_INFINITY) >= excuseMs;
  }

  #judgePod(pod: Pod, nowMs: number): string | undefined {
    const set = this.#truth.get<ReplicaSet>('ReplicaSet', controllerOf(pod)?.uid);
    if (set === undefined || !this.#isQuiet(set.metadata.uid, nowMs)) return undefined;
    this.judged += 1;
    let count = 0;
    for (const other of this.#truth.ownedBy<Pod>('Pod', set.metadata.uid)) {
      if (isActive(other)) count += 1;
    }
    const wants = set.spec?.replicas ?? 1;
    if (count <= wants) return undefined;
    return `${set.metadata.name} wants ${wants} pods and makes number ${count}`;
  }

  #judgeSet(set: ReplicaSet, before: ReplicaSet | undefined, nowMs: number): string | undefined {
    const deployment = this.#truth.get<Deployment>('Deployment', controllerOf(set)?.uid);
    const grows = (set.spec?.replicas ?? 1) > (before?.spec?.replicas ?? 0);
    if (deployment === undefined || !grows) return undefined;
    const { uid, name } = deployment.metadata;
    if (!this.#isQuiet(uid, nowMs)) return undefined;
    this.judged += 1;
    let sum = 0;
    for (const other of this.#truth.ownedBy<ReplicaSet>('ReplicaSet', uid)) {
      sum += other.spec?.replicas ?? 1;
    }
    const most = ceilingOf(deployment);
    return sum <= most ? undefined : `${name} wants ${sum} pods; its ceiling is ${most}`;
  }
}

function ceilingOf({ spec }: Deployment): number {
  const replicas = spec?.replicas ?? 1;
  if (spec?.strategy?.type === 'Recreate') return replicas;
  const { maxSurge = '25%' } = spec?.strategy?.rollingUpdate ?? {};
  if (typeof maxSurge === 'number') return replicas + maxSurge;
  return replicas + Math.ceil((Number.parseFloat(maxSurge) / 100) * replicas);
}
