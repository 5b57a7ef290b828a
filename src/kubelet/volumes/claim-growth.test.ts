/** Whose turn it is when a claim grows, and what is told when a file system cannot. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '#client';
import type { PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import { growClaim, grownSize } from './claim-growth.ts';
import type { BoundVolume } from './persistent-volume.ts';

const { signal } = new AbortController();
const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: { containers: [] } };

function boundOf(turn: string | undefined, size = '2Gi', has = '1Gi'): BoundVolume {
  const statuses = turn === undefined ? {} : { allocatedResourceStatuses: { storage: turn } };
  return {
    source: { localDevice: { path: '/dev/disk', fsType: 'ext4', mountOptions: [] } },
    claim: {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: {} },
      status: { capacity: { storage: has }, ...statuses },
    },
    volume: {
      ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'disk' } },
      spec: { capacity: { storage: size } },
    },
  };
}

test('the node sees to it when it is its turn, and there is something to do', () => {
  assert.equal(grownSize(boundOf('NodeResizePending')), '2Gi');
  assert.equal(grownSize(boundOf('NodeResizeInProgress')), '2Gi');
  for (const turn of [undefined, 'ControllerResizeInProgress', 'NodeResizeInfeasible']) {
    assert.equal(grownSize(boundOf(turn)), undefined, `${turn}`);
  }
  assert.equal(grownSize(boundOf('NodeResizePending', '1024Mi', '1Gi')), undefined);
});

test('a file system that cannot grow is told of, and the claim keeps its size', async () => {
  const patches: unknown[] = [];
  const told: string[] = [];
  // Nothing else of it is asked.
  const client = {
    patch: async (_kind: unknown, _at: unknown, body: unknown) => {
      patches.push(body);
      return boundOf('NodeResizeInProgress').claim;
    },
  } as unknown as Client;
  const grown: string[] = [];
  const growFileSystem = async (device: string, folder: string): Promise<void> => {
    grown.push(`${device} at ${folder}`);
    throw new Error('resize of device /dev/disk failed');
  };
  const record = (about: Pod | PersistentVolumeClaim, text: { readonly message: string }) => {
    told.push(`${about.kind}: ${text.message}`);
  };
  const deps = { client, machine: { growFileSystem }, recorder: { record } };
  await growClaim(deps, boundOf('NodeResizePending'), { pod, folder: '/there', signal });
  assert.deepEqual(grown, ['/dev/disk at /there']);
  assert.equal(patches.length, 1, 'that it has begun, and no more');
  assert.deepEqual(told, [
    'Pod: NodeExpandVolume.NodeExpandVolume failed for volume "disk" : resize of device /dev/disk failed',
  ]);
});
