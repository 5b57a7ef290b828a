/**
 * A pod, by uid, belongs to one node for its whole life: once bound it is never bound elsewhere,
 * and no other node ever runs it, whether at the same time or later.
 */
import type { Pod } from '#resources/types/core-v1.ts';
import type { WorldEvent } from '../trace.ts';
import type { Checker } from './checker.ts';
import { writtenOf } from './written.ts';

export class NoPodOnTwoNodes implements Checker {
  readonly name = 'no pod on two nodes';
  judged = 0;
  readonly #bound = new Map<string, string>();
  readonly #ran = new Map<string, string>();

  onEvent(event: WorldEvent): string | undefined {
    const pod = writtenOf<Pod>(event, 'Pod');
    if (pod !== undefined) return this.#see(pod.object);
    if (event.what !== 'podStarted') return undefined;
    this.judged += 1;
    const ran = this.#ran.get(event.uid);
    if (ran !== undefined && ran !== event.node) {
      return `pod ${event.uid} runs on ${event.node} and ran on ${ran}`;
    }
    this.#ran.set(event.uid, event.node);
    const bound = this.#bound.get(event.uid);
    if (bound !== event.node) {
      return `pod ${event.uid} runs on ${event.node} but is bound to ${bound ?? 'no node'}`;
    }
    return undefined;
  }

  #see({ metadata, spec }: Pod): string | undefined {
    const { uid = '', name } = metadata;
    const before = this.#bound.get(uid);
    const now = spec?.nodeName ?? '';
    if (before === undefined) {
      if (now !== '') this.#bound.set(uid, now);
      return undefined;
    }
    return before === now
      ? undefined
      : `pod ${name} (${uid}) moved from ${before} to ${now || '-'}`;
  }
}
