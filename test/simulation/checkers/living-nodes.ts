/**
 * A node that renews its Lease is never given up: its readiness becomes unknown only when the store
 * has not seen a renewal for a while. What clocks say does not matter, however they jump.
 *
 * Excused is what keeps the news from those who listen: a server or a disk that was away, and lost
 * lists of Leases and Nodes.
 */
import type { Lease } from '#resources/types/coordination-v1.ts';
import type { Node } from '#resources/types/core-v1.ts';
import type { Disturbance, WorldEvent } from '../trace.ts';
import type { Checker } from './checker.ts';
import { writtenOf } from './written.ts';

/** Half of the grace time of a node (50 s): news that are older may be nearly forgotten. */
const renewedMs = 25_000;
/** As long as a listener may need to list again after a lost request. */
const excuseMs = 90_000;
const silencing = new Set(['lose', 'loseAnswer', 'late']);
/** As the controllers list what they watch. */
const lists = /\/(leases|nodes)(\?|$)/;

export class LivingNodes implements Checker {
  readonly name = 'living nodes';
  judged = 0;
  /** Node → when its Lease was last renewed. */
  readonly #renewedMs = new Map<string, number>();
  #silentMs = Number.NEGATIVE_INFINITY;

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    if (event.what === 'disturbed') {
      if (isSilencing(event)) this.#silentMs = nowMs;
      return undefined;
    }
    const lease = writtenOf<Lease>(event, 'Lease')?.object.metadata;
    if (lease?.namespace === 'kube-node-lease') this.#renewedMs.set(lease.name ?? '', nowMs);
    const node = writtenOf<Node>(event, 'Node');
    if (node === undefined) return undefined;
    const { name = '' } = node.object.metadata;
    const [now, then] = [readinessOf(node.object), readinessOf(node.before)];
    if (then !== 'True' || now !== 'Unknown' || nowMs - this.#silentMs < excuseMs) return undefined;
    this.judged += 1;
    const agoMs = nowMs - (this.#renewedMs.get(name) ?? Number.NEGATIVE_INFINITY);
    if (agoMs > renewedMs) return undefined;
    return `node ${name} is given up; it renewed its Lease ${agoMs} ms ago`;
  }
}

function isSilencing({ component, by, method, path = '' }: Disturbance): boolean {
  if (component === 'apiserver') return by !== 'clock';
  if (!component.startsWith('controllers') || !silencing.has(by)) return false;
  return method === 'GET' && lists.test(path);
}

function readinessOf(node: Node | undefined): string | undefined {
  return node?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
}
