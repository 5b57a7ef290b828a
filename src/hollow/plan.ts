/**
 * What a hollow node does next about a pod, as decisions: what the API says and what "runs" here,
 * in; actions, out.
 *
 * Example, with the default delays: seen at 0 s → start; 0.2 s: its container runs and is ready →
 * write the status; deletion wished at 60 s → stop, wait; 60.2 s → write how it ended, delete for
 * good. `pods.ts` performs this, and asks again at the time of `wait` or when the pod changes.
 *
 * Where more statuses wait than can be sent, that a pod is being created is not worth a write if it
 * will run in a moment: kubelets, too, send only the newest of what has been waiting.
 */
import { jsonEqual } from '#kit/json-equal.ts';
import type { Pod, PodStatus } from '#resources/types/core-v1.ts';
import {
  containersOf,
  type DueRun,
  deadlineOf,
  dueRuns,
  initContainersOf,
  nextChangeMs,
  type PodLife,
} from './life.ts';
import { podStatus } from './status.ts';

export type Action =
  | { readonly do: 'start' }
  /** Containers begin; what to say of it is planned again. */
  | { readonly do: 'run'; readonly due: readonly DueRun[] }
  | { readonly do: 'stop'; readonly stoppedMs: number }
  | { readonly do: 'writeStatus'; readonly status: PodStatus }
  | { readonly do: 'delete' }
  | { readonly do: 'forget' }
  | { readonly do: 'wait'; readonly untilMs: number };

export interface PodView {
  readonly pod: Pod;
  readonly life: PodLife | undefined;
  readonly stopMs: number;
  /** Other pods wait for their statuses to be written. */
  readonly crowded: boolean;
}

/** What changes within this time is not written before, in a crowd. */
const momentMs = 1_000;

export function planPod(view: PodView, nowMs: number): readonly Action[] {
  const { pod, life, crowded } = view;
  if (pod.metadata.deletionTimestamp !== undefined) return planEnd(view, nowMs);
  if (isOver(pod)) return life === undefined ? [] : [{ do: 'forget' }];
  if (life === undefined) return wasLost(pod) ? [planLost(pod, nowMs)] : [{ do: 'start' }];
  const due = dueRuns(pod, life, nowMs);
  if (due.length > 0) return [{ do: 'run', due }];
  const isLate = (deadlineOf(pod, life) ?? Number.POSITIVE_INFINITY) <= nowMs;
  const status = podStatus(pod, life, { nowMs, ends: isLate ? 'late' : undefined });
  const actions: Action[] = [];
  const untilMs = nextChangeMs(pod, life, nowMs);
  const begins = nowMs < life.sandboxMs && life.sandboxMs <= nowMs + momentMs;
  const spared = crowded && begins && untilMs !== undefined;
  if (!spared && !isShown(pod.status, status)) actions.push({ do: 'writeStatus', status });
  if (untilMs !== undefined) actions.push({ do: 'wait', untilMs });
  return actions;
}

function isOver({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

/** It ran before this process began, and is not to be started twice. */
function wasLost({ spec, status }: Pod): boolean {
  if (spec?.restartPolicy !== 'Never') return false;
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return all.some(({ state }) => state?.running !== undefined || state?.terminated !== undefined);
}

function planLost(pod: Pod, nowMs: number): Action {
  return { do: 'writeStatus', status: podStatus(pod, nobody(pod, nowMs), { nowMs, ends: 'gone' }) };
}

/** The life of a pod of which nothing is known here. */
function nobody({ metadata, status }: Pod, nowMs: number): PodLife {
  return {
    uid: metadata.uid ?? '',
    podIP: status?.podIP ?? '',
    hostIP: status?.hostIP ?? '',
    seenMs: nowMs,
    sandboxMs: nowMs,
    pullMs: nowMs,
    containers: new Map(),
    earlier: new Map(),
    stoppedMs: nowMs,
  };
}

function planEnd({ pod, life, stopMs }: PodView, nowMs: number): readonly Action[] {
  const graceSeconds = pod.metadata.deletionGracePeriodSeconds ?? 30;
  if (life === undefined && isOver(pod)) {
    // Deleted for good already, and still there: somebody's finalizer holds it.
    return graceSeconds === 0 ? [] : [{ do: 'delete' }];
  }
  const runs = life !== undefined && isRunning(pod, life, nowMs);
  if (runs && (life.stoppedMs === undefined || life.stoppedMs > nowMs)) {
    const stoppedMs = Math.min(
      life.stoppedMs ?? Number.POSITIVE_INFINITY,
      nowMs + Math.min(stopMs, graceSeconds * 1000),
    );
    if (life.stoppedMs === stoppedMs) return [{ do: 'wait', untilMs: stoppedMs }];
    return [
      { do: 'stop', stoppedMs },
      { do: 'wait', untilMs: stoppedMs },
    ];
  }
  const status = podStatus(pod, life ?? nobody(pod, nowMs), { nowMs, ends: 'gone' });
  const write: Action = { do: 'writeStatus', status };
  return isOver(pod) ? [{ do: 'delete' }] : [write, { do: 'delete' }];
}

/** When the last container ends of a pod that was removed without waiting for its node. */
export function endOfRemoved(
  { pod, life, stopMs }: { readonly pod: Pod; readonly life: PodLife; readonly stopMs: number },
  nowMs: number,
): number {
  if (!isRunning(pod, life, nowMs)) return nowMs;
  return Math.min(life.stoppedMs ?? Number.POSITIVE_INFINITY, nowMs + stopMs);
}

function isRunning(pod: Pod, life: PodLife, nowMs: number): boolean {
  return [...initContainersOf(pod), ...containersOf(pod)].some(({ name }) => {
    const run = life.containers.get(name)?.run;
    return run !== undefined && (run.exit?.atMs ?? Number.POSITIVE_INFINITY) > nowMs;
  });
}

/** Whether the API shows what we would write; others' conditions and fields do not matter. */
function isShown(shown: PodStatus | undefined, wanted: PodStatus): boolean {
  const { conditions = [], ...rest } = wanted;
  return (
    Object.entries(rest).every(([name, value]) =>
      // Both are the same interface; its fields are compared one by one.
      jsonEqual(shown?.[name as keyof PodStatus], value),
    ) &&
    conditions.every(({ type, status }) =>
      shown?.conditions?.some((one) => one.type === type && one.status === status),
    )
  );
}
