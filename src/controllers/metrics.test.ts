/** What work queues count: what waits, how long, how long work takes, and what failed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { ControllersMetrics } from './metrics.ts';

const { signal } = new AbortController();

test('a queue is counted from the first key to the last retry', async () => {
  const clock = new VirtualClock();
  const metrics = new ControllersMetrics({ clock });
  const queue = new WorkQueue({ clock });
  metrics.watch('endpointslice-controller', queue);
  const value = (name: string): number => {
    const line = new RegExp(`^workqueue_${name}\\{name="endpoint_slice"\\} (.*)$`, 'm');
    return Number(line.exec(metrics.format())?.[1]);
  };
  assert.deepEqual([value('adds_total'), value('retries_total'), value('depth')], [0, 0, 0]);
  for (const key of ['a', 'b', 'a']) queue.add(key);
  assert.deepEqual([value('adds_total'), value('depth')], [2, 2]);
  await clock.advance(2_000);
  const key = await queue.take({ signal });
  assert.deepEqual([value('depth'), value('queue_duration_seconds_sum')], [1, 2]);
  await clock.advance(3_000);
  assert.equal(value('longest_running_processor_seconds'), 3);
  assert.equal(value('unfinished_work_seconds'), 3);
  queue.add('a');
  assert.deepEqual([value('adds_total'), value('depth')], [3, 2]);
  queue.done(key);
  assert.equal(value('work_duration_seconds_sum'), 3);
  assert.equal(value('longest_running_processor_seconds'), 0);
  queue.retry('b');
  assert.equal(value('retries_total'), 1);
});

test('queues without a name of their own are called after their controller', () => {
  const clock = new VirtualClock();
  const metrics = new ControllersMetrics({ clock });
  metrics.watch('deployment-controller', new WorkQueue({ clock }));
  metrics.watch('attach-detach-controller', new WorkQueue({ clock }));
  metrics.leads('kube-controller-manager', true);
  const text = metrics.format();
  assert.match(text, /^workqueue_adds_total\{name="deployment"\} 0$/m);
  assert.match(text, /^workqueue_adds_total\{name="attach_detach"\} 0$/m);
  assert.match(text, /^leader_election_master_status\{name="kube-controller-manager"\} 1$/m);
});
