/**
 * What a hollow pod's status says at a moment: phase, conditions and container states, as a kubelet
 * would write them. Pure. Behaviour: kubernetes.io, Pod Lifecycle.
 */
import { formatTime } from '#kit/clock.ts';
import type {
  Container,
  ContainerState,
  ContainerStateTerminated,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
} from '#resources/types/core-v1.ts';
import {
  backOffMs,
  type ContainerLife,
  containersOf,
  hasEnded,
  initContainersOf,
  initializedMs,
  isReady,
  isSidecar,
  type PodLife,
  type Run,
  restartMs,
} from './life.ts';

export interface Moment {
  readonly nowMs: number;
  /** The pod ends now: told to stop, or over its deadline. */
  readonly ends: 'gone' | 'late' | undefined;
}

/** For a container of which nothing is known when its pod ends. */
const unknownEnd = {
  exitCode: 137,
  reason: 'ContainerStatusUnknown',
  message: 'The container could not be located when the pod was terminated',
} as const;

const lateEnd = {
  reason: 'DeadlineExceeded',
  message: 'Pod was active on the node longer than the specified deadline',
} as const;

export function podStatus(pod: Pod, life: PodLife, moment: Moment): PodStatus {
  const { generation } = pod.metadata;
  const init = initContainersOf(pod).map((one) => containerStatus(pod, life, one, moment));
  const main = containersOf(pod).map((one) => containerStatus(pod, life, one, moment));
  const phase = phaseOf(pod, init, main, moment);
  const hasAddress = life.podIP !== '' && moment.nowMs >= life.sandboxMs;
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    ...(moment.ends === 'late' ? lateEnd : {}),
    // Unknown where the pod was never begun before this process ended: an empty one is refused.
    ...(life.hostIP === '' ? {} : { hostIP: life.hostIP, hostIPs: [{ ip: life.hostIP }] }),
    ...(hasAddress ? { podIP: life.podIP, podIPs: [{ ip: life.podIP }] } : {}),
    startTime: pod.status?.startTime ?? formatTime(life.seenMs),
    conditions: conditionsOf(pod, life, { phase, init, main, moment }),
    containerStatuses: main,
    ...(init.length === 0 ? {} : { initContainerStatuses: init }),
  };
}

function phaseOf(
  pod: Pod,
  init: readonly ContainerStatus[],
  main: readonly ContainerStatus[],
  { ends }: Moment,
): string {
  const all = initContainersOf(pod);
  const regular = init.filter((_, index) => all[index] !== undefined && !isSidecar(all[index]));
  const codeOf = (status: ContainerStatus): number | undefined =>
    status.state?.terminated?.exitCode;
  if (ends === 'late') return 'Failed';
  const never = pod.spec?.restartPolicy === 'Never';
  if (regular.some((one) => (codeOf(one) ?? 0) !== 0) && (never || ends !== undefined))
    return 'Failed';
  if (ends === undefined && regular.some((one) => codeOf(one) !== 0)) return 'Pending';
  const isWaiting = ({ state, lastState }: ContainerStatus): boolean =>
    state?.waiting !== undefined && lastState?.terminated === undefined;
  if (main.some(isWaiting)) return 'Pending';
  if (main.some(({ state }) => state?.terminated === undefined)) return 'Running';
  return main.every((one) => codeOf(one) === 0) ? 'Succeeded' : 'Failed';
}

interface Facts {
  readonly phase: string;
  readonly init: readonly ContainerStatus[];
  readonly main: readonly ContainerStatus[];
  readonly moment: Moment;
}

function conditionsOf(
  pod: Pod,
  life: PodLife,
  { phase, init, main, moment }: Facts,
): readonly PodCondition[] {
  const { nowMs } = moment;
  const { generation } = pod.metadata;
  const condition = (type: string, holds: boolean, why: Why): PodCondition => {
    const status = holds ? 'True' : 'False';
    const known = pod.status?.conditions?.find((one) => one.type === type);
    const since = known?.status === status ? known.lastTransitionTime : undefined;
    return {
      type,
      status,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastTransitionTime: since ?? formatTime(nowMs),
      ...(holds ? {} : why),
    };
  };
  const isOver = phase === 'Succeeded' || phase === 'Failed';
  const hasBegun = nowMs >= life.sandboxMs && !isOver;
  const isInitialized =
    phase === 'Succeeded' ||
    main.some(({ state }) => state?.running !== undefined) ||
    initializedMs(pod, life, nowMs) !== undefined ||
    (init.length === 0 && hasBegun);
  const unready = main.filter(({ ready }) => !ready).map(({ name }) => name);
  const whyNot: Why =
    phase === 'Succeeded'
      ? { reason: 'PodCompleted' }
      : isOver
        ? { reason: 'PodFailed' }
        : notReady(unready);
  const closed = gatesHolding(pod);
  const areReady = !isOver && unready.length === 0;
  return [
    condition('PodReadyToStartContainers', hasBegun, {}),
    condition('Initialized', isInitialized, whyUninitialized(init)),
    condition('Ready', areReady && closed === undefined, areReady ? (closed ?? whyNot) : whyNot),
    condition('ContainersReady', areReady, whyNot),
  ];
}

