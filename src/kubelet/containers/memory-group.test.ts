/** What a cgroup of version 2 is told besides limits: ending as a whole, and swap. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, ResourceRequirements } from '#resources/types/core-v1.ts';
import { defaultSettings } from '../settings.ts';
import { memoryGroup } from './memory-group.ts';

const gib = 1024 ** 3;
const facts = { version: 2, countsSwap: true, memoryBytes: 4 * gib, swapBytes: 2 * gib } as const;
const limited = { ...defaultSettings, swapBehavior: 'LimitedSwap' } as const;

function container(resources?: ResourceRequirements): Container {
  return { name: 'c', image: 'i', resources };
}

function podOf(each: Container, more: Partial<Pod['spec']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [each], ...more },
  };
}

test('a container ends as a whole when memory runs out, and may not use swap', () => {
  const one = container();
  const group = memoryGroup(podOf(one), one, { facts, settings: defaultSettings });
  assert.deepEqual(group, { 'memory.oom.group': '1', 'memory.swap.max': '0' });
});

test('singleProcessOOMKill leaves the choice to the kernel', () => {
  const one = container();
  const choose = (singleProcessOOMKill: boolean | undefined) =>
    Object.keys(
      memoryGroup(podOf(one), one, { facts, settings: { ...limited, singleProcessOOMKill } }),
    );
  assert.deepEqual(choose(true), ['memory.swap.max']);
  assert.deepEqual(choose(false), ['memory.oom.group', 'memory.swap.max']);
});

test('version 1 has no such files, and a kernel that does not count swap no limit of it', () => {
  const one = container();
  const old = { ...facts, version: 1 } as const;
  assert.deepEqual(memoryGroup(podOf(one), one, { facts: old, settings: limited }), {});
  const without = { ...facts, countsSwap: false };
  assert.deepEqual(memoryGroup(podOf(one), one, { facts: without, settings: limited }), {
    'memory.oom.group': '1',
  });
});

test('LimitedSwap gives burstable containers the share that they ask for of the memory', () => {
  const swapOf = (resources: ResourceRequirements, more: Partial<Pod['spec']> = {}) => {
    const one = container(resources);
    const group = memoryGroup(podOf(one, more), one, { facts, settings: limited });
    return Number(group['memory.swap.max']);
  };
  assert.equal(swapOf({ requests: { memory: '1Gi' } }), gib / 2);
  assert.equal(swapOf({ requests: { memory: '1Gi' }, limits: { memory: '2Gi' } }), gib / 2);
  assert.equal(swapOf({ requests: { cpu: '1' } }), 0, 'asks for no memory');
  assert.equal(swapOf({ limits: { memory: '1Gi' } }), 0, 'may use no more than it asks for');
  const all = { cpu: '1', memory: '1Gi' };
  assert.equal(swapOf({ requests: all, limits: all }), 0, 'guaranteed');
  assert.equal(swapOf({ requests: { memory: '1Gi' } }, { priority: 2_000_000_000 }), 0, 'critical');
});
