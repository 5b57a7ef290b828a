/**
 * Devices in real containers: what a device plugin answers, and what a driver of dynamic resources
 * names, is there inside; both on the sockets of a real node.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { nodes, resourceClaims } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { TestClaimDriver, TestDevicePlugin, TestRegistration } from '#test/plugins.ts';
import { RealNode } from '#test/real-node.ts';

const timeout = 480_000;
const { signal } = new AbortController();
const resource = 'example.com/gpu';
const driverName = 'gpu.example.com';
const cdiFile = '/var/run/cdi/coracle-test.json';
let node: RealNode;
let root: string;
let madeFolder: string | undefined;

before(async () => {
  node = await RealNode.open();
  root = join(node.dataDir, 'agent/kubelet');
  node.startKubelet();
});

after(async () => {
  rmSync(cdiFile, { force: true });
  if (madeFolder !== undefined) rmSync(madeFolder, { recursive: true });
  await node?.[Symbol.asyncDispose]();
});

/** The container says so in its last words. */
const look =
  '{ echo "$DEVICES $CLAIMED"; test -c /dev/gpu0 && echo x > /dev/gpu0 && echo ok; cat /gpu/note; } ' +
  '> /dev/termination-log 2>&1';

function lastWords({ status }: Pod): string {
  return status?.containerStatuses?.[0]?.state?.terminated?.message ?? '';
}

async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await systemClock().sleep(20, { signal });
}

const hasEnded = ({ status }: Pod): boolean => status?.phase === 'Succeeded';

test('a container sees the devices of a plugin', { timeout }, async () => {
  covers('EXT-022');
  const folder = join(node.dataDir, 'gpu');
  mkdirSync(folder);
  writeFileSync(join(folder, 'note'), 'of the plugin\n');
  using plugin = new TestDevicePlugin(root, resource);
  plugin.devices = { a: 'Healthy', b: 'Healthy' };
  plugin.answer = (ids) => ({
    envs: { DEVICES: ids.join(',') },
    devices: [{ containerPath: '/dev/gpu0', hostPath: '/dev/null', permissions: 'rw' }],
    mounts: [{ containerPath: '/gpu', hostPath: folder, readOnly: true }],
  });
  await eventually(async () => {
    const { items } = await node.client.list(nodes, { signal });
    return items.length === 1;
  });
  await plugin.serve();
  await plugin.register();
  await eventually(async () => {
    const { items } = await node.client.list(nodes, { signal });
    return items[0]?.status?.allocatable?.[resource] === '2';
  });
  const resources = { limits: { [resource]: '2' } };
  await node.create('plugged', {
    restartPolicy: 'Never',
    containers: [node.container(look, { resources })],
  });
  const pod = await node.until('plugged', hasEnded, 'has ended');
  assert.equal(lastWords(pod), 'a,b \nok\nof the plugin\n');
  await node.delete('plugged');
});

test('a container sees the devices of its claim', { timeout }, async () => {
  const folder = join(node.dataDir, 'claimed');
  mkdirSync(folder);
  writeFileSync(join(folder, 'note'), 'of the driver\n');
  madeFolder = mkdirSync('/var/run/cdi', { recursive: true });
  const containerEdits = {
    env: ['CLAIMED=yes'],
    deviceNodes: [{ path: '/dev/gpu0', hostPath: '/dev/null' }],
    mounts: [{ hostPath: folder, containerPath: '/gpu', options: ['ro', 'rbind'] }],
  };
  const devices = [{ name: 'd1', containerEdits }];
  writeFileSync(
    cdiFile,
    JSON.stringify({ cdiVersion: '0.5.0', kind: 'coracle.test/gpu', devices }),
  );
  using driver = new TestClaimDriver(root);
  const prepared = { requestNames: ['one'], poolName: 'pool', deviceName: 'd1' };
  driver.prepare = () => [{ ...prepared, cdiDeviceIds: ['coracle.test/gpu=d1'] }];
  await driver.serve();
  using registration = new TestRegistration(root, {
    ...{ type: 'DRAPlugin', name: driverName, endpoint: driver.socket },
    supportedVersions: ['v1.DRAPlugin'],
  });
  await registration.serve();
  await eventually(() => registration.told.length > 0);
  const claim = await node.client.create(
    resourceClaims,
    {
      ...{ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim' },
      metadata: { namespace: 'default', name: 'c' },
      spec: { devices: { requests: [{ name: 'one', exactly: { deviceClassName: 'gpu' } }] } },
    },
    { signal },
  );
  const { metadata } = await node.create('claiming', {
    restartPolicy: 'Never',
    resourceClaims: [{ name: 'mine', resourceClaimName: 'c' }],
    containers: [node.container(look, { resources: { claims: [{ name: 'mine' }] } })],
  });
  const user = { resource: 'pods', name: 'claiming', uid: metadata.uid ?? '' };
  const result = { request: 'one', driver: driverName, pool: 'pool', device: 'd1' };
  const status = { allocation: { devices: { results: [result] } }, reservedFor: [user] };
  await node.client.update(resourceClaims, { ...claim, status }, { signal, subresource: 'status' });
  const pod = await node.until('claiming', hasEnded, 'has ended');
  assert.equal(lastWords(pod), ' yes\nok\nof the driver\n');
  // Nothing of it runs any more: its devices are given back before anybody deletes it.
  await eventually(() => driver.calls.includes('unprepare c'));
  await node.delete('claiming');
});