interface Why {
  readonly reason?: string;
  readonly message?: string;
}

function notReady(names: readonly string[]): Why {
  const message = `containers with unready status: [${names.join(' ')}]`;
  return { reason: 'ContainersNotReady', message };
}

function whyUninitialized(init: readonly ContainerStatus[]): Why {
  const names = init.filter(({ ready }) => !ready).map(({ name }) => name);
  const message = `containers with incomplete status: [${names.join(' ')}]`;
  return { reason: 'ContainersNotInitialized', message };
}

/** Why readiness gates hold the pod back; undefined: they do not. */
function gatesHolding({ spec, status }: Pod): Why | undefined {
  for (const { conditionType } of spec?.readinessGates ?? []) {
    const known = status?.conditions?.find(({ type }) => type === conditionType);
    if (known?.status === 'True') continue;
    const message =
      known === undefined
        ? `corresponding condition of pod readiness gate "${conditionType}" does not exist.`
        : `the status of pod readiness gate "${conditionType}" is not "True", but ${known.status}`;
    return { reason: 'ReadinessGatesNotReady', message };
  }
  return undefined;
}

function containerStatus(
  pod: Pod,
  life: PodLife,
  container: Container,
  { nowMs, ends }: Moment,
): ContainerStatus {
  const { name, image = '' } = container;
  const common = { name, image, imageID: image, ...resourcesOf(container) };
  const known = life.containers.get(name);
  if (known === undefined || nowMs < known.run.startedMs) {
    const restartCount = life.earlier.get(name) ?? 0;
    const state: ContainerState =
      ends === undefined
        ? { waiting: waitingOf(pod, life, container, nowMs) }
        : { terminated: unknownEnd };
    return { ...common, restartCount, ready: false, started: false, state, lastState: {} };
  }
  const { restartCount, run, last } = known;
  const containerID = containerIDOf(life, name, restartCount);
  const before: ContainerState =
    last === undefined ? {} : { terminated: ended(life, name, last, restartCount - 1) };
  const alive = { ...common, restartCount, containerID, lastState: before };
  if (ends !== undefined || hasEnded(known, nowMs)) {
    const end = ended(
      life,
      name,
      ends === undefined ? run : stopped(run, life, nowMs),
      restartCount,
    );
    const again = ends === undefined ? restartMs(pod, container, known) : undefined;
    const done = end.exitCode === 0 && initContainersOf(pod).includes(container);
    if (again === undefined) {
      return { ...alive, ready: done, started: false, state: { terminated: end } };
    }
    const waiting = backingOff(pod, container, known);
    return {
      ...alive,
      ready: false,
      started: false,
      state: { waiting },
      lastState: { terminated: end },
    };
  }
  const isInit = initContainersOf(pod).includes(container) && !isSidecar(container);
  const ready = !isInit && isReady(known, nowMs);
  const state = { running: { startedAt: formatTime(run.startedMs) } };
  return { ...alive, ready, started: true, state };
}

function resourcesOf({ resources }: Container): Partial<ContainerStatus> {
  const requests = resources?.requests;
  return {
    ...(resources === undefined ? {} : { resources }),
    ...(requests === undefined ? {} : { allocatedResources: requests }),
  };
}

function waitingOf(pod: Pod, life: PodLife, container: Container, nowMs: number) {
  const { image = '' } = container;
  const isMain = !initContainersOf(pod).includes(container);
  const awaitsInit =
    initContainersOf(pod).length > 0 && (isMain || initContainersOf(pod)[0] !== container);
  if (nowMs >= life.sandboxMs && nowMs < life.pullMs && !awaitsInit) {
    return { reason: 'ImagePullBackOff', message: `Back-off pulling image "${image}"` };
  }
  return { reason: initContainersOf(pod).length > 0 ? 'PodInitializing' : 'ContainerCreating' };
}

function backingOff({ metadata }: Pod, { name }: Container, known: ContainerLife) {
  const whose = `container=${name} pod=${metadata.name}_${metadata.namespace}(${metadata.uid})`;
  const delay = durationText(backOffMs(known));
  return { reason: 'CrashLoopBackOff', message: `back-off ${delay} restarting failed ${whose}` };
}

function durationText(ms: number): string {
  const seconds = ms / 1000;
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

function ended(
  life: PodLife,
  name: string,
  { startedMs, exit }: Run,
  count: number,
): ContainerStateTerminated {
  const exitCode = exit?.code ?? 0;
  return {
    exitCode,
    reason: exit?.reason ?? (exitCode === 0 ? 'Completed' : 'Error'),
    startedAt: formatTime(startedMs),
    finishedAt: formatTime(exit?.atMs ?? startedMs),
    containerID: containerIDOf(life, name, count),
  };
}

/** How a run ends that is told to stop: by SIGTERM, unless it had ended before. */
function stopped(run: Run, { stoppedMs }: PodLife, nowMs: number): Run {
  const atMs = Math.min(stoppedMs ?? nowMs, nowMs);
  if (run.exit !== undefined && run.exit.atMs <= atMs) return run;
  return { ...run, exit: { atMs, code: 143 } };
}

function containerIDOf({ uid }: PodLife, name: string, restartCount: number): string {
  return `hollow://${uid}/${name}/${restartCount}`;
}
