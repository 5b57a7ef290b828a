/**
 * News from the runtime: which pods must be looked at again.
 *
 * The runtime's events say that a container ended or ran out of memory; its own view follows some
 * milliseconds later, so we wait until it agrees before the pod's worker is woken. Events may be
 * lost, therefore all containers are listed every few seconds and compared with the last list; of a
 * runtime that has no events to tell, as often as it is asked for them. What belongs to no pod that
 * the API knows is reported as an orphan; its removal may take long, and holds up no list.
 */
import type { Runtime, RuntimeEvent } from '#cri';
import { isGrpcCode } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { Scope } from '#kit/scope.ts';
import { Wake } from '#kit/wake.ts';
import { podLabels } from './pods/pod-facts.ts';

export interface NewsDeps {
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface NewsOptions {
  /** Look at this pod again. */
  readonly onPod: (podUid: string) => void;
  readonly isKnown: (podUid: string) => boolean;
  /** The pod knows that this sandbox or container is in this state. */
  readonly hasSeen: (podUid: string, id: string, state: string) => boolean;
  /** Something of the pod is being made, and will be looked at then. */
  readonly isMaking: (podUid: string) => boolean;
  /** The pod that knows of this sandbox or container. */
  readonly ownerOf: (id: string) => string | undefined;
  /** Sandboxes of pods that nobody knows; those that are left are told again. */
  readonly onOrphans: (sandboxIds: readonly string[], signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

const limits = { relistMs: 5000, agreeMs: 2000, agreeStepMs: 10, resubscribeMs: 1000 } as const;

/** The runtime's reason of a container that was killed for its memory. */
const outOfMemory = 'OOMKilled';

export async function followRuntime(deps: NewsDeps, options: NewsOptions): Promise<void> {
  await using scope = new Scope(options.signal);
  const orphans = new Orphans(deps, options, scope);
  const turn = new Wake(deps.clock);
  scope.spawn((signal) => relistForever(deps, options, { orphans, turn, signal }));
  scope.spawn((signal) => followEvents(deps, options, { scope, turn, signal }));
  await scope.join();
}

interface Running {
  /** Of the next list. */
  readonly turn: Wake;
  readonly signal: AbortSignal;
}

async function followEvents(
  deps: NewsDeps,
  { onPod, ownerOf }: NewsOptions,
  { scope, turn, signal }: Running & { readonly scope: Scope },
): Promise<void> {
  const { runtime, clock, log } = deps;
  for (;;) {
    try {
      for await (const event of runtime.events({ signal })) {
        const uid = ownerOf(event.id);
        if (uid === undefined) continue;
        scope.spawn(async (ending) => {
          await waitUntilAgreed(deps, event, ending);
          onPod(uid);
        });
      }
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug('events of the runtime ended', { error });
    }
    await clock.sleep(limits.resubscribeMs, { signal });
    // What nobody told meanwhile is to be seen in a list.
    turn.now();
  }
}

/** Until the runtime itself says the same, but not for ever: asked ever less often. */
async function waitUntilAgreed(
  { runtime, clock }: NewsDeps,
  event: RuntimeEvent,
  signal: AbortSignal,
): Promise<void> {
  let pauseMs: number = limits.agreeStepMs;
  for (let passedMs = 0; passedMs < limits.agreeMs; passedMs += pauseMs, pauseMs *= 2) {
    try {
      if (await isShown(runtime, event, signal)) return;
    } catch (error) {
      signal.throwIfAborted();
      // Gone already; trouble with the runtime itself shows in the next round.
      if (isGrpcCode(error, 'NOT_FOUND')) return;
    }
    await clock.sleep(pauseMs, { signal });
  }
}

/** That memory ran out may be told after the end, which then had no reason yet. */
async function isShown(
  runtime: Runtime,
  { type, id }: RuntimeEvent,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const { state, reason } = await runtime.containerStatus(id, { signal });
    return state !== 'CONTAINER_RUNNING' && (type === 'exit' || reason === outOfMemory);
  } catch (error) {
    if (!isGrpcCode(error, 'NOT_FOUND')) throw error;
  }
  // Not a container: a sandbox has the same kind of id.
  const { state } = await runtime.podSandboxStatus(id, { signal });
  return state !== 'SANDBOX_READY';
}

async function relistForever(
  deps: NewsDeps,
  options: NewsOptions,
  { orphans, turn, signal }: Running & { readonly orphans: Orphans },
): Promise<void> {
  const { log } = deps;
  let known = new Map<string, string>();
  for (;;) {
    try {
      const { states, strange } = await relist(deps, options, known, signal);
      known = states;
      if (strange.length > 0) await orphans.remove(strange, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn('cannot list containers', { error });
    }
    await turn.sleep(limits.relistMs, signal);
  }
}

async function relist(
  { runtime }: NewsDeps,
  { onPod, isKnown, hasSeen, isMaking, ownerOf }: NewsOptions,
  known: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<{ readonly states: Map<string, string>; readonly strange: readonly string[] }> {
  const [sandboxes, containers] = await Promise.all([
    runtime.listPodSandboxes({}, { signal }),
    runtime.listContainers({}, { signal }),
  ]);
  const states = new Map<string, string>();
  const uids = new Map<string, string>();
  for (const { id, state, labels } of [...sandboxes, ...containers]) {
    states.set(id, state);
    uids.set(id, labels[podLabels.podUid] ?? '');
  }
  const changed = new Set<string>();
  for (const [id, state] of states) {
    const uid = uids.get(id) ?? '';
    if (known.get(id) === state || hasSeen(uid, id, state)) continue;
    // Left to the next list.
    if (isMaking(uid)) states.delete(id);
    else changed.add(uid);
  }
  for (const id of known.keys()) {
    // Somebody else has removed it, and its pod does not know.
    const uid = states.has(id) ? undefined : ownerOf(id);
    if (uid !== undefined) changed.add(uid);
  }
  for (const uid of changed) onPod(uid);
  const strange = sandboxes.filter(({ id }) => !isKnown(uids.get(id) ?? '')).map(({ id }) => id);
  return { states, strange };
}

/** Sandboxes that are being removed, because nobody knows their pods. */
class Orphans {
  readonly #deps: NewsDeps;
  readonly #options: NewsOptions;
  readonly #scope: Scope;
  readonly #going = new Set<string>();

  constructor(deps: NewsDeps, options: NewsOptions, scope: Scope) {
    this.#deps = deps;
    this.#options = options;
    this.#scope = scope;
  }

  async remove(strange: readonly string[], signal: AbortSignal): Promise<void> {
    const { runtime, log } = this.#deps;
    // The list was perhaps made before a pod ended, which has taken its sandbox along by now.
    const left = new Set((await runtime.listPodSandboxes({}, { signal })).map(({ id }) => id));
    const ids = strange.filter((id) => left.has(id) && !this.#going.has(id));
    if (ids.length === 0) return;
    for (const id of ids) this.#going.add(id);
    this.#scope.spawn(async (ending) => {
      try {
        await this.#options.onOrphans(ids, ending);
      } catch (error) {
        if (ending.aborted) throw error;
        log.warn('cannot remove what belongs to no pod', { sandboxes: ids, error });
      } finally {
        for (const id of ids) this.#going.delete(id);
      }
    });
  }
}
