/** The controller with informers filled by hand: what it does while they lag behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import {
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  volumeAttachments,
} from '#resources/kinds.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { VolumeAttachment } from '#resources/types/storage-v1.ts';
import { podOf } from '#test/cluster-picture.ts';
import { FakeInformers } from '#test/fake-informers.ts';
import { Figures } from '../figures.ts';
import { openAttachDetachController } from './attach-detach.ts';

const annotations = { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' };
const node = (name: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, annotations },
});

test('a volume that was attached and is not seen yet is attached to no other node', async () => {
  const clock = new VirtualClock();
  const informers = new FakeInformers();
  const made: VolumeAttachment[] = [];
  const client: Partial<Client> = {
    create: async <T extends KubeObject>(_kind: unknown, object: T) => {
      made.push(object as unknown as VolumeAttachment);
      return object;
    },
  };
  const controller = openAttachDetachController({
    ...{ client: client as Client, informers, clock, random: seededRandom(1), log: silentLog },
    figures: new Figures(),
    recorderFor: () => ({ record: () => {}, run: async () => {} }),
  });
  const claimRef = { namespace: 'default', name: 'data', uid: 'c' };
  const volume: PersistentVolume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'disk' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      claimRef,
      csi: { driver: 'd', volumeHandle: 'h' },
    },
  };
  const claim: PersistentVolumeClaim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: claimRef,
    spec: { volumeName: 'disk' },
  };
  for (const name of ['n1', 'n2']) informers.put(nodes, node(name));
  informers.put(persistentVolumes, volume);
  informers.put(persistentVolumeClaims, claim);
  const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }];
  const { signal } = new AbortController();
  const attachedTo = async (): Promise<readonly string[]> => {
    await controller.reconcile('disk', { signal });
    return made.map(({ spec }) => spec.nodeName);
  };
  informers.put(pods, podOf('db', { nodeName: 'n1', volumes }));
  assert.deepEqual(await attachedTo(), ['n1']);
  informers.remove(pods, 'default/db');
  informers.put(pods, podOf('db-2', { nodeName: 'n2', volumes }));
  assert.deepEqual(await attachedTo(), ['n1'], 'the cache does not show it');
  const [attachment] = made;
  assert.ok(attachment !== undefined);
  informers.put(volumeAttachments, attachment);
  informers.remove(volumeAttachments, attachment.metadata.name ?? '');
  assert.deepEqual(await attachedTo(), ['n1', 'n2'], 'it has come and gone');
});
