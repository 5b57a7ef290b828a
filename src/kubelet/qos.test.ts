/** Classes of service and cgroup figures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, ResourceRequirements } from '#resources/types/core-v1.ts';
import { containerCgroup, oomScoreAdjust, podCgroup, podCgroupPath, qosClassOf } from './qos.ts';

function podOf(...resources: readonly ResourceRequirements[]): Pod {
  const containers = resources.map(
    (each, index): Container => ({ name: `c${index}`, resources: each }),
  );
  return { apiVersion: 'v1', kind: 'Pod', metadata: { uid: 'u1' }, spec: { containers } };
}

const exact = { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1', memory: '1Gi' } };
const some = { requests: { cpu: '100m', memory: '64Mi' } };

test('the class follows from requests and limits', () => {
  assert.equal(qosClassOf(podOf({})), 'BestEffort');
  assert.equal(qosClassOf(podOf(exact)), 'Guaranteed');
  assert.equal(qosClassOf(podOf(exact, some)), 'Burstable');
  assert.equal(qosClassOf(podOf(exact, {})), 'Burstable');
  assert.equal(podCgroupPath('/r', podOf(exact)), '/r/kubepods/podu1');
  assert.equal(podCgroupPath('/r', podOf(some)), '/r/kubepods/burstable/podu1');
});

test('requests become shares, limits quota and bytes', () => {
  assert.deepEqual(
    containerCgroup({ requests: { cpu: '250m' }, limits: { cpu: '1500m', memory: '1Mi' } }),
    {
      cpuShares: 256,
      cpuPeriod: 100_000,
      cpuQuota: 150_000,
      memoryLimitBytes: 1_048_576,
    },
  );
  assert.equal(containerCgroup(undefined).cpuShares, 2);
  assert.equal(containerCgroup({ limits: { cpu: '1m' } }).cpuQuota, 1000);
});

test('a pod is limited only where all its containers are', () => {
  const limited = podCgroup(podOf(exact, exact));
  assert.deepEqual([limited.cpuQuota, limited.memoryLimitBytes], [200_000, 2 * 1024 ** 3]);
  assert.equal(podCgroup(podOf(exact, some)).memoryLimitBytes, undefined);
  assert.equal(podCgroup(podOf(exact, some)).cpuShares, 1126);
});

test('the less a pod asked for, the sooner it is killed for memory', () => {
  const score = (resources: ResourceRequirements) =>
    oomScoreAdjust(podOf(resources), { name: 'c', resources }, 1024 ** 3);
  assert.equal(score(exact), -997);
  assert.equal(score({}), 1000);
  assert.equal(score({ requests: { memory: '512Mi' } }), 500);
  assert.equal(score({ requests: { memory: '2Gi' } }), 3);
});
