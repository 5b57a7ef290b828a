/**
 * The walkthroughs of the documents about StatefulSets, DaemonSets, Jobs and CronJobs, on a virtual
 * clock: the manifests as they stand there, in the versions of that time, and what is printed.
 * Columns are today's: READY instead of DESIRED and CURRENT, COMPLETIONS instead of SUCCESSFUL.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { formatTime } from '#kit/clock.ts';
import {
  controllerRevisions,
  daemonSets,
  jobs,
  persistentVolumeClaims,
  pods,
  statefulSets,
} from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';
import { heading, printed } from './printed.ts';

const namespace = 'default';

async function start(t: TestContext, nodes: readonly string[] = ['n1']): Promise<World> {
  const world = await openWorld(t);
  for (const name of nodes) await world.addNode(name);
  world.becomesReady = ({ status }) => !['Succeeded', 'Failed'].includes(status?.phase ?? '');
  return world;
}

async function create(world: World, path: string, body: object): Promise<void> {
  const answer = await world.server.request('POST', path, body);
  assert.equal(answer.status, 201, answer.text);
}

async function patch<T extends KubeObject>(
  world: World,
  kind: KindOf<T>,
  name: string,
  change: object,
): Promise<void> {
  const options = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(kind, { namespace, name }, change, options);
}

async function shows(world: World, what: string, ...lines: readonly string[]): Promise<void> {
  let last: readonly string[] = [];
  const isShown = async (): Promise<boolean> => {
    last = await printed(world, what);
    return last.join('\n') === lines.join('\n');
  };
  await world.until(`${what}: ${lines}`, isShown).catch(() => assert.deepEqual(last, lines));
}

async function end(world: World, pod: Pod | undefined, exitCode: number): Promise<void> {
  assert.ok(pod !== undefined);
  const [container] = pod.spec?.containers ?? [];
  const reason = exitCode === 0 ? 'Completed' : 'Error';
  const terminated = { exitCode, reason, finishedAt: formatTime(world.clock.now()) };
  const { name = '', image = '' } = container ?? {};
  const containerStatuses = [
    { name, image, imageID: '', ready: false, restartCount: 0, state: { terminated } },
  ];
  const phase = exitCode === 0 ? 'Succeeded' : 'Failed';
  const at = { namespace, name: pod.metadata.name ?? '' };
  const options = { type: 'merge', subresource: 'status', signal: world.signal } as const;
  await world.client.patch(pods, at, { status: { phase, containerStatuses } }, options);
}

const running = async (world: World): Promise<readonly Pod[]> =>
  (await world.list(pods, namespace)).filter(({ status }) => status?.phase === 'Running');

/** `web.yaml` of "StatefulSet Basics". */
const web = (policy?: string) => ({
  apiVersion: 'apps/v1beta1',
  kind: 'StatefulSet',
  metadata: { name: 'web' },
  spec: {
    serviceName: 'nginx',
    replicas: 2,
    ...(policy === undefined ? {} : { podManagementPolicy: policy }),
    template: {
      metadata: { labels: { app: 'nginx' } },
      spec: {
        terminationGracePeriodSeconds: 10,
        containers: [{ name: 'nginx', image: 'nginx-slim:0.8', ports: [{ containerPort: 80 }] }],
      },
    },
    volumeClaimTemplates: [
      {
        metadata: { name: 'www' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      },
    ],
  },
});
const setsPath = '/apis/apps/v1beta1/namespaces/default/statefulsets';

test('StatefulSet basics: two pods with two claims, scaled to five and back to three', async (t) => {
  covers('WRK-124');
  const world = await start(t);
  await create(world, setsPath, web());
  await shows(world, 'pods', 'web-0 1/1 Running 0', 'web-1 1/1 Running 0');
  assert.equal(await heading(world, 'sts'), 'NAME READY');
  assert.deepEqual(await printed(world, 'sts'), ['web 2/2']);
  const claims = async () =>
    (await world.list(persistentVolumeClaims, namespace)).map(({ metadata }) => metadata.name);
  assert.deepEqual((await claims()).toSorted(), ['www-web-0', 'www-web-1']);
  for (const name of ['web-0', 'web-1']) {
    await world.client.delete(pods, { namespace, name }, { signal: world.signal });
  }
  await shows(world, 'pods', 'web-0 1/1 Running 0', 'web-1 1/1 Running 0');
  await patch(world, statefulSets, 'web', { spec: { replicas: 5 } });
  await shows(world, 'pods', ...[0, 1, 2, 3, 4].map((ordinal) => `web-${ordinal} 1/1 Running 0`));
  await patch(world, statefulSets, 'web', { spec: { replicas: 3 } });
  await shows(world, 'sts', 'web 3/3');
  assert.equal((await claims()).length, 5, 'claims outlive their pods');
  const gone = await world.server.request('GET', '/apis/apps/v1alpha1/petsets');
  assert.equal(gone.status, 404);
});

test('StatefulSet basics: an annotation of old alphas stops nothing', async (t) => {
  covers('WRK-126');
  const world = await start(t);
  const body = web();
  const annotations = { 'pod.alpha.kubernetes.io/initialized': 'false' };
  const metadata = { ...body.spec.template.metadata, annotations };
  const template = { ...body.spec.template, metadata };
  await create(world, setsPath, { ...body, spec: { ...body.spec, template } });
  await shows(world, 'pods', 'web-0 1/1 Running 0', 'web-1 1/1 Running 0');
});

test('StatefulSet basics: deleting ends the pods; Parallel makes and ends all at once', async (t) => {
  superseded('WRK-194', {
    by: 'v1.11',
    now: 'kubectl no longer scales to 0 first: the garbage collector ends all pods at once',
  });
  const world = await start(t);
  const at = { namespace, name: 'web' };
  await create(world, setsPath, web());
  await shows(world, 'sts', 'web 2/2');
  // Their kubelet is silent for a while, so that they can be seen to end together.
  world.living.delete('n1');
  await world.client.delete(statefulSets, at, { signal: world.signal });
  await world.pass(1_000);
  const ending = (await world.list(pods, namespace)).map(({ metadata }) => [
    metadata.name,
    metadata.deletionTimestamp !== undefined,
  ]);
  assert.deepEqual(ending, [
    ['web-0', true],
    ['web-1', true],
  ]);
  world.living.add('n1');
  await shows(world, 'pods');
  const ready = world.becomesReady;
  world.becomesReady = () => false;
  await create(world, setsPath, web('Parallel'));
  await shows(world, 'pods', 'web-0 0/1 Pending 0', 'web-1 0/1 Pending 0');
  world.becomesReady = ready;
  await shows(world, 'sts', 'web 2/2');
  await patch(world, statefulSets, 'web', { spec: { replicas: 4 } });
  await shows(world, 'sts', 'web 4/4');
  await world.client.delete(statefulSets, at, { signal: world.signal });
  await world.until('all to be ending', async () => {
    const all = await world.list(pods, namespace);
    return all.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
  });
  await shows(world, 'pods');
});

test('a DaemonSet is rolled, rolled back, and prints its revisions', async (t) => {
  covers('WRK-164');
  const world = await start(t, ['n1', 'n2']);
  const path = '/apis/extensions/v1beta1/namespaces/default/daemonsets';
  const template = (image: string) => ({
    metadata: { labels: { name: 'fluentd' } },
    spec: { containers: [{ name: 'fluentd', image }] },
  });
  await create(world, path, {
    apiVersion: 'extensions/v1beta1',
    kind: 'DaemonSet',
    metadata: { name: 'fluentd', annotations: { 'kubernetes.io/change-cause': 'create' } },
    spec: { template: template('fluentd:1'), updateStrategy: { type: 'RollingUpdate' } },
  });
  const set = (image: string) => `fluentd 2 2 2 2 2 <none>${image}`;
  assert.equal(
    await heading(world, 'ds'),
    'NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR',
  );
  await shows(world, 'ds', set(''));
  await patch(world, daemonSets, 'fluentd', {
    metadata: { annotations: { 'kubernetes.io/change-cause': 'set image' } },
    spec: { template: template('fluentd:2') },
  });
  await world.pass(5_000);
  await shows(world, 'ds', set(''));
  const revisions = await world.list(controllerRevisions, namespace);
  const sorted = revisions.toSorted((a, b) => a.revision - b.revision);
  assert.equal(await heading(world, 'controllerrevisions'), 'NAME CONTROLLER REVISION');
  assert.deepEqual(
    await printed(world, 'controllerrevisions'),
    sorted
      .map(({ metadata, revision }) => `${metadata.name} daemonset.apps/fluentd ${revision}`)
      .toSorted(),
  );
  const causes = sorted.map(({ metadata }) => metadata.annotations?.['kubernetes.io/change-cause']);
  assert.deepEqual(causes, ['create', 'set image']);
  const hash = (await running(world))[0]?.metadata.labels?.['controller-revision-hash'];
  assert.equal(sorted[1]?.metadata.name, `fluentd-${hash}`);
  // `kubectl rollout undo` sends the data of the revision as a strategic merge patch.
  const answer = await world.server.request(
    'PATCH',
    '/apis/apps/v1/namespaces/default/daemonsets/fluentd',
    sorted[0]?.data,
    { headers: { 'content-type': 'application/strategic-merge-patch+json' } },
  );
  assert.equal(answer.status, 200, answer.text);
  await world.until('the first image', async () => {
    const all = await running(world);
    return all.length === 2 && all.every(({ spec }) => spec?.containers[0]?.image === 'fluentd:1');
  });
  await shows(world, 'ds', set(''));
});

function job(name: string, spec: object) {
  const containers = [{ name: 'pi', image: 'perl', command: ['perl', '-wle', 'print bpi(2000)'] }];
  const template = { spec: { containers, restartPolicy: 'Never' } };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name },
    spec: { template, ...spec },
  };
}
const jobsPath = '/apis/batch/v1/namespaces/default/jobs';

