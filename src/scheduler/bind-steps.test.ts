/** Waiting for claims to be bound: it ends well, with the provisioner's no, or with time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '#client';
import { seededRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import type { PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { factsOf, podFacts, readerOf } from '#scheduling';
import { podOf } from '#test/cluster-picture.ts';
import { StepPerformer, stepDefaults } from './bind-steps.ts';
import { DeviceWriter } from './device-writer.ts';

const step = { do: 'selectNode', claim: 'default/data', node: 'n1' } as const;
const selected = 'volume.kubernetes.io/selected-node';

class World {
  readonly clock = new VirtualClock();
  readonly patches: unknown[] = [];
  claim: PersistentVolumeClaim | undefined = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data', namespace: 'default', uid: 'u', resourceVersion: '7' },
    spec: {},
  };

  perform(): Promise<void> {
    const client: Partial<Client> = {
      patch: async (_kind, _at, body) => {
        this.patches.push(body);
        return undefined as never;
      },
    };
    const facts = factsOf({
      persistentVolumeClaims: { ...readerOf(), get: () => this.claim },
    });
    const deps = { client: client as Client, clock: this.clock, random: seededRandom(1) };
    const devices = new DeviceWriter(deps);
    const performer = new StepPerformer(
      { ...deps, facts, devices },
      { ...stepDefaults, bindTimeoutMs: 10_000 },
    );
    const { signal } = new AbortController();
    const placement = { pod: podFacts(podOf('db')), nodeName: 'n1' };
    return performer.perform(placement, [step], { signal });
  }

  annotate(annotations: Record<string, string>, volumeName?: string): void {
    assert.ok(this.claim !== undefined);
    const metadata = { ...this.claim.metadata, annotations };
    this.claim = { ...this.claim, metadata, spec: { volumeName } };
  }
}

test('the node is written once, with the version that was decided on, and then waited for', async () => {
  const world = new World();
  let done = false;
  const performing = world.perform().then(() => {
    done = true;
  });
  await settle();
  const annotations = { [selected]: 'n1' };
  assert.deepEqual(world.patches, [{ metadata: { uid: 'u', resourceVersion: '7', annotations } }]);
  world.annotate(annotations);
  await world.clock.advance(5_000);
  assert.equal(done, false);
  world.annotate({ ...annotations, 'pv.kubernetes.io/bind-completed': 'yes' }, 'pv');
  await world.clock.advance(1_000);
  await performing;
  assert.equal(world.patches.length, 1);
});

test('a provisioner that takes the node away, a claim that goes, and too long a wait', async () => {
  const world = new World();
  const refused = assert.rejects(world.perform(), /provisioning failed for PVC "data"/);
  await settle();
  world.annotate({ [selected]: 'n1' });
  await world.clock.advance(2_000);
  world.annotate({});
  await world.clock.advance(2_000);
  await refused;

  const gone = new World();
  const vanished = assert.rejects(gone.perform(), /claim default\/data is gone/);
  await settle();
  gone.claim = undefined;
  await gone.clock.advance(1_000);
  await vanished;

  const slow = new World();
  const late = assert.rejects(slow.perform(), /context deadline exceeded/);
  await slow.clock.advance(11_000);
  await late;
});

test('devices with conditions are waited for, and given up when one says never', async () => {
  const clock = new VirtualClock();
  const place = { driver: 'd', pool: 'p', device: 'x' };
  const asked = { ...place, request: 'r', bindingConditions: ['Attached'] };
  const devices = [{ ...asked, bindingFailureConditions: ['Broken'] }];
  const metadata = { name: 'a', namespace: 'default', uid: 'u' };
  const base = { apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata, spec: {} };
  let claim: ResourceClaim = base;
  const client: Partial<Client> = {
    get: async () => claim as never,
    update: async (_kind, written) => {
      claim = written as unknown as ResourceClaim;
      return written;
    },
  };
  const tell = (type: string): void => {
    const condition = { type, status: 'True', reason: 'R', message: '', lastTransitionTime: '' };
    claim = {
      ...claim,
      status: { ...claim.status, devices: [{ ...place, conditions: [condition] }] },
    };
  };
  const deps = { client: client as Client, clock, random: seededRandom(1) };
  const facts = factsOf({ resourceClaims: { ...readerOf(), get: () => claim } });
  const performer = new StepPerformer({ ...deps, facts, devices: new DeviceWriter(deps) });
  const told: string[] = [];
  const perform = ({ has = false } = {}) => {
    const found = { devices, nodeSelector: undefined, config: [] };
    const allocation = has ? undefined : found;
    const one = { do: 'allocateDevices', claim: 'default/a', allocation } as const;
    const placement = { pod: podFacts(podOf('db')), nodeName: 'n1' };
    const { signal } = new AbortController();
    return performer.perform(placement, [one], { signal, onDevices: () => told.push('waits') });
  };
  let done = false;
  const performing = perform().then(() => {
    done = true;
  });
  await clock.advance(30_000);
  assert.equal(done, false);
  tell('Attached');
  await clock.advance(2_000);
  await performing;
  assert.equal(claim.status?.allocation?.devices?.results?.[0]?.device, 'x');
  assert.deepEqual(told, ['waits']);

  claim = base;
  const failing = perform();
  const refused = assert.rejects(failing, /device binding failed: claim=a, reason=R, message=""/);
  await clock.advance(2_000);
  tell('Broken');
  await clock.advance(2_000);
  await refused;
  // What it had is free again, so that other devices can be found.
  assert.deepEqual(claim.status, {});

  // Unless somebody else uses it too.
  const other = { resource: 'pods', name: 'other', uid: 'other' };
  claim = {
    ...base,
    status: { reservedFor: [other], allocation: { devices: { results: devices } } },
  };
  const sharing = assert.rejects(perform({ has: true }), /device binding failed/);
  await clock.advance(2_000);
  tell('Broken');
  await clock.advance(2_000);
  await sharing;
  assert.ok(claim.status?.allocation !== undefined);
});
