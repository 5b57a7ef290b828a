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
