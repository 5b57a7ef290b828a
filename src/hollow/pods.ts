/**
 * Performs the lives of hollow pods: one key at a time through `plan.ts`, several keys at once.
 *
 * The memory of what runs is this process's alone, by pod uid. A pod made anew under an old name is
 * another pod; what ran under the old uid is stopped when the new one is seen.
 */
import { isReason } from '#api/errors.ts';
import { objectKey } from '#api/object.ts';
import type { Informer, Informers } from '#client';
import type { Scope } from '#kit/scope.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { pods as podKind } from '#resources/kinds.ts';
import type { Pod, PodStatus } from '#resources/types/core-v1.ts';
import type { HollowDelays, HollowDeps } from './hollow.ts';
import type { HollowNode } from './node.ts';
import { type Action, type Attempt, planPod, type RunningPod } from './plan.ts';

export const podLimits = {
  /** Pods worked on at the same time. */
  writesMax: 32,
} as const;

export interface PodsDeps extends HollowDeps {
  readonly informers: Informers;
  readonly scope: Scope;
}

export interface PodsOptions {
  readonly nodes: ReadonlyMap<string, HollowNode>;
  readonly only: string | undefined;
  readonly delays: HollowDelays;
  readonly failedStarts: number;
}

export function runPods(deps: PodsDeps, options: PodsOptions): void {
  const { informers, scope } = deps;
  const { nodes, only } = options;
  const selection = only === undefined ? {} : { fieldSelector: `spec.nodeName=${only}` };
  const informer = informers.of(podKind, selection);
  const queue = new WorkQueue(deps, { retryDelayMs: 100, retryDelayMsMax: 10_000 });
  const runner = new PodRunner(deps, options, { informer, queue });
  const see = (pod: Pod): void => {
    if (nodes.has(pod.spec?.nodeName ?? '')) queue.add(objectKey(pod));
  };
  informer.addHandler({
    onAdd: see,
    onUpdate: (pod, old) => {
      if (pod.metadata.uid !== old.metadata.uid) runner.forget(old);
      see(pod);
    },
    onDelete: (pod) => runner.forget(pod),
  });
  for (let index = 0; index < podLimits.writesMax; index++) {
    scope.spawn(async (signal) => {
      for (;;) {
        const key = await queue.take({ signal });
        await runner.reconcile(key, signal);
        queue.done(key);
      }
    });
  }
  scope.signal.addEventListener('abort', () => queue[Symbol.dispose](), { once: true });
}

class PodRunner {
  readonly #deps: PodsDeps;
  readonly #options: PodsOptions;
  readonly #informer: Informer<Pod>;
  readonly #queue: WorkQueue;
  readonly #running = new Map<string, RunningPod>();
  /** Last address given, by node. */
  readonly #addresses = new Map<string, number>();

  constructor(
    deps: PodsDeps,
    options: PodsOptions,
    sources: { readonly informer: Informer<Pod>; readonly queue: WorkQueue },
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#informer = sources.informer;
    this.#queue = sources.queue;
  }

  forget({ metadata, spec }: Pod): void {
    if (!this.#running.delete(metadata.uid ?? '')) return;
    this.#deps.log.info('pod stopped', { uid: metadata.uid, node: spec?.nodeName });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#act(key, signal);
      this.#queue.forget(key);
    } catch (error) {
      signal.throwIfAborted();
      this.#deps.log.debug('pod was not updated', { pod: key, error });
      this.#queue.retry(key);
    }
  }

  async #act(key: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      const pod = this.#informer.get(key);
      const node = this.#options.nodes.get(pod?.spec?.nodeName ?? '');
      if (pod === undefined || node === undefined) return;
      const running = this.#running.get(pod.metadata.uid ?? '');
      const { stopMs } = this.#options.delays;
      const actions = planPod({ pod, running, stopMs }, this.#deps.clock.now());
      for (const action of actions) await this.#perform(action, { pod, node, signal });
      // A start is only remembered; what to say of it is planned again.
      if (!actions.some((action) => action.do === 'start' || action.do === 'restart')) return;
    }
  }

  async #perform(
    action: Action,
    {
      pod,
      node,
      signal,
    }: { readonly pod: Pod; readonly node: HollowNode; readonly signal: AbortSignal },
  ): Promise<void> {
    const uid = pod.metadata.uid ?? '';
    switch (action.do) {
      case 'start':
        this.#start(pod, node);
        return;
      case 'restart':
        this.#restart(pod, uid);
        return;
      case 'stop': {
        const running = this.#running.get(uid);
        if (running !== undefined)
          this.#running.set(uid, { ...running, stoppedMs: action.stoppedMs });
        return;
      }
      case 'writeStatus':
        await this.#writeStatus(pod, action.status, signal);
        return;
      case 'delete':
        this.forget(pod);
        await this.#delete(pod, signal);
        return;
      case 'forget':
        this.forget(pod);
        return;
      case 'wait':
        this.#queue.addAfter(objectKey(pod), action.untilMs - this.#deps.clock.now());
        return;
      default:
        action satisfies never;
    }
  }

  #start(pod: Pod, node: HollowNode): void {
    const uid = pod.metadata.uid ?? '';
    const last = ((this.#addresses.get(node.name) ?? 0) % 253) + 1;
    this.#addresses.set(node.name, last);
    // What the API shows of an earlier run (before this process began) counts as a restart.
    const shown = pod.status?.containerStatuses?.[0];
    const ranBefore =
      shown?.state?.running !== undefined || shown?.lastState?.terminated !== undefined;
    this.#running.set(uid, {
      uid,
      podIP: `${node.podPrefix}${last + 1}`,
      hostIP: node.address,
      restartCount: ranBefore ? shown.restartCount + 1 : 0,
      before: undefined,
      stoppedMs: undefined,
      ...this.#attempt(pod),
    });
    this.#deps.log.info('pod started', { pod: objectKey(pod), uid, node: node.name });
  }

  #restart(pod: Pod, uid: string): void {
    const ended = this.#running.get(uid);
    if (ended === undefined) return;
    const restartCount = ended.restartCount + 1;
    this.#running.set(uid, { ...ended, ...this.#attempt(pod), before: ended, restartCount });
  }

  #attempt(pod: Pod): Attempt {
    const { clock, random } = this.#deps;
    const { delays, failedStarts } = this.#options;
    const seenMs = clock.now();
    const runningMs = seenMs + delays.startMs;
    const fails = failedStarts > 0 && random.fraction() < failedStarts;
    const annotations = pod.metadata.annotations ?? {};
    const seconds = annotations['hollow.coracle.dev/run-seconds'];
    const code = Number(annotations['hollow.coracle.dev/exit-code'] ?? 0);
    const ends =
      seconds === undefined ? undefined : { atMs: runningMs + Number(seconds) * 1000, code };
    const exit = fails ? { atMs: runningMs, code: 1 } : ends;
    return { seenMs, runningMs, readyMs: runningMs + delays.readyMs, exit };
  }

  async #writeStatus(pod: Pod, status: PodStatus, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid } = pod.metadata;
    const patch = { metadata: { uid }, status };
    const options = { type: 'strategic', subresource: 'status', signal } as const;
    try {
      await this.#deps.client.patch(podKind, { namespace, name }, patch, options);
    } catch (error) {
      // Gone, or made anew: the informer will say which.
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
  }

  async #delete(pod: Pod, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid = '' } = pod.metadata;
    const options = { gracePeriodSeconds: 0, preconditions: { uid }, signal };
    try {
      await this.#deps.client.delete(podKind, { namespace, name }, options);
    } catch (error) {
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
  }
}