test('the Job pi: one pod, one success, and a pod that stays for its logs', async (t) => {
  covers('WRK-090');
  const world = await start(t);
  await create(world, jobsPath, job('pi', { backoffLimit: 4 }));
  await world.until('the pod', async () => (await running(world)).length === 1);
  assert.equal(await heading(world, 'jobs'), 'NAME STATUS COMPLETIONS DURATION');
  assert.match((await printed(world, 'jobs'))[0] ?? '', /^pi Running 0\/1 \d+s$/);
  const { spec } = await world.client.get(
    jobs,
    { namespace, name: 'pi' },
    { signal: world.signal },
  );
  assert.deepEqual([spec?.completions, spec?.parallelism], [1, 1]);
  await end(world, (await running(world))[0], 0);
  await world.until('the end', async () => {
    return (await printed(world, 'jobs'))[0]?.startsWith('pi Complete 1/1') ?? false;
  });
  const [pod] = await printed(world, 'pods');
  assert.match(pod ?? '', /^pi-[a-z0-9]{5} 0\/1 Completed 0$/);
});

test('a Job of eight, two at a time; one that is paused by parallelism 0', async (t) => {
  covers('WRK-093', 'WRK-142');
  const world = await start(t);
  await create(world, jobsPath, job('job-wq-1', { completions: 8, parallelism: 2 }));
  for (let round = 0; round < 4; round++) {
    await world.until('two', async () => (await running(world)).length === 2);
    await world.pass(2_000);
    const two = await running(world);
    assert.equal(two.length, 2);
    for (const pod of two) await end(world, pod, 0);
    await world.pass(1_000);
  }
  const line = (await printed(world, 'jobs'))[0] ?? '';
  assert.ok(line.startsWith('job-wq-1 Complete 8/8'), line);
  const { status } = await world.client.get(
    jobs,
    { namespace, name: 'job-wq-1' },
    { signal: world.signal },
  );
  const counts = [status?.active ?? 0, status?.succeeded, status?.failed ?? 0];
  assert.deepEqual(counts, [0, 8, 0], '0 Running / 8 Succeeded / 0 Failed');
  await create(world, jobsPath, job('paused', { completions: 2, parallelism: 0 }));
  await world.pass(5_000);
  assert.equal((await running(world)).length, 0);
  await patch(world, jobs, 'paused', { spec: { parallelism: 2 } });
  await world.until('two', async () => (await running(world)).length === 2);
});

