/**
 * The life of a hollow pod, as decisions: what the API says and what "runs" here, in; actions, out.
 *
 * Example, with the default delays: seen at 0 s → start; 0.2 s: running and ready → write the
 * status; deletion wished at 60 s → stop, wait; 60.2 s → delete for good. `pods.ts` performs this,
 * and asks again at the time of `wait` or when the pod changes.
 */
import { jsonEqual } from '#kit/json-equal.ts';
import type { Pod, PodStatus } from '#resources/types/core-v1.ts';
import { podStatus } from './status.ts';

/** One attempt to run the containers of a pod. */
export interface Attempt {
  readonly seenMs: number;
  readonly runningMs: number;
  readonly readyMs: number;
  /** When the containers end by themselves. */
  readonly exit: { readonly atMs: number; readonly code: number } | undefined;
}

export interface RunningPod extends Attempt {
  readonly uid: string;
  readonly podIP: string;
  readonly hostIP: string;
  readonly restartCount: number;
  /** How the attempt before this one ended. */
  readonly before: Attempt | undefined;
  /** The containers have been told to stop and will have by then. */
  readonly stoppedMs: number | undefined;
}

export type Action =
  | { readonly do: 'start' }
  | { readonly do: 'restart' }
  | { readonly do: 'stop'; readonly stoppedMs: number }
  | { readonly do: 'writeStatus'; readonly status: PodStatus }
  | { readonly do: 'delete' }
  | { readonly do: 'forget' }
  | { readonly do: 'wait'; readonly untilMs: number };

export const restartDelayMs = { first: 10_000, max: 300_000 } as const;

export interface PodView {
  readonly pod: Pod;
  readonly running: RunningPod | undefined;
  readonly stopMs: number;
}

export function planPod({ pod, running, stopMs }: PodView, nowMs: number): readonly Action[] {
  if (pod.metadata.deletionTimestamp !== undefined) return planEnd({ pod, running, stopMs }, nowMs);
  const phase = pod.status?.phase;
  if (phase === 'Succeeded' || phase === 'Failed') {
    return running === undefined ? [] : [{ do: 'forget' }];
  }
  if (running === undefined) return [{ do: 'start' }];
  const restartMs = restartTime(pod, running);
  if (restartMs !== undefined && restartMs <= nowMs) return [{ do: 'restart' }];
  const actions: Action[] = [];
  const status = podStatus(pod, running, { nowMs, restarts: restartMs !== undefined });
  if (!isShown(pod.status, status)) actions.push({ do: 'writeStatus', status });
  const next = [running.runningMs, running.readyMs, running.exit?.atMs, restartMs]
    .filter((atMs) => atMs !== undefined)
    .filter((atMs) => atMs > nowMs);
  if (next.length > 0) actions.push({ do: 'wait', untilMs: Math.min(...next) });
  return actions;
}

function planEnd({ pod, running, stopMs }: PodView, nowMs: number): readonly Action[] {
  const ended = running === undefined || (running.exit?.atMs ?? Infinity) <= nowMs;
  if (ended || (running.stoppedMs !== undefined && running.stoppedMs <= nowMs)) {
    return [{ do: 'delete' }];
  }
  const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000;
  const stoppedMs = Math.min(running.stoppedMs ?? Infinity, nowMs + Math.min(stopMs, graceMs));
  if (running.stoppedMs === stoppedMs) return [{ do: 'wait', untilMs: stoppedMs }];
  return [
    { do: 'stop', stoppedMs },
    { do: 'wait', untilMs: stoppedMs },
  ];
}

/** When containers that end are started again; undefined: never. */
function restartTime(pod: Pod, running: RunningPod): number | undefined {
  if (running.exit === undefined) return undefined;
  const policy = pod.spec?.restartPolicy ?? 'Always';
  if (policy === 'Never' || (policy === 'OnFailure' && running.exit.code === 0)) return undefined;
  const { first, max } = restartDelayMs;
  return running.exit.atMs + Math.min(first * 2 ** running.restartCount, max);
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
