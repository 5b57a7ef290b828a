/** Names of slices, and limits as systemd takes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partOfSlice, planLimits, planSlice, roundedQuota, slicePath, slicesOf } from './slices.ts';

test('a path becomes slices within slices, as upstream names them', () => {
  assert.equal(
    slicePath('/kubepods/burstable/pod1234-abcd'),
    '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1234_abcd.slice',
  );
  assert.equal(slicePath('/my-root/kubepods'), '/my_root.slice/my_root-kubepods.slice');
  assert.equal(slicePath(''), '/');
  assert.deepEqual(slicesOf('/kubepods/podA'), ['kubepods.slice', 'kubepods-podA.slice']);
});

test('a slice that somebody names is that slice', () => {
  assert.equal(slicePath('/system.slice'), '/system.slice');
  assert.equal(slicePath('/a.slice/a-b.slice'), '/a.slice/a-b.slice');
  assert.equal(slicePath('a-b.slice'), '/a.slice/a-b.slice');
});

test('the last part of a slice is what its pod is called', () => {
  assert.equal(partOfSlice('kubepods-burstable-pod1234_abcd.slice'), 'pod1234-abcd');
  assert.equal(partOfSlice('cri-containerd-x.scope'), undefined);
});

test('what is in a slice is counted, disks under the name of the version', () => {
  const counted = (version: 1 | 2) =>
    planSlice('kubepods.slice', '-.slice', version)
      .map(([name]) => name)
      .filter((name) => name.endsWith('Accounting'));
  const others = ['MemoryAccounting', 'CPUAccounting', 'TasksAccounting'];
  assert.deepEqual(new Set(counted(1)), new Set([...others, 'BlockIOAccounting']));
  assert.deepEqual(new Set(counted(2)), new Set([...others, 'IOAccounting']));
});

test('limits are properties of the version that the kernel has', () => {
  const limits = { cpuShares: 1024, memoryLimitBytes: 1000, pidsMax: 5 };
  assert.deepEqual(planLimits(limits, 1), [
    ['CPUShares', 't', 1024n],
    ['MemoryLimit', 't', 1000n],
    ['TasksMax', 't', 5n],
  ]);
  assert.deepEqual(planLimits(limits, 2), [
    ['CPUWeight', 't', 39n],
    ['MemoryMax', 't', 1000n],
    ['TasksMax', 't', 5n],
  ]);
  assert.deepEqual(planLimits({}, 2), []);
  assert.deepEqual(planLimits({ pidsMax: 0 }, 2), [['TasksMax', 't', 1n]]);
});

test('a quota is a share of a second, in whole percents; none is no limit', () => {
  const period = ['CPUQuotaPeriodUSec', 't', 100_000n] as const;
  const perSecond = (cpuQuota?: number) => planLimits({ cpuPeriod: 100_000, cpuQuota }, 1);
  assert.deepEqual(perSecond(20_000), [period, ['CPUQuotaPerSecUSec', 't', 200_000n]]);
  assert.deepEqual(perSecond(12_345), [period, ['CPUQuotaPerSecUSec', 't', 130_000n]]);
  assert.deepEqual(perSecond(), [period, ['CPUQuotaPerSecUSec', 't', 2n ** 64n - 1n]]);
  assert.deepEqual(perSecond(-1), perSecond());
  assert.equal(roundedQuota({ cpuPeriod: 100_000, cpuQuota: 12_345 }), 13_000);
  assert.equal(roundedQuota({ cpuPeriod: 100_000, cpuQuota: -1 }), -1);
});
