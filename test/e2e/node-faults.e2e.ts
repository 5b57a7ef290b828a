/**
 * A real node under blows, and what only a kernel can show: processors of a container's own, a
 * device as a volume, limits of processes, containers that do not want to end, processes killed in
 * the middle of a pod's life, and a flood of log lines.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { readMounts } from '#kit/mounts.ts';
import { runCommand } from '#kit/run-command.ts';
import {
  events,
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
} from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { machineSettings, RealNode } from '#test/real-node.ts';

const timeout = 480_000;
const { signal } = new AbortController();
const clock = systemClock();
/** Of everything that is waited for. */
const untilMs = 60_000;
const forever = 'trap "exit 0" TERM; sleep 1000 & wait';
const restarts = new AbortController();
let supervised: Promise<void> | undefined;
let node: RealNode;

before(async () => {
  node = await RealNode.open();
  node.kubeletOptions = {
    podPidsMax: 30,
    settings: {
      ...{ ...machineSettings, cpuManagerPolicy: 'static', kubeReserved: { cpu: '500m' } },
      // Logs are turned over often, and nothing of them goes.
      ...{ containerLogMaxBytes: 128 * 1024, containerLogMaxFiles: 100 },
      containerLogMonitorIntervalMs: 300,
    },
  };
  node.startKubelet();
});

after(async () => {
  restarts.abort(new Error('the tests are over'));
  await supervised;
  await node?.[Symbol.asyncDispose]();
});

async function untilRuntimeAnswers(): Promise<void> {
  const startedMs = clock.monotonic();
  for (;;) {
    try {
      await node.runtime.listPodSandboxes({}, { signal });
      return;
    } catch (error) {
      if (clock.monotonic() - startedMs > untilMs) throw error;
      await clock.sleep(20, { signal });
    }
  }
}

async function containersOf(pod: Pod) {
  const labelSelector = { 'io.kubernetes.pod.uid': pod.metadata.uid ?? '' };
  const state = { state: 'CONTAINER_RUNNING' } as const;
  return node.runtime.listContainers({ labelSelector, state }, { signal });
}

/** What the kernel lets the container's processes run on. */
async function cpusOf(pod: Pod): Promise<string> {
  const [container] = await containersOf(pod);
  const cmd = ['grep', 'Cpus_allowed_list', '/proc/self/status'];
  const request = { containerId: container?.id ?? '', cmd };
  const { stdout } = await node.runtime.execSync(request, { timeoutSeconds: 60, signal });
  return Buffer.from(stdout).toString().split(/\s+/)[1] ?? '';
}

/** As the kernel has it, in whichever version of cgroups. */
async function quotaOf(pod: Pod): Promise<string> {
  const [container] = await containersOf(pod);
  const tail = join('coracle-ndtst/kubepods', `pod${pod.metadata.uid}`, container?.id ?? '');
  for (const { mountPoint } of readMounts().filter(({ type }) => type.startsWith('cgroup'))) {
    for (const file of ['cpu.cfs_quota_us', 'cpu.max']) {
      const path = join(mountPoint, tail, file);
      if (existsSync(path)) return readFileSync(path, 'utf8').trim();
    }
  }
  throw new Error('the container has no cgroup of processors');
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = clock.monotonic() + untilMs;
  while (clock.monotonic() < deadlineMs) {
    if (await holds()) return;
    await clock.sleep(40, { signal });
  }
  throw new Error(`${what} never came true`);
}

test('a container has a processor of its own, and the others leave it', { timeout }, async () => {
  covers('POD-227', 'POD-228');
  const online = readFileSync('/sys/devices/system/cpu/online', 'utf8').trim();
  await node.create('shared', { containers: [node.container(forever)] });
  const shared = await node.untilReady('shared');
  assert.equal(await cpusOf(shared), online);
  const amounts = { cpu: '1', memory: '32Mi' };
  const resources = { requests: amounts, limits: amounts };
  const ready = 'grep Cpus_allowed_list /proc/self/status';
  await node.create('own', { containers: [node.container(`${ready}; ${forever}`, { resources })] });
  const own = await node.untilReady('own');
  const cpu = await cpusOf(own);
  assert.match(cpu, /^[1-9]\d*$/, 'one, and not the one that is reserved');
  assert.match(await quotaOf(own), /^(-1|max)/, 'nobody holds it back');
  await eventually('it has said where it runs', async () => node.logText(own).includes('\n'));
  const [first = ''] = node.logText(own).split('\n');
  assert.match(first, new RegExp(`\\b${cpu}$`), 'from its first moment on');
  await eventually('the shared one leaves', async () => {
    return !(await cpusOf(shared)).split(',').some((part) => part === cpu || part === online);
  });
  const rest = await cpusOf(shared);
  // A kubelet that was stopped in between knows who has what.
  await node.stopKubelet();
  node.startKubelet();
  await node.create('more', { containers: [node.container(forever)] });
  assert.equal(await cpusOf(await node.untilReady('more')), rest);
  assert.equal(await cpusOf(own), cpu);
  await node.delete('own');
  await eventually('the shared one comes back', async () => (await cpusOf(shared)) === online);
  await node.delete('more');
  await node.delete('shared');
});

