/**
 * What a hollow pod's status says at a moment: phase, conditions and container states, as a kubelet
 * would write them. Pure; all containers of a pod share one fate.
 */
import { formatTime } from '#kit/clock.ts';
import type {
  Container,
  ContainerState,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
} from '#resources/types/core-v1.ts';
import type { Attempt, RunningPod } from './plan.ts';

export interface Moment {
  readonly nowMs: number;
  /** Containers that have ended will be started again. */
  readonly restarts: boolean;
}

type Stage = 'creating' | 'running' | 'ready' | 'ended';

export function podStatus(pod: Pod, running: RunningPod, moment: Moment): PodStatus {
  const stage = stageOf(running, moment.nowMs);
  const containers = pod.spec?.containers ?? [];
  const initContainers = pod.spec?.initContainers ?? [];
  const began = stage !== 'creating';
  return {
    phase: phaseOf(stage, running, moment),
    hostIP: running.hostIP,
    hostIPs: [{ ip: running.hostIP }],
    ...(began ? { podIP: running.podIP, podIPs: [{ ip: running.podIP }] } : {}),
    startTime: pod.status?.startTime ?? formatTime(running.seenMs),
    conditions: conditionsOf(pod, stage, moment),
    containerStatuses: containers.map((container) =>
      containerStatus(container, running, { stage, restarts: moment.restarts }),
    ),
    ...(initContainers.length === 0
      ? {}
      : { initContainerStatuses: initContainers.map((one) => initStatus(one, running, began)) }),
  };
}

function stageOf({ runningMs, readyMs, exit }: Attempt, nowMs: number): Stage {
  if (exit !== undefined && exit.atMs <= nowMs) return 'ended';
  if (nowMs < runningMs) return 'creating';
  return nowMs < readyMs ? 'running' : 'ready';
}

function phaseOf(stage: Stage, running: RunningPod, { restarts }: Moment): string {
  if (stage === 'creating') return running.before === undefined ? 'Pending' : 'Running';
  if (stage !== 'ended' || restarts) return 'Running';
  return running.exit?.code === 0 ? 'Succeeded' : 'Failed';
}

function conditionsOf(pod: Pod, stage: Stage, moment: Moment): readonly PodCondition[] {
  const completed = stage === 'ended' && !moment.restarts;
  const notReady = completed ? 'PodCompleted' : 'ContainersNotReady';
  const gatesHold = (pod.spec?.readinessGates ?? []).every(({ conditionType }) =>
    pod.status?.conditions?.some((one) => one.type === conditionType && one.status === 'True'),
  );
  const condition = (type: string, holds: boolean, reason: string): PodCondition => {
    const status = holds ? 'True' : 'False';
    const known = pod.status?.conditions?.find((one) => one.type === type);
    const since = known?.status === status ? known.lastTransitionTime : undefined;
    const lastTransitionTime = since ?? formatTime(moment.nowMs);
    return { type, status, lastTransitionTime, ...(holds ? {} : { reason }) };
  };
  return [
    condition('PodReadyToStartContainers', stage !== 'creating' && !completed, notReady),
    condition('Initialized', stage !== 'creating', 'ContainersNotInitialized'),
    condition('Ready', stage === 'ready' && gatesHold, gateReason(stage, notReady)),
    condition('ContainersReady', stage === 'ready', notReady),
  ];
}

function gateReason(stage: Stage, otherwise: string): string {
  return stage === 'ready' ? 'ReadinessGatesNotReady' : otherwise;
}

function containerStatus(
  { name, image = '' }: Container,
  running: RunningPod,
  { stage, restarts }: { readonly stage: Stage; readonly restarts: boolean },
): ContainerStatus {
  const { restartCount, before } = running;
  const containerID = containerIDOf(running, name, restartCount);
  const ended = (attempt: Attempt, count: number): ContainerState => ({
    terminated: {
      exitCode: attempt.exit?.code ?? 0,
      reason: attempt.exit?.code === 0 ? 'Completed' : 'Error',
      startedAt: formatTime(attempt.runningMs),
      finishedAt: formatTime(attempt.exit?.atMs ?? attempt.runningMs),
      containerID: containerIDOf(running, name, count),
    },
  });
  const common = { name, image, imageID: image, restartCount };
  const lastState = before === undefined ? {} : ended(before, restartCount - 1);
  switch (stage) {
    case 'creating': {
      const state = { waiting: { reason: 'ContainerCreating' } };
      return { ...common, ready: false, started: false, state, lastState };
    }
    case 'running':
    case 'ready': {
      const state = { running: { startedAt: formatTime(running.runningMs) } };
      const ready = stage === 'ready';
      return { ...common, ready, started: true, state, lastState, containerID };
    }
    case 'ended': {
      if (!restarts) {
        const state = ended(running, restartCount);
        return { ...common, ready: false, started: false, state, lastState, containerID };
      }
      const state = { waiting: { reason: 'CrashLoopBackOff' } };
      const last = ended(running, restartCount);
      return { ...common, ready: false, started: false, state, lastState: last, containerID };
    }
    default:
      return stage satisfies never;
  }
}

function initStatus(
  { name, image = '' }: Container,
  running: RunningPod,
  began: boolean,
): ContainerStatus {
  const common = { name, image, imageID: image, restartCount: 0 };
  if (!began) {
    const state = { waiting: { reason: 'PodInitializing' } };
    return { ...common, ready: false, started: false, state, lastState: {} };
  }
  const time = formatTime(running.runningMs);
  const containerID = containerIDOf(running, name, 0);
  const terminated = { exitCode: 0, reason: 'Completed', startedAt: time, finishedAt: time };
  const state = { terminated: { ...terminated, containerID } };
  return { ...common, ready: true, started: false, state, lastState: {}, containerID };
}

function containerIDOf({ uid }: RunningPod, name: string, restartCount: number): string {
  return `hollow://${uid}/${name}/${restartCount}`;
}
