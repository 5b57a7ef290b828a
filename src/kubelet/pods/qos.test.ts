/** Classes of service and cgroup figures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, ResourceRequirements } from '#resources/types/core-v1.ts';
import { superseded } from '#test/covers.ts';
import {
  containerCgroup,
  oomScoreAdjust,
  podCgroup,
  podCgroupPath,
  podHugepages,
  qosClassOf,
} from './qos.ts';

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
  // What is more: one of the init containers alone, or the containers together.
  const two = podOf({ requests: { cpu: '200m' } }, { requests: { cpu: '200m' } });
  const sharesWith = (cpu: string): number => {
    const initContainers = [{ name: 'init', resources: { requests: { cpu } } }];
    return podCgroup({ ...two, spec: { containers: [], ...two.spec, initContainers } }).cpuShares;
  };
  assert.deepEqual([sharesWith('1'), sharesWith('100m')], [1024, 409]);
});

test('the less a pod asked for, the sooner it is killed for memory', () => {
  const score = (resources: ResourceRequirements) =>
    oomScoreAdjust(podOf(resources), { name: 'c', resources }, 1024 ** 3);
  assert.equal(score(exact), -997);
  assert.equal(score({}), 1000);
  assert.equal(score({ requests: { memory: '512Mi' } }), 500);
  assert.equal(
    score({ requests: { memory: '100Mi' } }),
    903,
    'what is subtracted is a whole number',
  );
  assert.equal(score({ requests: { memory: '2Gi' } }), 3);
  superseded('POD-260', { by: 'v1.22', now: '-997, 1000, and 3 to 999 in between' });
});

test('what the pod asks for as a whole comes first, what its runtime costs on top', () => {
  const whole = (resources: ResourceRequirements, overhead?: Record<string, string>): Pod => {
    const pod = podOf(some);
    return { ...pod, spec: { containers: [], ...pod.spec, resources, overhead } };
  };
  assert.equal(qosClassOf(whole(exact)), 'Guaranteed');
  assert.equal(qosClassOf(whole({ limits: exact.limits, requests: some.requests })), 'Burstable');
  const limited = podCgroup(whole(exact));
  assert.deepEqual(limited, {
    cpuShares: 1024,
    cpuPeriod: 100_000,
    cpuQuota: 100_000,
    memoryLimitBytes: 1024 ** 3,
  });
  const costly = podCgroup(whole(exact, { cpu: '250m', memory: '128Mi' }));
  assert.deepEqual(
    [costly.cpuShares, costly.cpuQuota, costly.memoryLimitBytes],
    [1280, 125_000, 1152 * 1024 ** 2],
  );
  const unlimited = podCgroup(whole({ requests: { cpu: '2' } }, { cpu: '250m', memory: '1Mi' }));
  assert.deepEqual(
    [unlimited.cpuShares, unlimited.cpuQuota, unlimited.memoryLimitBytes],
    [2304, undefined, undefined],
  );
});

test('a pod has the huge pages that its containers have, and of other sizes none', () => {
  const pages = (amount: string): ResourceRequirements => ({ limits: { 'hugepages-2Mi': amount } });
  const sizes = ['hugepages-2Mi', 'hugepages-1Gi'];
  const mebibyte = 1024 ** 2;
  const pod = podOf(pages('4Mi'), pages('6Mi'));
  assert.deepEqual(podHugepages(pod, sizes), { '2MB': 10 * mebibyte, '1GB': 0 });
  const initContainers = [{ name: 'first', resources: pages('16Mi') }];
  const begun: Pod = { ...pod, spec: { containers: [], ...pod.spec, initContainers } };
  assert.deepEqual(podHugepages(begun, sizes), { '2MB': 16 * mebibyte, '1GB': 0 });
  const whole: Pod = { ...pod, spec: { containers: [], ...pod.spec, resources: pages('12Mi') } };
  assert.deepEqual(podHugepages(whole, sizes), { '2MB': 12 * mebibyte, '1GB': 0 });
  assert.deepEqual(podHugepages(podOf({}), []), {});
});

test('over another time the same share is another quota; switched off there is none', () => {
  const limits = { cpu: '250m', memory: '1Mi' };
  const pod = podOf({ limits }, { limits });
  const short = { cpuCFSQuota: true, cpuCFSQuotaPeriodUs: 10_000 };
  const { cpuPeriod, cpuQuota } = containerCgroup({ limits }, short);
  assert.deepEqual([cpuPeriod, cpuQuota], [10_000, 2500]);
  assert.deepEqual(
    [podCgroup(pod, short).cpuPeriod, podCgroup(pod, short).cpuQuota],
    [10_000, 5000],
  );
  // The kernel takes no less than a millisecond.
  assert.equal(containerCgroup({ limits: { cpu: '50m' } }, short).cpuQuota, 1000);
  const off = { ...short, cpuCFSQuota: false };
  assert.equal(containerCgroup({ limits }, off).cpuQuota, undefined);
  assert.equal(podCgroup(pod, off).cpuQuota, undefined);
});
