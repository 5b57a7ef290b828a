/**
 * The kubelet against a real API server, with containers in memory and time moved by hand: what a
 * pod's life looks like to those who watch it through the API.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GrpcError } from '#cri';
import { events, leases, nodes, pods, runtimeClasses, secrets } from '#resources/kinds.ts';
import { covers, superseded } from '#test/covers.ts';
import { KubeletBench, testImage } from '#test/kubelet-bench.ts';

test('the node registers, is ready and keeps its lease', async () => {
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  await bench.advance(1000);
  const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  assert.deepEqual([ready?.status, ready?.reason], ['True', 'KubeletReady']);
  const at = { namespace: 'kube-node-lease', name: 'node-1' };
  const first = await bench.while(client.get(leases, at, { signal }));
  assert.equal(first.spec?.leaseDurationSeconds, 40);
  await bench.advance(10_500);
  const second = await bench.while(client.get(leases, at, { signal }));
  const passed = Date.parse(second.spec?.renewTime ?? '') - Date.parse(first.spec?.renewTime ?? '');
  assert.ok(passed >= 10_000 && passed < 11_000, `renewed after ${passed} ms`);
});

test('a kubelet registers its node, unless it is told not to', async () => {
  covers('POD-003', 'POD-051');
  await using bench = await KubeletBench.open({ options: { registers: false } });
  const found = async () => {
    const { items } = await bench.while(bench.client.list(nodes, { signal: bench.signal }));
    return items.map(({ metadata }) => metadata.name);
  };
  await bench.advance(30_000);
  assert.deepEqual(await found(), []);
  await bench.stop();
  bench.options = {};
  bench.start();
  await bench.advance(1000);
  assert.deepEqual(await found(), ['node-1']);
});

test('a pod becomes ready, tells how, and its deletion is final', async () => {
  covers('POD-087');
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  await bench.create('web');
  const pod = await bench.untilReady('web');
  assert.equal(pod.status?.phase, 'Running');
  assert.equal(pod.status?.podIP, '10.88.0.2');
  await bench.advance(1500);
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const own = list.items.filter(({ regarding }) => regarding?.kind === 'Pod');
  const said = own.map(({ reason, note }) => `${reason}: ${note}`).toSorted();
  assert.deepEqual(
    said.filter((line) => !line.startsWith('Pulled: ')),
    ['Created: Container created', 'Started: Container started'],
  );
  assert.equal(said.length, 3);
  superseded('POD-310', { by: 'v1.6', now: 'the event does not name security options' });
  const at = { namespace: 'default', name: 'web' };
  await bench.while(client.delete(pods, at, { signal }));
  await bench.untilGone('web');
  assert.deepEqual(runtime.running(), [], 'it goes when its containers have ended');
  await bench.advance(100);
  assert.equal(runtime.sandboxCount, 0);
  assert.ok(runtime.calls.includes('stopContainer web 30s'));
});

test('a start asks the runtime once for each thing made, and is told with one write', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime } = bench;
  await bench.advance(1000);
  runtime.questions.splice(0);
  const created = await bench.create('web');
  const { resourceVersion = '' } = created.metadata;
  const stop = new AbortController();
  const seen: (string | undefined)[] = [];
  const watching = (async () => {
    for await (const event of client.watch(pods, { resourceVersion, signal: stop.signal })) {
      if (event.type === 'MODIFIED') seen.push(event.object.status?.phase);
    }
  })();
  const { uid } = created.metadata;
  await bench.untilReady('web');
  // Beyond the next look at everything that the runtime has: it brings nothing new.
  await bench.advance(6000);
  const asked = runtime.questions.filter((text) => !/^list.* $/.test(text));
  assert.deepEqual(asked, ['podSandboxStatus sandbox-1', `containerStatus ${runtime.idOf('web')}`]);
  assert.deepEqual(seen, ['Running']);
  // What others do is looked for in everything that belongs to the pod.
  runtime.exit('web', 0);
  await bench.until('web', ({ restartCount }) => restartCount === 1);
  assert.ok(runtime.questions.includes(`listContainers ${uid}`));
  stop.abort(new Error('enough was seen'));
  await assert.rejects(watching);
});

test('a start that takes its time is told a second later', async () => {
  await using bench = await KubeletBench.open();
  const volumes = [{ name: 'settings', configMap: { name: 'not-there' } }];
  const containers = [bench.container({ volumeMounts: [{ name: 'settings', mountPath: '/x' }] })];
  await bench.create('web', { containers, volumes });
  const told = await bench.until('web', ({ state }) => state?.waiting !== undefined);
  assert.equal(told.status?.phase, 'Pending');
  const [status] = told.status?.containerStatuses ?? [];
  assert.equal(status?.state?.waiting?.reason, 'ContainerCreating');
  assert.ok(told.status?.startTime !== undefined);
});

test('a pod that has ended takes no room, though its sandbox is still there', async () => {
  await using bench = await KubeletBench.open({ options: { maxPods: 1 } });
  const { client, runtime, signal } = bench;
  await bench.create('first');
  await bench.untilReady('first');
  const cleared = Promise.withResolvers<void>();
  using _clearing = { [Symbol.dispose]: cleared.resolve };
  const remove = runtime.removePodSandbox.bind(runtime);
  runtime.removePodSandbox = async (id) => {
    await cleared.promise;
    await remove(id);
  };
  const at = { namespace: 'default', name: 'first' };
  await bench.while(client.delete(pods, at, { signal }));
  await bench.untilGone('first');
  await bench.create('second');
  await bench.untilReady('second');
  assert.equal(runtime.sandboxCount, 2);
});

test('a container that ends while it is looked at for the first time is not missed', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  const status = runtime.containerStatus.bind(runtime);
  runtime.containerStatus = async (...args) => {
    const answer = await status(...args);
    runtime.containerStatus = status;
    runtime.exit('web', 1);
    return answer;
  };
  await bench.create('brief', { containers: [bench.container()] });
  const startedMs = bench.clock.now();
  await bench.until('brief', ({ restartCount }) => restartCount === 1);
  // The next list is made five seconds after the first.
  assert.ok(bench.clock.now() - startedMs < 3000, `${bench.clock.now() - startedMs} ms`);
});

test('restarts back off as documented', async () => {
  covers('POD-025');
  await using bench = await KubeletBench.open();
  const { runtime, clock } = bench;
  await bench.create('crash');
  const waits: number[] = [];
  for (let restart = 1; restart <= 4; restart++) {
    await bench.until('crash', ({ state }) => state?.running !== undefined);
    runtime.exit('web', 1);
    const endedMs = clock.now();
    await bench.until('crash', ({ restartCount }) => restartCount === restart);
    waits.push(Math.floor((clock.now() - endedMs) / 1000));
  }
  assert.deepEqual(waits, [0, 10, 20, 40]);
  runtime.exit('web', 1);
  const pod = await bench.until(
    'crash',
    ({ state }) => state?.waiting?.reason === 'CrashLoopBackOff',
  );
  const [status] = pod.status?.containerStatuses ?? [];
  assert.equal(status?.lastState?.terminated?.exitCode, 1);
  assert.match(status?.state?.waiting?.message ?? '', /^back-off 1m20s restarting/);
});

test('an image that is not there is tried again, and found when it comes', async () => {
  covers('POD-211');
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  await bench.create('web', { containers: [bench.container({ image: 'example.com/late:1' })] });
  await bench.until('web', ({ state }) => state?.waiting?.reason === 'ErrImagePull');
  await bench.until('web', ({ state }) => state?.waiting?.reason === 'ImagePullBackOff');
  await bench.advance(1500);
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const failed = list.items.filter(({ reason }) => reason === 'Failed').map(({ note }) => note);
  assert.match(failed.join('\n'), /^Failed to pull image "example.com\/late:1"/m);
  runtime.registry.add('example.com/late:1');
  await bench.untilReady('web');
  const pulls = runtime.calls.filter((call) => call.startsWith('pullImage'));
  assert.equal(pulls.length, 2);
});

test('pull policies: present is enough, always asks, never does not', async () => {
  covers('POD-031', 'POD-061', 'POD-062');
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  const pulls = () => runtime.calls.filter((call) => call.startsWith('pullImage')).length;
  const of = (imagePullPolicy: string, image = testImage) => {
    return { containers: [bench.container({ imagePullPolicy, image })] };
  };
  await bench.create('present', of('IfNotPresent'));
  await bench.untilReady('present');
  assert.equal(pulls(), 0);
  await bench.create('always', of('Always'));
  await bench.untilReady('always');
  assert.equal(pulls(), 1);
  // It is here and nowhere else: who asks always gets nothing.
  runtime.pullFailure = 'no such image';
  await bench.create('always-local', of('Always'));
  await bench.until('always-local', ({ state }) => state?.waiting?.reason === 'ErrImagePull');
  await bench.create('present-local', of('IfNotPresent'));
  await bench.untilReady('present-local');
  const [{ imagePullPolicy } = {}] = (await bench.create('unsaid')).spec?.containers ?? [];
  assert.equal(imagePullPolicy, 'IfNotPresent');
  await bench.untilReady('unsaid');
  await bench.create('never-local', of('Never'));
  await bench.untilReady('never-local');
  await bench.create('never', of('Never', 'example.com/absent:1'));
  await bench.until('never', ({ state }) => state?.waiting?.reason === 'ErrImageNeverPull');
  assert.ok(!runtime.calls.includes('pullImage example.com/absent:1'));
});

test('readiness follows its probe, with its thresholds', async () => {
  covers('POD-092');
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  let code = 1;
  runtime.onExec = () => ({ code, text: 'not yet' });
  const readinessProbe = {
    exec: { command: ['check'] },
    periodSeconds: 2,
    failureThreshold: 2,
    successThreshold: 2,
  };
  await bench.create('web', { containers: [bench.container({ readinessProbe })] });
  await bench.until('web', ({ started }) => started === true);
  await bench.advance(10_000);
  assert.equal((await bench.get('web')).status?.containerStatuses?.[0]?.ready, false);
  code = 0;
  await bench.advance(2100);
  assert.equal((await bench.get('web')).status?.containerStatuses?.[0]?.ready, false);
  await bench.advance(2100);
  assert.equal((await bench.get('web')).status?.containerStatuses?.[0]?.ready, true);
  code = 1;
  await bench.until('web', ({ ready }) => !ready);
  const [status] = (await bench.get('web')).status?.containerStatuses ?? [];
  assert.equal(status?.restartCount, 0, 'a readiness probe restarts nothing');
});

test('liveness waits for startup, then restarts what is dead', async () => {
  covers('POD-096');
  await using bench = await KubeletBench.open();
  const { runtime, client, signal } = bench;
  const codes: Record<string, number> = { startup: 1, liveness: 1 };
  runtime.onExec = ([command = '']) => ({ code: codes[command] ?? 0, text: 'dead' });
  const probe = (name: string) => ({ exec: { command: [name] }, periodSeconds: 1 });
  await bench.create('web', {
    containers: [
      bench.container({
        startupProbe: { ...probe('startup'), failureThreshold: 30 },
        livenessProbe: { ...probe('liveness'), failureThreshold: 3 },
      }),
    ],
  });
  await bench.until('web', ({ state }) => state?.running !== undefined);
  await bench.advance(10_000);
  assert.equal(runtime.calls.includes('execSync liveness'), false);
  codes['startup'] = 0;
  await bench.until('web', ({ restartCount }) => restartCount === 1);
  await bench.advance(1500);
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const unhealthy = list.items.filter(({ reason }) => reason === 'Unhealthy');
  const notes = unhealthy.map(({ note }) => note);
  assert.ok(notes.includes('Liveness probe failed: dead'), notes.join());
  const killing = list.items.find(({ reason }) => reason === 'Killing');
  assert.equal(killing?.note, 'Container web failed liveness probe, will be restarted');
  // What follows is said by the policy; and who has no probe is well.
  await bench.create('once', {
    restartPolicy: 'Never',
    containers: [
      bench.container({ livenessProbe: { ...probe('liveness'), failureThreshold: 1 } }),
      bench.container({ name: 'side' }),
    ],
  });
  const once = await bench.until('once', ({ state }) => state?.terminated !== undefined);
  const statuses = once.status?.containerStatuses ?? [];
  assert.deepEqual(
    statuses.map(({ restartCount, state }) => [restartCount, state?.running !== undefined]),
    [
      [0, false],
      [0, true],
    ],
  );
});

test('while a pod ends, only its readiness is asked', async () => {
  await using bench = await KubeletBench.open();
  const { runtime, client, signal } = bench;
  runtime.stubborn.add('web');
  let code = 0;
  runtime.onExec = () => ({ code, text: 'no' });
  const probe = (name: string) => ({
    ...{ exec: { command: [name] }, periodSeconds: 1, failureThreshold: 1 },
  });
  const probes = { readinessProbe: probe('ready'), livenessProbe: probe('live') };
  await bench.create('web', { containers: [bench.container(probes)] });
  await bench.untilReady('web');
  await bench.while(client.delete(pods, { namespace: 'default', name: 'web' }, { signal }));
  await bench.advance(100);
  runtime.calls.length = 0;
  code = 1;
  await bench.until('web', ({ ready }) => !ready);
  await bench.advance(5000);
  const asked = (name: string): boolean => runtime.calls.includes(`execSync ${name}`);
  assert.deepEqual([asked('ready'), asked('live')], [true, false]);
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const notes = list.items.filter(({ reason }) => reason === 'Unhealthy').map(({ note }) => note);
  assert.deepEqual(notes, ['Readiness probe failed: no']);
});

test('a shorter grace period overtakes a longer one', async () => {
  covers('POD-193');
  await using bench = await KubeletBench.open();
  const { runtime, client, signal, clock } = bench;
  runtime.stubborn.add('web');
  const preStop = { exec: { command: ['quit'] } };
  await bench.create('web', { containers: [bench.container({ lifecycle: { preStop } })] });
  await bench.untilReady('web');
  const at = { namespace: 'default', name: 'web' };
  await bench.while(client.delete(pods, at, { signal }));
  await bench.advance(2000);
  assert.deepEqual(runtime.running(), ['web']);
  assert.notEqual((await bench.get('web')).metadata.deletionTimestamp, undefined);
  await bench.while(client.delete(pods, at, { signal, gracePeriodSeconds: 3 }));
  const askedMs = clock.now();
  await bench.untilGone('web');
  assert.deepEqual(runtime.running(), []);
  const passedMs = clock.now() - askedMs;
  assert.ok(passedMs >= 2900 && passedMs < 4000, `gone after ${passedMs} ms`);
  const hooks = runtime.calls.filter((call) => call === 'execSync quit');
  assert.equal(hooks.length, 1, 'the hook is called once');
});

test('a pod has the time to end that its spec gives it, deleted or evicted', async () => {
  covers('POD-118');
  await using bench = await KubeletBench.open();
  const { runtime, client, signal } = bench;
  const seconds = { deleted: 10, evicted: 11 };
  for (const [name, terminationGracePeriodSeconds] of Object.entries(seconds)) {
    await bench.create(name, {
      ...{ terminationGracePeriodSeconds, containers: [bench.container({ name })] },
    });
    await bench.untilReady(name);
  }
  await bench.while(client.delete(pods, { namespace: 'default', name: 'deleted' }, { signal }));
  const path = '/api/v1/namespaces/default/pods/evicted/eviction';
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'evicted' } };
  assert.equal((await bench.while(bench.server.request('POST', path, eviction))).status, 201);
  await bench.untilGone('deleted');
  await bench.untilGone('evicted');
  const stops = runtime.calls.filter((call) => call.startsWith('stopContainer'));
  assert.deepEqual(stops.toSorted(), ['stopContainer deleted 10s', 'stopContainer evicted 11s']);
});

test('a pod that is given no time to end is gone at once', async () => {
  covers('POD-197');
  await using bench = await KubeletBench.open();
  const { runtime, client, signal } = bench;
  runtime.stubborn.add('web');
  await bench.create('web', { terminationGracePeriodSeconds: 0 });
  await bench.untilReady('web');
  const path = '/api/v1/namespaces/default/pods/web';
  await client.delete(pods, { namespace: 'default', name: 'web' }, { signal });
  assert.equal((await bench.server.request('GET', path)).status, 404);
  await bench.advance(3000);
  assert.deepEqual(runtime.running(), []);
});

test('a hook is called also when the deletion comes while containers are listed', async () => {
  await using bench = await KubeletBench.open();
  const { runtime, client, signal, clock } = bench;
  const preStop = { exec: { command: ['quit'] } };
  await bench.create('web', { containers: [bench.container({ lifecycle: { preStop } })] });
  await bench.untilReady('web');
  const list = runtime.listContainers.bind(runtime);
  runtime.listContainers = async (filter) => {
    await clock.sleep(500, { signal });
    return await list(filter);
  };
  const at = { namespace: 'default', name: 'web' };
  // A look at the containers is under way at each of these moments.
  await bench.advance(20_000);
  await bench.while(
    client.patch(pods, at, { metadata: { labels: { a: 'b' } } }, { type: 'merge', signal }),
  );
  await bench.advance(700);
  await bench.while(
    client.patch(pods, at, { spec: { activeDeadlineSeconds: 5000 } }, { type: 'merge', signal }),
  );
  await bench.advance(200);
  await bench.while(client.delete(pods, at, { signal }));
  await bench.untilGone('web');
  assert.ok(runtime.calls.includes('execSync quit'));
});

test('a pod whose sandbox is lost gets a new one, with a new address', async () => {
  covers('POD-322');
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  const containers = [bench.container(), bench.container({ name: 'side' })];
  await bench.create('web', { containers });
  const before = await bench.untilReady('web');
  runtime.loseSandbox('web');
  const after = await bench.until('web', ({ ready, restartCount }) => ready && restartCount === 1);
  assert.notEqual(after.status?.podIP, before.status?.podIP);
  for (const name of ['web', 'side']) {
    assert.ok(runtime.calls.includes(`stopContainer ${name} 0s`), runtime.calls.join());
  }
});

test('a deadline ends a pod and fails it', async () => {
  covers('POD-114');
  await using bench = await KubeletBench.open();
  await bench.create('slow', { activeDeadlineSeconds: 10 });
  await bench.untilReady('slow');
  const pod = await bench.until('slow', (_, { status }) => status?.phase === 'Failed');
  await bench.create('prepares', {
    activeDeadlineSeconds: 10,
    initContainers: [bench.container({ name: 'init' })],
  });
  await bench.advance(9000);
  assert.deepEqual(bench.runtime.running(), ['init']);
  const never = await bench.until('prepares', (_, { status }) => status?.phase === 'Failed');
  assert.equal(never.status?.reason, 'DeadlineExceeded');
  assert.equal(pod.status?.reason, 'DeadlineExceeded');
  assert.deepEqual(bench.runtime.running(), []);
  const at = { namespace: 'default', name: 'slow' };
  await bench.while(bench.client.delete(pods, at, { signal: bench.signal }));
  await bench.untilGone('slow');
});

test('a kubelet that comes back keeps containers, counts and readiness', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  const readinessProbe = { exec: { command: ['check'] }, periodSeconds: 60 };
  await bench.create('web', { containers: [bench.container({ readinessProbe })] });
  const before = await bench.untilReady('web');
  await bench.stop();
  const calls = runtime.calls.length;
  bench.start();
  await bench.advance(5000);
  const after = await bench.get('web');
  assert.deepEqual(after.status?.containerStatuses, before.status?.containerStatuses);
  const made = runtime.calls.slice(calls).filter((call) => !call.startsWith('execSync'));
  assert.deepEqual(made, []);
});

test('a pod waits with all its containers for a Secret that it mounts, and says so', async () => {
  covers('POD-131');
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  const volumeMounts = [{ name: 'words', mountPath: '/words' }];
  await bench.create('web', {
    containers: [bench.container({ volumeMounts }), bench.container({ name: 'side' })],
    volumes: [{ name: 'words', secret: { secretName: 'late' } }],
  });
  await bench.advance(30_000);
  assert.deepEqual(runtime.running(), []);
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const failed = list.items.find(({ reason }) => reason === 'FailedMount');
  assert.equal(
    failed?.note,
    'MountVolume.SetUp failed for volume "words" : secret "late" not found',
  );
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'late' }, data: {} };
  const made = bench.server.request('POST', '/api/v1/namespaces/default/secrets', secret);
  assert.equal((await bench.while(made)).status, 201);
  await bench.untilReady('web');
  assert.deepEqual(runtime.running().toSorted(), ['side', 'web']);
});

test('of volumes that no container uses nothing is made, until one does', async () => {
  await using bench = await KubeletBench.open();
  const { client, signal, runtime } = bench;
  await bench.create('idle', {
    containers: [bench.container()],
    volumes: [
      { name: 'missing', configMap: { name: 'nowhere' } },
      { name: 'spare', emptyDir: {} },
    ],
  });
  const pod = await bench.untilReady('idle');
  const folder = join(bench.dataDir, 'agent/kubelet/pods', pod.metadata.uid ?? '', 'volumes');
  const spare = join(folder, 'kubernetes.io~empty-dir/spare');
  assert.equal(existsSync(spare), false);
  const volumeMounts = [{ name: 'spare', mountPath: '/spare' }];
  const debug = { ...bench.container(), name: 'debug', volumeMounts };
  const adding = client.patch(
    pods,
    { namespace: 'default', name: 'idle' },
    { spec: { ephemeralContainers: [debug] } },
    { type: 'strategic', subresource: 'ephemeralcontainers', signal },
  );
  await bench.while(adding);
  await bench.until('idle', () => runtime.running().includes('debug'));
  const mount = runtime.mountsOf('debug').find(({ containerPath }) => containerPath === '/spare');
  assert.equal(mount?.hostPath, spare);
  assert.ok(existsSync(spare));
});

test('a missing ConfigMap holds a container back until it comes', async () => {
  await using bench = await KubeletBench.open();
  const envFrom = [{ configMapRef: { name: 'late' } }];
  await bench.create('web', { containers: [bench.container({ envFrom })] });
  const isHeld = 'CreateContainerConfigError';
  const pod = await bench.until('web', ({ state }) => state?.waiting?.reason === isHeld);
  const [status] = pod.status?.containerStatuses ?? [];
  assert.equal(status?.state?.waiting?.message, 'configmap "late" not found');
  const created = bench.server.request('POST', '/api/v1/namespaces/default/configmaps', {
    ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'late' }, data: {} },
  });
  assert.equal((await bench.while(created)).status, 201);
  await bench.untilReady('web');
});

test('a pod that asks for what the node cannot give fails at once', async () => {
  await using bench = await KubeletBench.open();
  await bench.create('apart', { os: { name: 'windows' } });
  await bench.advance(2000);
  const { status } = await bench.get('apart');
  assert.deepEqual([status?.phase, status?.reason], ['Failed', 'PodOSNotSupported']);
  assert.equal(bench.runtime.sandboxCount, 0);
});

test('a finished pod is left alone, also by a kubelet that comes back', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  await bench.create('once', { restartPolicy: 'Never' });
  await bench.untilReady('once');
  runtime.exit('web', 0, 'Completed');
  await bench.until('once', (_, { status }) => status?.phase === 'Succeeded');
  await bench.stop();
  const calls = runtime.calls.length;
  bench.start();
  await bench.advance(5000);
  assert.equal((await bench.get('once')).status?.phase, 'Succeeded');
  assert.deepEqual(runtime.calls.slice(calls), []);
});

test('a pod whose containers vanished with the machine starts again and counts it', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  await bench.create('web');
  await bench.untilReady('web');
  await bench.stop();
  for (const { id } of await runtime.listPodSandboxes({})) await runtime.removePodSandbox(id);
  bench.start();
  const pod = await bench.until('web', ({ ready, restartCount }) => ready && restartCount === 1);
  assert.equal(pod.status?.containerStatuses?.[0]?.restartCount, 1);
  const sandboxes = await runtime.listPodSandboxes({});
  assert.equal(sandboxes.length, 1);
});

test('a container that a dying runtime lost all knowledge of is replaced within seconds', async () => {
  await using bench = await KubeletBench.open();
  const { runtime, clock } = bench;
  const create = runtime.createContainer.bind(runtime);
  runtime.createContainer = async (request) => {
    runtime.createContainer = create;
    await create(request);
    runtime.forget(runtime.idOf('web'));
    throw new GrpcError('/CreateContainer', 'UNAVAILABLE', 'read ECONNRESET');
  };
  const startedMs = clock.monotonic();
  // It has not run: also one that runs only once begins.
  await bench.create('web', { restartPolicy: 'Never' });
  const waiting = await bench.until('web', ({ state }) => state?.waiting !== undefined);
  assert.equal(waiting.status?.phase, 'Pending');
  const pod = await bench.untilReady('web');
  const passedMs = clock.monotonic() - startedMs;
  assert.ok(passedMs < 8000, `after ${passedMs} ms`);
  assert.equal(pod.status?.containerStatuses?.[0]?.restartCount, 1);
  assert.ok(runtime.calls.includes('stopContainer web 30s'), 'it could have run');
  // One that ran as well, and is known to have: it is not to run twice.
  runtime.forget(runtime.idOf('web'));
  const over = await bench.until('web', (_, { status }) => status?.phase === 'Failed');
  assert.equal(over.status?.containerStatuses?.[0]?.state?.terminated !== undefined, true);
  await bench.advance(10_000);
  assert.deepEqual(runtime.running(), []);
});

test('a pod that may not run twice fails when its containers vanish', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  await bench.create('once', { restartPolicy: 'Never' });
  await bench.untilReady('once');
  await bench.stop();
  for (const { id } of await runtime.listPodSandboxes({})) await runtime.removePodSandbox(id);
  bench.start();
  const pod = await bench.until('once', (_, { status }) => status?.phase === 'Failed');
  const [status] = pod.status?.containerStatuses ?? [];
  assert.equal(status?.state?.terminated?.reason, 'ContainerStatusUnknown');
  assert.equal(runtime.sandboxCount, 0);
});

test('a probe that cannot be made harms nobody', async () => {
  covers('POD-095');
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  runtime.onExec = () => {
    throw new Error('the runtime has no time');
  };
  const odd = { httpGet: { path: '/a b', port: 80 }, periodSeconds: 1 };
  const broken = { exec: { command: ['check'] }, periodSeconds: 1 };
  const containers = [
    bench.container({ livenessProbe: odd }),
    bench.container({ name: 'side', livenessProbe: broken }),
  ];
  await bench.create('web', { containers });
  await bench.untilReady('web');
  await bench.advance(10_000);
  await bench.create('next');
  const pod = await bench.untilReady('next');
  assert.equal(pod.status?.phase, 'Running', 'the kubelet goes on');
  const statuses = (await bench.get('web')).status?.containerStatuses ?? [];
  assert.deepEqual(
    statuses.map(({ restartCount }) => restartCount),
    [0, 0],
  );
});

test('an ephemeral container runs beside the others and shows in the status', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  await bench.create('web');
  await bench.untilReady('web');
  const at = { namespace: 'default', name: 'web' };
  const debug = { name: 'debug', image: testImage, targetContainerName: 'web' };
  const added = client.patch(
    pods,
    at,
    { spec: { ephemeralContainers: [debug] } },
    { type: 'strategic', subresource: 'ephemeralcontainers', signal },
  );
  await bench.while(added);
  const read = async () => {
    await bench.advance(500);
    const pod = await bench.while(client.get(pods, at, { signal }));
    return pod.status?.ephemeralContainerStatuses?.[0];
  };
  const running = await read();
  assert.notEqual(running?.state?.running, undefined);
  runtime.exit('debug', 3);
  const ended = await read();
  assert.equal(ended?.state?.terminated?.exitCode, 3);
  await bench.advance(60_000);
  assert.equal((await read())?.restartCount, 0);
  assert.deepEqual(runtime.running(), ['web']);
  const pod = await bench.while(client.get(pods, at, { signal }));
  assert.equal(pod.status?.phase, 'Running');
});

test('a pod that was removed leaves its place at once, though it is still ending', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  await bench.advance(1000);
  const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
  const cpu = node.status?.allocatable?.['cpu'] ?? '';
  const resources = { requests: { cpu } };
  runtime.stubborn.add('old');
  await bench.create('old', { containers: [bench.container({ name: 'old', resources })] });
  await bench.untilReady('old');
  const at = { namespace: 'default', name: 'old' };
  await bench.while(client.delete(pods, at, { signal, gracePeriodSeconds: 0 }));
  await bench.create('new', { containers: [bench.container({ name: 'new', resources })] });
  await bench.untilReady('new');
});

test('a private image is pulled with the login of a pull secret', async () => {
  covers('CFG-003');
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  const image = 'r.example.com/team/app:1';
  runtime.registry.add(image);
  runtime.logins.set(image, 'me');
  const auths = { 'r.example.com': { username: 'me', password: 'pw' } };
  const secret = {
    ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/dockerconfigjson' },
    metadata: { namespace: 'default', name: 'login' },
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  };
  await bench.while(client.create(secrets, secret, { signal }));
  const imagePullSecrets = [{ name: 'missing' }, { name: 'login' }];
  await bench.create('web', { containers: [{ name: 'web', image }], imagePullSecrets });
  await bench.untilReady('web');
  assert.ok(runtime.calls.includes(`pullImage ${image} as me:pw`));
  await bench.advance(1500);
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const missing = list.items.find(({ reason }) => reason === 'FailedToRetrieveImagePullSecret');
  assert.match(missing?.note ?? '', /\(missing\)/);
});

test('the runtime is told its own name of a RuntimeClass', async () => {
  superseded('RUN-003', { by: 'v1.12', now: 'a RuntimeClass says how a pod is kept apart' });
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  const kind = { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass' };
  const vm = { ...kind, metadata: { name: 'vm' }, handler: 'kata' };
  await bench.while(client.create(runtimeClasses, vm, { signal }));
  await bench.create('web', { runtimeClassName: 'vm' });
  await bench.untilReady('web');
  assert.ok(runtime.calls.includes('runPodSandbox web kata'));
});

test('a pod that does not fit is refused, and says why', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  await bench.advance(1000);
  const resources = { requests: { cpu: '100k' } };
  await bench.create('huge', { containers: [bench.container({ resources })] });
  await bench.advance(2000);
  const { status } = await bench.get('huge');
  assert.equal(status?.phase, 'Failed');
  assert.equal(status?.reason, 'OutOfcpu');
  assert.match(status?.message ?? '', /^Pod was rejected: Node didn't have enough resource: cpu, /);
  assert.equal(status?.containerStatuses, undefined);
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const own = list.items.filter(({ regarding }) => regarding?.kind === 'Pod');
  assert.deepEqual(
    own.map(({ reason }) => reason),
    ['OutOfcpu'],
  );
  assert.equal(runtime.sandboxCount, 0);
});

test('a label that has just come is not missed', async () => {
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  await bench.advance(1000);
  await bench.create('choosy', { nodeSelector: { 'example.com/disk': 'ssd' } });
  await bench.advance(2000);
  assert.equal((await bench.get('choosy')).status?.reason, 'NodeAffinity');
  const labels = { metadata: { labels: { 'example.com/disk': 'ssd' } } };
  await bench.while(client.patch(nodes, { name: 'node-1' }, labels, { type: 'merge', signal }));
  await bench.create('happy', { nodeSelector: { 'example.com/disk': 'ssd' } });
  await bench.untilReady('happy');
});

test('a critical pod begins when those who make room for it have ended', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  await bench.advance(1000);
  const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
  const cpu = node.status?.allocatable?.['cpu'] ?? '1';
  const resources = { requests: { cpu } };
  await bench.create('humble', { containers: [bench.container({ resources })] });
  await bench.untilReady('humble');
  await bench.create('critical', {
    priorityClassName: 'system-node-critical',
    containers: [bench.container({ name: 'main', resources })],
  });
  await bench.untilReady('critical');
  const { status } = await bench.get('humble');
  assert.deepEqual([status?.phase, status?.reason], ['Failed', 'Preempting']);
  const target = status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
  assert.deepEqual([target?.status, target?.reason], ['True', 'TerminationByKubelet']);
  assert.deepEqual(runtime.running(), ['main']);
});

test('a node that runs out of memory says so, evicts, and takes no careless pods', async () => {
  covers('POD-082', 'POD-243', 'POD-048');
  superseded('POD-250', {
    by: 'v1.22',
    now: 'hit as said; the least time that any end has, two seconds, in place of none',
  });
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  const asking = (name: string, memory: string) =>
    bench.container({ name, resources: { requests: { memory } } });
  const containers = [asking('greedy', '100Mi'), asking('aside', '10Mi')];
  await bench.create('greedy', { containers });
  await bench.create('modest', { containers: [asking('modest', '1Gi')] });
  await bench.untilReady('greedy');
  await bench.untilReady('modest');
  runtime.memoryUse.set('greedy', 900 * 1024 ** 2).set('modest', 900 * 1024 ** 2);
  bench.memory.available = 101 * 1024 ** 2;
  await bench.advance(11_000);
  assert.equal((await bench.get('greedy')).status?.phase, 'Running');
  bench.memory.available = 99 * 1024 ** 2;
  await bench.advance(11_000);
  bench.memory.available = 4 * 1024 ** 3;
  await bench.advance(11_000);
  const { status } = await bench.get('greedy');
  assert.deepEqual([status?.phase, status?.reason], ['Failed', 'Evicted']);
  assert.match(status?.message ?? '', /^The node was low on resource: memory\. /);
  assert.equal(
    status?.conditions?.find(({ type }) => type === 'DisruptionTarget')?.reason,
    'TerminationByKubelet',
  );
  assert.ok(runtime.calls.includes('stopContainer greedy 2s'));
  assert.deepEqual(runtime.running(), ['modest'], 'only as many as needed');
  const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
  const pressure = node.status?.conditions?.find(({ type }) => type === 'MemoryPressure');
  assert.equal(pressure?.status, 'True', 'for a while after the shortage');
  await bench.create('careless');
  await bench.advance(1000);
  const refused = await bench.get('careless');
  assert.deepEqual([refused.status?.phase, refused.status?.reason], ['Failed', 'Evicted']);
  assert.match(refused.status?.message ?? '', /The node had condition: \[MemoryPressure\]/);
  await bench.advance(310_000);
  await bench.create('later');
  await bench.untilReady('later');
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const reasons = list.items.map(({ reason }) => reason);
  for (const reason of ['Evicted', 'EvictionThresholdMet'])
    assert.ok(reasons.includes(reason), reason);
});

test('who takes memory between two looks is killed by the kernel, and not evicted', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  await bench.create('spike');
  await bench.untilReady('spike');
  await bench.advance(11_000);
  runtime.memoryUse.set('web', 4 * 1024 ** 3);
  bench.memory.available = 10 * 1024 ** 2;
  await bench.advance(1000);
  runtime.exit('web', 137, 'OOMKilled');
  bench.memory.available = 4 * 1024 ** 3;
  const pod = await bench.until('spike', ({ restartCount, ready }) => restartCount === 1 && ready);
  const [status] = pod.status?.containerStatuses ?? [];
  assert.equal(status?.lastState?.terminated?.reason, 'OOMKilled');
  await bench.advance(21_000);
  assert.equal((await bench.get('spike')).status?.phase, 'Running');
  covers('POD-288');
  superseded('POD-251', {
    by: 'v1.3',
    now: 'looked at every ten seconds; the flag is for the figures of cAdvisor alone',
  });
});

test('that memory ran out may be told late', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  await bench.create('spike', { restartPolicy: 'Never' });
  await bench.untilReady('spike');
  runtime.exit('web', 137);
  await bench.until('spike', ({ state }) => state?.terminated?.reason === 'Error');
  const told = runtime.tellOutOfMemory('web', { afterMs: 300 });
  await bench.until('spike', ({ state }) => state?.terminated?.reason === 'OOMKilled');
  await told;
});

// Where images have a disk of their own: test/component/kubelet-node.test.ts.
test('short of disk, dead containers and unused images go before any pod does', async () => {
  await using bench = await KubeletBench.open();
  const { runtime, client, signal } = bench;
  await bench.create('web');
  await bench.untilReady('web');
  await bench.create('over', {
    restartPolicy: 'Never',
    containers: [bench.container({ name: 'over' })],
  });
  await bench.untilReady('over');
  runtime.exit('over', 0);
  await bench.until('over', (_, { status }) => status?.phase === 'Succeeded');
  runtime.images.add('example.com/unused:1');
  const removed: string[] = [];
  const ids = new Map([[runtime.idOf('over'), 'over']]);
  const removeContainer = runtime.removeContainer.bind(runtime);
  runtime.removeContainer = async (id) => {
    removed.push(ids.get(id) ?? id);
    await removeContainer(id);
  };
  const removeImage = runtime.removeImage.bind(runtime);
  runtime.removeImage = async (name) => {
    removed.push(name);
    await removeImage(name);
  };
  const { freeBytes } = bench.disk;
  const low = 1024 ** 3;
  Object.defineProperty(bench.disk, 'freeBytes', {
    get: () => (runtime.images.has('example.com/unused:1') ? low : freeBytes),
  });
  await bench.advance(11_000);
  assert.deepEqual(removed, ['over', 'example.com/unused:1']);
  assert.deepEqual([...runtime.images], ['example.com/app:1']);
  assert.deepEqual(runtime.running(), ['web']);
  const { status } = await bench.get('over');
  assert.equal(status?.phase, 'Succeeded');
  assert.equal(status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 0, 'still told');
  await bench.advance(10_000);
  const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
  const pressure = node.status?.conditions?.find(({ type }) => type === 'DiskPressure');
  assert.equal(pressure?.status, 'True');
});

test('where images have a disk of their own, only its shortage removes them', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  await bench.stop();
  const unused = 'example.com/unused:1';
  runtime.imagesPath = '/images';
  const images = { bytes: 100 * 1024 ** 3, freeBytes: 50 * 1024 ** 3 };
  bench.disks.set('/images', images);
  bench.settings = { evictionHard: { 'imagefs.available': '15%', 'nodefs.available': '10%' } };
  bench.start();
  await bench.create('web');
  await bench.untilReady('web');
  runtime.images.add(unused);
  const { freeBytes } = bench.disk;
  bench.disk.freeBytes = 1024 ** 3;
  await bench.advance(11_000);
  assert.ok(runtime.images.has(unused));
  assert.equal((await bench.get('web')).status?.reason, 'Evicted');
  bench.disk.freeBytes = freeBytes;
  images.freeBytes = 1024 ** 3;
  await bench.advance(11_000);
  assert.ok(!runtime.images.has(unused));
});

test('a rule starts the whole pod again in place, init containers and all', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  const exitCodes = { operator: 'In', values: [42] } as const;
  const rules = [{ action: 'RestartAllContainers', exitCodes }] as const;
  await bench.create('whole', {
    restartPolicy: 'Never',
    initContainers: [bench.container({ name: 'init' })],
    containers: [
      bench.container({ restartPolicy: 'Never', restartPolicyRules: rules }),
      bench.container({ name: 'side' }),
    ],
  });
  await bench.advance(1000);
  runtime.exit('init', 0);
  const before = await bench.untilReady('whole');
  const calls = runtime.calls.length;
  runtime.exit('web', 42);
  const during = await bench.until('whole', ({ restartCount }) => restartCount === 1);
  assert.equal(during.status?.phase, 'Running', 'it has not failed');
  const [web, side] = during.status?.containerStatuses ?? [];
  assert.deepEqual(
    [web?.restartCount, side?.restartCount, side?.lastState?.terminated?.reason],
    [1, 1, 'RestartingAllContainers'],
  );
  await bench.advance(500);
  assert.deepEqual(runtime.running(), ['init'], 'it begins with its init containers');
  runtime.exit('init', 0);
  const after = await bench.until(
    'whole',
    ({ ready, restartCount }) => ready && restartCount === 1,
  );
  assert.equal(after.status?.podIP, before.status?.podIP, 'in the same sandbox');
  assert.deepEqual(runtime.running().toSorted(), ['side', 'web']);
  const made = runtime.calls.slice(calls);
  assert.ok(made.includes('stopContainer side 30s'));
  assert.ok(!made.some((call) => call.startsWith('runPodSandbox')));
  const condition = after.status?.conditions?.find(
    ({ type }) => type === 'AllContainersRestarting',
  );
  assert.equal(condition?.status, 'False');
  // Another end is as the policy says.
  runtime.exit('web', 1);
  runtime.exit('side', 0);
  await bench.until('whole', (_, { status }) => status?.phase === 'Failed');
});

test('a clock that is set back or forth neither holds up a restart nor a probe', async () => {
  await using bench = await KubeletBench.open();
  const { runtime, machineClock } = bench;
  const hourMs = 3_600_000;
  const readinessProbe = { exec: { command: ['check'] }, periodSeconds: 2, initialDelaySeconds: 3 };
  await bench.create('steady', {
    containers: [bench.container({ name: 'steady', readinessProbe })],
  });
  await bench.create('crash');
  await bench.untilReady('crash');
  machineClock.offsetMs -= hourMs;
  await bench.untilReady('steady');
  for (const jumpMs of [-hourMs, hourMs, -2 * hourMs]) {
    const { restartCount = 0 } = (await bench.get('crash')).status?.containerStatuses?.[0] ?? {};
    runtime.exit('web', 1);
    await bench.advance(500);
    machineClock.offsetMs += jumpMs;
    const startedMs = bench.clock.monotonic();
    await bench.until('crash', (status) => {
      return status.state?.running !== undefined && status.restartCount === restartCount + 1;
    });
    const passedMs = bench.clock.monotonic() - startedMs;
    assert.ok(passedMs < 45_000, `set by ${jumpMs} ms, it came back after ${passedMs} ms`);
  }
  const steady = await bench.get('steady');
  assert.equal(steady.status?.containerStatuses?.[0]?.restartCount, 0);
  assert.equal(steady.status?.containerStatuses?.[0]?.ready, true);
});
