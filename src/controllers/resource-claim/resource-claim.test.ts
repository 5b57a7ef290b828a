/** The controller with informers filled by hand: whose reservation ends while they lag behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notFound } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { pods, resourceClaims } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { podOf } from '#test/cluster-picture.ts';
import { FakeInformers } from '#test/fake-informers.ts';
import { Figures } from '../figures.ts';
import { openResourceClaimController } from './resource-claim.ts';

const { signal } = new AbortController();

/** What is left of a reservation for `train`, if the informers and the server know these pods. */
async function leftOf(known: Pod | undefined, stored: Pod | undefined): Promise<number> {
  const informers = new FakeInformers();
  const written: KubeObject[] = [];
  const client: Partial<Client> = {
    get: async (_kind, { name }) => {
      if (stored === undefined) throw notFound({ group: '', resource: 'pods' }, name);
      return stored as never;
    },
    update: async <T extends KubeObject>(_kind: unknown, object: T) => {
      written.push(object);
      return object;
    },
  };
  const clock = new VirtualClock();
  const controller = openResourceClaimController({
    ...{ client: client as Client, informers, clock, random: seededRandom(1), log: silentLog },
    figures: new Figures(),
    recorderFor: () => ({ record: () => {}, run: async () => {} }),
  });
  const claim: ResourceClaim = {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { name: 'gpu', namespace: 'default', uid: 'gpu' },
    spec: {},
    status: { allocation: {}, reservedFor: [{ resource: 'pods', name: 'train', uid: 'new' }] },
  };
  informers.put(resourceClaims, claim);
  if (known !== undefined) informers.put(pods, known);
  await controller.reconcile('claim default/gpu', { signal });
  const { status } = (written[0] ?? claim) as typeof claim;
  return status?.reservedFor?.length ?? 0;
}

test('a reservation ends when its pod is gone or has ended, not when nobody has heard of it yet', async () => {
  const pod = (uid: string, phase = 'Pending'): Pod => {
    const { metadata, ...rest } = podOf('train');
    return { ...rest, metadata: { ...metadata, uid }, status: { phase } };
  };
  assert.equal(await leftOf(pod('new'), pod('new')), 1);
  assert.equal(await leftOf(undefined, pod('new')), 1, 'the server knows it');
  assert.equal(await leftOf(pod('old'), pod('new')), 1, 'made anew under its name');
  assert.equal(await leftOf(undefined, undefined), 0);
  assert.equal(await leftOf(pod('old'), pod('old')), 0);
  assert.equal(await leftOf(pod('new', 'Succeeded'), pod('new')), 0);
  assert.equal(await leftOf(undefined, pod('new', 'Failed')), 0);
});