test('a device as a volume', { timeout }, async () => {
  const file = join(node.dataDir, 'disk.img');
  writeFileSync(file, Buffer.concat([Buffer.from('first bytes'), Buffer.alloc(1024 * 1024)]));
  const options = { signal, timeoutMs: 60_000 };
  const { stdout, code } = await runCommand('losetup', ['--find', '--show', file], options);
  assert.equal(code, 0);
  const path = stdout.trim();
  try {
    await createBound('disk', path);
    await node.create('block', {
      volumes: [{ name: 'disk', persistentVolumeClaim: { claimName: 'disk' } }],
      containers: [
        node.container(`dd if=/dev/xvda bs=11 count=1; echo; ${forever}`, {
          volumeDevices: [{ name: 'disk', devicePath: '/dev/xvda' }],
        }),
      ],
    });
    const pod = await node.untilReady('block');
    await eventually('it is read', async () => node.logText(pod).includes('first bytes'));
    await node.delete('block');
  } finally {
    await runCommand('losetup', ['--detach', path], options);
  }
});

test('a device whose file system is made and mounted for its pods', { timeout }, async () => {
  const file = join(node.dataDir, 'empty.img');
  writeFileSync(file, Buffer.alloc(8 * 1024 * 1024));
  const options = { signal, timeoutMs: 60_000 };
  const { stdout, code } = await runCommand('losetup', ['--find', '--show', file], options);
  assert.equal(code, 0);
  const path = stdout.trim();
  try {
    const annotations = { 'volume.beta.kubernetes.io/mount-options': 'nodelalloc,noatime' };
    await createBound('files', path, { volumeMode: 'Filesystem', annotations });
    const of = (name: string, command: string) =>
      node.create(name, {
        securityContext: { fsGroup: 4321 },
        volumes: [{ name: 'files', persistentVolumeClaim: { claimName: 'files' } }],
        containers: [
          node.container(`${command}; ${forever}`, {
            volumeMounts: [{ name: 'files', mountPath: '/data' }],
          }),
        ],
      });
    await of('writer', 'echo kept > /data/note; stat -c %g /data; mount | grep " /data "');
    const writer = await node.untilReady('writer');
    await eventually('it is an ext4', async () => / ext4 /.test(node.logText(writer)));
    assert.match(node.logText(writer), /\b4321$/m);
    const onNode = readMounts().filter(({ mountPoint }) => mountPoint.endsWith('-volume/files'));
    assert.deepEqual(
      onNode.map(({ type }) => type),
      ['ext4'],
      'of the node first, and of the container through it',
    );
    assert.ok(onNode[0]?.options.includes('nodelalloc'), String(onNode[0]?.options));
    covers('POD-192', 'VOL-089');
    // A kubelet that was stopped in between mounts nothing twice, and grows what has grown.
    await node.stopKubelet();
    const [sizeBefore] = sizesOf(onNode);
    truncateSync(file, 32 * 1024 * 1024);
    await runCommand('losetup', ['--set-capacity', path], options);
    await grow('files');
    node.startKubelet();
    await untilGrown('files', () => (sizesOf(onNode)[0] ?? 0) > 3 * (sizeBefore ?? 0));
    await of('reader', 'cat /data/note');
    const reader = await node.untilReady('reader');
    await eventually('it is read', async () => node.logText(reader).includes('kept'));
    for (const name of ['writer', 'reader']) await node.delete(name);
    const { stdout: mounts } = await runCommand('cat', ['/proc/self/mounts'], options);
    assert.ok(!mounts.includes(`${path} `), 'nobody has it mounted any more');
  } finally {
    await runCommand('losetup', ['--detach', path], options);
  }
});

