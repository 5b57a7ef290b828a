/** The sweep, with informers filled by hand: whom the server refuses, and all the others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forbidden, notFound } from '#api/errors.ts';
import type { Client } from '#client';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { pods } from '#resources/kinds.ts';
import { podOf } from '#test/cluster-picture.ts';
import { FakeInformers } from '#test/fake-informers.ts';
import { Figures } from '../figures.ts';
import { openPodGCController } from './pod-gc.ts';

const { signal } = new AbortController();
const of = { group: '', resource: 'pods' };

/** Names of the pods that were asked to go, where the server answers some of them so. */
async function sweep(answers: Readonly<Record<string, Error>>) {
  const informers = new FakeInformers();
  const asked: string[] = [];
  const client: Partial<Client> = {
    update: async (_kind, object) => object,
    delete: async (_kind, { name }) => {
      asked.push(name);
      const answer = answers[name];
      if (answer !== undefined) throw answer;
    },
  };
  const controller = openPodGCController({
    ...{ client: client as Client, informers, clock: new VirtualClock(), log: silentLog },
    ...{ random: seededRandom(1), figures: new Figures() },
    recorderFor: () => ({ record: () => {}, run: async () => {} }),
  });
  for (const name of ['a', 'b', 'c']) {
    const { metadata, ...pod } = podOf(name);
    const deletionTimestamp = '2026-01-01T00:00:00Z';
    informers.put(pods, { ...pod, metadata: { ...metadata, deletionTimestamp } });
  }
  const failure = await controller.reconcile('all pods', { signal }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { asked, failure };
}

test('a pod that the server will not let go does not keep the others, and is tried again', async () => {
  const refusal = forbidden(of, 'a', 'not this one');
  assert.deepEqual(await sweep({ a: refusal }), { asked: ['a', 'b', 'c'], failure: refusal });
});

test('a pod that is gone already is no failure', async () => {
  assert.deepEqual(await sweep({ a: notFound(of, 'a') }), {
    asked: ['a', 'b', 'c'],
    failure: undefined,
  });
});

test('where the server does not answer the sweep ends, and is tried again', async () => {
  const silence = new Error('connection refused');
  assert.deepEqual(await sweep({ a: silence }), { asked: ['a'], failure: silence });
});
