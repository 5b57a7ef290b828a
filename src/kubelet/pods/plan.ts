/**
 * What to do next for one pod: facts and time in, actions out. Pure; `act.ts` performs.
 *
 * Order of life: a sandbox (network and shared namespaces), then init containers one after the
 * other, then the containers in the order of the spec. A container that ended starts again as the
 * restart policy says, after its back-off; one that a probe condemned is stopped first. When the
 * pod is to end, containers are stopped before sidecars, then the sandbox, then nothing is left.
 *
 * Example: two init containers, the first done, the second ended with 1 twice, policy Always,
 * back-off 10 s since it ended 4 s ago. The plan is one action: wait 6 s; its status is
 * CrashLoopBackOff.
 *
 * Next in the flow: `act.ts`, then `status.ts`. Behaviour: kubernetes.io, Pod Lifecycle.
 */
import { jsonEqual } from '#kit/json-equal.ts';
import type {
  Container,
  ContainerStateWaiting,
  Pod,
  ResourceRequirements,
} from '#resources/types/core-v1.ts';
import { isWholeResizing, wholePod } from './applied-resources.ts';
import { backoffUntilMs, formatDelay } from './backoff.ts';
import {
  type ContainerFact,
  containersOf,
  ephemeralContainersOf,
  graceSecondsOf,
  hasEnded,
  hasRun,
  initContainersOf,
  isSidecar,
  latestOf,
  type PodFacts,
  restartsAfter,
  type SandboxFact,
  type StartFailure,
} from './pod-facts.ts';
import { withPodLimits } from './qos.ts';
import { hasOldContainers, isRestartingAll, planRestartAll } from './restart-all.ts';

export type Action =
  | { readonly do: 'createSandbox'; readonly attempt: number }
  | { readonly do: 'stopSandbox'; readonly id: string }
  | {
      readonly do: 'startContainer';
      readonly container: Container;
      readonly init: boolean;
      readonly attempt: number;
      readonly restart: boolean;
    }
  | {
      readonly do: 'stopContainer';
      readonly container: ContainerFact;
      readonly message: string;
      readonly graceSeconds: number;
    }
  | {
      readonly do: 'resize';
      readonly containers: readonly Resize[];
      /** The pod has other limits as a whole. */
      readonly whole: boolean;
    }
  | { readonly do: 'removeContainer'; readonly id: string }
  | { readonly do: 'removeSandbox'; readonly id: string }
  | { readonly do: 'wait'; readonly untilMs: number };

export interface Resize {
  readonly container: ContainerFact;
  readonly resources: ResourceRequirements;
  /** It is ended, and begins anew with them. */
  readonly restarts: boolean;
}

export interface Plan {
  readonly actions: readonly Action[];
  /** Why containers wait, by name, as the status shows it. */
  readonly waiting: ReadonlyMap<string, ContainerStateWaiting>;
  /** Nothing of the pod runs and nothing will: it has ended. */
  readonly ended: boolean;
}

export function planPod(facts: PodFacts, nowMs: number): Plan {
  const { pod, runtime } = facts;
  if (facts.ending !== undefined) return planEnd(facts, facts.ending.graceSeconds);
  const sandbox = runtime.sandboxes[0];
  if (sandbox?.ready === true && hasAddress(pod, sandbox)) {
    return planContainers(facts, sandbox, nowMs);
  }
  if (isOver(facts)) return planEnd(facts, graceSecondsOf(pod));
  if (facts.podFailure !== undefined && facts.podFailure.untilMs > nowMs) {
    return planned([{ do: 'wait', untilMs: facts.podFailure.untilMs }]);
  }
  const stops = runtime.containers
    .filter(isAlive)
    .map((container) => stopOf(container, 'the sandbox of the pod is gone', 0));
  const stopSandboxes = runtime.sandboxes
    .filter(({ ready }) => ready)
    .map(({ id }): Action => ({ do: 'stopSandbox', id }));
  const attempt = sandbox === undefined ? 0 : sandbox.attempt + 1;
  return planned([...stops, ...stopSandboxes, { do: 'createSandbox', attempt }]);
}

function planned(
  actions: readonly Action[],
  waiting: ReadonlyMap<string, ContainerStateWaiting> = new Map(),
): Plan {
  return { actions, waiting, ended: false };
}

function hasAddress(pod: Pod, sandbox: SandboxFact): boolean {
  return pod.spec?.hostNetwork === true || sandbox.ips.length > 0;
}

function isAlive(container: ContainerFact): boolean {
  return container.state === 'running' || container.state === 'unknown';
}

