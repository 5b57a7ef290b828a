/**
 * What of the autoscaler can be set. Its parts are pure and take what they need of it.
 *
 * Names and defaults: upstream's flags `--horizontal-pod-autoscaler-*`.
 */
export interface AutoscalingSettings {
  /** Between two looks at the same autoscaler. */
  readonly syncPeriodMs: number;
  /** So far from what is wanted nothing changes, where the autoscaler does not say. */
  readonly tolerance: number;
  /** On the way down the highest recommendation of so long counts, if not told otherwise. */
  readonly downStabilizationMs: number;
  /** After its start a pod's CPU does not count unless it is ready and measured since. */
  readonly cpuInitializationMs: number;
  /** A pod that became unready this soon after its start was never ready. */
  readonly initialReadinessMs: number;
}

export const limits = {
  syncPeriodMs: 15_000,
  tolerance: 0.1,
  downStabilizationMs: 5 * 60 * 1000,
  cpuInitializationMs: 5 * 60 * 1000,
  initialReadinessMs: 30_000,
} as const satisfies AutoscalingSettings;
