/**
 * What a kubelet makes of a real machine: limits of cgroups, who is killed first, sizes and owners
 * of volumes, logs that are turned over, figures that agree with the kernel's; and what becomes of
 * hooks and endings while the kubelet is away.
 */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { readMounts } from '#kit/mounts.ts';
import { defaultSettings } from '#kubelet';
import { persistentVolumeClaims, persistentVolumes, pods } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { machineSettings, RealNode } from '#test/real-node.ts';

const timeout = 480_000;
const { signal } = new AbortController();
const clock = systemClock();
const forever = 'trap "exit 0" TERM; sleep 1000 & wait';
const mebibyte = 1024 ** 2;
const logBytesMax = 200_000;
let node: RealNode;

before(async () => {
  node = await RealNode.open();
  node.kubeletOptions = {
    settings: {
      ...{ ...machineSettings, kubeReserved: { memory: '100Mi' } },
      ...{ containerLogMaxBytes: logBytesMax, containerLogMaxFiles: 3 },
      containerLogMonitorIntervalMs: 300,
    },
  };
  node.startKubelet();
});

after(async () => {
  await node?.[Symbol.asyncDispose]();
});

async function exec(pod: Pod, ...cmd: readonly string[]): Promise<string> {
  const labelSelector = { 'io.kubernetes.pod.uid': pod.metadata.uid ?? '' };
  const state = { state: 'CONTAINER_RUNNING' } as const;
  const [container] = await node.runtime.listContainers({ labelSelector, state }, { signal });
  const asked = { containerId: container?.id ?? '', cmd };
  const options = { timeoutSeconds: 60, signal };
  const { stdout, stderr } = await node.runtime.execSync(asked, options);
  return Buffer.concat([stdout, stderr]).toString('utf8').trim();
}

