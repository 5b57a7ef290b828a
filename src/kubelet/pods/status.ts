/**
 * What happened becomes `pod.status`: facts in, status out. Pure.
 *
 * The worker computes it after every round and the status writer sends what changed, so that the
 * rest of the cluster (endpoints, rollouts, people) sees the pod through the API only.
 * `conditions.ts` next to it makes the conditions. Next in the walk: `controllers/endpoint-slice`.
 * Behaviour: kubernetes.io, Pod Lifecycle.
 */
import { formatTime } from '#kit/clock.ts';
import type {
  Container,
  ContainerState,
  ContainerStateWaiting,
  ContainerStatus,
  Pod,
  PodStatus,
} from '#resources/types/core-v1.ts';
import { mountStatuses } from '../volumes/recursive-read-only.ts';
import { podConditions } from './conditions.ts';
import {
  type ContainerFact,
  containerIdOf,
  containersOf,
  type Ending,
  ephemeralContainersOf,
  hasEnded,
  hasRun,
  initContainersOf,
  isPending,
  isSidecar,
  latestOf,
  type PodFacts,
  restartsAfter,
} from './pod-facts.ts';
import { qosClassOf } from './qos.ts';
import { isRestartingAll, restartingAll } from './restart-all.ts';
import { wholeResources } from './whole-resources.ts';

export interface StatusFacts extends PodFacts {
  /** From the plan: why containers wait. */
  readonly waiting: ReadonlyMap<string, ContainerStateWaiting>;
  readonly hostIPs: readonly string[];
  /** By container id: the termination message, once read. */
  readonly messages: ReadonlyMap<string, string>;
}

export function podStatus(facts: StatusFacts, nowMs: number): PodStatus {
  const { pod, ending } = facts;
  const old = pod.status ?? {};
  if (ending?.isRefused === true) return refusedStatus(pod, ending, nowMs);
  const initContainerStatuses = initContainersOf(pod).map((container, index) =>
    containerStatus(facts, container, { init: true, index }),
  );
  const containerStatuses = containersOf(pod).map((container, index) =>
    containerStatus(facts, container, { init: false, index }),
  );
  const ephemeralContainerStatuses = ephemeralContainersOf(pod).map((container, index) =>
    containerStatus(facts, container, { init: false, index, ephemeral: true }),
  );
  const isRestarting = isRestartingAll(facts) && ending === undefined;
  const phase =
    isRestarting && old.phase !== undefined
      ? old.phase
      : podPhase(pod, initContainerStatuses, containerStatuses, ending?.failure);
  const ips = addressesOf(facts);
  const failure = ending?.failure;
  const status: PodStatus = {
    ...(pod.metadata.generation === undefined
      ? {}
      : { observedGeneration: pod.metadata.generation }),
    phase,
    ...(failure === undefined ? keptReason(old, phase) : failure),
    hostIP: facts.hostIPs[0],
    hostIPs: facts.hostIPs.map((ip) => ({ ip })),
    ...(ips.length === 0 ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    startTime: old.startTime ?? formatTime(nowMs),
    ...(initContainerStatuses.length === 0 ? {} : { initContainerStatuses }),
    containerStatuses,
    ...(ephemeralContainerStatuses.length === 0 ? {} : { ephemeralContainerStatuses }),
    qosClass: old.qosClass ?? qosClassOf(pod),
    ...wholeResources(facts),
  };
  return { ...status, conditions: podConditions(facts, status, nowMs) };
}

function refusedStatus(pod: Pod, { failure }: Ending, nowMs: number): PodStatus {
  const { generation } = pod.metadata;
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase: 'Failed',
    reason: failure?.reason,
    message: `Pod was rejected: ${failure?.message}`,
    startTime: pod.status?.startTime ?? formatTime(nowMs),
    qosClass: pod.status?.qosClass ?? qosClassOf(pod),
  };
}

function keptReason(old: PodStatus, phase: string): Pick<PodStatus, 'reason' | 'message'> {
  if (old.phase !== phase || phase !== 'Failed') return {};
  return {
    ...(old.reason === undefined ? {} : { reason: old.reason }),
    ...(old.message === undefined ? {} : { message: old.message }),
  };
}

function addressesOf({ pod, runtime, hostIPs }: StatusFacts): readonly string[] {
  const sandbox = runtime.sandboxes[0];
  if (pod.spec?.hostNetwork === true) return sandbox === undefined ? [] : hostIPs;
  if (sandbox?.ready === true && sandbox.ips.length > 0) return sandbox.ips;
  // A stopped sandbox reports no address; the pod keeps the one it had until it has a new one.
  return (pod.status?.podIPs ?? []).map(({ ip }) => ip);
}

