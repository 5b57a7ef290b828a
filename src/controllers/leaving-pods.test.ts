/** When a pod has to leave, and that it may stay after all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { LeavingPods } from './leaving-pods.ts';

function podOf(uid: string): Pod {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'default', name: 'web', uid } };
}

test('an hour that is to come is waited for, and then it is due', async () => {
  const clock = new VirtualClock();
  const queue = new WorkQueue({ clock });
  const leaving = new LeavingPods({ clock, queue });
  const pod = podOf('1');
  const leavesMs = clock.now() + 5_000;
  assert.deepEqual(leaving.next(pod, leavesMs), { do: 'wait' });
  assert.ok(leaving.has(pod));
  await clock.advance(5_000);
  assert.equal(await queue.take({ signal: new AbortController().signal }), 'default/web');
  assert.deepEqual(leaving.next(pod, leavesMs), { do: 'evict', dueMs: leavesMs });
  assert.ok(!leaving.has(pod));
});

test('who may stay after all is spared once; another pod of the name never was to leave', () => {
  const clock = new VirtualClock();
  const leaving = new LeavingPods({ clock, queue: new WorkQueue({ clock }) });
  leaving.next(podOf('1'), clock.now() + 5_000);
  assert.deepEqual(leaving.next(podOf('2'), undefined), { do: 'wait' });
  assert.deepEqual(leaving.next(podOf('1'), undefined), { do: 'spare' });
  assert.deepEqual(leaving.next(podOf('1'), undefined), { do: 'wait' });
  leaving.next(podOf('1'), clock.now() + 5_000);
  leaving.forget(podOf('1'));
  assert.deepEqual(leaving.next(podOf('1'), undefined), { do: 'wait' });
});