function stopOf(container: ContainerFact, message: string, graceSeconds: number): Action {
  return { do: 'stopContainer', container, message, graceSeconds };
}

/** All containers have ended, and none is to start again. */
function isOver({ pod, runtime }: PodFacts): boolean {
  const { containerStatuses = [] } = pod.status ?? {};
  if (hasEnded(pod)) return true;
  const failedInit = initContainersOf(pod).some((container) => {
    const latest = latestOf(runtime, container.name);
    return (
      !isSidecar(container) &&
      latest?.state === 'exited' &&
      latest.exitCode !== 0 &&
      !restartsAfter(pod, container, latest.exitCode)
    );
  });
  if (failedInit) return true;
  return containersOf(pod).every((container) => {
    const latest = latestOf(runtime, container.name);
    if (latest !== undefined) {
      return latest.state === 'exited' && !restartsAfter(pod, container, latest.exitCode);
    }
    // The runtime has lost it: it ran, and is not to run twice.
    const known = containerStatuses.find(({ name }) => name === container.name);
    return pod.spec?.restartPolicy === 'Never' && known?.containerID !== undefined;
  });
}

/** Containers first, then sidecars in reverse order, then sandboxes. */
function planEnd({ pod, runtime }: PodFacts, graceSeconds: number): Plan {
  const alive = runtime.containers.filter(isAlive);
  const sidecars = initContainersOf(pod).filter(isSidecar);
  const isSidecarName = (name: string): boolean => sidecars.some((each) => each.name === name);
  const main = alive.filter(({ name }) => !isSidecarName(name));
  if (main.length > 0) {
    return planned(main.map((container) => stopOf(container, '', graceSeconds)));
  }
  const last = sidecars.findLast(({ name }) => alive.some((each) => each.name === name));
  if (last !== undefined) {
    const running = alive.filter(({ name }) => name === last.name);
    return planned(running.map((container) => stopOf(container, '', graceSeconds)));
  }
  const ready = runtime.sandboxes.filter((sandbox) => sandbox.ready);
  if (ready.length > 0) {
    return planned(ready.map(({ id }): Action => ({ do: 'stopSandbox', id })));
  }
  return { actions: [], waiting: new Map(), ended: true };
}

function planContainers(facts: PodFacts, sandbox: SandboxFact, nowMs: number): Plan {
  const isRestarting = isRestartingAll(facts);
  if (!isRestarting && isOver(facts)) return planEnd(facts, graceSecondsOf(facts.pod));
  if (isRestarting && hasOldContainers(facts)) {
    return planned(planRestartAll(facts, graceSecondsOf(facts.pod)));
  }
  const draft = new Draft(facts, sandbox, nowMs);
  draft.removeOld();
  for (const container of ephemeralContainersOf(facts.pod)) draft.startOnce(container);
  const initialized = planInit(draft);
  if (initialized) {
    for (const container of containersOf(facts.pod)) draft.keep(container, { init: false });
  }
  return draft.finish();
}

/** True when the containers may start: all init containers are done, all sidecars started. */
function planInit(draft: Draft): boolean {
  // A container that has been started here proves that initialisation was complete.
  const begun = containersOf(draft.facts.pod).some(({ name }) => draft.current(name) !== undefined);
  for (const container of initContainersOf(draft.facts.pod)) {
    const latest = draft.current(container.name);
    if (isSidecar(container)) {
      const up = draft.keep(container, { init: true });
      if (!begun && !up) return false;
      continue;
    }
    if (begun || (latest?.state === 'exited' && latest.exitCode === 0)) continue;
    draft.keep(container, { init: true });
    return false;
  }
  return true;
}

class Draft {
  readonly facts: PodFacts;
  readonly #sandbox: SandboxFact;
  readonly #nowMs: number;
  readonly #actions: Action[] = [];
  readonly #resizes: Resize[] = [];
  readonly #waiting = new Map<string, ContainerStateWaiting>();
  #untilMs = Number.POSITIVE_INFINITY;

  constructor(facts: PodFacts, sandbox: SandboxFact, nowMs: number) {
    this.facts = facts;
    this.#sandbox = sandbox;
    this.#nowMs = nowMs;
  }

  /** The newest container of this name in the sandbox of today. */
  current(name: string): ContainerFact | undefined {
    const latest = latestOf(this.facts.runtime, name);
    return latest?.sandboxId === this.#sandbox.id ? latest : undefined;
  }

