/** What figures ask for, and how much of it is done now. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HorizontalPodAutoscalerBehavior } from '#resources/types/autoscaling-v2.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { PodMetric } from './metrics-source.ts';
import { type History, noHistory, normalize, withScaling } from './normalize.ts';
import {
  proposeByAverage,
  proposeByShare,
  proposeByUtilization,
  proposeByValue,
  requestsOf,
} from './replicas.ts';
import { limits } from './settings.ts';

const nowMs = Date.UTC(2026, 0, 1, 12);
const at = (secondsAgo: number): string => new Date(nowMs - secondsAgo * 1000).toISOString();
const tolerances = { up: 0.1, down: 0.1 };
const starting = limits;

interface PodGiven {
  readonly cpu?: string | undefined;
  readonly phase?: string;
  readonly ready?: string;
  readonly startedAgo?: number;
  readonly changedAgo?: number;
  readonly ending?: boolean;
}

function pod(name: string, given: PodGiven = {}): Pod {
  const { startedAgo = 3600, changedAgo = 3590, cpu = '200m' } = given;
  const requests = 'cpu' in given && given.cpu === undefined ? {} : { cpu };
  const condition = {
    type: 'Ready',
    status: given.ready ?? 'True',
    lastTransitionTime: at(changedAgo),
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...(given.ending === true ? { deletionTimestamp: at(0) } : {}) },
    spec: { containers: [{ name: 'c', image: 'i', resources: { requests } }] },
    status: { phase: given.phase ?? 'Running', startTime: at(startedAgo), conditions: [condition] },
  };
}

const metrics = (milli: Readonly<Record<string, number>>): Map<string, PodMetric> =>
  new Map(
    Object.entries(milli).map(([name, value]) => [
      name,
      { milli: value, atMs: nowMs - 10_000, windowMs: 60_000 },
    ]),
  );

function byCPU(pods: readonly Pod[], used: Readonly<Record<string, number>>, percent: number) {
  const currentReplicas = pods.length;
  const always = { tolerances, starting, isCPU: true, nowMs };
  const facts = { ...always, pods, metrics: metrics(used), currentReplicas };
  return proposeByUtilization(facts, requestsOf(pods, 'cpu', undefined), percent);
}

test('the worked example: 305 percent of one pod where 50 are wanted makes 7', () => {
  assert.deepEqual(byCPU([pod('a')], { a: 610 }, 50), {
    replicas: 7,
    utilization: 305,
    averageMilli: 610,
  });
  assert.equal(byCPU([pod('a'), pod('b')], { a: 105, b: 105 }, 50).replicas, 2, 'tolerated');
  assert.equal(byCPU([pod('a'), pod('b')], { a: 40, b: 40 }, 50).replicas, 1);
});

test('a pod without a figure is idle on the way up and busy on the way down', () => {
  const three = [pod('a'), pod('b'), pod('c')];
  assert.equal(byCPU(three, { a: 300, b: 300 }, 50).replicas, 6);
  assert.equal(byCPU(three, { a: 20, b: 20 }, 50).replicas, 3, 'it would turn round');
  assert.throws(() => byCPU(three, {}, 50), /did not receive metrics for targeted pods/);
});

test('pods that start, end or have failed do not count', () => {
  const starting = pod('s', { startedAgo: 60, changedAgo: 50, ready: 'False' });
  assert.equal(byCPU([pod('a'), starting], { a: 300, s: 900 }, 50).replicas, 3);
  // Ready, but measured from before it was.
  const fresh = pod('f', { startedAgo: 60, changedAgo: 30 });
  assert.equal(byCPU([pod('a'), fresh], { a: 40, f: 900 }, 50).replicas, 1);
  const never = pod('n', { startedAgo: 600, changedAgo: 580, ready: 'False' });
  assert.equal(byCPU([pod('a'), never], { a: 40, n: 900 }, 50).replicas, 1);
  const others = [pod('e', { ending: true }), pod('x', { phase: 'Failed' })];
  assert.equal(byCPU([pod('a'), ...others], { a: 210, e: 900, x: 900 }, 50).replicas, 3);
  assert.equal(byCPU([pod('a'), pod('p', { phase: 'Pending' })], { a: 300 }, 50).replicas, 3);
});

test('what a container does not ask for cannot be weighed', () => {
  const silent = pod('a', { cpu: undefined });
  assert.throws(
    () => requestsOf([silent], 'cpu', undefined),
    /missing request for cpu in container c of Pod a/,
  );
  assert.throws(() => requestsOf([pod('b')], 'memory', 'c'), /missing request for memory/);
});

test('averages, one figure for all, and one figure shared', () => {
  const pods = [pod('a'), pod('b')];
  const facts = { pods, currentReplicas: 2, tolerances, starting, isCPU: false, nowMs };
  const used = metrics({ a: 3_000_000, b: 1_000_000 });
  const average = proposeByAverage({ ...facts, metrics: used }, 1_000_000);
  assert.deepEqual(average, { replicas: 4, averageMilli: 2_000_000 });
  assert.equal(proposeByValue(facts, 5000, 2000), 5);
  assert.equal(proposeByValue(facts, 2100, 2000), 2);
  assert.equal(proposeByValue({ ...facts, currentReplicas: 0 }, 5000, 2000), 3);
  assert.deepEqual(proposeByShare({ statusReplicas: 2, tolerances }, 9000, 2000), {
    replicas: 5,
    averageMilli: 4500,
  });
});

const wish = (current: number, desired: number, behavior?: HorizontalPodAutoscalerBehavior) => ({
  current,
  desired,
  minReplicas: 1,
  maxReplicas: 100,
  behavior,
  downStabilizationMs: limits.downStabilizationMs,
});

const reasonsOf = ({ conditions }: ReturnType<typeof normalize>): readonly string[] =>
  conditions.map(({ reason, status }) => `${reason} ${status}`);

test('without behavior: at most double, and down by the highest of five minutes', () => {
  const up = normalize(wish(10, 50), noHistory, nowMs);
  assert.equal(up.replicas, 20);
  assert.deepEqual(reasonsOf(up), ['ReadyForNewScale True', 'ScaleUpLimit True']);
  assert.equal(normalize(wish(1, 50), noHistory, nowMs).replicas, 4);
  assert.equal(normalize({ ...wish(10, 20), maxReplicas: 12 }, noHistory, nowMs).replicas, 12);
  const few = normalize({ ...wish(5, 1), minReplicas: 3 }, noHistory, nowMs);
  assert.deepEqual([few.replicas, reasonsOf(few)[1]], [3, 'TooFewReplicas True']);
  const history = { ...noHistory, recommendations: [{ atMs: nowMs - 60_000, replicas: 8 }] };
  const down = normalize(wish(10, 2), history, nowMs);
  assert.deepEqual([down.replicas, reasonsOf(down)[0]], [8, 'ScaleDownStabilized True']);
  const later = normalize(wish(8, 2), down.history, nowMs + 300_000);
  assert.equal(later.replicas, 2);
  assert.ok(later.history.recommendations.length <= 2, 'what is old is forgotten');
});

test('behavior: policies limit by what it was when their period began', () => {
  const scaleDown = {
    stabilizationWindowSeconds: 0,
    policies: [
      { type: 'Pods', value: 4, periodSeconds: 60 },
      { type: 'Percent', value: 10, periodSeconds: 60 },
    ],
  };
  const behavior = { scaleDown, scaleUp: { stabilizationWindowSeconds: 0 } };
  let history: History = noHistory;
  let current = 80;
  const steps: number[] = [];
  for (const ms of [0, 30_000, 61_000]) {
    const next = normalize(wish(current, 10, behavior), history, nowMs + ms);
    history = withScaling(next.history, { current, behavior }, next.replicas, nowMs + ms);
    current = next.replicas;
    steps.push(current);
  }
  assert.deepEqual(steps, [72, 72, 64], '10 percent of 80, and again a minute later');
  const min = { ...behavior, scaleDown: { ...scaleDown, selectPolicy: 'Min' } };
  assert.equal(normalize(wish(80, 10, min), noHistory, nowMs).replicas, 76);
  const off = { ...behavior, scaleDown: { ...scaleDown, selectPolicy: 'Disabled' } };
  const never = normalize(wish(80, 10, off), noHistory, nowMs);
  assert.deepEqual([never.replicas, reasonsOf(never)[1]], [80, 'ScaleDownLimit True']);
});

test('behavior: a window for going up takes the lowest recommendation in it', () => {
  const policies = [{ type: 'Percent', value: 100, periodSeconds: 15 }];
  const scaleUp = { stabilizationWindowSeconds: 60, policies };
  const behavior = { scaleUp, scaleDown: { policies } };
  const recommendations = [{ atMs: nowMs - 30_000, replicas: 3 }];
  const next = normalize(wish(2, 8, behavior), { ...noHistory, recommendations }, nowMs);
  assert.equal(next.replicas, 3);
  assert.equal(reasonsOf(next)[0], 'ScaleUpStabilized True');
});
