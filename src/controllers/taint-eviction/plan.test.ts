/** When a pod has to leave, by taints and tolerations; and what the pod collector takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, Taint, Toleration } from '#resources/types/core-v1.ts';
import { limits, planPodGC } from '../pod-gc/plan.ts';
import { planEviction } from './plan.ts';

const nowMs = Date.UTC(2026, 0, 1);
const at = (seconds: number): string => new Date(nowMs + seconds * 1000).toISOString();

function pod(name: string, spec: object = {}, status: object = {}, metadata: object = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'default', name, creationTimestamp: at(0), ...metadata },
    spec: { containers: [], ...spec },
    status,
  };
}

test('when a pod leaves', () => {
  const away: Taint = { key: 'away', effect: 'NoExecute' };
  const hot: Taint = { key: 'hot', value: 'very', effect: 'NoExecute' };
  const soft: Taint = { key: 'soft', effect: 'NoSchedule' };
  const leaves = (tolerations: readonly Toleration[], ...taints: readonly Taint[]) => {
    const ages: Readonly<Record<string, number>> = { away: 100, hot: 10 };
    const dated = taints.map((taint) => ({
      taint,
      sinceMs: nowMs - (ages[taint.key] ?? 0) * 1000,
    }));
    const old = pod('p', { tolerations }, {}, { creationTimestamp: at(-1000) });
    const leaveMs = planEviction(old, dated, nowMs);
    return leaveMs === undefined ? 'never' : (leaveMs - nowMs) / 1000;
  };
  const exists = { operator: 'Exists' };
  assert.equal(leaves([]), 'never');
  assert.equal(leaves([], soft), 'never');
  assert.equal(leaves([], away), 0);
  assert.equal(leaves([exists], away, hot), 'never');
  assert.equal(leaves([{ ...exists, key: 'away' }], away), 'never');
  assert.equal(leaves([{ ...exists, key: 'away', effect: 'NoSchedule' }], away), 0);
  assert.equal(leaves([{ ...exists, key: 'away', tolerationSeconds: 300 }], away), 200);
  assert.equal(leaves([{ ...exists, key: 'away', tolerationSeconds: 0 }], away), 0);
  assert.equal(leaves([{ key: 'hot', value: 'very' }], hot), 'never');
  assert.equal(leaves([{ key: 'hot', value: 'mild' }], hot), 0);
  const both = [
    { ...exists, key: 'away', tolerationSeconds: 300 },
    { ...exists, key: 'hot', tolerationSeconds: 60 },
  ];
  assert.equal(leaves(both, away, hot), 50, 'the earliest counts');
});

test('a pod that comes to a tainted node has its time from then on', () => {
  const away: Taint = { key: 'away', effect: 'NoExecute' };
  const tolerations = [{ key: 'away', operator: 'Exists', tolerationSeconds: 20 }];
  const conditions = [{ type: 'PodScheduled', status: 'True', lastTransitionTime: at(-5) }];
  const placed = pod('p', { tolerations }, { conditions }, { creationTimestamp: at(-60) });
  const dated = [{ taint: away, sinceMs: nowMs - 100_000 }];
  assert.equal(planEviction(placed, dated, nowMs), nowMs + 15_000);
});

test('which pods nobody else will clean up', () => {
  const list = [
    pod('running', { nodeName: 'here' }, { phase: 'Running' }),
    pod('lost', { nodeName: 'gone' }, { phase: 'Running' }),
    pod('stuck', { nodeName: 'broken' }, { phase: 'Running' }, { deletionTimestamp: at(0) }),
    pod('waiting', { nodeName: 'broken' }, { phase: 'Running' }),
    pod('pending', {}, { phase: 'Pending' }),
    pod('ending', {}, { phase: 'Pending' }, { deletionTimestamp: at(0) }),
    pod('done', { nodeName: 'here' }, { phase: 'Succeeded' }),
  ];
  const states: Readonly<Record<string, 'gone' | 'out of service'>> = {
    gone: 'gone',
    broken: 'out of service',
  };
  const collected = planPodGC(list, (nodeName) => states[nodeName] ?? 'there');
  assert.deepEqual(
    collected.map(({ pod: one, why }) => `${one.metadata.name} ${why}`),
    ['lost orphaned', 'stuck out of service', 'ending unscheduled'],
  );
  const many = Array.from({ length: limits.terminatedMax + 2 }, (_, index) =>
    pod(
      `old-${index}`,
      { nodeName: 'here' },
      { phase: 'Failed' },
      { creationTimestamp: at(index) },
    ),
  );
  const surplus = planPodGC(many.toReversed(), () => 'there');
  assert.deepEqual(
    surplus.map(({ pod: one }) => one.metadata.name),
    ['old-0', 'old-1'],
  );
});
