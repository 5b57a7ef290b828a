/** What is sent of a status, and when nothing more is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forbidden } from '#api/errors.ts';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { StatusWriter } from './status-writer.ts';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'a', name: 'p', uid: 'u1' },
};

test('a refused status is tried again, until its pod is forgotten', async () => {
  const clock = new VirtualClock();
  let asked = 0;
  const client = {
    patchUnread: async () => {
      asked += 1;
      throw forbidden({ group: '', resource: 'pods' }, 'p', 'no relationship');
    },
  };
  const ending = new AbortController();
  const statuses = new StatusWriter(
    { client, clock, log: silentLog },
    { signal: ending.signal, spawn: (task) => void task() },
  );
  statuses.set(pod, { phase: 'Running' });
  await clock.advance(2500);
  assert.equal(asked, 3);
  // Who waits for the last status of a pod that goes meanwhile does not wait for ever.
  const settled = statuses.settled('u1');
  statuses.forget('u1');
  await clock.advance(5000);
  await settled;
  assert.equal(asked, 3);
  ending.abort();
});

test('a status that is held back leaves in place what others say meanwhile', async () => {
  const clock = new VirtualClock();
  const sent: unknown[] = [];
  const client: ConstructorParameters<typeof StatusWriter>[0]['client'] = {
    patchUnread: async (_kind, _at, body) => void sent.push(body),
  };
  const ending = new AbortController();
  const statuses = new StatusWriter(
    { client, clock, log: silentLog },
    { signal: ending.signal, spawn: (task) => void task() },
  );
  const scheduled = { type: 'PodScheduled', status: 'True' };
  const ready = { type: 'Ready', status: 'False' };
  const gate = { type: 'example.com/gate', status: 'True' };
  const conditions = [scheduled, ready];
  statuses.set(pod, { phase: 'Pending', conditions }, { isPassing: true });
  statuses.seen({ ...pod, status: { phase: 'Pending', conditions: [scheduled, gate] } });
  await clock.advance(900);
  assert.deepEqual(sent, []);
  await clock.advance(200);
  const status = { conditions: [scheduled, ready, gate] };
  assert.deepEqual(sent, [{ metadata: { uid: 'u1' }, status }]);
  ending.abort();
});

test('while many pods start, what passes is held back for longer, but not for ever', async () => {
  const clock = new VirtualClock();
  const sent: string[] = [];
  const client: ConstructorParameters<typeof StatusWriter>[0]['client'] = {
    patchUnread: async (_kind, { name }) => void sent.push(name),
  };
  const ending = new AbortController();
  const statuses = new StatusWriter(
    { client, clock, log: silentLog },
    { signal: ending.signal, spawn: (task) => void task() },
  );
  const podOf = (index: number): Pod => ({
    ...pod,
    metadata: { namespace: 'a', name: `p${index}`, uid: `u${index}` },
  });
  for (let index = 0; index < 40; index++) {
    statuses.set(podOf(index), { phase: 'Pending' }, { isPassing: true });
  }
  await clock.advance(3000);
  assert.deepEqual(sent, []);
  statuses.set(podOf(39), { phase: 'Running' });
  await clock.advance(0);
  assert.deepEqual(sent, ['p39'], 'what stays is told at once');
  await clock.advance(7000);
  assert.equal(sent.length, 40);
  for (let index = 0; index < 40; index++) {
    statuses.set(podOf(index), { phase: 'Pending', reason: 'again' }, { isPassing: true });
  }
  for (let index = 0; index < 24; index++) statuses.set(podOf(index), { phase: 'Running' });
  await clock.advance(1000);
  assert.equal(sent.length, 80, 'the few that are left wait no longer than one alone');
  ending.abort();
});