test('options of a volume are handed to its mount, which alone judges them', {
  timeout,
}, async () => {
  const file = join(node.dataDir, 'options.img');
  writeFileSync(file, Buffer.alloc(8 * 1024 * 1024));
  const options = { signal, timeoutMs: 60_000 };
  const { stdout } = await runCommand('losetup', ['--find', '--show', file], options);
  const path = stdout.trim();
  try {
    await runCommand('mkfs.ext4', ['-q', path], options);
    const all = { wrong: ['no-such-option'], right: ['nodelalloc', 'noatime'] };
    for (const [name, mountOptions] of Object.entries(all)) {
      await createBound(name, path, { volumeMode: 'Filesystem', mountOptions });
      await node.create(name, {
        volumes: [{ name: 'files', persistentVolumeClaim: { claimName: name } }],
        containers: [
          node.container(forever, { volumeMounts: [{ name: 'files', mountPath: '/data' }] }),
        ],
      });
    }
    await node.untilReady('right');
    const [mount] = readMounts().filter(({ mountPoint }) => mountPoint.endsWith('-volume/right'));
    assert.ok(mount?.options.includes('nodelalloc'), String(mount?.options));
    const told = /^MountVolume.SetUp failed for volume "files" : .*mount failed: .*bad option/s;
    await eventually('the failure is told', async () => {
      const { items } = await node.client.list(events, { namespace: 'default', signal });
      return items.some(({ reason, note = '' }) => reason === 'FailedMount' && told.test(note));
    });
    const { status } = await node.client.get(pods, at('wrong'), { signal });
    assert.equal(status?.phase, 'Pending');
    superseded('VOL-088', {
      by: 'v1.31',
      now: 'local volumes take them as well; most of the others are drivers’ by now',
    });
    for (const name of Object.keys(all)) await node.delete(name);
  } finally {
    await runCommand('losetup', ['--detach', path], options);
  }
});

function sizesOf(mounts: readonly { readonly mountPoint: string }[]): readonly number[] {
  return mounts.map(({ mountPoint }) => {
    const { blocks, bsize } = statfsSync(mountPoint);
    return blocks * bsize;
  });
}

function at(name: string) {
  return { namespace: 'default', name };
}

/** As whoever grows volumes does: the volume is larger, the claim waits for its node. */
async function grow(name: string): Promise<void> {
  const { client } = node;
  const spec = { capacity: { storage: '32Mi' } };
  await client.patch(persistentVolumes, { name }, { spec }, { type: 'merge', signal });
  const status = { allocatedResourceStatuses: { storage: 'NodeResizePending' } };
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(persistentVolumeClaims, at(name), { status }, options);
}

/** Where the kernel lets nobody grow a file system, it is told of, and the claim stays as it is. */
async function untilGrown(name: string, hasGrown: () => boolean): Promise<void> {
  const sysResource = 24n;
  const effective = /^CapEff:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const isAllowed = ((BigInt(`0x${effective}`) >> sysResource) & 1n) === 1n;
  const { client } = node;
  await eventually(isAllowed ? 'the claim has its new size' : 'the failure is told', async () => {
    const claim = await client.get(persistentVolumeClaims, at(name), { signal });
    const size = claim.status?.capacity?.['storage'];
    if (isAllowed) return size === '32Mi' && hasGrown();
    const { items } = await client.list(events, { namespace: 'default', signal });
    const told = items.find(({ reason }) => reason === 'VolumeResizeFailed');
    return size === '1Mi' && /Permission denied to resize/.test(told?.note ?? '');
  });
}

