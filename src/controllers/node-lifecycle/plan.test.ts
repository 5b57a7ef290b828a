/** Conditions, taints and the pace of giving nodes up, as tables. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Taint } from '#resources/types/core-v1.ts';
import { deadlineMs, pace, planLabels, planTaints, planUnknown, withoutEviction } from './plan.ts';

const nowMs = Date.UTC(2026, 0, 1);
const now = '2026-01-01T00:00:00Z';

function node(conditions: Readonly<Record<string, string>>, spec: object = {}): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1', creationTimestamp: now },
    spec,
    status: {
      conditions: Object.entries(conditions).map(([type, status]) => ({
        type,
        status,
        reason: 'Said',
        lastHeartbeatTime: now,
        lastTransitionTime: now,
      })),
    },
  };
}

test('the grace is 50 seconds, and 60 for a node that never posted', () => {
  assert.equal(deadlineMs(node({ Ready: 'True' }), 1000), 51_000);
  assert.equal(deadlineMs(node({}), 1000), 61_000);
});

test('a silent node: what it said last, made Unknown, and what it never said', () => {
  const conditions = planUnknown(node({ Ready: 'True', NetworkUnavailable: 'False' }), nowMs);
  assert.deepEqual(
    conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`),
    [
      'Ready Unknown NodeStatusUnknown',
      'NetworkUnavailable False Said',
      'MemoryPressure Unknown NodeStatusNeverUpdated',
      'DiskPressure Unknown NodeStatusNeverUpdated',
      'PIDPressure Unknown NodeStatusNeverUpdated',
    ],
  );
  const said = node({
    Ready: 'Unknown',
    MemoryPressure: 'Unknown',
    DiskPressure: 'Unknown',
    PIDPressure: 'Unknown',
  });
  assert.equal(planUnknown(said, nowMs), undefined);
});

test('taints follow conditions; those of others stay', () => {
  const mine: Taint = { key: 'dedicated', value: 'gpu', effect: 'NoSchedule' };
  const plan = (of: Node, mayEvict = true): string[] | undefined =>
    planTaints(of, { mayEvict }, nowMs)?.map(({ key, effect }) => `${key}:${effect}`);
  const prefix = 'node.kubernetes.io';
  assert.equal(plan(node({ Ready: 'True' }, { taints: [mine] })), undefined);
  assert.deepEqual(plan(node({ Ready: 'Unknown' }, { taints: [mine] })), [
    'dedicated:NoSchedule',
    `${prefix}/unreachable:NoSchedule`,
    `${prefix}/unreachable:NoExecute`,
  ]);
  assert.deepEqual(plan(node({ Ready: 'False' }), false), [`${prefix}/not-ready:NoSchedule`]);
  assert.deepEqual(plan(node({ Ready: 'True', DiskPressure: 'True' }, { unschedulable: true })), [
    `${prefix}/disk-pressure:NoSchedule`,
    `${prefix}/unschedulable:NoSchedule`,
  ]);
  const key = `${prefix}/unreachable`;
  const old: Taint[] = [
    { key, effect: 'NoSchedule', timeAdded: '2025-12-31T00:00:00Z' },
    { key, effect: 'NoExecute', timeAdded: '2025-12-31T00:00:00Z' },
  ];
  assert.equal(plan(node({ Ready: 'Unknown' }, { taints: old }), false), undefined, 'it stays');
  assert.deepEqual(plan(node({ Ready: 'True' }, { taints: old })), []);
  assert.deepEqual(plan(node({ Ready: 'False' }, { taints: old })), [
    `${prefix}/not-ready:NoSchedule`,
    `${prefix}/not-ready:NoExecute`,
  ]);
  assert.deepEqual(withoutEviction(old), [old[0]]);
});

test('the pace: one node per ten seconds, slower or not at all where most are away', () => {
  const zone = (nodes: number, unhealthy: number) => ({ nodes, unhealthy });
  const cases = [
    { zones: [zone(10, 1)], pace: 10_000 },
    { zones: [zone(10, 6)], pace: 'stop' },
    { zones: [zone(100, 60)], pace: 100_000 },
    { zones: [zone(100, 50)], pace: 10_000 },
    { zones: [zone(3, 3), zone(3, 0)], pace: 10_000 },
    { zones: [zone(3, 3), zone(3, 3)], pace: 'stop' },
    { zones: [zone(1, 1)], pace: 'stop' },
    { zones: [zone(2, 1)], pace: 10_000 },
  ];
  for (const { zones, pace: expected } of cases) {
    const [first = zone(0, 0)] = zones;
    assert.equal(pace(zones, first), expected, JSON.stringify(zones));
  }
});

test("older labels of system and architecture follow today's", () => {
  const labels = {
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'arm64',
    'beta.kubernetes.io/arch': 'arm64',
  };
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', labels } };
  assert.deepEqual(planLabels(node), { 'beta.kubernetes.io/os': 'linux' });
  const done = { ...labels, 'beta.kubernetes.io/os': 'linux' };
  assert.equal(planLabels({ ...node, metadata: { name: 'n', labels: done } }), undefined);
});
