/**
 * Patches of nodes, together where several controllers want something of the same node at once.
 *
 * A node that joins is given addresses, an annotation and is freed of its taints, by three
 * controllers that see it in the same moment: their patches leave in one request. A patch waits for
 * the end of the turn and, when many nodes join, for its place among those that are on their way.
 *
 * Example: `{spec: {podCIDR}}` and `{metadata: {resourceVersion}, spec: {taints}}` become one with
 * all three fields; if the version is out of date, both callers hear of the conflict and look
 * again.
 */
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import { nodes as nodeKind } from '#resources/kinds.ts';
import type { NodeSpec } from '#resources/types/core-v1.ts';

/** A JSON merge patch. */
export interface NodePatch {
  readonly metadata?: {
    readonly resourceVersion?: string | undefined;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: Pick<NodeSpec, 'podCIDR' | 'podCIDRs' | 'taints'>;
}

interface Waiting {
  patch: NodePatch;
  readonly written: PromiseWithResolvers<void>;
  readonly signal: AbortSignal;
  /** The signal is not listened to any more: the request does. */
  readonly off: () => void;
}

export const nodePatchLimits = {
  /** Requests on their way at the same time. */
  inFlightMax: 16,
} as const;

/** So many keys a controller of nodes works on, so that all get to the same nodes together. */
export const nodeWorkers = 32;

export class NodePatches {
  readonly #deps: { readonly client: Client; readonly clock: Clock };
  readonly #waiting = new Map<string, Waiting>();
  #inFlight = 0;
  #isAwake = false;

  constructor(deps: { readonly client: Client; readonly clock: Clock }) {
    this.#deps = deps;
  }

  /** Resolves when it is written, with whatever else was wanted of the node. */
  patch(name: string, patch: NodePatch, { signal }: { readonly signal: AbortSignal }) {
    if (signal.aborted) return Promise.reject(signal.reason);
    const known = this.#waiting.get(name);
    if (known !== undefined) {
      known.patch = together(known.patch, patch);
      return known.written.promise;
    }
    const written = Promise.withResolvers<void>();
    const onAbort = (): void => {
      this.#waiting.delete(name);
      written.reject(signal.reason);
    };
    const off = (): void => signal.removeEventListener('abort', onAbort);
    this.#waiting.set(name, { patch, written, signal, off });
    signal.addEventListener('abort', onAbort, { once: true });
    this.#wake();
    return written.promise;
  }

  /** At the end of the turn, when all who saw the same change have had their say. */
  #wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    this.#deps.clock.after(0, () => {
      this.#isAwake = false;
      this.#send();
    });
  }

  #send(): void {
    for (const [name, waiting] of this.#waiting) {
      if (this.#inFlight >= nodePatchLimits.inFlightMax) return;
      this.#waiting.delete(name);
      this.#inFlight += 1;
      const { patch, written, signal, off } = waiting;
      off();
      this.#deps.client
        .patchUnread(nodeKind, { name }, patch, { type: 'merge', signal })
        .then(written.resolve, written.reject)
        .finally(() => {
          this.#inFlight -= 1;
          if (this.#waiting.size > 0) this.#wake();
        });
    }
  }
}

function together(one: NodePatch, other: NodePatch): NodePatch {
  const annotations = { ...one.metadata?.annotations, ...other.metadata?.annotations };
  const labels = { ...one.metadata?.labels, ...other.metadata?.labels };
  return {
    metadata: {
      ...one.metadata,
      ...other.metadata,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
    },
    spec: { ...one.spec, ...other.spec },
  };
}