/** A claim as controllers bind it, since none run here. */
async function createBound(
  name: string,
  path: string,
  {
    volumeMode = 'Block',
    annotations = {},
    mountOptions,
  }: {
    readonly volumeMode?: 'Block' | 'Filesystem';
    readonly mountOptions?: readonly string[];
    readonly annotations?: Readonly<Record<string, string>>;
  } = {},
): Promise<void> {
  const { client } = node;
  const spec = {
    accessModes: ['ReadWriteOnce'],
    volumeMode,
    storageClassName: 'manual',
  } as const;
  const storage = '1Mi';
  const claim = await client.create(
    persistentVolumeClaims,
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: at(name),
      spec: { ...spec, volumeName: name, resources: { requests: { storage } } },
    },
    { signal },
  );
  const key = 'kubernetes.io/hostname';
  const { uid = '' } = claim.metadata;
  await client.create(
    persistentVolumes,
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name, annotations },
      spec: {
        ...spec,
        capacity: { storage },
        ...{ local: { path }, mountOptions },
        claimRef: { ...at(name), uid },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [
              { matchExpressions: [{ key, operator: 'In', values: ['node-1'] }] },
            ],
          },
        },
      },
    },
    { signal },
  );
  const status = { phase: 'Bound', accessModes: spec.accessModes, capacity: { storage } };
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(persistentVolumeClaims, at(name), { status }, options);
}