test('a Job with a deadline ends its pods and says why', async (t) => {
  covers('WRK-098');
  const world = await start(t);
  const spec = { backoffLimit: 5, activeDeadlineSeconds: 100 };
  await create(world, jobsPath, job('pi-with-timeout', spec));
  await world.pass(95_000);
  assert.equal((await running(world)).length, 1);
  await world.pass(10_000);
  const { status } = await world.client.get(
    jobs,
    { namespace, name: 'pi-with-timeout' },
    { signal: world.signal },
  );
  const failed = status?.conditions?.find(({ type }) => type === 'Failed');
  assert.equal(failed?.reason, 'DeadlineExceeded');
  await shows(world, 'pods');
  await world.pass(10_000);
  assert.deepEqual(await printed(world, 'pods'), []);
});

test('a CronJob in its first version prints what it did', async (t) => {
  const world = await start(t);
  await world.pass(60_000 - (world.clock.now() % 60_000) + 5_000);
  const containers = [{ name: 'hello', image: 'busybox', args: ['/bin/sh', '-c', 'date'] }];
  const template = { spec: { containers, restartPolicy: 'OnFailure' } };
  await create(world, '/apis/batch/v1beta1/namespaces/default/cronjobs', {
    apiVersion: 'batch/v1beta1',
    kind: 'CronJob',
    metadata: { name: 'hello' },
    spec: { schedule: '*/1 * * * *', jobTemplate: { spec: { template } } },
  });
  assert.equal(
    await heading(world, 'cronjob'),
    'NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE',
  );
  assert.deepEqual(await printed(world, 'cronjob'), ['hello */1 * * * * <none> False 0 <none>']);
  await world.until('a pod', async () => (await running(world)).length === 1);
  const [line = ''] = await printed(world, 'cronjob');
  assert.match(line, /^hello \*\/1 \* \* \* \* <none> False 1 \d+s$/);
  await end(world, (await running(world))[0], 0);
  await world.until('its end', async () => {
    return (await printed(world, 'cronjob'))[0]?.includes(' False 0 ') ?? false;
  });
  assert.match((await printed(world, 'jobs'))[0] ?? '', /^hello-\d+ Complete 1\/1 \d+s$/);
});

