/** Nothing is taken from a claim whose pod has a node by now, whatever the informers showed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conflict, notFound } from '#api/errors.ts';
import type { Client } from '#client';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { podFacts } from '#scheduling';
import { podOf } from '#test/cluster-picture.ts';
import { DeviceWriter } from './device-writer.ts';

const finalizer = 'resource.kubernetes.io/delete-protection';
const { signal } = new AbortController();

const claim: ResourceClaim = {
  apiVersion: 'resource.k8s.io/v1',
  kind: 'ResourceClaim',
  metadata: {
    name: 'train-extended-resources-x',
    namespace: 'default',
    uid: 'claim',
    resourceVersion: '7',
    finalizers: [finalizer, 'example.com/mine'],
    ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'train', uid: 'train' }],
  },
  spec: {},
  status: {
    allocation: {},
    reservedFor: [{ resource: 'pods', name: 'train', uid: 'train' }],
  },
};

class World {
  readonly done: string[] = [];
  /** What the API server knows of the pod. */
  pod: Pod | undefined;
  made: ResourceClaim | undefined;
  claimIsGone = false;
  /** How often somebody else is quicker. */
  races = 0;
  version = 7;
  readonly writer: DeviceWriter;

  constructor(pod?: { readonly uid: string; readonly nodeName?: string }) {
    if (pod !== undefined) {
      const { uid, ...spec } = pod;
      const metadata = { name: 'train', namespace: 'default', uid };
      this.pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [], ...spec } };
    }
    const client: Partial<Client> = {
      get: async ({ plural }, { name }) => {
        this.done.push(`get ${plural}`);
        const isGone = plural === 'pods' ? this.pod === undefined : this.claimIsGone;
        if (isGone) throw notFound({ group: '', resource: plural }, name);
        if (plural !== 'pods') return (this.made ?? claim) as never;
        const resourceVersion = String(this.version);
        return { ...this.pod, metadata: { ...this.pod?.metadata, resourceVersion } } as never;
      },
      create: async (_kind, object) => {
        this.made = {
          ...claim,
          ...object,
          metadata: { ...object.metadata, name: 'made' },
          status: {},
        };
        return this.made as never;
      },
      patch: async ({ plural }, { name }, body) => {
        this.done.push(`patch ${plural} ${JSON.stringify(body)}`);
        if (this.races-- <= 0) return this.pod as never;
        this.version += 1;
        throw conflict({ group: '', resource: plural }, name, 'no');
      },
      update: async (_kind, object, { subresource = '' }) => {
        const { resourceVersion, finalizers = [] } = object.metadata;
        this.done.push(`update ${subresource} ${resourceVersion} ${finalizers.join()}`);
        return { ...object, metadata: { ...object.metadata, resourceVersion: '8' } };
      },
      delete: async (_kind, { name }, { preconditions }) => {
        this.done.push(`delete ${preconditions?.uid} ${preconditions?.resourceVersion}`);
        if (this.races-- > 0) throw conflict({ group: '', resource: 'resourceclaims' }, name, 'no');
      },
    };
    const deps = { clock: new VirtualClock(), random: seededRandom(1) };
    this.writer = new DeviceWriter({ ...deps, client: client as Client });
  }
}

const removal = [
  'get resourceclaims',
  'get pods',
  'update  7 example.com/mine',
  'delete claim 8',
] as const;

test('a claim that was made for a pod goes only if the pod has no node, as it was when that was read', async () => {
  for (const pod of [undefined, { uid: 'train' }, { uid: 'other', nodeName: 'n1' }]) {
    const world = new World(pod);
    await world.writer.remove(claim, { signal });
    assert.deepEqual(world.done, removal, `${pod?.uid}`);
  }
  for (const resourceClaimName of [claim.metadata.name ?? '', 'another']) {
    const bound = new World({ uid: 'train', nodeName: 'n1' });
    const extendedResourceClaimStatus = { requestMappings: [], resourceClaimName };
    assert.ok(bound.pod !== undefined);
    bound.pod = { ...bound.pod, status: { extendedResourceClaimStatus } };
    await bound.writer.remove(claim, { signal });
    // One that its pod does not name was made by somebody who came too late.
    const isUsed = resourceClaimName !== 'another';
    assert.deepEqual(bound.done, isUsed ? removal.slice(0, 2) : removal);
  }
  // Somebody wrote the claim between: all is read again.
  const raced = new World({ uid: 'train' });
  raced.races = 1;
  await raced.writer.remove(claim, { signal });
  assert.deepEqual(raced.done, [...removal, ...removal]);
});

