/**
 * A StatefulSet's pod is there at most once: no two of the same name run at the same time, on
 * whatever nodes. And where they come in order, no pod is made before those with lower ordinals
 * are ready; excused is a lower one that was ready a moment ago.
 */
import { controllerOf, type KubeObject } from '#api/object.ts';
import type { StatefulSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isPodReady } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';

const excuseMs = 20_000;

export class StatefulIdentity implements Checker {
  readonly name = 'stateful identity';
  judged = 0;
  readonly #truth: Truth;
  /** Namespace and name → who of that name runs, and where. */
  readonly #running = new Map<string, { readonly uid: string; readonly node: string }>();
  readonly #goneMs = new Map<string, number>();

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    switch (event.what) {
      case 'nodeDown':
        for (const [key, { node }] of this.#running) {
          if (node === event.node) this.#running.delete(key);
        }
        return undefined;
      case 'podStarted':
        return this.#started(event.uid, event.node);
      case 'podStopped':
        for (const [key, { uid }] of this.#running) {
          if (uid === event.uid) this.#running.delete(key);
        }
        return undefined;
      case 'put':
        if (isReady(event.before) && !isReady(event.object)) this.#goes(event.object, nowMs);
        return event.before === undefined ? this.#made(event.object, nowMs) : undefined;
      case 'delete':
        this.#goes(event.object, nowMs);
        return undefined;
      default:
        return undefined;
    }
  }

  #goes({ kind, metadata }: KubeObject, nowMs: number): void {
    if (kind === 'Pod') this.#goneMs.set(`${metadata.namespace}/${metadata.name}`, nowMs);
  }

  #started(uid: string, node: string): string | undefined {
    const pod = this.#truth.get<Pod>('Pod', uid);
    if (pod === undefined || controllerOf(pod)?.kind !== 'StatefulSet') return undefined;
    this.judged += 1;
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const other = this.#running.get(key);
    this.#running.set(key, { uid, node });
    if (other === undefined || other.uid === uid) return undefined;
    return `${key} begins on ${node} while one of that name runs on ${other.node}`;
  }

  #made(pod: KubeObject, nowMs: number): string | undefined {
    const owner = controllerOf(pod);
    if (pod.kind !== 'Pod' || owner?.kind !== 'StatefulSet') return undefined;
    const set = this.#truth.get<StatefulSet>('StatefulSet', owner.uid);
    if (set === undefined || set.spec?.podManagementPolicy === 'Parallel') return undefined;
    const { namespace, name = '' } = pod.metadata;
    this.judged += 1;
    const ordinal = Number(name.slice(name.lastIndexOf('-') + 1));
    for (let lower = 0; lower < ordinal; lower++) {
      const before = `${set.metadata.name}-${lower}`;
      if (isReady(this.#truth.find('Pod', before, namespace))) continue;
      const goneMs = this.#goneMs.get(`${namespace}/${before}`) ?? Number.NEGATIVE_INFINITY;
      if (nowMs - goneMs < excuseMs) continue;
      return `${name} is made, and ${before} is not ready`;
    }
    return undefined;
  }
}

function isReady(object: KubeObject | undefined): boolean {
  if (object?.kind !== 'Pod' || object.metadata.deletionTimestamp !== undefined) return false;
  // The kind says the type.
  return isPodReady(object as Pod);
}
