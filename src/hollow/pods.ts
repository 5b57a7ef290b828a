/**
 * Performs the lives of hollow pods: one key at a time through `plan.ts`, several keys at once.
 *
 * The memory of what runs is this process's alone, by pod uid. A pod made anew under an old name is
 * another pod; what ran under the old uid is stopped when the new one is seen.
 */
import { isReason } from '#api/errors.ts';
import { controllerOf, objectKey } from '#api/object.ts';
import type { Informer, Informers } from '#client';
import type { Scope } from '#kit/scope.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind, pods as podKind } from '#resources/kinds.ts';
import type { Container, Node, Pod, PodStatus } from '#resources/types/core-v1.ts';
import { PodAddresses } from './addresses.ts';
import { endOf } from './command.ts';
import type { HollowDelays, HollowDeps, HollowFailures } from './hollow.ts';
import {
  type ContainerLife,
  containersOf,
  type DueRun,
  type Exit,
  initContainersOf,
  isSidecar,
  type PodLife,
  type Run,
} from './life.ts';
import type { HollowNode } from './node.ts';
import { type Action, endOfRemoved, planPod } from './plan.ts';

export const podLimits = {
  /** Pods worked on at the same time. */
  writesMax: 32,
  /** How long a failed pull is tried again after. */
  pullRetryMs: 15_000,
  /** How long a container that flaps is not ready. */
  flapMs: 5_000,
} as const;

export interface PodsDeps extends HollowDeps {
  readonly informers: Informers;
  readonly scope: Scope;
}

export interface PodsOptions {
  readonly nodes: ReadonlyMap<string, HollowNode>;
  readonly only: string | undefined;
  readonly delays: HollowDelays;
  readonly failures: HollowFailures;
  readonly jobSeconds: number | undefined;
}

