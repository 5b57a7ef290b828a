/** Watches end when their time is over, in whatever order; those that ended before are let go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openTestServer } from '#test/fixtures.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';

test('each watch ends at its own time, in whole seconds', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  await clock.advance(300);
  const ended: number[] = [];
  const open = async (seconds: number): Promise<{ stop(): void }> => {
    const watch = await server.watch(`${configMaps}?watch=1&timeoutSeconds=${seconds}`);
    const note = async (): Promise<void> => {
      if ((await watch.next()) === undefined) ended.push(seconds);
    };
    // A watch that is stopped ends with its reader's reason.
    note().catch(() => {});
    return watch;
  };
  for (const seconds of [20, 5, 7, 5]) await open(seconds);
  const stopped = await open(3);
  stopped.stop();
  await clock.advance(5_000);
  assert.deepEqual(ended, []);
  await clock.advance(1_000);
  assert.deepEqual(ended, [5, 5]);
  await open(1);
  await clock.advance(2_000);
  assert.deepEqual(ended, [5, 5, 7, 1]);
  await clock.advance(60_000);
  assert.deepEqual(ended, [5, 5, 7, 1, 20]);
});