interface Place {
  readonly init: boolean;
  readonly index: number;
  readonly ephemeral?: boolean;
}

function containerStatus(facts: StatusFacts, container: Container, place: Place): ContainerStatus {
  const all = facts.runtime.containers.filter(({ name }) => name === container.name);
  const [latest, ...rest] = all.filter(({ state }) => state !== 'created');
  const known = knownStatus(facts.pod, container.name);
  if (latest === undefined) return withoutContainer(facts, container, place, known);
  const verdict = facts.verdicts.get(latest.id);
  const running = latest.state === 'running';
  const done = place.init && !isSidecar(container) && !running && latest.exitCode === 0;
  const started = running && verdict?.started === true;
  // What will not come again is not waited for: it is what it ended as.
  const isOver = latest.state === 'exited' && !restartsAfter(facts.pod, container, latest.exitCode);
  const wait = running || isOver ? undefined : waitingOf(facts, container.name);
  const ended = [...(wait === undefined ? [] : [latest]), ...rest];
  const lastFact = ended.find(({ state }) => state === 'exited');
  const last = lastFact === undefined ? known?.lastState : terminated(facts, lastFact);
  return {
    name: container.name,
    image: latest.image === '' ? (container.image ?? '') : latest.image,
    imageID: latest.imageRef,
    containerID: containerIdOf(latest),
    restartCount: latest.attempt,
    ready: done || (started && verdict.ready),
    started,
    state: wait === undefined ? stateOf(facts, latest) : { waiting: wait },
    lastState: last ?? {},
    ...mountsAndUser(container, latest),
    ...(place.ephemeral === true ? {} : resourcesOf(facts, container)),
  };
}

function mountsAndUser(
  container: Container,
  latest?: ContainerFact,
): Pick<ContainerStatus, 'volumeMounts' | 'user'> {
  const volumeMounts = mountStatuses(container, latest?.recursiveReadOnly ?? []);
  return {
    ...(volumeMounts.length === 0 ? {} : { volumeMounts }),
    ...(latest?.user === undefined ? {} : { user: { linux: latest.user } }),
  };
}

/** What the container was given, and what it has of it. */
function resourcesOf(
  { applied, resizeFailure }: StatusFacts,
  container: Container,
): Pick<ContainerStatus, 'resources' | 'allocatedResources'> {
  const resources = applied.get(container.name) ?? container.resources ?? {};
  const allocated = (isPending(resizeFailure) ? resources : container.resources)?.requests;
  return { resources, ...(allocated === undefined ? {} : { allocatedResources: allocated }) };
}

function waitingOf(facts: StatusFacts, name: string): ContainerStateWaiting | undefined {
  return facts.waiting.get(name) ?? facts.failures.get(name)?.waiting;
}

function knownStatus(pod: Pod, name: string): ContainerStatus | undefined {
  const {
    containerStatuses = [],
    initContainerStatuses = [],
    ephemeralContainerStatuses = [],
  } = pod.status ?? {};
  const all = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
  return all.find((each) => each.name === name);
}

/** The runtime has none of this name: it has not been created yet, or is gone for good. */
function withoutContainer(
  facts: StatusFacts,
  container: Container,
  place: Place,
  known: ContainerStatus | undefined,
): ContainerStatus {
  const wasMade = known?.containerID !== undefined && known.containerID !== '';
  const end = known?.state?.terminated ?? (wasMade ? unknownEnd : known?.lastState?.terminated);
  const isEphemeral = ephemeralContainersOf(facts.pod).includes(container);
  const isOver = hasEnded(facts.pod) || facts.ending !== undefined;
  const isLast = isOver || isEphemeral || facts.pod.spec?.restartPolicy === 'Never';
  if (wasMade && !isEphemeral && facts.ending === undefined && isRestartingAll(facts)) {
    return removedForRestart(container, known);
  }
  if (wasMade && isLast) {
    const terminated = known.state?.terminated ?? unknownEnd;
    return { ...known, ready: false, started: false, state: { terminated } };
  }
  // Init containers that have run may be removed while the pod goes on.
  if (place.init && known?.state?.terminated?.exitCode === 0) return known;
  const waiting = waitingOf(facts, container.name) ?? { reason: firstReason(facts, place) };
  return {
    name: container.name,
    image: container.image ?? '',
    imageID: '',
    // The next one counts as a restart of the one that is lost.
    restartCount: (known?.restartCount ?? 0) + (wasMade ? 1 : 0),
    ready: false,
    started: false,
    state: { waiting },
    lastState: end === undefined ? {} : { terminated: end },
    ...mountsAndUser(container),
  };
}

