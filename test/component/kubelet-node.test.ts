/**
 * The node as a kubelet's settings make it: what it registers, how often it tells, what it keeps
 * from pods, how it is cleaned, and whom it evicts. The kubelet against a real API server, with
 * containers in memory and time moved by hand.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { defaultSettings } from '#kubelet';
import { events, leases, nodes, pods } from '#resources/kinds.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

function nodeOf(bench: KubeletBench): Promise<Node> {
  return bench.while(bench.client.get(nodes, { name: 'node-1' }, { signal: bench.signal }));
}

async function notesOf(bench: KubeletBench, reason: string): Promise<readonly string[]> {
  const { client, signal } = bench;
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  return list.items.filter((event) => event.reason === reason).map(({ note = '' }) => note);
}

test('a node is registered with the labels and taints that it was given, once', async () => {
  await using bench = await KubeletBench.open({
    options: {
      labels: { disk: 'ssd' },
      taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }],
      providerID: 'cloud://7',
      podCIDR: '10.180.0.0/24',
    },
  });
  const { client, signal } = bench;
  await bench.advance(1000);
  const node = await nodeOf(bench);
  assert.equal(node.metadata.labels?.['disk'], 'ssd');
  assert.deepEqual(
    node.spec?.taints?.filter(({ key }) => key === 'gpu'),
    [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }],
  );
  assert.deepEqual([node.spec?.providerID, node.spec?.podCIDR], ['cloud://7', '10.180.0.0/24']);
  await bench.advance(1000);
  assert.ok(bench.runtime.calls.includes('setPodRange 10.180.0.0/24'));
  const now = 'kubenet is gone: the runtime is told the range, for the templates of its CNI files';
  superseded('POD-014', { by: 'v1.24', now });
  assert.deepEqual(node.status?.addresses, [
    { type: 'InternalIP', address: '192.0.2.1' },
    { type: 'Hostname', address: 'node-1' },
  ]);
  const { body } = await bench.while(bench.server.request('GET', '/version'));
  assert.equal(node.status?.nodeInfo?.kubeletVersion, body.gitVersion.split('+')[0]);
  covers('RUN-012');
  const none = { spec: { taints: [] }, metadata: { labels: { disk: null } } };
  const at = { name: 'node-1' };
  await bench.while(client.patch(nodes, at, none, { type: 'merge', signal }));
  await bench.stop();
  bench.start();
  await bench.advance(1000);
  const again = await nodeOf(bench);
  assert.deepEqual(again.spec?.taints ?? [], [], 'somebody took the taint away');
  assert.equal(again.metadata.labels?.['disk'], 'ssd', 'labels are the kubelet’s');
  covers('POD-205');
  await bench.stop();
  bench.options = { registers: false, taints: [{ key: 'late', effect: 'NoSchedule' }] };
  bench.start();
  await bench.advance(1000);
  assert.deepEqual((await nodeOf(bench)).spec?.taints ?? [], [], 'who does not register adds none');
  covers('POD-054');
});

test('addresses that a cloud tells are kept', async () => {
  await using bench = await KubeletBench.open({ settings: { isCloudExternal: true } });
  const { client, signal } = bench;
  await bench.advance(1000);
  const node = await nodeOf(bench);
  const provided = node.metadata.annotations?.['alpha.kubernetes.io/provided-node-ip'];
  assert.equal(provided, '192.0.2.1');
  assert.deepEqual(
    node.status?.addresses?.map(({ type }) => type),
    ['InternalIP', 'Hostname'],
  );
  const addresses = [
    { type: 'InternalIP', address: '192.0.2.1' },
    { type: 'ExternalIP', address: '203.0.113.7' },
  ];
  await bench.while(
    client.patch(
      nodes,
      { name: 'node-1' },
      { status: { addresses } },
      { type: 'merge', subresource: 'status', signal },
    ),
  );
  await bench.advance(320_000);
  assert.deepEqual((await nodeOf(bench)).status?.addresses, addresses);
});

test('a node that somebody else registers is not made', async () => {
  const taints = [{ key: 'gpu', effect: 'NoSchedule' }];
  await using bench = await KubeletBench.open({ options: { registers: false, taints } });
  const { client, signal } = bench;
  await bench.advance(20_000);
  const all = await bench.while(client.list(nodes, { signal }));
  assert.deepEqual(all.items, []);
  const capacity = { cpu: '100k', 'example.com/dongle': '3' };
  const made = { metadata: { name: 'node-1' }, status: { capacity } };
  const node = { apiVersion: 'v1', kind: 'Node', ...made } as const;
  await bench.while(client.create(nodes, node, { signal }));
  await bench.advance(11_000);
  const { spec, status } = await nodeOf(bench);
  assert.equal(spec?.taints?.some(({ key }) => key === 'gpu') ?? false, false);
  assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
  assert.equal(status?.capacity?.['example.com/dongle'], '3', 'what only the administrator knows');
  assert.notEqual(status?.capacity?.['cpu'], '100k', 'of the machine, whatever was said');
  const now = 'only what the kubelet does not know is taken from the object, not cpu and memory';
  superseded('POD-058', { by: 'v1.0', now });
});

test('the status is told as often as it was asked to, the lease has its own time', async () => {
  await using bench = await KubeletBench.open({
    settings: {
      nodeStatusUpdateFrequencyMs: 4000,
      nodeStatusReportFrequencyMs: 4000,
      nodeLeaseDurationSeconds: 8,
    },
  });
  const heartbeat = async (): Promise<number> => {
    const { status } = await nodeOf(bench);
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    return Date.parse(ready?.lastHeartbeatTime ?? '') / 1000;
  };
  await bench.advance(5000);
  const first = await heartbeat();
  await bench.advance(4100);
  const second = await heartbeat();
  await bench.advance(8200);
  assert.ok([4, 5].includes(second - first), `${second - first} s`);
  assert.ok([8, 9].includes((await heartbeat()) - second));
  const { client, signal } = bench;
  const at = { namespace: 'kube-node-lease', name: 'node-1' };
  const lease = await bench.while(client.get(leases, at, { signal }));
  assert.equal(lease.spec?.leaseDurationSeconds, 8);
  await bench.advance(2100);
  const renewed = await bench.while(client.get(leases, at, { signal }));
  assert.notEqual(renewed.spec?.renewTime, lease.spec?.renewTime);
  covers('POD-044');
  superseded('POD-057', {
    by: 'v1.14',
    now: 'how often it is looked at; nodeStatusReportFrequency says when it is told unchanged',
  });
});

test('where nothing is said, it is told when it changes, or every five minutes', async () => {
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  const lastHeartbeat = async (): Promise<number> => {
    const { status } = await nodeOf(bench);
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    return Date.parse(ready?.lastHeartbeatTime ?? '');
  };
  await bench.advance(15_000);
  const first = await lastHeartbeat();
  await bench.advance(120_000);
  assert.equal(await lastHeartbeat(), first, 'nothing has changed');
  bench.memory.available = 50 * mebibyte;
  await bench.advance(21_000);
  const changed = await lastHeartbeat();
  assert.ok(changed > first, 'memory is short');
  const at = { namespace: 'kube-node-lease', name: 'node-1' };
  const renewed = async (): Promise<number> => {
    const lease = await bench.while(client.get(leases, at, { signal }));
    return Date.parse(lease.spec?.renewTime ?? '');
  };
  const before = await renewed();
  await bench.advance(10_500);
  assert.ok((await renewed()) > before, 'every ten seconds this tells that the node lives');
  superseded('POD-253', {
    by: 'v1.14',
    now: 'looked at every ten seconds, told when it changed or after five minutes; a Lease between',
  });
});

test('a node with AppArmor gives profiles to the runtime, and does not boast of it', async () => {
  await using bench = await KubeletBench.open({ settings: { appArmor: true } });
  const appArmorProfile = { type: 'Localhost', localhostProfile: 'deny' };
  const seLinuxOptions = { level: 's0:c123,c456' };
  const seccompProfile = { type: 'RuntimeDefault' };
  await bench.create('web', {
    securityContext: { seLinuxOptions, seccompProfile },
    containers: [bench.container({ securityContext: { appArmorProfile } })],
  });
  await bench.untilReady('web');
  const security = bench.runtime.configOf('web').linux?.securityContext;
  assert.deepEqual(security?.apparmor, { profileType: 'Localhost', localhostRef: 'deny' });
  assert.equal(security?.apparmorProfile, 'localhost/deny');
  assert.deepEqual(security?.selinuxOptions, seLinuxOptions);
  assert.deepEqual(security?.seccomp, { profileType: 'RuntimeDefault' });
  covers('POD-165');
  const { status } = await nodeOf(bench);
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  assert.equal(ready?.message, 'kubelet is posting ready status');
  superseded('POD-309', { by: 'v1.30', now: 'the message says nothing of AppArmor' });
  await bench.stop();
  bench.settings = { appArmor: false };
  bench.start();
  await bench.create('refused', { securityContext: { appArmorProfile } });
  await bench.advance(2000);
  assert.equal((await bench.get('refused')).status?.reason, 'AppArmor');
});

test('resources of the whole cluster are kept, and can be had', async () => {
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  await bench.advance(1000);
  const patch = [{ op: 'add', path: '/status/capacity/example.com~1dongle', value: '4' }];
  await bench.while(
    client.patch(nodes, { name: 'node-1' }, patch, { type: 'json', subresource: 'status', signal }),
  );
  await bench.advance(11_000);
  const { status } = await nodeOf(bench);
  assert.equal(status?.capacity?.['example.com/dongle'], '4');
  assert.equal(status?.allocatable?.['example.com/dongle'], '4');
  await bench.advance(320_000);
  assert.equal((await nodeOf(bench)).status?.capacity?.['example.com/dongle'], '4');
  covers('POD-128');
});

test('what is kept from pods: the system’s, the kubelet’s and what is evicted for', async () => {
  const evictionHard = { 'memory.available': '100Mi' };
  const settings = {
    ...{ systemReserved: { cpu: '100m', memory: '1Gi' }, evictionHard },
    ...{ kubeReserved: { cpu: '200m', memory: '512Mi' }, podsPerCore: 3, nodeStatusMaxImages: 2 },
  };
  await using bench = await KubeletBench.open({ settings });
  for (const name of ['a', 'b', 'c']) bench.runtime.images.add(`example.com/${name}:1`);
  await bench.advance(11_000);
  const { capacity = {}, allocatable = {}, images } = (await nodeOf(bench)).status ?? {};
  const bytes = (amounts: Readonly<Record<string, string>>): number =>
    Number.parseInt(amounts['memory'] ?? '', 10) / 1024;
  assert.equal(bytes(capacity) - bytes(allocatable), 1024 + 512 + 100);
  assert.equal(allocatable['cpu'], `${Number(capacity['cpu']) * 1000 - 300}m`);
  assert.equal(capacity['pods'], String(Math.min(Number(capacity['cpu']) * 3, 110)));
  assert.equal(images?.length, 2);
  assert.equal(bench.limits.get('/coracle-test/kubepods')?.memoryLimitBytes !== undefined, true);
  const said = await notesOf(bench, 'NodeAllocatableEnforced');
  assert.deepEqual(said, ['Updated Node Allocatable limit across pods']);
  await bench.stop();
  bench.settings = { ...settings, allocatableIgnoresEviction: true };
  bench.start();
  await bench.advance(1000);
  const { status } = await nodeOf(bench);
  assert.equal(bytes(capacity) - bytes(status?.allocatable ?? {}), 1024 + 512);
  covers('POD-124', 'POD-271');
});

test('a node whose disk is nobody’s business says nothing of it, and its quotas hold as set', async () => {
  const settings = { localStorageCapacityIsolation: false, cpuCFSQuotaPeriodUs: 10_000 };
  await using bench = await KubeletBench.open({ settings });
  const limits = { cpu: '500m', memory: '64Mi' };
  await bench.create('web', { containers: [bench.container({ resources: { limits } })] });
  await bench.untilReady('web');
  const { capacity = {}, allocatable = {} } = (await nodeOf(bench)).status ?? {};
  assert.deepEqual(
    [capacity, allocatable].map((one) => 'ephemeral-storage' in one),
    [false, false],
  );
  const { resources } = bench.runtime.configOf('web').linux ?? {};
  assert.deepEqual([Number(resources?.cpuPeriod), Number(resources?.cpuQuota)], [10_000, 5000]);
});

test('a pod inherits the resolver’s settings from the file that was named, or from none', async () => {
  await using bench = await KubeletBench.open({
    settings: { resolvConf: '/etc/upstream.conf' },
    files: {
      '/etc/upstream.conf': 'nameserver 192.0.2.53\nsearch corp.example\n',
      '/etc/resolv.conf': 'nameserver 198.51.100.53\n',
    },
  });
  const { runtime } = bench;
  await bench.create('plain', { dnsPolicy: 'Default' });
  await bench.untilReady('plain');
  const dnsOf = async (name: string) => {
    const uid = (await bench.get(name)).metadata.uid;
    const { servers, searches } = runtime.sandboxConfigOf(uid ?? '').dnsConfig ?? {};
    return { servers, searches };
  };
  assert.deepEqual(await dnsOf('plain'), {
    servers: ['192.0.2.53'],
    searches: ['corp.example'],
  });
  await bench.stop();
  bench.settings = { resolvConf: '' };
  bench.start();
  await bench.create('alone', { dnsPolicy: 'Default' });
  await bench.untilReady('alone');
  // Nothing at all would let the runtime take the host's.
  assert.deepEqual(await dnsOf('alone'), { servers: ['127.0.0.1'], searches: ['.'] });
  await bench.create('cluster');
  await bench.untilReady('cluster');
  assert.deepEqual(await dnsOf('cluster'), {
    servers: ['10.43.0.10'],
    searches: ['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local'],
  });
  await bench.stop();
  bench.options = { clusterDNS: '192.0.2.10', clusterDomain: 'inside.test' };
  bench.start();
  await bench.create('named');
  await bench.untilReady('named');
  assert.deepEqual(await dnsOf('named'), {
    servers: ['192.0.2.10'],
    searches: ['default.svc.inside.test', 'svc.inside.test', 'inside.test'],
  });
  covers('POD-011', 'POD-012', 'POD-241');
});

test('a repository is no volume any more', async () => {
  await using bench = await KubeletBench.open();
  const volumeMounts = [{ name: 'source', mountPath: '/source' }];
  await bench.create('git', {
    containers: [bench.container({ volumeMounts })],
    volumes: [{ name: 'source', gitRepo: { repository: 'https://example.com/a.git' } }],
  });
  await bench.advance(5000);
  assert.equal((await bench.get('git')).status?.phase, 'Pending');
  const [note = ''] = await notesOf(bench, 'FailedMount');
  assert.match(note, /^MountVolume.SetUp failed for volume "source" : git-repo volume plugin has/);
  superseded('VOL-046', { by: 'v1.33', now: 'the plugin is off: the pod waits, and says why' });
});

test('an image is asked for at every start, where that is the policy', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  const pulls = (): number => runtime.calls.filter((call) => call.startsWith('pullImage')).length;
  await bench.create('always', { containers: [bench.container({ imagePullPolicy: 'Always' })] });
  await bench.untilReady('always');
  assert.equal(pulls(), 1);
  runtime.exit('web', 1);
  await bench.until('always', ({ restartCount, ready }) => restartCount === 1 && ready);
  assert.equal(pulls(), 2);
  await bench.advance(1500);
  const pulling = await notesOf(bench, 'Pulling');
  assert.deepEqual([...new Set(pulling)], ['Pulling image "example.com/app:1"']);
  covers('POD-299');
});

test('static pods come from a folder and from an address', async (context) => {
  const manifest = (name: string): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { containers: [{ name, image: 'example.com/app:1' }] },
    });
  let answer = manifest('served');
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(String(request.headers['x-token']));
    response.end(answer);
  });
  context.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const staticPods = { url: `http://127.0.0.1:${port}/`, headers: { 'x-token': 'a, b' } };
  await using bench = await KubeletBench.open({
    options: { staticPods },
    settings: { httpCheckFrequencyMs: 5000 },
  });
  const untilRuns = async (name: string): Promise<void> => {
    for (let tries = 0; tries < 500 && bench.runtime.running().join() !== name; tries++) {
      // The address is a real one, and answers in real time.
      await systemClock().sleep(5, { signal: bench.signal });
      await bench.advance(100);
    }
    assert.deepEqual(bench.runtime.running(), [name]);
    await bench.untilReady(`${name}-node-1`);
  };
  await untilRuns('served');
  assert.deepEqual([...new Set(asked)], ['a, b']);
  const spec = 'spec: { containers: [{ name: other, image: "example.com/app:1" }] }';
  answer = `apiVersion: v1\nkind: Pod\nmetadata: { name: other }\n${spec}\n`;
  await untilRuns('other');
  covers('POD-236');
  const now = '--pod-manifest-path and --manifest-url; the kubelet’s own API takes no pods';
  for (const row of ['POD-041', 'POD-179']) superseded(row, { by: 'v1.10', now });
});

test('dead containers are looked for every minute, and only ours', async () => {
  await using bench = await KubeletBench.open({ settings: { deadContainersMaxEach: 2 } });
  const { runtime, client, signal } = bench;
  const foreign = await runtime.createContainer({ config: { metadata: { name: 'foreign' } } });
  await runtime.startContainer(foreign);
  runtime.exit('foreign', 0);
  await bench.create('web');
  await bench.untilReady('web');
  for (let restart = 1; restart <= 5; restart++) {
    runtime.exit('web', 1);
    await bench.until('web', ({ restartCount }) => restartCount === restart);
  }
  const dead = async () => {
    const state = { state: 'CONTAINER_EXITED' } as const;
    const all = await runtime.listContainers({ state });
    return all.map(({ metadata }) => `${metadata?.name} ${metadata?.attempt}`);
  };
  await bench.advance(61_000);
  assert.deepEqual(await dead(), ['foreign 0', 'web 3', 'web 4']);
  const at = { namespace: 'default', name: 'web' };
  await bench.while(client.delete(pods, at, { signal }));
  await bench.untilGone('web');
  await bench.advance(61_000);
  assert.deepEqual(await dead(), ['foreign 0']);
  const { deadContainerMinimumAgeMs, deadContainersMaxEach, deadContainersMax } = defaultSettings;
  assert.deepEqual(
    [deadContainerMinimumAgeMs, deadContainersMaxEach, deadContainersMax],
    [0, 1, -1],
  );
  // Two in all are less than two of each: one of each is kept.
  await bench.stop();
  bench.settings = { deadContainersMaxEach: 2, deadContainersMax: 2 };
  bench.start();
  for (const name of ['one', 'other']) {
    await bench.create(name, { containers: [bench.container({ name })] });
    await bench.untilReady(name);
    for (let restart = 1; restart <= 3; restart++) {
      runtime.exit(name, 1);
      await bench.until(name, ({ restartCount }) => restartCount === restart);
    }
  }
  await bench.advance(61_000);
  assert.deepEqual((await dead()).toSorted(), ['foreign 0', 'one 2', 'other 2']);
  covers('POD-142');
  covers('POD-143');
});

test('an old container of which nobody knows whether it runs is stopped, then removed', async () => {
  await using bench = await KubeletBench.open({ settings: { deadContainersMaxEach: 0 } });
  const { runtime } = bench;
  await bench.create('web');
  await bench.untilReady('web');
  const first = runtime.idOf('web');
  runtime.exit('web', 1);
  await bench.until('web', ({ ready, restartCount }) => ready && restartCount === 1);
  runtime.forget(first);
  await bench.advance(61_000);
  assert.deepEqual(runtime.calls.slice(-1), ['stopContainer web 2s']);
  await assert.rejects(runtime.containerStatus(first), /not found/);
  // The newest stays whatever is known of it: its pod ends it.
  runtime.forget(runtime.idOf('web'));
  await bench.until('web', ({ ready, restartCount }) => ready && restartCount === 2);
  assert.ok(runtime.calls.includes('stopContainer web 30s'));
});

test('one that ended is kept with its logs, until its pod is evicted', async () => {
  await using bench = await KubeletBench.open();
  const { runtime, memory } = bench;
  const volumes = [{ name: 'scratch', emptyDir: {} }];
  const containers = [bench.container({ volumeMounts: [{ name: 'scratch', mountPath: '/s' }] })];
  await bench.create('greedy', { containers, volumes });
  await bench.untilReady('greedy');
  const { uid, namespace, name } = (await bench.get('greedy')).metadata;
  const logs = join(bench.dataDir, 'agent/pod-logs', `${namespace}_${name}_${uid}`);
  const scratch = join(bench.dataDir, 'agent/kubelet/pods', uid ?? '');
  for (let restart = 1; restart <= 3; restart++) {
    runtime.exit('web', 1);
    await bench.until('greedy', (one) => one.restartCount === restart && one.ready);
  }
  await bench.advance(61_000);
  const all = async () =>
    (await runtime.listContainers({})).map((one) => `${one.metadata?.attempt} ${one.state}`);
  assert.deepEqual(await all(), ['2 CONTAINER_EXITED', '3 CONTAINER_RUNNING']);
  assert.ok(existsSync(logs) && existsSync(scratch));
  runtime.memoryUse.set('web', gibibyte);
  memory.available = 50 * mebibyte;
  await bench.advance(11_000);
  memory.available = 4 * gibibyte;
  const evicted = await bench.get('greedy');
  assert.equal(evicted.status?.reason, 'Evicted');
  assert.deepEqual(await all(), []);
  assert.equal(runtime.sandboxCount, 0);
  assert.ok(!existsSync(logs) && !existsSync(scratch), 'nothing of it is left on the disk');
  covers('POD-139');
  // How it ended is still told, by this kubelet and by the next.
  await bench.advance(61_000);
  await bench.stop();
  bench.start();
  await bench.advance(11_000);
  const { status } = await bench.get('greedy');
  assert.deepEqual(status?.containerStatuses, evicted.status?.containerStatuses);
  assert.deepEqual([status?.phase, status?.reason], ['Failed', 'Evicted']);
});

test('a pod that has ended gives its volumes back, and its logs stay', async () => {
  await using bench = await KubeletBench.open();
  const volumes = [
    { name: 'scratch', emptyDir: {} },
    { name: 'key', secret: { secretName: 'k', optional: true } },
  ];
  const volumeMounts = [{ name: 'scratch', mountPath: '/s' }];
  const containers = [bench.container({ volumeMounts })];
  await bench.create('once', { containers, volumes, restartPolicy: 'Never' });
  await bench.untilReady('once');
  const { uid = '', namespace, name } = (await bench.get('once')).metadata;
  const folder = join(bench.dataDir, 'agent/kubelet/pods', uid);
  const scratch = join(folder, 'volumes/kubernetes.io~empty-dir/scratch');
  assert.ok(existsSync(scratch));
  bench.runtime.exit('web', 0);
  await bench.advance(2000);
  assert.equal((await bench.get('once')).status?.phase, 'Succeeded');
  assert.ok(!existsSync(join(folder, 'volumes')), 'as upstream, which keeps none by default');
  const memory = join(bench.dataDir, 'agent/kubelet/memory', uid);
  assert.ok(!existsSync(memory), memory);
  assert.ok(existsSync(join(bench.dataDir, 'agent/pod-logs', `${namespace}_${name}_${uid}`)));
  assert.equal((await bench.runtime.listContainers({})).length, 1);
});

test('containers are looked at every minute, images every five', async () => {
  await using bench = await KubeletBench.open({ settings: { evictionHard: {} } });
  const { runtime, clock, disk } = bench;
  const startedMs = clock.now();
  const removed: Record<'container' | 'image', number[]> = { container: [], image: [] };
  const seconds = (): number => Math.round((clock.now() - startedMs) / 1000);
  const remove = runtime.removeContainer.bind(runtime);
  runtime.removeContainer = async (id) => {
    removed.container.push(seconds());
    return remove(id);
  };
  const removeImage = runtime.removeImage.bind(runtime);
  runtime.removeImage = async (name) => {
    removed.image.push(seconds());
    return removeImage(name);
  };
  await bench.create('web');
  await bench.untilReady('web');
  for (let restart = 1; restart <= 4; restart++) {
    runtime.exit('web', 1);
    await bench.until('web', ({ restartCount }) => restartCount === restart);
  }
  runtime.images.add('example.com/unused:1');
  runtime.imageSizeBytes = 20 * gibibyte;
  await bench.advance(290_000);
  disk.freeBytes = 9 * gibibyte;
  await bench.advance(320_000);
  assert.deepEqual(removed.container, [60, 60, 60]);
  assert.ok(removed.image.length > 0);
  for (const at of removed.image) assert.equal(at % 300, 0);
  covers('POD-140');
});

test('unused images go when the disk is full, the longest unused first, until it is enough', async () => {
  await using bench = await KubeletBench.open({
    settings: {
      ...{ imageGCHighThresholdPercent: 90, imageGCLowThresholdPercent: 80 },
      evictionHard: {},
    },
  });
  const { runtime, disk } = bench;
  runtime.imageSizeBytes = 6 * gibibyte;
  runtime.registry.add('example.com/used:1');
  await bench.create('web', {
    containers: [bench.container({ image: 'example.com/used:1' })],
    terminationGracePeriodSeconds: 0,
  });
  await bench.untilReady('web');
  for (const name of ['first', 'second', 'third']) {
    runtime.images.add(`example.com/${name}:1`);
    await bench.advance(300_000);
  }
  disk.freeBytes = 11 * gibibyte;
  await bench.advance(300_000);
  assert.equal(runtime.images.size, 5, '89 % is not too much');
  disk.freeBytes = 9 * gibibyte;
  await bench.advance(300_000);
  // 11 GiB are needed to be at 80 %.
  const left = ['app', 'used', 'first', 'second', 'third'].filter((name) =>
    runtime.images.has(`example.com/${name}:1`),
  );
  assert.deepEqual(left, ['used', 'second', 'third']);
  disk.freeBytes = 20 * gibibyte;
  const now = 'the same; where nothing is said, above 85 %';
  assert.equal(defaultSettings.imageGCHighThresholdPercent, 85);
  superseded('POD-141', { by: 'v1.6', now });
});

test('images on a disk of their own are found, and have thresholds of their own', async () => {
  await using bench = await KubeletBench.open({ options: {} });
  await bench.stop();
  bench.runtime.imagesPath = '/images';
  bench.disks.set('/images', { bytes: 100 * gibibyte, freeBytes: 10 * gibibyte });
  bench.settings = { evictionHard: { 'imagefs.available': '15%', 'nodefs.available': '10%' } };
  bench.start();
  await bench.advance(11_000);
  const pressureOf = async (type: string) =>
    (await nodeOf(bench)).status?.conditions?.find((one) => one.type === type)?.status;
  assert.equal(await pressureOf('DiskPressure'), 'True');
  assert.equal(await pressureOf('MemoryPressure'), 'False');
  bench.disks.set('/images', { bytes: 100 * gibibyte, freeBytes: 20 * gibibyte });
  await bench.advance(320_000);
  assert.equal(await pressureOf('DiskPressure'), 'False');
  covers('POD-246');
});

test('what nobody needs is on the disk of images: the other has nothing but its pods', async () => {
  const evictionHard = { 'imagefs.available': '15%', 'nodefs.available': '10%' };
  await using bench = await KubeletBench.open({ settings: { evictionHard } });
  const { runtime, disk } = bench;
  await bench.stop();
  runtime.imagesPath = '/images';
  const images = { bytes: 100 * gibibyte, freeBytes: 50 * gibibyte };
  bench.disks.set('/images', images);
  bench.start();
  await bench.create('web');
  await bench.untilReady('web');
  const unused = 'example.com/unused:1';
  const over = async (): Promise<void> => {
    const containers = [bench.container({ name: 'over' })];
    await bench.create('over', { restartPolicy: 'Never', containers });
    await bench.untilReady('over');
    runtime.exit('over', 0);
    await bench.until('over', (_, { status }) => status?.phase === 'Succeeded');
    runtime.images.add(unused);
  };
  const left = async () => {
    const all = await runtime.listContainers({});
    const names = all.map(({ metadata }) => metadata?.name ?? '').toSorted();
    return `${names.join()}, ${runtime.images.has(unused) ? 'images' : 'no images'}`;
  };
  await over();
  const { freeBytes } = disk;
  // It is enough as soon as the image is gone.
  Object.defineProperty(images, 'freeBytes', {
    get: () => (runtime.images.has(unused) ? 10 : 50) * gibibyte,
  });
  await bench.advance(11_000);
  assert.equal(await left(), 'web, no images');
  assert.equal((await bench.get('web')).status?.phase, 'Running');
  runtime.images.add('example.com/other:1');
  disk.freeBytes = gibibyte;
  await bench.advance(11_000);
  disk.freeBytes = freeBytes;
  await bench.advance(3000);
  assert.equal((await bench.get('web')).status?.reason, 'Evicted');
  assert.ok(runtime.images.has('example.com/other:1'), 'it would not help');
  const now =
    'dead containers, then unused images, before any pod: of the disk of images where it has its own';
  superseded('POD-255', { by: 'v1.4', now });
});

test('whom the kernel kills for want of memory is told of about the node', async () => {
  await using bench = await KubeletBench.open();
  await bench.advance(1000);
  const killing = (constraint: string, name: string, pid: number): readonly string[] => [
    `${name} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0`,
    `oom-kill:constraint=${constraint},task_memcg=/a,task=${name},pid=${pid},uid=0`,
    `Killed process ${pid} (${name}) total-vm:26168kB`,
  ];
  bench.kernelLines.push(
    ...killing('CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/a', 'limited', 7),
    ...killing('CONSTRAINT_NONE,nodemask=(null),global_oom', 'stress', 4481),
  );
  await bench.advance(6000);
  assert.deepEqual(await notesOf(bench, 'SystemOOM'), [
    'System OOM encountered, victim process: stress, pid: 4481',
  ]);
});

test('pods together may not have more than is theirs: the greediest goes', async () => {
  await using bench = await KubeletBench.open({
    settings: { systemReserved: { memory: '1Gi' }, evictionHard: { 'memory.available': '100Mi' } },
  });
  const { runtime, memory } = bench;
  const asking = (name: string, amount: string) =>
    bench.container({ name, resources: { requests: { memory: amount } } });
  await bench.create('greedy', { containers: [asking('greedy', '100Mi')] });
  await bench.create('modest', { containers: [asking('modest', '2Gi')] });
  await bench.untilReady('greedy');
  await bench.untilReady('modest');
  const capacity = (await nodeOf(bench)).status?.capacity?.['memory'] ?? '';
  const total = Number.parseInt(capacity, 10) * 1024;
  runtime.memoryUse.set('greedy', gibibyte).set('modest', gibibyte);
  memory.available = memory.total;
  bench.podsMemory = total - gibibyte - 101 * mebibyte;
  await bench.advance(11_000);
  assert.equal((await bench.get('greedy')).status?.phase, 'Running', 'the machine has enough');
  bench.podsMemory = total - gibibyte - 99 * mebibyte;
  await bench.advance(11_000);
  bench.podsMemory = gibibyte;
  await bench.advance(3000);
  assert.equal((await bench.get('greedy')).status?.reason, 'Evicted');
  assert.equal((await bench.get('modest')).status?.phase, 'Running');
  covers('POD-270');
});

test('a soft threshold gives pods the time that is allowed, and is a pressure at once', async () => {
  const soft = {
    evictionHard: {},
    evictionSoft: { 'memory.available': '1Gi' },
    evictionSoftGracePeriodMs: { 'memory.available': 30_000 },
  };
  const settings = { ...soft, evictionMaxPodGracePeriodSeconds: 10 };
  await using bench = await KubeletBench.open({ settings });
  const { runtime, memory } = bench;
  await bench.create('slow', { terminationGracePeriodSeconds: 60 });
  await bench.untilReady('slow');
  runtime.memoryUse.set('web', gibibyte);
  memory.available = 500 * mebibyte;
  await bench.advance(11_000);
  const conditions = (await nodeOf(bench)).status?.conditions ?? [];
  assert.equal(conditions.find(({ type }) => type === 'MemoryPressure')?.status, 'True');
  assert.equal((await bench.get('slow')).status?.phase, 'Running', 'the time is not over');
  await bench.advance(30_000);
  assert.equal((await bench.get('slow')).status?.reason, 'Evicted');
  assert.ok(runtime.calls.includes('stopContainer web 10s'), runtime.calls.join());
  memory.available = 4 * gibibyte;
  await bench.advance(330_000);
  await bench.create('quick', { terminationGracePeriodSeconds: 5 });
  await bench.untilReady('quick');
  memory.available = 500 * mebibyte;
  await bench.advance(45_000);
  assert.equal((await bench.get('quick')).status?.reason, 'Evicted');
  assert.ok(runtime.calls.includes('stopContainer web 5s'), runtime.calls.join());
  // Who says nothing of it gives as little as anybody.
  memory.available = 4 * gibibyte;
  await bench.advance(330_000);
  await bench.stop();
  bench.settings = soft;
  bench.start();
  await bench.create('unsaid', { terminationGracePeriodSeconds: 60 });
  await bench.untilReady('unsaid');
  memory.available = 500 * mebibyte;
  await bench.advance(45_000);
  assert.equal((await bench.get('unsaid')).status?.reason, 'Evicted');
  assert.ok(runtime.calls.includes('stopContainer web 2s'), runtime.calls.join());
  const now = 'the lesser of both; unspecified, the two seconds that every end has';
  superseded('POD-249', { by: 'v1.22', now });
});

test('whoever asks for nothing goes first, then who uses more than it asked for', async () => {
  await using bench = await KubeletBench.open();
  const { runtime, memory } = bench;
  const requests = (amount: string) => ({ cpu: '1m', memory: amount });
  const create = async (name: string, resources: object): Promise<void> => {
    await bench.create(name, { containers: [bench.container({ name, resources })] });
    await bench.untilReady(name);
    runtime.memoryUse.set(name, 400 * mebibyte);
  };
  const exact = requests('500Mi');
  await create('guaranteed', { requests: exact, limits: exact });
  await create('modest', { requests: requests('450Mi') });
  await create('over', { requests: requests('300Mi') });
  await create('careless', {});
  const evicted: string[] = [];
  for (let look = 0; look < 12; look++) {
    memory.available = 50 * mebibyte;
    await bench.advance(10_000);
    for (const name of ['guaranteed', 'modest', 'over', 'careless']) {
      const { reason } = (await bench.get(name)).status ?? {};
      if (reason === 'Evicted' && !evicted.includes(name)) evicted.push(name);
    }
    if (evicted.length === 2) memory.available = 4 * gibibyte;
    if (evicted.length === 2) break;
  }
  assert.deepEqual(evicted, ['careless', 'over']);
  const { qosClass } = (await bench.get('careless')).status ?? {};
  assert.equal(qosClass, 'BestEffort');
  await bench.advance(11_000);
  assert.deepEqual(runtime.running(), ['guaranteed', 'modest']);
  covers('POD-206');
  const now = 'over its request or not, then priority, then by how much; no class as such';
  for (const row of ['POD-158', 'POD-256']) superseded(row, { by: 'v1.9', now });
  superseded('POD-257', { by: 'v1.9', now: 'the last to go, with all who keep to their requests' });
});
