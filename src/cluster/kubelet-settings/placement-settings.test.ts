/**
 * Settings about processors, memory and shutdown: read from flags and files, refused with reasons.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseReservedMemory } from './kubelet-flag-values.ts';
import { kubeletFlags } from './kubelet-flags.ts';
import { readKubeletConfig } from './kubelet-settings.ts';
import { type PlacementFields, placementSettings } from './placement-settings.ts';

test('flags and fields become settings', () => {
  const { settings, unused } = readKubeletConfig(
    kubeletFlags({
      cpuManagerPolicy: 'static',
      cpuManagerPolicyOptions: 'full-pcpus-only=true',
      cpuManagerReconcilePeriod: '5s',
      reservedCpus: '0,2-3',
      kubeReserved: 'cpu=100m,memory=1Gi',
      memoryManagerPolicy: 'Static',
      reservedMemory: '0:memory=1Gi,hugepages-1Gi=2Gi;1:memory=100Mi',
      topologyManagerPolicy: 'restricted',
      topologyManagerScope: 'pod',
      topologyManagerPolicyOptions: 'prefer-closest-numa-nodes=true',
    }),
  );
  assert.deepEqual(unused, []);
  assert.equal(settings.cpuManagerPolicy, 'static');
  assert.deepEqual(settings.cpuManagerPolicyOptions, { 'full-pcpus-only': 'true' });
  assert.equal(settings.cpuManagerReconcilePeriodMs, 5000);
  assert.equal(settings.reservedSystemCPUs, '0,2-3');
  assert.deepEqual(settings.systemReserved, { cpu: '3' }, 'those named count');
  assert.deepEqual(settings.kubeReserved, { memory: '1Gi' });
  assert.equal(settings.memoryManagerPolicy, 'Static');
  assert.deepEqual(settings.reservedMemory, [
    { numaNode: 0, limits: { memory: '1Gi', 'hugepages-1Gi': '2Gi' } },
    { numaNode: 1, limits: { memory: '100Mi' } },
  ]);
  assert.deepEqual(
    [settings.topologyManagerPolicy, settings.topologyManagerScope],
    ['restricted', 'pod'],
  );
});

function problemOf(fields: PlacementFields): string {
  try {
    placementSettings(fields);
    return 'none';
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
}

test('what cannot be is refused in upstream’s words', () => {
  const start = 'invalid configuration: ';
  assert.equal(problemOf({ cpuManagerPolicy: 'Static' }), 'unknown policy: "Static"');
  assert.equal(
    problemOf({ topologyManagerPolicy: 'x' }),
    `${start}topologyManagerPolicy (--topology-manager-policy) "x" must be one of: ` +
      '["none" "best-effort" "restricted" "single-numa-node"]',
  );
  assert.equal(
    problemOf({ topologyManagerScope: 'x' }),
    `${start}topologyManagerScope (--topology-manager-scope) "x" must be one of: ` +
      '"container", or "pod"',
  );
  assert.match(problemOf({ reservedSystemCPUs: '0-x' }), /unable to parse reservedSystemCPUs/);
  const memory = (name: string, amount: string, times = 1) =>
    problemOf({
      reservedMemory: Array.from({ length: times }, () => {
        return { numaNode: 1, limits: { [name]: amount } };
      }),
    });
  assert.equal(
    memory('cpu', '1'),
    `${start}the limit type "cpu" for NUMA node 1 is not supported, ` +
      'only [memory hugepages-<HugePageSize>] is accepted',
  );
  assert.equal(
    memory('memory', '0'),
    `${start}reserved memory may not be zero for NUMA node 1 and resource "memory"`,
  );
  assert.equal(
    memory('memory', '1', 2),
    `${start}the reserved memory has a duplicate value for NUMA node 1 and resource "memory"`,
  );
  assert.throws(() => parseReservedMemory('0'), /incorrect format, expected numaNodeID/);
  assert.throws(() => parseReservedMemory('x:memory=1'), /expected integer, got x/);
  assert.throws(() => parseReservedMemory('0:cpu=1'), /unknown type: "cpu"/);
  assert.throws(() => parseReservedMemory('0:memory=x'), /failed to parse the quantity: x/);
  assert.throws(() => parseReservedMemory('0:memory'), /expected type=quantity, got memory/);
});

test('how long a shutdown is held up', () => {
  const settings = placementSettings({
    shutdownGracePeriod: '30s',
    shutdownGracePeriodCriticalPods: '10s',
  });
  assert.deepEqual(
    [settings.shutdownGracePeriodMs, settings.shutdownGracePeriodCriticalPodsMs],
    [30_000, 10_000],
  );
  const start = 'invalid configuration: ';
  assert.equal(
    problemOf({ shutdownGracePeriod: '10s', shutdownGracePeriodCriticalPods: '30s' }),
    `${start}shutdownGracePeriodCriticalPods 30s must be <= shutdownGracePeriod 10s`,
  );
  assert.equal(
    problemOf({ shutdownGracePeriod: '500ms' }),
    `${start}shutdownGracePeriod 500ms must be either zero or otherwise >= 1 sec`,
  );
  assert.equal(
    problemOf({
      shutdownGracePeriod: '10s',
      shutdownGracePeriodByPodPriority: [{ priority: 1, shutdownGracePeriodSeconds: 5 }],
    }),
    `${start}Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod ` +
      'at the same time',
  );
});