test('devices are taken from a claim only if the pod that has it is on no node', async () => {
  const free = new World({ uid: 'train' });
  await free.writer.free(claim, { signal, uid: 'train' });
  assert.deepEqual(free.done, ['get pods', `update status 7 ${finalizer},example.com/mine`]);
  const bound = new World({ uid: 'train', nodeName: 'n1' });
  await bound.writer.free(claim, { signal, uid: 'train' });
  assert.deepEqual(bound.done, ['get pods']);
  await assert.rejects(free.writer.free(claim, { signal, uid: 'other' }), /taken from others/);
});

test('the pod is told of its claim, and no reservation ended, but as they were read', async () => {
  const world = new World({ uid: 'train' });
  assert.ok(world.pod !== undefined);
  world.races = 1;
  const placement = { pod: podFacts(world.pod), nodeName: 'n1' };
  const allocation = { devices: [], nodeSelector: undefined, config: [] };
  const make = { requests: [], mappings: [] };
  const step = { do: 'allocateDevices', claim: 'default/<made>', allocation, make } as const;
  const written = await world.writer.write(placement, step, { signal });
  assert.deepEqual(written, { claim: 'default/made', tells: world.pod });
  const status = {
    extendedResourceClaimStatus: { requestMappings: [], resourceClaimName: 'made' },
  };
  const patches = (version: string) => {
    const metadata = { uid: 'train', resourceVersion: version };
    return ['get pods', `patch pods ${JSON.stringify({ metadata, status })}`];
  };
  // A request of an earlier try that arrives late is refused, since the pod has changed.
  assert.deepEqual(world.done.slice(-4), [...patches('7'), ...patches('8')]);

  const other = new World();
  other.races = 1;
  await other.writer.release(placement, claim, { signal, allocatedHere: false });
  const metadata = { uid: 'claim', resourceVersion: '7' };
  const release = { metadata, status: { reservedFor: [{ $patch: 'delete', uid: 'train' }] } };
  const read = ['get resourceclaims', 'get pods'];
  const once = [...read, `patch resourceclaims ${JSON.stringify(release)}`];
  assert.deepEqual(other.done, [...once, ...once]);
});

test('a pod that was bound after all keeps its reservation and its devices', async () => {
  for (const allocatedHere of [true, false]) {
    const world = new World({ uid: 'train', nodeName: 'n2' });
    assert.ok(world.pod !== undefined);
    const placement = { pod: podFacts(world.pod), nodeName: 'n1' };
    await world.writer.release(placement, claim, { signal, allocatedHere });
    assert.deepEqual(world.done, ['get resourceclaims', 'get pods']);
  }
});

test('a claim that is gone has nothing that could be taken back', async () => {
  const world = new World();
  world.claimIsGone = true;
  const placement = { pod: podFacts(podOf('train')), nodeName: 'n1' };
  await world.writer.release(placement, claim, { signal, allocatedHere: true });
  await world.writer.remove(claim, { signal });
  assert.deepEqual(world.done, ['get resourceclaims', 'get resourceclaims']);
});

test('what was allocated for a pod that does not come is free again, unless others share it', async () => {
  const placement = { pod: podFacts(podOf('train')), nodeName: 'n1' };
  const { reservedFor = [] } = claim.status ?? {};
  const mine = { ...reservedFor[0], resource: 'pods', name: 'train', uid: placement.pod.uid };
  const other = { ...mine, name: 'other', uid: 'other' };
  for (const [users, expected] of [
    [[mine], /^update status 7 /],
    [[mine, other], /^patch resourceclaims /],
    [[other], undefined],
    [[], undefined],
  ] as const) {
    const world = new World();
    world.made = { ...claim, status: { allocation: {}, reservedFor: [...users] } };
    await world.writer.release(placement, claim, { signal, allocatedHere: true });
    const [read, asked, written, ...more] = world.done;
    assert.deepEqual([read, more], ['get resourceclaims', []]);
    assert.equal(asked, expected === undefined ? undefined : 'get pods');
    if (expected === undefined) assert.equal(written, undefined);
    else assert.match(written ?? '', expected);
  }
});
