/** Limits of cgroups that belong to no single pod. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#resources/types/core-v1.ts';
import { defaultSettings, type KubeletSettings } from '../settings.ts';
import type { CgroupLimits } from './cgroups.ts';
import {
  NodeCgroups,
  type NodeCgroupsDeps,
  planEnforcement,
  planShares,
} from './enforce-allocatable.ts';

const capacity = {
  ...{ cpu: '4', memory: '8Gi', 'ephemeral-storage': '100Gi', pods: '110', pid: '32768' },
  ...{ 'hugepages-2Mi': '128Mi', 'hugepages-1Gi': '0' },
};
const [mebibyte, gibibyte] = [1024 ** 2, 1024 ** 3];

function plan(given: Partial<KubeletSettings>) {
  const settings = { ...defaultSettings, ...given };
  return planEnforcement({ capacity, podsCgroup: '/kubepods' }, settings).map(
    ({ cgroup, limits, mustExist }) => ({ cgroup, ...limits, mustExist }),
  );
}

const reserved = {
  systemReserved: { cpu: '500m', memory: '1Gi' },
  kubeReserved: { cpu: '250m', memory: '512Mi', pid: '1000', 'hugepages-2Mi': '32Mi' },
  systemReservedCgroup: '/system',
  kubeReservedCgroup: '/kube',
};

test('pods in all may have what is not reserved, thresholds of eviction included', () => {
  const all = {
    ...{ cgroup: '/kubepods', mustExist: false },
    ...{ cpuShares: 4096, memoryLimitBytes: 8 * gibibyte, pidsMax: 32_768 },
    hugepages: { '2MB': 128 * mebibyte, '1GB': 0 },
  };
  assert.deepEqual(plan({}), [all]);
  assert.deepEqual(plan(reserved), [
    {
      ...all,
      ...{ cpuShares: 3328, memoryLimitBytes: 6.5 * gibibyte, pidsMax: 31_768 },
      hugepages: { '2MB': 96 * mebibyte, '1GB': 0 },
    },
  ]);
  assert.deepEqual(plan({ ...reserved, enforceNodeAllocatable: [] }), [all]);
});

test('cgroups of system and kubelet are limited where that is wished', () => {
  const both = ['pods', 'system-reserved', 'kube-reserved'];
  assert.deepEqual(plan({ ...reserved, enforceNodeAllocatable: both }).slice(1), [
    {
      ...{ cgroup: '/system', mustExist: true },
      ...{ cpuShares: 512, memoryLimitBytes: gibibyte, pidsMax: undefined },
      hugepages: { '2MB': 0, '1GB': 0 },
    },
    {
      ...{ cgroup: '/kube', mustExist: true },
      ...{ cpuShares: 256, memoryLimitBytes: gibibyte / 2, pidsMax: 1000 },
      hugepages: { '2MB': 32 * mebibyte, '1GB': 0 },
    },
  ]);
  const soft = ['kube-reserved-compressible'];
  assert.deepEqual(plan({ ...reserved, enforceNodeAllocatable: soft }).slice(1), [
    { cgroup: '/kube', cpuShares: 256, mustExist: true },
  ]);
});

test('pods may have as many processes as the kernel has room for, less what is reserved', async () => {
  const kernel: Readonly<Record<string, string>> = {
    '/proc/sys/kernel/pid_max': '4194304\n',
    '/proc/sys/kernel/threads-max': '47174\n',
  };
  const written: CgroupLimits[] = [];
  const limit = async (_: string, limits: CgroupLimits): Promise<void> => {
    written.push(limits);
  };
  const machine = { cgroups: { limit }, readFile: (path: string) => kernel[path] ?? '' };
  const recorder = { record: () => {} };
  // Nothing else is asked of them.
  const deps = { machine, recorder, node: () => ({}) } as unknown as NodeCgroupsDeps;
  const settings = { ...defaultSettings, systemReserved: { pid: '174' } };
  const cgroups = new NodeCgroups(deps, { cgroupRoot: '' });
  await cgroups.enforcePods({ cpu: '4', memory: '8Gi' }, settings, new AbortController().signal);
  assert.deepEqual(
    written.map(({ pidsMax }) => pidsMax),
    [47_000],
  );
});

const pod = (cpu?: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', uid: 'p' },
  spec: {
    containers: [{ name: 'c', resources: cpu === undefined ? {} : { requests: { cpu } } }],
  },
});

test('classes share the processors by what their pods ask for', () => {
  assert.deepEqual(planShares([]), { burstable: 2, besteffort: 2 });
  assert.deepEqual(planShares([pod('500m'), pod('1'), pod()]), { burstable: 1536, besteffort: 2 });
  const most = { burstable: 262_144, besteffort: 2 };
  assert.deepEqual(planShares([pod('200'), pod('200')]), most);
});

test('shares are written one after the other, and what has been overtaken is not', async () => {
  const written: string[] = [];
  const limit = async (path: string, { cpuShares }: CgroupLimits): Promise<void> => {
    // The first is long on its way.
    for (let turn = written.length === 0 ? 9 : 0; turn > 0; turn--) await Promise.resolve();
    written.push(`${path} ${cpuShares}`);
  };
  // Nothing else is asked of them.
  const deps = { machine: { cgroups: { limit } } } as unknown as NodeCgroupsDeps;
  const cgroups = new NodeCgroups(deps, { cgroupRoot: '' });
  const first = cgroups.share([pod('1')]);
  await Promise.resolve();
  const others = ['2', '3', '3'].map((cpu) => cgroups.share([pod(cpu)]));
  await Promise.all([first, ...others]);
  assert.deepEqual(written, [
    '/kubepods/burstable 1024',
    '/kubepods/besteffort 2',
    '/kubepods/burstable 3072',
    '/kubepods/besteffort 2',
  ]);
});