test('whoever makes a pod owns it, and keeps as many as it was told', async (t) => {
  covers('API-077', 'WRK-034', 'WRK-123', 'WRK-209');
  superseded('POD-213', { by: 'v1.9', now: 'the owner reference says who made a pod' });
  const world = await start(t);
  const labels = { app: 'web' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'c:1' }] } };
  const body = (kind: string, name: string, replicas: number, own: object = labels) => ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, labels: own },
    spec: { replicas, selector: { matchLabels: labels }, template },
  });
  const path = '/apis/apps/v1/namespaces/default';
  await create(world, `${path}/replicasets`, body('ReplicaSet', 'frontend', 2, { other: 'x' }));
  await shows(world, 'rs', 'frontend 2 2 2');
  const [pod] = await running(world);
  const { body: set } = await world.server.request('GET', `${path}/replicasets/frontend`);
  assert.deepEqual(set.metadata.labels, { other: 'x' });
  assert.deepEqual(pod?.metadata.ownerReferences, [
    {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      name: 'frontend',
      uid: set.metadata.uid,
      controller: true,
      blockOwnerDeletion: true,
    },
  ]);
  assert.equal(pod.metadata.annotations?.['kubernetes.io/created-by'], undefined);
  const name = pod.metadata.name ?? '';
  await world.client.delete(pods, { namespace, name }, { signal: world.signal });
  await world.until('another', async () => {
    const names = (await running(world)).map(({ metadata }) => metadata.name);
    return names.length === 2 && !names.includes(name);
  });
  const deletion = `${path}/replicasets/frontend`;
  assert.equal((await world.server.request('DELETE', deletion)).status, 200);
  await shows(world, 'pods');
  await create(world, `${path}/deployments`, body('Deployment', 'hello', 1));
  await shows(world, 'deployments', 'hello 1/1 1 1');
  const [line = ''] = await printed(world, 'rs');
  const [, hash = ''] = /^hello-(\S+) 1 1 1$/.exec(line) ?? [];
  const [one] = await running(world);
  assert.equal(one?.metadata.labels?.['pod-template-hash'], hash);
  assert.match(one?.metadata.name ?? '', new RegExp(`^hello-${hash}-[a-z0-9]{5}$`));
});
