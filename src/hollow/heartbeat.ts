/**
 * Signs of life. A node registers once; its Lease is renewed every 10 s, which is one small patch;
 * its status is written every 5 minutes, and soon after somebody else has declared it not ready.
 *
 * The nodes of one process share an informer, a queue and a few writers, and their renewals are
 * spread over the interval, so that a thousand nodes are a steady 100 small writes per second.
 */
import { isReason } from '#api/errors.ts';
import type { Informers } from '#client';
import { formatMicroTime } from '#kit/clock.ts';
import type { Scope } from '#kit/scope.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { leases, nodes as nodeKind } from '#resources/kinds.ts';
import type { Node } from '#resources/types/core-v1.ts';
import type { HollowDeps } from './hollow.ts';
import {
  type HollowNode,
  isReady,
  leaseNamespace,
  nodeLease,
  nodeObject,
  nodeStatus,
} from './node.ts';

export const heartbeatLimits = {
  /** Nodes written at the same time. */
  writesMax: 32,
  leaseRenewMs: 10_000,
  leaseDurationSeconds: 40,
  /** Node status is written this often when nothing has changed. */
  statusReportMs: 5 * 60_000,
} as const;

export interface HeartbeatDeps extends HollowDeps {
  readonly informers: Informers;
  readonly scope: Scope;
}

export interface HeartbeatOptions {
  readonly nodes: ReadonlyMap<string, HollowNode>;
  /** Watch this node alone. */
  readonly only: string | undefined;
}

/** What is known of a node that has registered. */
interface Registered {
  readonly uid: string;
  statusAtMs: number;
  hasLease: boolean;
}

export function runHeartbeats(deps: HeartbeatDeps, { nodes, only }: HeartbeatOptions): void {
  const { clock, informers, scope } = deps;
  const queue = new WorkQueue(deps, {
    retryDelayMs: 100,
    retryDelayMsMax: heartbeatLimits.leaseRenewMs,
  });
  const registered = new Map<string, Registered>();
  const heart = new Heart(deps, registered);
  const selection = only === undefined ? {} : { fieldSelector: `metadata.name=${only}` };
  const informer = informers.of(nodeKind, selection);
  const onNode = (node: Node): void => {
    const name = node.metadata.name ?? '';
    if (registered.has(name) && !isReady(node)) queue.add(name);
  };
  informer.addHandler({ onAdd: onNode, onUpdate: onNode });
  for (const name of nodes.keys()) queue.add(name);
  const workers = Math.min(heartbeatLimits.writesMax, nodes.size);
  for (let index = 0; index < workers; index++) {
    scope.spawn(async (signal) => {
      for (;;) {
        const name = await queue.take({ signal });
        const node = nodes.get(name);
        if (node !== undefined) await beat(node, signal);
        queue.done(name);
      }
    });
  }
  scope.signal.addEventListener('abort', () => queue[Symbol.dispose](), { once: true });

  async function beat(node: HollowNode, signal: AbortSignal): Promise<void> {
    try {
      const first = !registered.has(node.name);
      await heart.beat(node, informer.get(node.name), signal);
      queue.forget(node.name);
      const { leaseRenewMs } = heartbeatLimits;
      const delayMs = first ? deps.random.integer(leaseRenewMs) : leaseRenewMs;
      queue.addAfter(node.name, delayMs);
    } catch (error) {
      signal.throwIfAborted();
      deps.log.debug('heartbeat failed', { node: node.name, error, at: clock.monotonic() });
      queue.retry(node.name);
    }
  }
}

class Heart {
  readonly #deps: HeartbeatDeps;
  readonly #registered: Map<string, Registered>;

  constructor(deps: HeartbeatDeps, registered: Map<string, Registered>) {
    this.#deps = deps;
    this.#registered = registered;
  }

  async beat(node: HollowNode, seen: Node | undefined, signal: AbortSignal): Promise<void> {
    let known = this.#registered.get(node.name);
    if (known === undefined) {
      known = await this.#register(node, signal);
      this.#registered.set(node.name, known);
    }
    const { clock } = this.#deps;
    const isOld = clock.monotonic() - known.statusAtMs >= heartbeatLimits.statusReportMs;
    if (isOld || (seen !== undefined && !isReady(seen))) {
      await this.#writeStatus(node, seen, signal);
      known.statusAtMs = clock.monotonic();
    }
    await this.#renew(node, known, signal);
  }

  async #register(node: HollowNode, signal: AbortSignal): Promise<Registered> {
    const { client, clock, log } = this.#deps;
    const made = nodeObject(node, clock.now());
    let stored: Node;
    try {
      stored = await client.create(nodeKind, made, { signal });
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error;
      // The node was here before: say what is true now.
      const old = await client.get(nodeKind, { name: node.name }, { signal });
      stored = await this.#writeStatus(node, old, signal);
    }
    log.info('node registered', { node: node.name });
    const statusAtMs = clock.monotonic();
    return { uid: stored.metadata.uid ?? '', statusAtMs, hasLease: false };
  }

  #writeStatus(node: HollowNode, old: Node | undefined, signal: AbortSignal): Promise<Node> {
    const { client, clock } = this.#deps;
    const status = nodeStatus(node, old, clock.now());
    const options = { type: 'strategic', subresource: 'status', signal } as const;
    return client.patch(nodeKind, { name: node.name }, { status }, options);
  }

  async #renew(node: HollowNode, known: Registered, signal: AbortSignal): Promise<void> {
    const { client, clock } = this.#deps;
    const at = { namespace: leaseNamespace, name: node.name };
    const nowMs = clock.now();
    const renew = { spec: { holderIdentity: node.name, renewTime: formatMicroTime(nowMs) } };
    try {
      if (known.hasLease) {
        await client.patchUnread(leases, at, renew, { type: 'merge', signal });
        return;
      }
      const durationSeconds = heartbeatLimits.leaseDurationSeconds;
      const lease = nodeLease(node, { uid: known.uid, durationSeconds, nowMs });
      await client.create(leases, lease, { signal });
    } catch (error) {
      // Whichever way was wrong, the next beat tries the other.
      if (isReason(error, 'AlreadyExists')) {
        await client.patchUnread(leases, at, renew, { type: 'merge', signal });
      } else {
        if (isReason(error, 'NotFound')) known.hasLease = false;
        throw error;
      }
    }
    known.hasLease = true;
  }
}