test('a fork bomb ends at the limit of its pod, and hurts nobody else', { timeout }, async () => {
  const bomb = 'bomb() { bomb | bomb & }; bomb; sleep 1000';
  const forks = 'i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo through; wait';
  await node.create('bomb', { containers: [node.container(bomb)] });
  await node.create('forks', { restartPolicy: 'Never', containers: [node.container(forks)] });
  await node.create('neighbour', { containers: [node.container(forever)] });
  const neighbour = await node.untilReady('neighbour');
  const pod = await node.until(
    'forks',
    ({ status }) => status?.phase === 'Failed' || status?.phase === 'Running',
    'begun',
  );
  await eventually('forks are refused', async () => /can't fork/.test(node.logText(pod)));
  assert.doesNotMatch(node.logText(pod), /through/);
  const [container] = await containersOf(neighbour);
  const request = { containerId: container?.id ?? '', cmd: ['echo', 'alive'] };
  const { stdout } = await node.runtime.execSync(request, { timeoutSeconds: 60, signal });
  assert.equal(Buffer.from(stdout).toString(), 'alive\n');
  for (const name of ['bomb', 'forks', 'neighbour']) await node.delete(name);
});

test('who does not listen to TERM is killed when its time is over', { timeout }, async () => {
  await node.create('deaf', {
    terminationGracePeriodSeconds: 3,
    containers: [node.container('trap "" TERM; while true; do sleep 1; done')],
  });
  await node.untilReady('deaf');
  const startedMs = clock.monotonic();
  await node.delete('deaf');
  const passedMs = clock.monotonic() - startedMs;
  // Half a minute is what it had by default.
  assert.ok(passedMs >= 2900 && passedMs < 30_000, `gone after ${passedMs} ms`);
});

test('a kubelet that dies at any step of a start runs nothing twice', { timeout }, async () => {
  for (const delayMs of [0, 30, 60, 90, 120, 160, 200, 260]) {
    const name = `step-${delayMs}`;
    await node.create(name, {
      initContainers: [{ ...node.container('true'), name: 'init' }],
      containers: [node.container(forever)],
    });
    await clock.sleep(delayMs, { signal });
    await node.stopKubelet();
    node.startKubelet();
    const pod = await node.untilReady(name);
    assert.equal((await containersOf(pod)).length, 1, name);
    const [status] = pod.status?.containerStatuses ?? [];
    const last = status?.lastState?.terminated;
    // The runtime gives up a start whose caller has gone; such a container never ran.
    const isFirst = status?.restartCount === 0 || last?.reason === 'StartError';
    assert.ok(isFirst, `${name}: ${JSON.stringify(status)}`);
  }
  const { items } = await node.client.list(pods, { signal });
  await Promise.all(items.map(({ metadata }) => node.delete(metadata.name ?? '')));
  assert.deepEqual(await node.runtime.listPodSandboxes({}, { signal }), []);
});

test('containerd that dies at any step of a start runs nothing twice', { timeout }, async () => {
  supervised = node.containerd.supervise({ signal: restarts.signal }).catch(() => {});
  for (const delayMs of [20, 80, 160]) {
    const name = `runtime-${delayMs}`;
    await node.create(name, { containers: [node.container(forever)] });
    await clock.sleep(delayMs, { signal });
    process.kill(node.containerd.pid, 'SIGKILL');
    // A pod may have been Ready before: only the next containerd can tell what runs.
    await untilRuntimeAnswers();
    const pod = await node.untilReady(name);
    assert.equal((await containersOf(pod)).length, 1, name);
  }
  // Shims that it had lost are looked for until the last test; that none is left is checked later.
  for (const delayMs of [20, 80, 160]) await node.delete(`runtime-${delayMs}`);
  assert.deepEqual(await node.runtime.listPodSandboxes({}, { signal }), []);
});

test('a container of which containerd lost all knowledge runs once more, not twice', {
  timeout,
}, async () => {
  await node.create('forgotten', { containers: [node.container(forever)] });
  const pod = await node.untilReady('forgotten');
  const [before] = await containersOf(pod);
  const state = 'agent/containerd/root/io.containerd.grpc.v1.cri/containers';
  // As if it had died before this was written: then it does not know whether the container runs.
  rmSync(join(node.dataDir, state, before?.id ?? '', 'status'));
  process.kill(node.containerd.pid, 'SIGKILL');
  const again = await node.until(
    'forgotten',
    ({ status }) =>
      status?.containerStatuses?.[0]?.restartCount === 1 && status.containerStatuses[0].ready,
    'running again',
  );
  const [after, ...more] = await containersOf(again);
  assert.notEqual(after?.id, before?.id);
  assert.deepEqual(more, []);
  const { state: then } = await node.runtime.containerStatus(before?.id ?? '', { signal });
  assert.equal(then, 'CONTAINER_EXITED');
  await node.delete('forgotten');
});

test('a shim that is killed takes its pod along, which begins anew', { timeout }, async () => {
  await node.create('shimless', { containers: [node.container(forever)] });
  const pod = await node.untilReady('shimless');
  const labelSelector = { 'io.kubernetes.pod.uid': pod.metadata.uid ?? '' };
  const [sandbox] = await node.runtime.listPodSandboxes({ labelSelector }, { signal });
  const shim = shimOf(sandbox?.id ?? '');
  process.kill(shim, 'SIGKILL');
  const again = await node.until(
    'shimless',
    ({ status }) =>
      status?.containerStatuses?.[0]?.restartCount === 1 && status.containerStatuses[0].ready,
    'running again',
  );
  assert.equal((await containersOf(again)).length, 1);
  await node.delete('shimless');
});

function shimOf(sandboxId: string): number {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (words[0]?.includes('containerd-shim') && words.includes(sandboxId)) return Number(name);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no shim for ${sandboxId}`);
}

test('ten thousand lines a second are all told to who follows, over each rotation', {
  timeout,
}, async () => {
  const flood = 'for s in 1 2 3; do seq 1 10000; sleep 1; done; echo over';
  // It begins when somebody follows: what was turned over before is not told.
  const begin = 'until [ -e /tmp/go ]; do sleep 0.1; done';
  const containers = [node.container(`mkdir -p /tmp; ${begin}; ${flood}`)];
  await node.create('flood', { restartPolicy: 'Never', containers });
  const pod = await node.untilReady('flood');
  const [container] = await containersOf(pod);
  const text = await followed('/containerLogs/default/flood/main?follow=true', async () => {
    const asked = { containerId: container?.id ?? '', cmd: ['touch', '/tmp/go'] };
    await node.runtime.execSync(asked, { timeoutSeconds: 60, signal });
  });
  const lines = text.trimEnd().split('\n');
  assert.equal(lines.length, 30_001);
  assert.ok(lines.slice(0, -1).every((line, at) => line === String((at % 10_000) + 1)));
  assert.equal(lines.at(-1), 'over');
  const folder = join(node.dataDir, 'agent/pod-logs', `default_flood_${pod.metadata.uid}`, 'main');
  const files = readdirSync(folder).filter((name) => /^0\.log\.\d{8}-\d{6}(\.gz)?$/.test(name));
  assert.ok(files.length > 0, 'it was turned over meanwhile');
  const ready = await node.client.get(nodes, { name: 'node-1' }, { signal });
  assert.equal(ready.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
  await node.delete('flood');
});

/** What the node's server says until it has said all; `begin` is called once it listens to us. */
async function followed(path: string, begin: () => Promise<void>): Promise<string> {
  const { ca, apiServer } = node.certificates;
  const at = { host: '127.0.0.1', port: node.kubeletPort, path };
  const asked = request({ ...at, ca: ca.cert, ...apiServer });
  asked.end();
  const [response] = await once(asked, 'response');
  await begin();
  let text = '';
  response.setEncoding('utf8');
  for await (const part of response) text += part;
  return text;
}
