/**
 * In which order pods end when the machine is shut down, and how long each has. Pure.
 *
 * Groups by priority, the least important first: those of a group end together, and the next one
 * begins when they have ended or their time is over. Two plain settings (so long in all, of which
 * so much for critical pods) are two groups. Behaviour: kubernetes.io, "Node Shutdowns".
 *
 * Example: 30 s, of which 10 s for critical pods: 20 s from priority 0 on, 10 s from 2000000000
 * on.
 */
import type { Pod } from '#resources/types/core-v1.ts';
import { graceSecondsOf } from '../pods/pod-facts.ts';
import type { KubeletSettings, ShutdownGracePeriod } from '../settings.ts';

const criticalPriority = 2_000_000_000;

/** The least important first; none: shutdowns are not held up. */
export function gracePeriods(settings: KubeletSettings): readonly ShutdownGracePeriod[] {
  const { shutdownGracePeriodByPodPriority: periods } = settings;
  if (periods.length > 0) return periods.toSorted((a, b) => a.priority - b.priority);
  const { shutdownGracePeriodMs, shutdownGracePeriodCriticalPodsMs } = settings;
  if (shutdownGracePeriodMs === 0) return [];
  const seconds = (ms: number): number => Math.floor(ms / 1000);
  const others = shutdownGracePeriodMs - shutdownGracePeriodCriticalPodsMs;
  return [
    { priority: 0, shutdownGracePeriodSeconds: seconds(others) },
    {
      priority: criticalPriority,
      shutdownGracePeriodSeconds: seconds(shutdownGracePeriodCriticalPodsMs),
    },
  ];
}

/** For how long a shutdown has to be held up. */
export function totalMs(periods: readonly ShutdownGracePeriod[]): number {
  return periods.reduce((sum, each) => sum + each.shutdownGracePeriodSeconds, 0) * 1000;
}

export interface ShutdownGroup {
  readonly seconds: number;
  readonly pods: readonly { readonly pod: Pod; readonly graceSeconds: number }[];
}

export function planShutdown(
  periods: readonly ShutdownGracePeriod[],
  pods: readonly Pod[],
): readonly ShutdownGroup[] {
  const groupOf = (pod: Pod): number => {
    const priority = pod.spec?.priority ?? 0;
    // Those below the first belong to it.
    return Math.max(
      0,
      periods.findLastIndex((period) => period.priority <= priority),
    );
  };
  return periods
    .map(({ shutdownGracePeriodSeconds: seconds }, index) => ({
      seconds,
      pods: pods
        .filter((pod) => groupOf(pod) === index)
        .map((pod) => ({ pod, graceSeconds: Math.min(graceSecondsOf(pod), seconds) })),
    }))
    .filter((group) => group.pods.length > 0);
}
