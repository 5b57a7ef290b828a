/**
 * Removes pods that no kubelet will ever remove. Every 20 seconds `plan.ts` looks over all pods; a
 * node that is missing is asked for once more, live, after a quarantine, before its pods are given
 * up.
 */
import { ApiError, isReason } from '#api/errors.ts';
import { formatTime } from '#kit/clock.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind, pods as podKind } from '#resources/kinds.ts';
import type { Pod, PodCondition } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { isTerminated } from '../pod-state.ts';
import { type Collected, isOutOfService, limits, planPodGC } from './plan.ts';

const sweepKey = 'all pods';

export function openPodGCController(deps: ControllerDeps, terminatedMax?: number): Controller {
  const { informers } = deps;
  const queue = new WorkQueue(deps);
  const nodes = informers.of(nodeKind);
  const pods = informers.of(podKind);
  const missing = new MissingNodes(deps);
  queue.add(sweepKey);
  return {
    name: 'pod-garbage-collector-controller',
    queue,
    workers: 1,
    sources: [nodes, pods],
    reconcile: async (key, { signal }) => {
      queue.addAfter(key, limits.periodMs);
      const gone = await missing.gone(pods.list(), (name) => nodes.get(name) !== undefined, signal);
      const collected = planPodGC(
        pods.list(),
        (nodeName) => {
          if (gone.has(nodeName)) return 'gone';
          const node = nodes.get(nodeName);
          return node !== undefined && isOutOfService(node) ? 'out of service' : 'there';
        },
        terminatedMax,
      );
      await collectAll(deps, collected, signal);
    },
  };
}

/** Whom the server will not let go must not keep the others. */
async function collectAll(
  deps: ControllerDeps,
  collected: readonly Collected[],
  signal: AbortSignal,
): Promise<void> {
  let refusal: ApiError | undefined;
  for (const one of collected) {
    try {
      await collect(deps, one, signal);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!isReason(error, 'NotFound')) refusal ??= error;
    }
  }
  if (refusal !== undefined) throw refusal;
}

/** Nodes that pods name and that are not there. */
class MissingNodes {
  readonly #deps: Pick<ControllerDeps, 'client' | 'clock'>;
  /** Since when, on the monotonic clock. */
  readonly #sinceMs = new Map<string, number>();

  constructor(deps: Pick<ControllerDeps, 'client' | 'clock'>) {
    this.#deps = deps;
  }

  /** Those that are gone for good: missing for long enough, and the server says so too. */
  async gone(
    pods: Iterable<Pod>,
    isThere: (nodeName: string) => boolean,
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    const { client, clock } = this.#deps;
    const named = new Set<string>();
    for (const pod of pods) {
      const { nodeName = '' } = pod.spec ?? {};
      if (nodeName !== '' && !isThere(nodeName)) named.add(nodeName);
    }
    for (const name of this.#sinceMs.keys()) if (!named.has(name)) this.#sinceMs.delete(name);
    const gone = new Set<string>();
    for (const name of named) {
      const sinceMs = this.#sinceMs.get(name) ?? clock.monotonic();
      this.#sinceMs.set(name, sinceMs);
      if (clock.monotonic() - sinceMs < limits.quarantineMs) continue;
      const live = await client.get(nodeKind, { name }, { signal }).catch(ignoreNotFound);
      if (live === undefined) gone.add(name);
      else this.#sinceMs.delete(name);
    }
    return gone;
  }
}

async function collect(
  { client, clock, log }: ControllerDeps,
  { pod, why }: Collected,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name = '', uid = '' } = pod.metadata;
  if (!isTerminated(pod)) {
    // Nobody else will say how it ended, and its owner may wait for that.
    const conditions = conditionsOf(pod, why, clock.now());
    const status = { ...pod.status, phase: 'Failed', conditions };
    await client.update(podKind, { ...pod, status }, { subresource: 'status', signal });
  }
  const options = { gracePeriodSeconds: 0, preconditions: { uid }, signal };
  await client.delete(podKind, { namespace, name }, options);
  log.info('pod collected', { pod: `${namespace}/${name}`, why });
}

function conditionsOf(
  { status }: Pod,
  why: Collected['why'],
  nowMs: number,
): readonly PodCondition[] {
  const { conditions = [] } = status ?? {};
  if (why !== 'orphaned') return conditions;
  const type = 'DisruptionTarget';
  const condition = {
    type,
    status: 'True',
    reason: 'DeletionByPodGC',
    message: 'PodGC: node no longer exists',
    lastTransitionTime: formatTime(nowMs),
  };
  return [...conditions.filter((one) => one.type !== type), condition];
}
