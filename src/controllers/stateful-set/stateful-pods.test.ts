/** What a StatefulSet still waits for after a deletion that was answered in each way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conflict, notFound, tooManyRequests } from '#api/errors.ts';
import type { Client, Recorder } from '#client';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { StatefulPods } from './stateful-pods.ts';

const metadata = { namespace: 'default', name: 'db-1', uid: 'u' };
const pod = { apiVersion: 'v1', kind: 'Pod', metadata };
const set = { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'db' } };
const key = 'default/db';

async function deletion(refusal: Error | undefined) {
  const { signal } = new AbortController();
  const told: string[] = [];
  // Nothing else of them is used.
  const recorder = { record: (_, { reason }) => told.push(reason) } as Pick<
    Recorder,
    'record'
  > as Recorder;
  const client = {
    delete: async () => {
      if (refusal !== undefined) throw refusal;
    },
  } as unknown as Client;
  const pods = new StatefulPods({ client, recorder, clock: new VirtualClock() });
  const error = await pods.perform(key, set, [{ do: 'delete', pod }], signal);
  return { error, told, isAwaited: !pods.expectations.areMet(key) };
}

test('a deletion is awaited unless there is nothing more to be seen', async () => {
  const done = { error: undefined, told: ['SuccessfulDelete'], isAwaited: true };
  assert.deepEqual(await deletion(undefined), done);
  const group = { group: '', resource: 'pods' };
  const silent = { error: undefined, told: [], isAwaited: false };
  assert.deepEqual(await deletion(notFound(group, 'db-1')), silent);
  assert.deepEqual(await deletion(conflict(group, 'db-1')), silent);
  const refusal = tooManyRequests('later', 1);
  const failed = { error: refusal, told: ['FailedDelete'], isAwaited: false };
  assert.deepEqual(await deletion(refusal), failed);
});
