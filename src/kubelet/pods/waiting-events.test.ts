/** A wait is told once, when it begins. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#resources/types/core-v1.ts';
import { WaitingEvents } from './waiting-events.ts';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'default', name: 'web', uid: 'u' },
};

function told(...rounds: readonly (readonly [reason: string, message: string])[]) {
  const said: string[] = [];
  const recorder = {
    record: (_: Pod, event: { type: string; reason: string; message: string }) =>
      void said.push(`${event.type} ${event.reason}: ${event.message}`),
  };
  const events = new WaitingEvents({ recorder });
  for (const [reason, message] of rounds) {
    events.tell(pod, new Map([['main', { reason, message }]]));
  }
  return said;
}

test('a container in back-off: one event for each back-off, not for each look', () => {
  const first = ['CrashLoopBackOff', 'back-off 10s'] as const;
  const event = 'Warning BackOff: Back-off restarting failed container main in pod web_default(u)';
  assert.deepEqual(told(first, first, first), [event]);
  assert.deepEqual(told(first, ['CrashLoopBackOff', 'back-off 20s'], first).length, 3);
});

test('an image that is waited for: that we wait, and not again why', () => {
  const wait = ['ImagePullBackOff', 'Back-off pulling image "a:1": ErrImagePull: gone'] as const;
  assert.deepEqual(told(wait, wait), [
    'Normal BackOff: Back-off pulling image "a:1"',
    'Warning Failed: Error: ImagePullBackOff',
  ]);
});

test('other waits are told by whoever makes them', () => {
  assert.deepEqual(told(['ContainerCreating', ''], ['CreateContainerConfigError', 'no map']), []);
});