/** CAP_SYS_RESOURCE. */
function mayLowerScores(status: string): boolean {
  const capabilities = BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(status)?.[1] ?? '0'}`);
  return ((capabilities >> 24n) & 1n) === 1n;
}

/** Linux 6.4 and later. */
function keepsFromSwap(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 4);
}

/** Of a cgroup, in whichever version; each name of the file is tried. */
function cgroupFile(path: string, ...files: readonly string[]): string {
  for (const { mountPoint } of readMounts().filter(({ type }) => type.startsWith('cgroup'))) {
    for (const file of files) {
      const full = join(mountPoint, 'coracle-ndtst/kubepods', path, file);
      if (existsSync(full)) return readFileSync(full, 'utf8').trim();
    }
  }
  throw new Error(`there is no ${files.join(' or ')} of ${path}`);
}

async function eventually(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadlineMs = clock.monotonic() + 60_000;
  while (clock.monotonic() < deadlineMs) {
    if (await holds()) return;
    await clock.sleep(50, { signal });
  }
  throw new Error(`${what} never came true`);
}

/** Of the node's server, as the API server asks. */
function ask(path: string): Promise<string> {
  const { ca, apiServer } = node.certificates;
  const at = { host: '127.0.0.1', port: node.kubeletPort, path };
  return new Promise((resolve, reject) => {
    const sent = request({ ...at, ca: ca.cert, ...apiServer }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve(Buffer.concat(parts).toString('utf8')));
    });
    sent.once('error', reject);
    sent.end();
  });
}

test('classes of pods differ in processors and in who is killed first', { timeout }, async () => {
  const exact = { cpu: '100m', memory: '64Mi' };
  await node.create('guaranteed', {
    containers: [node.container(forever, { resources: { requests: exact, limits: exact } })],
  });
  await node.create('burstable', {
    containers: [node.container(forever, { resources: { requests: { cpu: '500m' } } })],
  });
  await node.create('careless', {
    // Passed over by a machine without SELinux.
    securityContext: { seLinuxOptions: { level: 's0:c123,c456' } },
    containers: [node.container(forever)],
  });
  const score = async (name: string): Promise<number> =>
    Number(await exec(await node.untilReady(name), 'cat', '/proc/1/oom_score_adj'));
  const status = readFileSync('/proc/self/status', 'utf8');
  // A machine within a machine may not be let to protect anybody.
  assert.equal(await score('guaranteed'), mayLowerScores(status) ? -997 : 0);
  assert.equal(await score('burstable'), 999);
  assert.equal(await score('careless'), 1000);
  const shares = (path: string): number => {
    const version1 = existsSync('/sys/fs/cgroup/cpu');
    return Number(cgroupFile(path, version1 ? 'cpu.shares' : 'cpu.weight'));
  };
  await eventually('shares follow', () => shares('burstable') < 1000 && shares('besteffort') < 3);
  assert.ok(shares('burstable') > shares('besteffort'));
  const total = Number(/^MemTotal: +(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
  const limit = Number(cgroupFile('', 'memory.limit_in_bytes', 'memory.max'));
  const expected = total * 1024 - 100 * mebibyte;
  assert.ok(Math.abs(limit - expected) < mebibyte, `${limit} is not ${expected}`);
  const kernel = (name: string): number => Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8'));
  const most = Math.min(kernel('pid_max'), kernel('threads-max'));
  assert.equal(Number(cgroupFile('', 'pids.max')), most);
  for (const name of ['guaranteed', 'burstable', 'careless']) await node.delete(name);
});

test('a volume in memory is bounded by what its pod may have', { timeout }, async () => {
  const limits = { cpu: '100m', memory: '48Mi' };
  const volumes = [
    { name: 'all', emptyDir: { medium: 'Memory' } },
    { name: 'less', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } },
    { name: 'one', emptyDir: {} },
    { name: 'two', emptyDir: {} },
  ];
  const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: `/${name}` }));
  await node.create('volumes', {
    volumes,
    containers: [node.container(forever, { resources: { limits }, volumeMounts })],
  });
  const pod = await node.untilReady('volumes');
  const mounts = await exec(pod, 'cat', '/proc/mounts');
  assert.match(mounts, /^tmpfs \/all tmpfs .*size=49152k/m);
  assert.match(mounts, /^tmpfs \/less tmpfs .*size=8192k/m);
  if (keepsFromSwap()) assert.match(mounts, /^tmpfs \/all tmpfs .*\bnoswap\b/m);
  const said = await exec(pod, 'sh', '-c', 'echo x > /one/file; busybox ln /one/file /two/file');
  assert.match(said, /cross-device link/i);
  await exec(pod, 'sh', '-c', 'busybox ln /one/file /one/same');
  assert.equal(await exec(pod, 'cat', '/one/same'), 'x');
  const onto = volumes.map(({ name }) => ({ name, mountPath: '/same' }));
  const twice = { volumes, containers: [node.container(forever, { volumeMounts: onto })] };
  await assert.rejects(node.create('onto', twice), /mountPath: Invalid value: "\/same": must be/);
  covers('VOL-024');
  await node.delete('volumes');
});

test('a folder of the node as a volume belongs to the pod’s group', { timeout }, async () => {
  const path = join(node.dataDir, 'local');
  mkdirSync(path, { mode: 0o755 });
  await createBound('data', path);
  await node.create('zk', {
    securityContext: { runAsUser: 1000, fsGroup: 1000 },
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
    containers: [
      node.container(`touch /data/mine; ${forever}`, {
        volumeMounts: [{ name: 'data', mountPath: '/data' }],
      }),
    ],
  });
  const pod = await node.untilReady('zk');
  const listed = await exec(pod, 'ls', '-ld', '/data');
  assert.match(listed, /^drwxrwsr-x .* 1000 /);
  await eventually('it is written', async () => existsSync(join(path, 'mine')));
  assert.equal(statSync(join(path, 'mine')).gid, 1000);
  assert.equal(statSync(join(path, 'mine')).uid, 1000);
  covers('VOL-147');
  // The volume says itself who may use it, and what is asked for the pod does not show that.
  assert.match(await exec(pod, 'id'), /groups=.*\b4711\b/);
  assert.equal(JSON.stringify(pod.spec).includes('4711'), false);
  covers('VOL-114');
  await node.delete('zk');
  assert.ok(existsSync(join(path, 'mine')), 'what was written stays');
});

/** Of a pod: what is mounted in its folder, and nowhere else on this machine. */
function boundFor({ metadata }: Pod): readonly string[] {
  const folder = join(node.dataDir, 'agent/kubelet/pods', metadata.uid ?? '', 'volume-subpaths/');
  const points = readMounts().map(({ mountPoint }) => mountPoint);
  return points.filter((point) => point.startsWith(folder)).map((at) => at.slice(folder.length));
}

/** What only its container sees while it runs ends. */
async function stopMain({ metadata }: Pod): Promise<void> {
  const labelSelector = { 'io.kubernetes.pod.uid': metadata.uid ?? '' };
  const state = { state: 'CONTAINER_RUNNING' } as const;
  const [main] = await node.runtime.listContainers({ labelSelector, state }, { signal });
  await node.runtime.stopContainer(main?.id ?? '', { graceSeconds: 0, signal });
}

/** Not below the data dir: what is in it has to outlive whatever becomes of pods and node. */
function theirFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-theirs-'));
  for (const name of ['volume/data', 'outside']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'volume/data/file'), 'precious');
  writeFileSync(join(folder, 'outside/secret'), '');
  symlinkSync('data', join(folder, 'volume/inside'));
  symlinkSync(join(folder, 'outside'), join(folder, 'volume/out'));
  return folder;
}

test('parts of a volume: kept for restarts of container and kubelet, and let go of', {
  timeout,
}, async (context) => {
  const folder = theirFolder();
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'volume');
  const volumes = [{ name: 'v', hostPath: { path } }];
  const part = (subPath: string, mountPath: string) => ({ name: 'v', mountPath, subPath });
  const asked = [
    part('data', '/data'),
    part('data/file', '/file'),
    part('new/deep', '/new'),
    part('inside/file', '/linked'),
  ];
  const container = node.container(`echo x >> /new/starts; ${forever}`, {
    volumeMounts: [{ name: 'v', mountPath: '/all' }, ...asked],
  });
  const leading = node.container(forever, { volumeMounts: [part('out', '/out')] });
  await node.create('parts', { volumes, containers: [container] });
  await node.create('out', { volumes, containers: [leading] });
  const pod = await node.untilReady('parts');
  assert.equal(await exec(pod, 'cat', '/data/file', '/file', '/linked'), 'precious'.repeat(3));
  assert.equal(await exec(pod, 'ls', '/all'), 'data\ninside\nnew\nout');
  const all = ['v/main/1', 'v/main/2', 'v/main/3', 'v/main/4'];
  assert.deepEqual(boundFor(pod).toSorted(), all);
  const isRefused = ({ status }: Pod): boolean => {
    const { reason, message = '' } = status?.containerStatuses?.[0]?.state?.waiting ?? {};
    const text = /^failed to prepare subPath for volumeMount "v" of container "main"$/;
    return reason === 'CreateContainerConfigError' && text.test(message);
  };
  const out = await node.until('out', isRefused, 'refused');
  assert.deepEqual(boundFor(out), []);
  // What was a folder when the container began leads out of the volume when it begins again.
  renameSync(join(path, 'data'), join(path, 'was-data'));
  symlinkSync(join(folder, 'outside'), join(path, 'data'));
  await stopMain(pod);
  await node.until('parts', isRefused, 'refused');
  rmSync(join(path, 'data'));
  renameSync(join(path, 'was-data'), join(path, 'data'));
  await node.untilReady('parts');
  assert.equal(readFileSync(join(path, 'new/deep/starts'), 'utf8'), 'x\nx\n');
  assert.deepEqual(boundFor(pod).toSorted(), all);
  await node.stopKubelet();
  await stopMain(pod);
  node.startKubelet();
  await eventually('it starts a third time', () =>
    readFileSync(join(path, 'new/deep/starts'), 'utf8').startsWith('x\nx\nx\n'),
  );
  assert.deepEqual(boundFor(pod).toSorted(), all);
  await node.untilReady('parts');
  await node.stopKubelet();
  const force = '/api/v1/namespaces/default/pods/parts?gracePeriodSeconds=0';
  assert.equal((await node.server.request('DELETE', force)).status, 200);
  node.startKubelet();
  const own = join(node.dataDir, 'agent/kubelet/pods', pod.metadata.uid ?? '');
  await eventually('nothing of the pod is left', () => !existsSync(own));
  assert.deepEqual(boundFor(pod), []);
  await node.delete('out');
  assert.equal(readFileSync(join(path, 'data/file'), 'utf8'), 'precious');
  assert.deepEqual(readdirSync(join(folder, 'outside')), ['secret']);
});

test('who exchanges folders and links gets no part of a volume from outside', {
  timeout,
}, async (context) => {
  const folder = theirFolder();
  context.after(() => rmSync(folder, { recursive: true }));
  const volumes = [{ name: 'v', hostPath: { path: join(folder, 'volume') } }];
  const turns = ['data a', 'a data', 'out a', 'a out'].map((two) => `busybox mv -T ${two}`);
  const script = `cd /all; while :; do ${turns.join('; ')}; done`;
  const all = { name: 'v', mountPath: '/all' };
  await node.create('exchange', {
    volumes,
    containers: [node.container(script, { volumeMounts: [all] })],
  });
  await node.untilReady('exchange');
  const names = Array.from({ length: 16 }, (_, index) => `victim-${index}`);
  const volumeMounts = [{ ...all, subPath: 'a' }];
  const victim = node.container('ls /all', { volumeMounts });
  for (const name of names) {
    await node.create(name, { restartPolicy: 'Never', volumes, containers: [victim] });
  }
  let seen = 0;
  for (const name of names) {
    const isDecided = ({ status }: Pod): boolean => {
      const { waiting, terminated } = status?.containerStatuses?.[0]?.state ?? {};
      return terminated !== undefined || waiting?.reason === 'CreateContainerConfigError';
    };
    const pod = await node.until(name, isDecided, 'decided');
    if (pod.status?.containerStatuses?.[0]?.state?.terminated === undefined) continue;
    seen += 1;
    assert.doesNotMatch(node.logText(pod), /secret/);
  }
  context.diagnostic(`${seen} of ${names.length} got a folder of the volume, the others nothing`);
  await Promise.all([...names, 'exchange'].map((name) => node.delete(name)));
  assert.deepEqual(readdirSync(join(folder, 'outside')), ['secret']);
});

/** A claim as controllers bind it, since none run here. */
async function createBound(name: string, path: string): Promise<void> {
  const { client } = node;
  const spec = { accessModes: ['ReadWriteOnce'], storageClassName: 'manual' } as const;
  const capacity = { storage: '1Mi' };
  const at = { namespace: 'default', name };
  const head = { apiVersion: 'v1', metadata: at } as const;
  const wanted = { ...spec, volumeName: name, resources: { requests: capacity } };
  const kind = 'PersistentVolumeClaim';
  const claim = await client.create(
    persistentVolumeClaims,
    { ...head, kind, spec: wanted },
    { signal },
  );
  const here = { key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1'] };
  const nodeAffinity = { required: { nodeSelectorTerms: [{ matchExpressions: [here] }] } };
  await client.create(
    persistentVolumes,
    {
      ...{ apiVersion: 'v1', kind: 'PersistentVolume' },
      metadata: { name, annotations: { 'pv.beta.kubernetes.io/gid': '4711' } },
      spec: {
        ...{ ...spec, capacity, local: { path }, nodeAffinity },
        claimRef: { ...at, uid: claim.metadata.uid ?? '' },
      },
    },
    { signal },
  );
  const status = { phase: 'Bound', accessModes: spec.accessModes, capacity };
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(persistentVolumeClaims, at, { status }, options);
}

test('logs are turned over, and never fill the disk', { timeout }, async () => {
  const line = 'x'.repeat(90);
  const loop = `i=0; while true; do i=$((i+1)); echo $i ${line}; done`;
  await node.create('chatty', { containers: [node.container(loop)] });
  const pod = await node.untilReady('chatty');
  const { namespace, name, uid } = pod.metadata;
  const folder = join(node.dataDir, 'agent/pod-logs', `${namespace}_${name}_${uid}`, 'main');
  const seen = new Set<string>();
  let most = 0;
  await eventually('it is turned over three times', () => {
    const files = readdirSync(folder).filter((file) => !file.endsWith('.tmp'));
    const plain = files.filter((file) => !file.endsWith('.gz') && !files.includes(`${file}.gz`));
    const zipped = files.filter((file) => file.endsWith('.gz'));
    most = Math.max(most, plain.length + zipped.length);
    for (const file of zipped) seen.add(file);
    return seen.size >= 2;
  });
  assert.ok(most <= 3, `${most} files`);
  for (const file of seen) assert.match(file, /^0\.log\.\d{8}-\d{6}\.gz$/);
  const path = `/containerLogs/default/chatty/main?tailLines=1`;
  // While it is turned over there is no file, or nothing in it; and the pod writes on: many lines.
  await eventually('the newest is told', async () => {
    const lines = (await ask(path)).split('\n');
    return (
      lines.pop() === '' && lines.length > 0 && lines.every((each) => /^\d+ x{90}$/.test(each))
    );
  });
  covers('LOG-028');
  const { containerLogMaxBytes, containerLogMaxFiles } = defaultSettings;
  assert.deepEqual([containerLogMaxBytes, containerLogMaxFiles], [10 * mebibyte, 5]);
  superseded('RUN-010', {
    by: 'v1.24',
    now: 'by the kubelet: containerLogMaxSize 10Mi, containerLogMaxFiles 5; components write to standard error',
  });
  const now = 'the kubelet turns logs over; kubectl logs still shows the newest file alone';
  superseded('LOG-011', { by: 'v1.21', now });
  await node.delete('chatty');
});

interface Summary {
  readonly node: { readonly memory: Readonly<Record<string, number>> };
  readonly pods: readonly {
    readonly podRef: { readonly name: string };
    readonly containers: readonly {
      readonly cpu: Readonly<Record<string, number>>;
      readonly memory: Readonly<Record<string, number>>;
    }[];
  }[];
}

/** In bytes: all, and what is used but for files that were not touched for long. */
function kernelMemory(): { readonly total: number; readonly workingSet: number } {
  const info = readFileSync('/proc/meminfo', 'utf8');
  const kibibytes = (field: string): number =>
    Number(new RegExp(`^${field}: +(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const usage = ['Cached', 'Buffers', 'SwapCached', 'AnonPages']
    .map(kibibytes)
    .reduce((sum, each) => sum + each, 0);
  const workingSet = (usage - kibibytes('Inactive\\(file\\)')) * 1024;
  return { total: kibibytes('MemTotal') * 1024, workingSet };
}