export function runPods(deps: PodsDeps, options: PodsOptions): void {
  const { informers, scope } = deps;
  const { nodes, only } = options;
  const selection = only === undefined ? {} : { fieldSelector: `spec.nodeName=${only}` };
  const informer = informers.of(podKind, selection);
  const queue = new WorkQueue(deps, { retryDelayMs: 100, retryDelayMsMax: 10_000 });
  const nodeSelection = only === undefined ? {} : { fieldSelector: `metadata.name=${only}` };
  const known = informers.of(nodeKind, nodeSelection);
  const runner = new PodRunner(deps, options, { informer, queue, known });
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
  readonly #nodes: Informer<Node>;
  readonly #lives = new Map<string, PodLife>();
  readonly #addresses = new Map<string, PodAddresses>();

  constructor(
    deps: PodsDeps,
    options: PodsOptions,
    sources: {
      readonly informer: Informer<Pod>;
      readonly queue: WorkQueue;
      readonly known: Informer<Node>;
    },
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#informer = sources.informer;
    this.#queue = sources.queue;
    this.#nodes = sources.known;
  }

  /** The pod is gone; containers that still run (it was killed at once) need their time to stop. */
  forget(pod: Pod): void {
    const { clock, log, scope } = this.#deps;
    const { uid = '' } = pod.metadata;
    const life = this.#lives.get(uid);
    if (life === undefined) return;
    this.#lives.delete(uid);
    const nodeName = pod.spec?.nodeName ?? '';
    const stopped = (): void => {
      this.#addresses.get(nodeName)?.giveBack(uid);
      log.info('pod stopped', { uid, node: nodeName });
    };
    const { stopMs } = this.#options.delays;
    const nowMs = clock.now();
    const lastsMs = endOfRemoved({ pod, life, stopMs }, nowMs) - nowMs;
    if (lastsMs <= 0) stopped();
    else
      scope.spawn(async (signal) => {
        await clock.sleep(lastsMs, { signal });
        stopped();
      });
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
      const life = this.#lives.get(pod.metadata.uid ?? '');
      const { stopMs } = this.#options.delays;
      const crowded = this.#queue.length > 0;
      const actions = planPod({ pod, life, stopMs, crowded }, this.#deps.clock.now());
      for (const action of actions) await this.#perform(action, { pod, node, signal });
      // What begins is only remembered; what to say of it is planned again.
      if (!actions.some((action) => action.do === 'start' || action.do === 'run')) return;
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
      case 'run':
        for (const due of action.due) this.#run(pod, due);
        return;
      case 'stop': {
        const life = this.#lives.get(uid);
        if (life !== undefined) this.#lives.set(uid, { ...life, stoppedMs: action.stoppedMs });
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
    const { clock, random, log } = this.#deps;
    const { delays, failures } = this.#options;
    const { uid = '' } = pod.metadata;
    const seenMs = clock.now();
    const sandboxMs = seenMs + delays.startMs;
    const fails = failures.pulls > 0 && random.fraction() < failures.pulls;
    const pulledMs = fails ? sandboxMs + podLimits.pullRetryMs : sandboxMs;
    this.#lives.set(uid, {
      uid,
      podIP: pod.spec?.hostNetwork === true ? node.address : this.#addressFor(uid, node),
      hostIP: node.address,
      seenMs,
      sandboxMs,
      pullMs: isOneMissing(pod, failures) ? Number.POSITIVE_INFINITY : pulledMs,
      containers: new Map(),
      earlier: earlierRestarts(pod),
      stoppedMs: undefined,
    });
    log.info('pod started', { pod: objectKey(pod), uid, node: node.name });
  }

  #addressFor(uid: string, node: HollowNode): string {
    const addresses = this.#addresses.get(node.name) ?? new PodAddresses();
    this.#addresses.set(node.name, addresses);
    const block = this.#nodes.get(node.name)?.spec?.podCIDR ?? '';
    const isIPv4 = block.includes('.');
    return addresses.take(uid, isIPv4 ? block : node.podCIDR) ?? '';
  }

  #run(pod: Pod, { container, atMs }: DueRun): void {
    const uid = pod.metadata.uid ?? '';
    const life = this.#lives.get(uid);
    if (life === undefined) return;
    const { name } = container;
    const known = life.containers.get(name);
    const restartCount =
      known === undefined ? (life.earlier.get(name) ?? 0) : known.restartCount + 1;
    const run = this.#draw(pod, container, atMs);
    const next: ContainerLife = { run, last: known?.run, restartCount };
    const containers = new Map(life.containers).set(name, next);
    this.#lives.set(uid, { ...life, containers });
  }

  /** How this run goes, as far as chance has a say. */
  #draw(pod: Pod, container: Container, startedMs: number): Run {
    const { random } = this.#deps;
    const { delays, failures } = this.#options;
    const isInit = initContainersOf(pod).includes(container) && !isSidecar(container);
    const readyMs = startedMs + delays.readyMs;
    const failed = { atMs: startedMs, code: 1 };
    if (!isInit && failures.starts > 0 && random.fraction() < failures.starts) {
      return { startedMs, readyMs, exit: failed, flap: undefined };
    }
    const ownExit = this.#exitOf(pod, container, { startedMs, isInit });
    const { crashesPerHour, flapsPerHour } = failures;
    let exit = ownExit;
    if (!isInit && crashesPerHour > 0) {
      // Crashes come without memory: the time to the next one is exponentially distributed.
      const afterMs = (-Math.log(1 - random.fraction()) * 3_600_000) / crashesPerHour;
      const crash = { atMs: startedMs + Math.round(afterMs), code: 1 };
      if (exit === undefined || crash.atMs < exit.atMs) exit = crash;
    }
    const everyMs = flapsPerHour > 0 ? Math.round(3_600_000 / flapsPerHour) : 0;
    const flap = everyMs > podLimits.flapMs ? { everyMs, forMs: podLimits.flapMs } : undefined;
    return { startedMs, readyMs, exit, flap };
  }

  #exitOf(
    pod: Pod,
    container: Container,
    { startedMs, isInit }: { readonly startedMs: number; readonly isInit: boolean },
  ): Exit | undefined {
    const end = endOf(container);
    if (end !== undefined) return { atMs: startedMs + end.afterMs, code: end.code };
    // An init container of which nothing is known has nothing to do.
    if (isInit) return { atMs: startedMs, code: 0 };
    if (isSidecar(container)) return undefined;
    const annotations = pod.metadata.annotations ?? {};
    const isOfJob = controllerOf(pod)?.kind === 'Job';
    const seconds =
      annotations['hollow.coracle.dev/run-seconds'] ??
      (isOfJob ? this.#options.jobSeconds : undefined);
    if (seconds === undefined) return undefined;
    const code = Number(annotations['hollow.coracle.dev/exit-code'] ?? 0);
    return { atMs: startedMs + Number(seconds) * 1000, code };
  }

  async #writeStatus(pod: Pod, status: PodStatus, signal: AbortSignal): Promise<void> {
    const { namespace, name = '' } = pod.metadata;
    const patch = { metadata: meantOf(pod, status), status: inPlaceOf(pod.status, status) };
    const options = { type: 'strategic', subresource: 'status', signal } as const;
    try {
      await this.#deps.client.patchUnread(podKind, { namespace, name }, patch, options);
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

/**
 * Which pod a status is meant for. One that begins again after its node was away may have been
 * given up meanwhile, and what has failed stays so: then it is meant for the pod as it was seen.
 */
export function meantOf({ metadata, status: shown }: Pod, { phase }: PodStatus): object {
  const { uid, resourceVersion } = metadata;
  const beginsAgain = shown?.phase === 'Running' && phase === 'Pending';
  return beginsAgain ? { uid, resourceVersion } : { uid };
}

/**
 * Addresses of an earlier run are replaced; a strategic patch would keep them beside the new. So it
 * would the reason and message of a condition that gives none any more.
 */
export function inPlaceOf(old: PodStatus | undefined, status: PodStatus): object {
  const replace = { $patch: 'replace' };
  const { podIPs, hostIPs, conditions } = status;
  return {
    ...status,
    ...(conditions === undefined
      ? {}
      : { conditions: conditions.map((one) => ({ reason: null, message: null, ...one })) }),
    ...(podIPs === undefined || isSame(podIPs, old?.podIPs)
      ? {}
      : { podIPs: [replace, ...podIPs] }),
    ...(hostIPs === undefined || isSame(hostIPs, old?.hostIPs)
      ? {}
      : { hostIPs: [replace, ...hostIPs] }),
  };
}

function isSame(
  a: readonly { readonly ip: string }[],
  b: readonly { readonly ip: string }[] | undefined,
): boolean {
  return a.map(({ ip }) => ip).join() === b?.map(({ ip }) => ip).join();
}

function isOneMissing(pod: Pod, { missingImages }: HollowFailures): boolean {
  if (missingImages.length === 0) return false;
  const all = [...initContainersOf(pod), ...containersOf(pod)];
  return all.some(({ image = '' }) => missingImages.includes(image));
}

/** What the API shows of an earlier run (before this process began) counts as a restart. */
function earlierRestarts({ status }: Pod): ReadonlyMap<string, number> {
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return new Map(
    all.map(({ name, state, lastState, restartCount }) => {
      const ran = state?.running !== undefined || lastState?.terminated !== undefined;
      return [name, ran ? restartCount + 1 : restartCount];
    }),
  );
}
