/** What is counted of pods and containers, and that an end counts once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerStatus, Pod } from '#resources/types/core-v1.ts';
import { formatMetrics } from '../server/exposition.ts';
import { PodCounts } from './pod-counts.ts';

function podOf(spec: Partial<Pod['spec']>): Pod {
  const kind = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } };
  return { ...kind, spec: { containers: [{ name: 'web' }], ...spec } };
}

function statusOf(name: string, exitCode?: number): ContainerStatus {
  const terminated = { exitCode: exitCode ?? 0, reason: exitCode === 0 ? 'Completed' : 'Error' };
  return {
    ...{ name, image: '', imageID: '', ready: false, restartCount: 0 },
    state: exitCode === undefined ? { running: {} } : { terminated },
  };
}

function linesOf(counts: PodCounts): readonly string[] {
  const lines = formatMetrics(counts.metrics()).split('\n');
  return lines.filter((line) => line.startsWith('kubelet_'));
}

test('pods and containers are counted as they begin, or fail to', () => {
  const counts = new PodCounts();
  assert.deepEqual(linesOf(counts), [
    'kubelet_started_pods_total 0',
    'kubelet_started_pods_errors_total 0',
    'kubelet_started_user_namespaced_pods_total 0',
    'kubelet_started_user_namespaced_pods_errors_total 0',
  ]);
  const plain = podOf({ initContainers: [{ name: 'first' }] });
  const own = podOf({ hostUsers: false });
  counts.podStarts(plain);
  counts.podStarts(own);
  counts.podFailed(plain);
  counts.containerStarts(plain, 'first');
  counts.containerStarts(plain, 'web');
  counts.containerFailed(own, 'web', 'CreateContainerError');
  assert.deepEqual(linesOf(counts), [
    'kubelet_started_pods_total 2',
    'kubelet_started_pods_errors_total 1',
    'kubelet_started_user_namespaced_pods_total 1',
    'kubelet_started_user_namespaced_pods_errors_total 1',
    'kubelet_started_containers_total{container_type="init_container"} 1',
    'kubelet_started_containers_total{container_type="container"} 1',
    'kubelet_started_containers_errors_total{container_type="container",code="CreateContainerError"} 1',
  ]);
});

test('an end counts once, and again after a restart', () => {
  const counts = new PodCounts();
  const running = { containerStatuses: [statusOf('web')] };
  const ended = { containerStatuses: [statusOf('web', 139)] };
  counts.statusChanged({}, running);
  counts.statusChanged(running, ended);
  counts.statusChanged(ended, ended);
  counts.statusChanged(ended, running);
  counts.statusChanged(running, ended);
  counts.statusChanged({}, { initContainerStatuses: [statusOf('first', 0)] });
  assert.deepEqual(linesOf(counts).slice(4), [
    'kubelet_terminated_containers_total{container_type="container",exit_code="139",reason="Error"} 2',
    'kubelet_terminated_containers_total{container_type="init_container",exit_code="0",reason="Completed"} 1',
  ]);
});

test('changes of resources are counted by what they change, and by how long they take', () => {
  const counts = new PodCounts();
  const before = linesOf(counts).length;
  const of = (requests: Record<string, string>, limits: Record<string, string>) =>
    podOf({ containers: [{ name: 'web', resources: { requests, limits } }] });
  const first = of({ cpu: '1', memory: '1Gi' }, { memory: '2Gi' });
  counts.resizes.asked(first, of({ cpu: '1000m', memory: '512Mi' }, { cpu: '2', memory: '3Gi' }));
  counts.resizes.asked(first, of({ memory: '1Gi' }, { memory: '2Gi' }));
  counts.resizes.never('swap_limitation');
  counts.resizes.took(40, true);
  counts.resizes.took(700_000, false);
  const asked = 'kubelet_container_requested_resizes_total';
  const told = linesOf(counts).slice(before);
  assert.deepEqual(told.slice(0, 5), [
    `${asked}{resource="memory",requirement="requests",operation="decrease"} 1`,
    `${asked}{resource="memory",requirement="limits",operation="increase"} 1`,
    `${asked}{resource="cpu",requirement="limits",operation="add"} 1`,
    `${asked}{resource="cpu",requirement="requests",operation="remove"} 1`,
    'kubelet_pod_infeasible_resizes_total{reason_detail="swap_limitation"} 1',
  ]);
  const took = 'kubelet_pod_resize_duration_milliseconds';
  for (const line of [
    `${took}_bucket{success="true",le="10"} 0`,
    `${took}_bucket{success="true",le="50"} 1`,
    `${took}_sum{success="true"} 40`,
    `${took}_bucket{success="false",le="600000"} 0`,
    `${took}_count{success="false"} 1`,
  ]) {
    assert.ok(told.includes(line), line);
  }
});
