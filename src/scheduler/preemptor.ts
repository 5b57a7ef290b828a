/**
 * Acts on a preemption plan: the pod is nominated to the node, pods of lower priority that were
 * nominated there look for another place, and the victims are told why and deleted, gracefully.
 *
 * The pod is not tried again while its victims are being deleted; when one could not be, it is
 * tried at once. Victims that are not bound yet give their reserved place up in memory.
 */
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import { type Clock, formatTime } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Scope } from '#kit/scope.ts';
import { Slots } from '#kit/slots.ts';
import { pods } from '#resources/kinds.ts';
import type { PodCondition } from '#resources/types/core-v1.ts';
import type { Cluster, PodFacts, Victims } from '#scheduling';
import type { Binder } from './binding.ts';
import type { SchedulerMetrics } from './metrics.ts';
import type { QueuedPod, SchedulingQueue } from './queue.ts';
import type { Reporter } from './report.ts';

export interface PreemptorDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly cluster: Cluster;
  readonly queue: SchedulingQueue;
  readonly reporter: Reporter;
  readonly binder: Binder;
  readonly metrics: SchedulerMetrics;
  readonly scope: Scope;
}

/** Victims that are deleted at the same time, of all pods: the API server has others to serve. */
const deletionsMax = 32;

export class Preemptor {
  readonly #deps: PreemptorDeps;
  readonly #slots = new Slots(deletionsMax);

  constructor(deps: PreemptorDeps) {
    this.#deps = deps;
  }

  /** Returns at once; the pod has been parked by the caller. */
  preempt({ facts, profile }: QueuedPod, { node, pods: victims }: Victims): void {
    const { cluster, queue, log, metrics, clock } = this.#deps;
    cluster.nominations.set(facts, node.name);
    metrics.preempted(victims.length);
    const names = victims.map(({ key }) => key);
    log.info('pod makes room', { pod: facts.key, node: node.name, victims: names });
    const leaving = victims.filter(({ terminating }) => !terminating);
    if (leaving.length === 0) return;
    queue.hold(facts.uid);
    this.#deps.scope.spawn(async (signal) => {
      let failed = false;
      const sinceMs = clock.monotonic();
      try {
        this.#denominate(facts, node.name);
        const by = { pod: facts, nodeName: node.name, scheduler: profile.schedulerName };
        await Promise.all(
          leaving.map((victim) =>
            this.#slots.use(() => this.#remove(victim, by, signal), { signal }),
          ),
        );
      } catch (error) {
        signal.throwIfAborted();
        failed = true;
        log.warn('pod could not make room', { pod: facts.key, error });
      } finally {
        const seconds = (clock.monotonic() - sinceMs) / 1000;
        metrics.removed(failed ? 'error' : 'success', seconds);
        queue.release(facts.uid, { retry: failed });
      }
    });
  }

  /** They may not fit any more; without the nomination they look elsewhere. */
  #denominate(pod: PodFacts, nodeName: string): void {
    const { cluster, reporter } = this.#deps;
    for (const other of [...cluster.nominations.on(nodeName)]) {
      if (other.uid === pod.uid || other.priority >= pod.priority) continue;
      cluster.nominations.remove(other.uid);
      reporter.nominated(other.pod, '');
    }
  }

  async #remove(
    victim: PodFacts,
    by: { readonly pod: PodFacts; readonly nodeName: string; readonly scheduler: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { client, binder, reporter } = this.#deps;
    const { namespace, name = '', uid = '' } = victim.pod.metadata;
    let message = `Preempted by pod ${by.pod.uid} on node ${by.nodeName}`;
    if (binder.cancel(uid, 'preempted by DefaultPreemption')) {
      message += ' (in kube-scheduler memory).';
    } else {
      const patch = { metadata: { uid }, status: { conditions: [this.#condition(victim, by)] } };
      const at = { namespace, name };
      try {
        const type = 'strategic';
        await client.patch(pods, at, patch, { type, subresource: 'status', signal });
        await client.delete(pods, at, { preconditions: { uid }, signal });
      } catch (error) {
        // It is gone, or somebody else's by the same name: either way it is not in the way.
        if (isReason(error, 'NotFound') || isReason(error, 'Conflict')) return;
        throw error;
      }
    }
    reporter.preempted(victim.pod, by.pod.pod, { message, scheduler: by.scheduler });
  }

  #condition({ pod }: PodFacts, { scheduler }: { readonly scheduler: string }): PodCondition {
    return {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'PreemptionByScheduler',
      message: `${scheduler}: preempting to accommodate a higher priority pod`,
      lastTransitionTime: formatTime(this.#deps.clock.now()),
      observedGeneration: pod.metadata.generation,
    };
  }
}
