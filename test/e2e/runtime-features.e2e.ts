/**
 * What only newer runtimes can do (containerd 2.1): users of its own for a pod, volumes that are
 * images, volumes that are read-only with all that is below, strict groups. The runtime says what
 * it can; here it is tried whether that comes true, and whether a runtime that cannot is not
 * trusted with it. Another runtime than the machine's: `CORACLE_RUNTIME_PATH=FOLDER`.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Received } from '#cri';
import { systemClock } from '#kit/clock.ts';
import { mountTmpfs, unmountBelow } from '#kit/mounts.ts';
import { events } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { busyboxImage, RealNode } from '#test/real-node.ts';

const timeout = 240_000;
const { signal } = new AbortController();
const clock = systemClock();
const forever = 'trap "exit 0" TERM; sleep 1000 & wait';
let node: RealNode;
let can: Received<'StatusResponse'>;

before(async () => {
  node = await RealNode.open();
  node.startKubelet();
  can = await node.runtime.status({ signal });
});

after(async () => {
  await node?.[Symbol.asyncDispose]();
});

function features() {
  return can.runtimeHandlers.find(({ name }) => name === '')?.features;
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = clock.monotonic() + 60_000;
  while (clock.monotonic() < deadlineMs) {
    if (await holds()) return;
    await clock.sleep(50, { signal });
  }
  throw new Error(`${what} never came true`);
}

function untilWaiting(name: string, reason: string, message: RegExp): Promise<Pod> {
  return node.until(
    name,
    ({ status }) => {
      const waiting = status?.containerStatuses?.[0]?.state?.waiting;
      return waiting?.reason === reason && message.test(waiting.message ?? '');
    },
    `waiting with ${reason}`,
  );
}

/** What its container has said, when it has said so many lines. */
async function linesOf(pod: Pod, count: number): Promise<readonly string[]> {
  const read = (): readonly string[] => node.logText(pod).trim().split('\n');
  await eventually(`${count} lines`, async () => read().length >= count);
  return read();
}

test('a pod has users of its own, or no sandbox', { timeout }, async () => {
  const volumes = [{ name: 'mine', emptyDir: {} }];
  const volumeMounts = [{ name: 'mine', mountPath: '/mine' }];
  const say = `cat /proc/self/uid_map; touch /mine/file; stat -c %u /mine/file; ${forever}`;
  const containers = [node.container(say, { volumeMounts })];
  await node.create('users', { hostUsers: false, volumes, containers });
  if (features()?.userNamespaces === true) {
    const [map = '', owner] = await linesOf(await node.untilReady('users'), 2);
    const [inside, outside = 0, length] = map.trim().split(/\s+/).map(Number);
    assert.deepEqual([inside, length, owner], [0, 65_536, '0']);
    assert.ok(outside >= 65_536, 'root in it is nobody on the node');
  } else {
    const refusal = 'runtime does not support user namespaces';
    await eventually('it is said that there is no sandbox', async () => {
      const { items } = await node.client.list(events, { signal });
      return items.some(({ note = '' }) => note.includes(refusal));
    });
  }
  await node.delete('users');
});

test('what is below a read-only volume is kept as well', { timeout }, async () => {
  const folder = join(node.dataDir, 'below');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  await mountTmpfs(join(folder, 'sub'), { signal });
  const mount = { name: 'below', mountPath: '/below', readOnly: true };
  const volumes = [{ name: 'below', hostPath: { path: folder } }];
  const pod = (name: string, recursiveReadOnly: string) => {
    const volumeMounts = [{ ...mount, recursiveReadOnly }];
    const container = node.container(`touch /below/sub/${name}; echo tried; ${forever}`, {
      volumeMounts,
    });
    return node.create(name, { volumes, containers: [container] });
  };
  const isAble = features()?.recursiveReadOnlyMounts === true;
  await pod('possible', 'IfPossible');
  const possible = await node.untilReady('possible');
  await linesOf(possible, 1);
  assert.deepEqual(possible.status?.containerStatuses?.[0]?.volumeMounts?.[0], {
    ...mount,
    recursiveReadOnly: isAble ? 'Enabled' : 'Disabled',
  });
  assert.equal(existsSync(join(folder, 'sub/possible')), !isAble);
  await pod('enabled', 'Enabled');
  if (isAble) {
    await linesOf(await node.untilReady('enabled'), 1);
    assert.equal(existsSync(join(folder, 'sub/enabled')), false);
  } else {
    const refusal = /read-only mode, but it is not supported by the runtime/;
    await untilWaiting('enabled', 'CreateContainerConfigError', refusal);
  }
  for (const name of ['possible', 'enabled']) await node.delete(name);
  await unmountBelow(folder, { signal });
});

test('a volume is an image, or its container waits', { timeout }, async () => {
  const image = { reference: busyboxImage, pullPolicy: 'IfNotPresent' };
  const volumes = [{ name: 'image', image }];
  const volumeMounts = [{ name: 'image', mountPath: '/image' }];
  const say = `ls /image/bin/busybox; touch /image/x || echo kept; ${forever}`;
  const containers = [node.container(say, { volumeMounts })];
  await node.create('image', { volumes, containers });
  const [major = 0, minor = 0] = node.containerd.version.split('.').map(Number);
  if (major > 2 || (major === 2 && minor >= 1)) {
    const lines = await linesOf(await node.untilReady('image'), 3);
    assert.deepEqual([lines[0], lines[2]], ['/image/bin/busybox', 'kept']);
  } else {
    await untilWaiting('image', 'CreateContainerError', /does not support image volumes/);
  }
  await node.delete('image');
});

test('groups of a pod are those that it names, or it is not taken', { timeout }, async () => {
  const groups = { supplementalGroups: [9], supplementalGroupsPolicy: 'Strict' };
  const securityContext = { runAsUser: 7, runAsGroup: 8, ...groups };
  const containers = [node.container(`id -G; ${forever}`)];
  // Which it knows from its Node, when it has registered.
  await eventually('the node has said what it can', async () => {
    const told = await node.server.request('GET', '/api/v1/nodes/node-1');
    return JSON.stringify(told).includes('containerRuntimeVersion');
  });
  await node.create('strict', { securityContext, containers });
  if (can.features?.supplementalGroupsPolicy === true) {
    const pod = await node.untilReady('strict');
    assert.deepEqual(await linesOf(pod, 1), ['8 9']);
    assert.deepEqual(pod.status?.containerStatuses?.[0]?.user?.linux, {
      ...{ uid: 7, gid: 8, supplementalGroups: [8, 9] },
    });
  } else {
    const isFailed = ({ status }: Pod): boolean => status?.phase === 'Failed';
    const { status } = await node.until('strict', isFailed, 'refused');
    assert.equal(status?.reason, 'SupplementalGroupsPolicyNotSupported');
  }
  await node.delete('strict');
});
