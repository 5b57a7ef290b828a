/** Who ends when, and how long each has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#resources/types/core-v1.ts';
import { defaultSettings } from '../settings.ts';
import { gracePeriods, planShutdown, totalMs } from './plan-shutdown.ts';

function podOf(name: string, priority?: number, terminationGracePeriodSeconds = 30): Pod {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
    spec: {
      containers: [],
      terminationGracePeriodSeconds,
      ...(priority === undefined ? {} : { priority }),
    },
  };
}

const shown = (periods: ReturnType<typeof gracePeriods>, pods: readonly Pod[]) =>
  planShutdown(periods, pods).map(({ seconds, pods: group }) => [
    seconds,
    group.map(({ pod, graceSeconds }) => `${pod.metadata.name} ${graceSeconds}`).join(),
  ]);

test('plain settings: critical pods last, with their part of the time', () => {
  const periods = gracePeriods({
    ...defaultSettings,
    shutdownGracePeriodMs: 30_000,
    shutdownGracePeriodCriticalPodsMs: 10_000,
  });
  assert.equal(totalMs(periods), 30_000);
  const pods = [podOf('dns', 2_000_000_000), podOf('web'), podOf('quick', 5, 1), podOf('low', -9)];
  assert.deepEqual(shown(periods, pods), [
    [20, 'web 20,quick 1,low 20'],
    [10, 'dns 10'],
  ]);
  assert.deepEqual(gracePeriods(defaultSettings), []);
});

test('by priority: from each value up to the next', () => {
  const periods = gracePeriods({
    ...defaultSettings,
    shutdownGracePeriodByPodPriority: [
      { priority: 100, shutdownGracePeriodSeconds: 10 },
      { priority: 0, shutdownGracePeriodSeconds: 60 },
      { priority: 1000, shutdownGracePeriodSeconds: 120 },
    ],
  });
  const pods = [podOf('a', 99), podOf('b', 100), podOf('c', 5000), podOf('d', -1)];
  assert.deepEqual(shown(periods, pods), [
    [60, 'a 30,d 30'],
    [10, 'b 10'],
    [120, 'c 30'],
  ]);
  assert.equal(totalMs(periods), 190_000);
});