  finish(): Plan {
    const { pod, applied } = this.facts;
    const whole = isWholeResizing(pod, applied) && !this.#isResizeHeld();
    if (this.#resizes.length > 0 || whole) {
      this.#actions.push({ do: 'resize', containers: this.#resizes, whole });
    }
    if (Number.isFinite(this.#untilMs)) {
      this.#actions.push({ do: 'wait', untilMs: this.#untilMs });
    }
    return planned(this.#actions, this.#waiting);
  }

  /** Sandboxes that came before the one in use, once their containers are gone. */
  removeOld(): void {
    const { containers, sandboxes } = this.facts.runtime;
    for (const sandbox of sandboxes.slice(1)) {
      if (containers.some(({ sandboxId }) => sandboxId === sandbox.id)) continue;
      this.#actions.push({ do: 'removeSandbox', id: sandbox.id });
    }
  }

  /** For ephemeral containers: whatever becomes of it, it is not started again. */
  startOnce(container: Container): void {
    const latest = latestOf(this.facts.runtime, container.name);
    if (latest !== undefined && latest.state !== 'created') return;
    const known = this.facts.pod.status?.ephemeralContainerStatuses?.find(
      ({ name }) => name === container.name,
    );
    if ((known?.containerID ?? '') !== '') return;
    this.#start(container, false, latest);
  }

  /** Starts, restarts, stops or leaves one container; true when it runs and has started. */
  keep(container: Container, { init }: { readonly init: boolean }): boolean {
    const current = this.current(container.name);
    if (current === undefined || current.state === 'created') {
      this.#start(container, init, current);
      return false;
    }
    if (current.state === 'unknown') {
      this.#replace(container, init, current);
      return false;
    }
    if (isAlive(current)) return this.#judge(container, current);
    const policy = restartsAfter(this.facts.pod, container, current.exitCode);
    const again = init && !isSidecar(container) ? current.exitCode !== 0 && policy : policy;
    if (again) this.#restart(container, init, current);
    return false;
  }

  #judge(container: Container, current: ContainerFact): boolean {
    const verdict = this.facts.verdicts.get(current.id);
    const grace = graceSecondsOf(this.facts.pod);
    if (verdict?.unhealthy !== undefined) {
      const { message, graceSeconds = grace } = verdict.unhealthy;
      this.#actions.push(stopOf(current, message, graceSeconds));
      return false;
    }
    if (current.hash !== '' && current.hash !== containerHash(container)) {
      const message = `Container ${container.name} definition changed, will be restarted`;
      this.#actions.push(stopOf(current, message, grace));
      return false;
    }
    if (!this.#resize(container, current)) return false;
    return verdict?.started === true;
  }

  /** False when the container is stopped, to begin anew with other resources. */
  #resize(container: Container, current: ContainerFact): boolean {
    const { applied, pod } = this.facts;
    const has = applied.get(container.name);
    if (has === undefined) return true;
    const resources = container.resources ?? {};
    const before = withPodLimits(has, applied.get(wholePod) ?? pod.spec?.resources);
    const after = withPodLimits(resources, pod.spec?.resources);
    if (jsonEqual(has, resources) && jsonEqual(before, after)) return true;
    if (this.#isResizeHeld()) return true;
    const restarts = resizeNeedsRestart(container, before, after);
    this.#resizes.push({ container: current, resources, restarts });
    return !restarts;
  }

  /** Refused a moment ago, and nobody has wished for anything else since. */
  #isResizeHeld(): boolean {
    const { pod, resizeFailure } = this.facts;
    if (resizeFailure === undefined || resizeFailure.untilMs <= this.#nowMs) return false;
    if (resizeFailure.generation !== pod.metadata.generation) return false;
    this.#untilMs = Math.min(this.#untilMs, resizeFailure.untilMs);
    return true;
  }

  #start(container: Container, init: boolean, created: ContainerFact | undefined): void {
    if (this.#isHeld(container)) return;
    if (created !== undefined) this.#actions.push({ do: 'removeContainer', id: created.id });
    const earlier = created ?? latestOf(this.facts.runtime, container.name);
    const attempt = created?.attempt ?? this.#nextAttempt(container.name, earlier);
    this.#actions.push({ do: 'startContainer', container, init, attempt, restart: false });
  }

  /**
   * The runtime has lost what it knew of it (containerd: it died before that was written down), and
   * tells nothing more of it, ever. It may run: it is ended before the next begins.
   */
  #replace(container: Container, init: boolean, lost: ContainerFact): void {
    if (this.#isHeld(container)) return;
    const { pod } = this.facts;
    const what = init ? 'Init container' : 'Container';
    const message = `${what} is in "unknown" state, try killing it before restart`;
    this.#actions.push(stopOf(lost, message, graceSecondsOf(pod)));
    const runsOnce = init && !isSidecar(container);
    const policy = container.restartPolicy ?? pod.spec?.restartPolicy;
    const again = runsOnce
      ? policy !== 'Never'
      : !hasRun(pod, lost) || restartsAfter(pod, container, lost.exitCode);
    if (!again) return;
    const attempt = lost.attempt + 1;
    this.#actions.push({ do: 'startContainer', container, init, attempt, restart: false });
  }

  #restart(container: Container, init: boolean, ended: ContainerFact): void {
    if (this.#isHeld(container)) return;
    const backoff = this.facts.backoffs.get(restartKey(container));
    const { clockSetAtMs = this.#nowMs } = this.facts;
    const isFuture = ended.finishedAtMs > this.#nowMs;
    const endedAtMs = isFuture ? clockSetAtMs : ended.finishedAtMs;
    const untilMs = backoffUntilMs(backoff, endedAtMs, this.#nowMs);
    if (untilMs !== undefined && backoff !== undefined) {
      this.#wait(container.name, crashLoop(this.facts.pod, container, backoff.delayMs), untilMs);
      return;
    }
    const attempt = ended.attempt + 1;
    this.#actions.push({ do: 'startContainer', container, init, attempt, restart: true });
  }

  /** Its last start failed a moment ago. */
  #isHeld(container: Container): boolean {
    const failure = this.#failureOf(container);
    if (failure === undefined) return false;
    this.#wait(container.name, imageBackoff(container, failure.waiting), failure.untilMs);
    return true;
  }

  /** That still counts: with another image it is tried at once. */
  #failureOf(container: Container): StartFailure | undefined {
    const failure = this.facts.failures.get(container.name);
    if (failure === undefined || failure.untilMs <= this.#nowMs) return undefined;
    return failure.hash === containerHash(container) ? failure : undefined;
  }

  #wait(name: string, waiting: ContainerStateWaiting, untilMs: number): void {
    this.#waiting.set(name, waiting);
    this.#untilMs = Math.min(this.#untilMs, untilMs);
  }

  /** The runtime's containers may be gone; the status then still knows how many there were. */
  #nextAttempt(name: string, earlier: ContainerFact | undefined): number {
    if (earlier !== undefined) return earlier.attempt + 1;
    const { containerStatuses = [], initContainerStatuses = [] } = this.facts.pod.status ?? {};
    const known = [...containerStatuses, ...initContainerStatuses].find(
      (status) => status.name === name,
    );
    // A status without a container has counted the lost one already (see status.ts).
    const wasMade = known?.containerID !== undefined && known.containerID !== '';
    return (known?.restartCount ?? 0) + (wasMade ? 1 : 0);
  }
}

/** Whether a resource changes for which the container is to be restarted. */
function resizeNeedsRestart(
  container: Container,
  has: ResourceRequirements,
  wants: ResourceRequirements,
): boolean {
  return (container.resizePolicy ?? []).some(
    ({ resourceName, restartPolicy }) =>
      restartPolicy === 'RestartContainer' &&
      (has.requests?.[resourceName] !== wants.requests?.[resourceName] ||
        has.limits?.[resourceName] !== wants.limits?.[resourceName]),
  );
}

function crashLoop(pod: Pod, container: Container, delayMs: number): ContainerStateWaiting {
  const { name, namespace, uid } = pod.metadata;
  return {
    reason: 'CrashLoopBackOff',
    message:
      `back-off ${formatDelay(delayMs)} restarting failed container=${container.name} ` +
      `pod=${name}_${namespace}(${uid})`,
  };
}

/** Changes when a running container no longer is what the spec says; only the image may change. */
export function containerHash({ name, image }: Container): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${name}\n${image ?? ''}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16);
}

/** Restarts are counted anew when the container is another one. */
export function restartKey(container: Container): string {
  return `${container.name}/${containerHash(container)}`;
}

const pullFailures = new Set(['ErrImagePull', 'RegistryUnavailable', 'SignatureValidationFailed']);

/** The next status of a start that failed by its image: first what happened, then that we wait. */
function imageBackoff(container: Container, waiting: ContainerStateWaiting): ContainerStateWaiting {
  const { reason = '' } = waiting;
  if (!pullFailures.has(reason)) return waiting;
  const message = `Back-off pulling image "${container.image}": ${reason}: ${waiting.message}`;
  return { reason: 'ImagePullBackOff', message };
}
