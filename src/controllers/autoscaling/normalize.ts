/**
 * How much of what the figures ask for is done now. Pure.
 *
 * First stabilised: within a window the most cautious recommendation counts, so that replicas do
 * not flap (five minutes for going down, if not told otherwise). Then limited: by minReplicas and
 * maxReplicas, and by how fast `behavior` lets it go; without one it may at most double, or go to
 * four. The history that this needs is handed in and comes out anew.
 */
import type {
  HorizontalPodAutoscalerBehavior,
  HPAScalingRules,
} from '#resources/types/autoscaling-v2.ts';

export const limits = {
  scaleUpFactor: 2,
  scaleUpReplicasMin: 4,
} as const;

interface Dated {
  readonly atMs: number;
  readonly replicas: number;
}

export interface History {
  readonly recommendations: readonly Dated[];
  /** By how many replicas it went up, or down, when. */
  readonly ups: readonly Dated[];
  readonly downs: readonly Dated[];
}

export const noHistory: History = { recommendations: [], ups: [], downs: [] };

export interface Condition {
  readonly type: 'AbleToScale' | 'ScalingActive' | 'ScalingLimited';
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export interface Wish {
  readonly current: number;
  readonly desired: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly behavior: HorizontalPodAutoscalerBehavior | undefined;
  /** Where `behavior` does not say. */
  readonly downStabilizationMs: number;
}

export interface Normalized {
  readonly replicas: number;
  readonly history: History;
  readonly conditions: readonly Condition[];
}

export function normalize(wish: Wish, history: History, nowMs: number): Normalized {
  const stable = stabilize(wish, history, nowMs);
  const { replicas, ...why } = limit({ ...wish, desired: stable }, history, nowMs);
  const isLimited = replicas !== stable;
  const window = Math.max(windowMs(wish.behavior?.scaleUp, 0), downWindowMs(wish));
  const recent = history.recommendations.filter(({ atMs }) => atMs >= nowMs - window);
  const recommendations = [...recent, { atMs: nowMs, replicas: wish.desired }];
  return {
    replicas,
    history: { ...history, recommendations },
    conditions: [
      ableToScale(wish, stable),
      { type: 'ScalingLimited', status: isLimited ? 'True' : 'False', ...why },
    ],
  };
}

function ableToScale({ behavior, current, desired }: Wish, stable: number): Condition {
  const type = 'AbleToScale';
  const status = 'True';
  if (stable === desired) {
    const message = 'recommended size matches current size';
    return { type, status, reason: 'ReadyForNewScale', message };
  }
  if (behavior !== undefined && desired >= current) {
    const message =
      'recent recommendations were lower than current one, ' +
      'applying the lowest recent recommendation';
    return { type, status, reason: 'ScaleUpStabilized', message };
  }
  const message =
    'recent recommendations were higher than current one, ' +
    'applying the highest recent recommendation';
  return { type, status, reason: 'ScaleDownStabilized', message };
}

function windowMs(rules: HPAScalingRules | undefined, defaultMs: number): number {
  const { stabilizationWindowSeconds: seconds } = rules ?? {};
  return seconds === undefined ? defaultMs : seconds * 1000;
}

function downWindowMs({ behavior, downStabilizationMs }: Wish): number {
  return windowMs(behavior?.scaleDown, downStabilizationMs);
}

function stabilize(wish: Wish, { recommendations }: History, nowMs: number): number {
  const { behavior, current, desired } = wish;
  const downCutoff = nowMs - downWindowMs(wish);
  if (behavior === undefined) {
    const recent = recommendations.filter(({ atMs }) => atMs >= downCutoff);
    return Math.max(desired, ...recent.map(({ replicas }) => replicas));
  }
  const upCutoff = nowMs - windowMs(behavior.scaleUp, 0);
  let up = desired;
  let down = desired;
  for (const { atMs, replicas } of recommendations) {
    if (atMs > upCutoff) up = Math.min(up, replicas);
    if (atMs > downCutoff) down = Math.max(down, replicas);
  }
  return Math.min(Math.max(current, up), down);
}

interface Limited {
  readonly replicas: number;
  readonly reason: string;
  readonly message: string;
}

const reasons: Readonly<Record<string, string>> = {
  ScaleUpLimit: 'the desired replica count is increasing faster than the maximum scale rate',
  ScaleDownLimit: 'the desired replica count is decreasing faster than the maximum scale rate',
  TooManyReplicas: 'the desired replica count is more than the maximum replica count',
  TooFewReplicas: 'the desired replica count is less than the minimum replica count',
  DesiredWithinRange: 'the desired count is within the acceptable range',
};

function limited(replicas: number, reason: string): Limited {
  return { replicas, reason, message: reasons[reason] ?? '' };
}

function limit(wish: Wish, history: History, nowMs: number): Limited {
  const { current, desired, minReplicas, maxReplicas, behavior } = wish;
  if (behavior === undefined) {
    const fastest = Math.max(limits.scaleUpFactor * current, limits.scaleUpReplicasMin);
    if (desired < minReplicas) return limited(minReplicas, 'TooFewReplicas');
    const most = Math.min(maxReplicas, fastest);
    if (desired > most) {
      return limited(most, maxReplicas > fastest ? 'ScaleUpLimit' : 'TooManyReplicas');
    }
    return limited(desired, 'DesiredWithinRange');
  }
  if (desired > current) {
    const fastest = Math.max(current, rateLimit(behavior.scaleUp, wish, history, nowMs, 1));
    const most = Math.min(maxReplicas, fastest);
    if (desired > most) {
      return limited(most, maxReplicas > fastest ? 'ScaleUpLimit' : 'TooManyReplicas');
    }
  } else if (desired < current) {
    const fastest = Math.min(current, rateLimit(behavior.scaleDown, wish, history, nowMs, -1));
    const least = Math.max(minReplicas, fastest);
    if (desired < least) {
      return limited(least, minReplicas < fastest ? 'ScaleDownLimit' : 'TooFewReplicas');
    }
  }
  return limited(desired, 'DesiredWithinRange');
}

/** How far the policies let it go from what it was at the beginning of each of their periods. */
function rateLimit(
  rules: HPAScalingRules | undefined,
  { current }: Wish,
  { ups, downs }: History,
  nowMs: number,
  direction: 1 | -1,
): number {
  const { policies = [], selectPolicy = 'Max' } = rules ?? {};
  if (selectPolicy === 'Disabled') return current;
  const proposals = policies.map(({ type, value, periodSeconds }) => {
    const since = nowMs - periodSeconds * 1000;
    const start = current - sumSince(ups, since) + sumSince(downs, since);
    if (type === 'Pods') return start + direction * value;
    const scaled = start * (1 + (direction * value) / 100);
    // Beware of 1.1 × 10 = 11.000000000000002.
    const exact = Math.round(scaled * 1e6) / 1e6;
    return direction === 1 ? Math.ceil(exact) : Math.trunc(exact);
  });
  if (proposals.length === 0) return current;
  const isFarthest = selectPolicy !== 'Min';
  return (direction === 1) === isFarthest ? Math.max(...proposals) : Math.min(...proposals);
}

function sumSince(changes: readonly Dated[], sinceMs: number): number {
  let sum = 0;
  for (const { atMs, replicas } of changes) if (atMs > sinceMs) sum += replicas;
  return sum;
}

/** After it was scaled: remembered as long as any policy looks back. */
export function withScaling(
  history: History,
  { current, behavior }: Pick<Wish, 'current' | 'behavior'>,
  replicas: number,
  nowMs: number,
): History {
  if (behavior === undefined) return history;
  const isUp = replicas > current;
  const longest = (rules: HPAScalingRules | undefined): number =>
    Math.max(0, ...(rules?.policies ?? []).map(({ periodSeconds }) => periodSeconds)) * 1000;
  const periodMs = Math.max(longest(behavior.scaleUp), longest(behavior.scaleDown));
  const recent = (list: readonly Dated[]) => list.filter(({ atMs }) => atMs >= nowMs - periodMs);
  const change = { atMs: nowMs, replicas: Math.abs(replicas - current) };
  return isUp
    ? { ...history, ups: [...recent(history.ups), change], downs: recent(history.downs) }
    : { ...history, ups: recent(history.ups), downs: [...recent(history.downs), change] };
}
