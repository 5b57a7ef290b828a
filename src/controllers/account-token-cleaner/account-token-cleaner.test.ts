/** The daily look at old tokens: whom the server refuses, and all the others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forbidden } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { FakeInformers } from '#test/fake-informers.ts';
import { Figures } from '../figures.ts';
import { openAccountTokenCleaner } from './account-token-cleaner.ts';

const { signal } = new AbortController();
const names = ['a', 'b', 'c'];

const secret = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    ...{ namespace: 'default', name, creationTimestamp: '2020-01-01T00:00:00Z' },
    annotations: { 'kubernetes.io/service-account.name': 'robot' },
  },
});

/** Names of the Secrets that were marked, where the server answers the first one so. */
async function sweep(answer: Error) {
  const marked: string[] = [];
  const client: Partial<Client> = {
    get: async ({ plural }) =>
      (plural === 'configmaps'
        ? { data: { since: '2021-01-01' } }
        : { metadata: {}, secrets: names.map((name) => ({ name })) }) as never,
    list: async () => ({ items: names.map(secret), metadata: {} }) as never,
    patch: async (_kind, { name }) => {
      if (name === 'a') throw answer;
      marked.push(name);
      return {} as never;
    },
  };
  const controller = openAccountTokenCleaner({
    ...{ client: client as Client, informers: new FakeInformers(), log: silentLog },
    ...{ clock: new VirtualClock(), random: seededRandom(1), figures: new Figures() },
    recorderFor: () => ({ record: () => {}, run: async () => {} }),
  });
  const failure = await controller.reconcile('all tokens', { signal }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { marked, failure };
}

test('a Secret that the server will not change does not keep the others, and is tried again', async () => {
  const refusal = forbidden({ group: '', resource: 'secrets' }, 'a', 'not this one');
  assert.deepEqual(await sweep(refusal), { marked: ['b', 'c'], failure: refusal });
});

test('where the server does not answer the look ends, and is tried again', async () => {
  const silence = new Error('connection refused');
  assert.deepEqual(await sweep(silence), { marked: [], failure: silence });
});