test('figures agree with those of the kernel', { timeout }, async () => {
  // A program that holds 20 MiB, and one that uses a processor.
  const hold = 'dd if=/dev/zero of=/held/file bs=1048576 count=20';
  await node.create('busy', {
    volumes: [{ name: 'held', emptyDir: { medium: 'Memory' } }],
    containers: [
      node.container(`${hold}; while true; do :; done`, {
        resources: { limits: { cpu: '100m', memory: '64Mi' } },
        volumeMounts: [{ name: 'held', mountPath: '/held' }],
      }),
    ],
  });
  const pod = await node.untilReady('busy');
  const figures = async () => {
    const all: Summary = JSON.parse(await ask('/stats/summary'));
    const own = all.pods.find(({ podRef }) => podRef.name === 'busy')?.containers[0];
    return { own, memory: all.node.memory };
  };
  const used = async (): Promise<number> => (await figures()).own?.memory['workingSetBytes'] ?? 0;
  await eventually('the memory is seen', async () => (await used()) > 20 * mebibyte);
  const kernel = Number(
    cgroupFile(`pod${pod.metadata.uid}`, 'memory.usage_in_bytes', 'memory.current'),
  );
  assert.ok(Math.abs((await used()) - kernel) < 8 * mebibyte, `${await used()} and ${kernel}`);
  const processorSeconds = async (): Promise<number> =>
    ((await figures()).own?.cpu['usageCoreNanoSeconds'] ?? 0) / 1e9;
  const beforeMs = clock.monotonic();
  const secondsBefore = await processorSeconds();
  // However little of it the machine gives: it grows, and no faster than it may.
  await eventually('it runs', async () => {
    const seconds = (await processorSeconds()) - secondsBefore;
    const passed = (clock.monotonic() - beforeMs) / 1000;
    assert.ok(seconds < 0.1 * passed + 0.5, `${seconds} s of processor in ${passed} s at 100m`);
    return seconds > 0.03 && passed > 3;
  });
  // Others use memory too, so that two looks differ at times.
  await eventually('the memory of the node is that of the kernel', async () => {
    const { memory } = await figures();
    const { total, workingSet } = kernelMemory();
    const near = (one = 0, other = 0): boolean => Math.abs(one - other) < 200 * mebibyte;
    return (
      near(memory['workingSetBytes'], workingSet) &&
      near(memory['availableBytes'], total - workingSet)
    );
  });
  covers('POD-245');
  let text = '';
  const sampleOf = (name: string): number => {
    const found = new RegExp(`^container_${name}\\{container="main",.*pod="busy".*\\} (\\S+)`, 'm');
    return Number(found.exec(text)?.[1] ?? Number.NaN);
  };
  await eventually('it is held back', async () => {
    text = await ask('/metrics/cadvisor');
    return (
      sampleOf('cpu_cfs_throttled_periods_total') > 0 && sampleOf('cpu_user_seconds_total') > 0
    );
  });
  assert.equal(sampleOf('spec_cpu_quota'), 10_000);
  assert.equal(sampleOf('spec_cpu_period'), 100_000);
  assert.equal(sampleOf('spec_memory_limit_bytes'), 64 * mebibyte);
  assert.ok(sampleOf('memory_cache') > 19 * mebibyte, 'what it holds are files in memory');
  assert.ok(sampleOf('processes') >= 1);
  assert.equal(sampleOf('oom_events_total'), 0);
  for (const path of ['/metrics', '/metrics/cadvisor', '/metrics/resource']) {
    const lines = (await ask(path)).trimEnd().split('\n');
    assert.ok(lines.length > 10, path);
    for (const each of lines) {
      const label = '[a-zA-Z_]\\w*="(?:[^"\\\\]|\\\\.)*"';
      const sample = `^[a-zA-Z_:][\\w:]*(\\{(${label}(,${label})*)?\\})? \\S+( \\d+)?$`;
      assert.match(each, each.startsWith('#') ? /^# (HELP|TYPE) \w+ .+$/ : new RegExp(sample));
    }
  }
  covers('MON-011', 'POD-202');
  const [requests, limits] = [{ cpu: '200m' }, { cpu: '200m' }];
  await node.client.patch(
    pods,
    { namespace: 'default', name: 'busy' },
    { spec: { containers: [{ name: 'main', resources: { requests, limits } }] } },
    { type: 'strategic', subresource: 'resize', signal },
  );
  const [asked, took] = ['container_requested_resizes_total', 'pod_resize_duration_milliseconds'];
  const told = [
    `kubelet_${asked}{resource="cpu",requirement="limits",operation="increase"} 1`,
    `kubelet_${took}_count{success="true"} 1`,
  ];
  await eventually('the resize is counted', async () => {
    const lines = (await ask('/metrics')).split('\n');
    return told.every((line) => lines.includes(line));
  });
  await node.delete('busy');
});

test('a hook comes again from a kubelet that was away, a failed one does not', {
  timeout,
}, async (context) => {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    response.writeHead(500).end();
  });
  context.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const data = join(node.dataDir, 'hooks');
  mkdirSync(data);
  // It is not over before it has come twice.
  const script = 'echo called >> /data/hooks; until [ -e /data/over ]; do sleep 0.1; done';
  const preStop = { exec: { command: ['sh', '-c', script] } };
  await node.create('hooked', {
    terminationGracePeriodSeconds: 30,
    volumes: [{ name: 'data', hostPath: { path: data } }],
    containers: [
      node.container(forever, {
        lifecycle: { preStop },
        volumeMounts: [{ name: 'data', mountPath: '/data' }],
      }),
    ],
  });
  const httpGet = { host: '127.0.0.1', port, path: '/stop' };
  await node.create('refused', {
    containers: [node.container(forever, { lifecycle: { preStop: { httpGet } } })],
  });
  await node.untilReady('hooked');
  await node.untilReady('refused');
  await node.delete('refused');
  assert.equal(asked, 1);
  await node.client.delete(pods, { namespace: 'default', name: 'hooked' }, { signal });
  const hooks = join(data, 'hooks');
  const calls = (): number =>
    existsSync(hooks) ? readFileSync(hooks, 'utf8').trim().split('\n').length : 0;
  await eventually('the hook is called', () => calls() === 1);
  await node.stopKubelet();
  node.startKubelet();
  await eventually('it is called again', () => calls() === 2);
  writeFileSync(join(data, 'over'), '');
  await eventually('the pod is gone', async () => !(await isThere('hooked')));
  covers('POD-079');
});

async function isThere(name: string): Promise<boolean> {
  const { items } = await node.client.list(pods, { signal });
  return items.some((pod) => pod.metadata.name === name);
}

test('a kubelet that was away gives an ending pod all of its time again', { timeout }, async () => {
  await node.create('stubborn', {
    terminationGracePeriodSeconds: 8,
    containers: [node.container('trap "" TERM; while true; do sleep 1; done')],
  });
  await node.untilReady('stubborn');
  await node.client.delete(pods, { namespace: 'default', name: 'stubborn' }, { signal });
  await clock.sleep(1500, { signal });
  await node.stopKubelet();
  node.startKubelet();
  const startedMs = clock.monotonic();
  await eventually('the pod is gone', async () => !(await isThere('stubborn')));
  const passedMs = clock.monotonic() - startedMs;
  assert.ok(passedMs > 7500, `gone after ${passedMs} ms`);
  covers('POD-085');
});
