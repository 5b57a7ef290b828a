/**
 * No pod is bound to a node that has no room for it: what the pods of a node request is never more
 * than the node offers.
 *
 * Excused is only a scheduler that cannot know better: one of its bindings was carried out after it
 * had heard of a lost connection, or it has just begun to work beside what another copy had sent.
 */
import { quantityMilliValue } from '#api/quantity.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { hasEnded } from '../states.ts';
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import type { Checker } from './checker.ts';
import type { Disturbances } from './disturbances.ts';
import { writtenOf } from './written.ts';

const excuseMs = 15_000;

export class PodsFit implements Checker {
  readonly name = 'pods fit';
  judged = 0;
  readonly #truth: Truth;
  readonly #disturbances: Disturbances;

  constructor(truth: Truth, disturbances: Disturbances) {
    this.#truth = truth;
    this.#disturbances = disturbances;
  }

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    const pod = justBound(event);
    if (pod === undefined || !schedulersQuiet(this.#disturbances, nowMs)) return undefined;
    const name = pod.spec?.nodeName ?? '';
    const node = this.#truth.find<Node>('Node', name);
    if (node === undefined) return undefined;
    this.judged += 1;
    return overfull(node, podsOn(this.#truth, name));
  }
}

/** The pod, if this is the moment in which it gets its node. */
export function justBound(event: WorldEvent): Pod | undefined {
  const { object: pod, before } = writtenOf<Pod>(event, 'Pod') ?? {};
  const name = pod?.spec?.nodeName ?? '';
  return name === '' || before?.spec?.nodeName === name ? undefined : pod;
}

/** Whether they know what they have done. */
export function schedulersQuiet(disturbances: Disturbances, nowMs: number): boolean {
  return disturbances.quietOf('scheduler', excuseMs, nowMs);
}

export function podsOn(truth: Truth, nodeName: string): readonly Pod[] {
  const all = [...truth.of<Pod>('Pod')];
  return all.filter((pod) => pod.spec?.nodeName === nodeName && !hasEnded(pod));
}

/** What the pods ask for beyond what there is, in a sentence. */
export function overfull(node: Node, pods: readonly Pod[]): string | undefined {
  const { allocatable = {} } = node.status ?? {};
  const offered = quantityOf(allocatable['cpu']);
  let asked = 0;
  for (const pod of pods) asked += cpuOf(pod);
  const { name } = node.metadata;
  if (asked > offered) return `node ${name} offers ${offered}m cpu; its pods ask for ${asked}m`;
  const most = quantityOf(allocatable['pods']) / 1000;
  return pods.length > most ? `node ${name} takes ${most} pods and has ${pods.length}` : undefined;
}

function cpuOf({ spec }: Pod): number {
  let sum = 0;
  for (const { resources } of spec?.containers ?? [])
    sum += quantityOf(resources?.requests?.['cpu']);
  return sum;
}

/** In thousandths. */
function quantityOf(text: string | undefined): number {
  return text === undefined ? 0 : quantityMilliValue(text);
}