/** For a container that ran, and of which the runtime knows nothing any more. */
const unknownEnd = {
  exitCode: 137,
  reason: 'ContainerStatusUnknown',
  message: 'The container could not be located when the pod was looked at',
} as const;

function firstReason({ pod, runtime }: StatusFacts, { init, index }: Place): string {
  const before = initContainersOf(pod);
  if (init && index === 0) return before.length > 0 ? 'PodInitializing' : 'ContainerCreating';
  if (init) return 'PodInitializing';
  const pending = before.some((container) => {
    const latest = latestOf(runtime, container.name);
    if (latest === undefined) return true;
    return !isSidecar(container) && !(latest.state === 'exited' && latest.exitCode === 0);
  });
  return pending ? 'PodInitializing' : 'ContainerCreating';
}

function removedForRestart(container: Container, known: ContainerStatus): ContainerStatus {
  return {
    ...{ name: container.name, image: container.image ?? '', imageID: '' },
    restartCount: known.restartCount + 1,
    ...{ ready: false, started: false },
    state: { waiting: restartingAll },
    lastState: { terminated: { ...restartingAll, exitCode: 137 } },
  };
}

function stateOf(facts: StatusFacts, fact: ContainerFact): ContainerState {
  if (fact.state === 'running') return { running: { startedAt: formatTime(fact.startedAtMs) } };
  if (fact.state === 'exited') return terminated(facts, fact);
  // One that never ran is waited for; what ran must not look as if it had not begun.
  if (hasRun(facts.pod, fact)) return { terminated: unknownEnd };
  return { waiting: { reason: 'ContainerStatusUnknown' } };
}

function terminated(facts: StatusFacts, fact: ContainerFact): ContainerState {
  const message = facts.messages.get(fact.id) || fact.message;
  return {
    terminated: {
      exitCode: fact.exitCode,
      reason: fact.reason === '' ? (fact.exitCode === 0 ? 'Completed' : 'Error') : fact.reason,
      ...(message === '' ? {} : { message }),
      ...(fact.startedAtMs > 0 ? { startedAt: formatTime(fact.startedAtMs) } : {}),
      finishedAt: formatTime(fact.finishedAtMs),
      containerID: containerIdOf(fact),
    },
  };
}

/** Pending, Running, Succeeded or Failed; an end is final. */
function podPhase(
  pod: Pod,
  init: readonly ContainerStatus[],
  main: readonly ContainerStatus[],
  failure: unknown,
): string {
  const old = pod.status?.phase;
  if (old === 'Succeeded' || old === 'Failed') return old;
  if (failure !== undefined) return 'Failed';
  const regular = init.filter((_, index) => {
    const container = initContainersOf(pod)[index];
    return container !== undefined && !isSidecar(container);
  });
  const failedInit = regular.some((status) => {
    const exitCode = exitOf(status) ?? 0;
    const container = initContainersOf(pod).find(({ name }) => name === status.name);
    if (isRemovedForRestart(status)) return false;
    return exitCode !== 0 && container !== undefined && !restartsAfter(pod, container, exitCode);
  });
  // Nobody is told of an end before the last sidecar has ended.
  const sidecarRuns = init.some((status) => status.state?.running !== undefined);
  if (failedInit) return sidecarRuns ? 'Pending' : 'Failed';
  const begun = main.some((status) => status.state?.running !== undefined || isEnded(status));
  const pendingInit = regular.some((status) => exitOf(status) !== 0);
  if (pendingInit && !begun) return 'Pending';
  const phase = mainPhase(pod, main);
  return sidecarRuns && (phase === 'Succeeded' || phase === 'Failed') ? 'Running' : phase;
}

function mainPhase(pod: Pod, main: readonly ContainerStatus[]): string {
  const waiting = main.filter((status) => status.state?.running === undefined && !isEnded(status));
  if (waiting.length > 0) return 'Pending';
  if (main.some((status) => status.state?.running !== undefined)) return 'Running';
  const comesBack = main.some((status) => {
    const container = containersOf(pod).find(({ name }) => name === status.name);
    if (isRemovedForRestart(status)) return true;
    return container !== undefined && restartsAfter(pod, container, exitOf(status) ?? 0);
  });
  if (comesBack) return 'Running';
  return main.every((status) => exitOf(status) === 0) ? 'Succeeded' : 'Failed';
}

function isRemovedForRestart({ state, lastState }: ContainerStatus): boolean {
  return state?.terminated === undefined && lastState?.terminated?.reason === restartingAll.reason;
}

function exitOf(status: ContainerStatus): number | undefined {
  return (status.state?.terminated ?? status.lastState?.terminated)?.exitCode;
}

function isEnded(status: ContainerStatus): boolean {
  return exitOf(status) !== undefined;
}
