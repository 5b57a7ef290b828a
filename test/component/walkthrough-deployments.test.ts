/**
 * The walkthroughs of the documents about Deployments, on a virtual clock: what they type, as
 * requests, and what they print. Today's columns (READY instead of DESIRED and CURRENT) and today's
 * defaults (25% instead of 1 for both bounds) are said where they change a line.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { deployments, events, pods, replicaSets, resourceQuotas } from '#resources/kinds.ts';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';
import { heading, printed } from './printed.ts';

const at = { namespace: 'default', name: 'nginx-deployment' } as const;
const revisionKey = 'deployment.kubernetes.io/revision';
const rolling = { maxUnavailable: 1, maxSurge: 1 };

/** `nginx-deployment.yaml`, in the version of the documents. */
function manifest(replicas: number, rollingUpdate: object = rolling) {
  const labels = { app: 'nginx' };
  const ports = [{ containerPort: 80 }];
  return {
    apiVersion: 'apps/v1beta2',
    kind: 'Deployment',
    metadata: { name: at.name, labels },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      strategy: { type: 'RollingUpdate', rollingUpdate },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'nginx', image: 'nginx:1.7.9', ports }] },
      },
    },
  };
}

async function start(t: TestContext, replicas = 3, rollingUpdate?: object): Promise<World> {
  const world = await openWorld(t);
  await world.addNode('n1');
  // What cannot be pulled does not run.
  world.becomesReady = ({ spec }) => {
    return !['nginx:1.91', 'nginx:sometag'].includes(spec?.containers[0]?.image ?? '');
  };
  const path = '/apis/apps/v1beta2/namespaces/default/deployments';
  const answer = await world.server.request('POST', path, manifest(replicas, rollingUpdate));
  assert.equal(answer.status, 201, answer.text);
  return world;
}

const get = (world: World): Promise<Deployment> =>
  world.client.get(deployments, at, { signal: world.signal });

async function patch(world: World, change: object): Promise<void> {
  await world.client.patch(deployments, at, change, { type: 'strategic', signal: world.signal });
}

/** `kubectl set image deployment/nginx-deployment nginx=IMAGE` */
async function setImage(world: World, image: string, cause?: string): Promise<void> {
  const template = { spec: { containers: [{ name: 'nginx', image }] } };
  const annotations = cause === undefined ? {} : { 'kubernetes.io/change-cause': cause };
  await patch(world, { metadata: { annotations }, spec: { template } });
}

/** `kubectl rollout status`: true when it would end with 0. */
async function rolledOut(world: World): Promise<void> {
  await world.until('the rollout', async () => {
    const { metadata, spec, status } = await get(world);
    const wanted = spec?.replicas ?? 0;
    return (
      (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
      (status?.updatedReplicas ?? 0) === wanted &&
      (status?.replicas ?? 0) === wanted &&
      (status?.availableReplicas ?? 0) === wanted
    );
  });
  await world.pass(500);
}

/** `kubectl get rs`, by revision: desired, current, ready. */
async function sets(world: World): Promise<Record<string, string>> {
  const lines = await printed(world, 'rs');
  const all = await world.list(replicaSets, 'default');
  const revisionOf = (name: string): string =>
    all.find(({ metadata }) => metadata.name === name)?.metadata.annotations?.[revisionKey] ?? '';
  return Object.fromEntries(
    lines.map((line) => {
      const [name = '', ...counts] = line.split(' ');
      return [revisionOf(name), counts.join(' ')];
    }),
  );
}

async function conditions(world: World): Promise<Record<string, string>> {
  const { status } = await get(world);
  return Object.fromEntries(
    (status?.conditions ?? []).map(({ type, status: is, reason }) => [type, `${is} ${reason}`]),
  );
}

test('creating: 0/3, then 3/3, with a set and pods named after the hash', async (t) => {
  covers('WRK-173', 'WRK-174', 'WRK-211');
  const world = await start(t);
  assert.equal(await heading(world, 'deployments'), 'NAME READY UP-TO-DATE AVAILABLE');
  assert.deepEqual(await printed(world, 'deployments'), ['nginx-deployment 0/3 0 0']);
  await world.pass(0);
  assert.deepEqual(await conditions(world), {
    Available: 'False MinimumReplicasUnavailable',
    Progressing: 'True ReplicaSetUpdated',
  });
  await rolledOut(world);
  assert.deepEqual(await printed(world, 'deployments'), ['nginx-deployment 3/3 3 3']);
  assert.deepEqual(await conditions(world), {
    Available: 'True MinimumReplicasAvailable',
    Progressing: 'True NewReplicaSetAvailable',
  });
  const [set] = await world.list(replicaSets, 'default');
  const hash = set?.metadata.labels?.['pod-template-hash'] ?? '';
  assert.deepEqual(await printed(world, 'rs'), [`nginx-deployment-${hash} 3 3 3`]);
  for (const line of await printed(world, 'pods')) {
    assert.match(line, new RegExp(`^nginx-deployment-${hash}-[a-z0-9]{5} 1/1 Running 0$`));
  }
  const { metadata, spec } = await get(world);
  assert.equal(metadata.annotations?.[revisionKey], '1');
  assert.equal(spec?.paused ?? false, false);
  assert.equal(spec?.minReadySeconds ?? 0, 0);
});

test('updating: a new set grows to 3 as the old one shrinks to 0, within its bounds', async (t) => {
  covers('WRK-046', 'WRK-047', 'WRK-114', 'WRK-122', 'WRK-147', 'WRK-175', 'WRK-207');
  const world = await start(t);
  await rolledOut(world);
  const before = (await printed(world, 'pods')).map((line) => line.split(' ')[0]);
  let [fewest, most] = [3, 3];
  await setImage(world, 'nginx:1.9.1');
  await world.until('the rollout', async () => {
    const all = await world.list(pods, 'default');
    const alive = all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    most = Math.max(most, alive.length);
    fewest = Math.min(fewest, alive.filter(({ status }) => status?.phase === 'Running').length);
    return (await get(world)).status?.updatedReplicas === 3 && alive.length === 3;
  });
  await rolledOut(world);
  assert.deepEqual([fewest >= 2, most <= 4], [true, true], `${fewest} to ${most}`);
  assert.deepEqual(await sets(world), { 1: '0 0 0', 2: '3 3 3' });
  const after = (await printed(world, 'pods')).map((line) => line.split(' ')[0]);
  assert.deepEqual(
    after.filter((name) => before.includes(name)),
    [],
  );
  await patch(world, { spec: { replicas: 4 } });
  await rolledOut(world);
  assert.deepEqual(await sets(world), { 1: '0 0 0', 2: '4 4 4' }, 'no new revision');
  const grown = (await printed(world, 'pods')).map((line) => line.split(' ')[0]);
  assert.deepEqual(
    after.filter((name) => !grown.includes(name)),
    [],
    'the three stay',
  );
  // Without a strategy the defaults are today's 25%, in the first versions 1.
  const plain = { ...manifest(1).spec, strategy: undefined };
  for (const [version, bound] of [
    ['apps/v1', '25%'],
    ['extensions/v1beta1', 1],
  ] as const) {
    const path = `/apis/${version}/namespaces/default/deployments`;
    const name = `plain-${version.split('/')[1]}`;
    const body = { apiVersion: version, kind: 'Deployment', metadata: { name }, spec: plain };
    const answer = await world.server.request('POST', path, body);
    const { maxSurge, maxUnavailable } = answer.body.spec.strategy.rollingUpdate;
    assert.deepEqual([maxSurge, maxUnavailable], [bound, bound]);
  }
});

test('a bad image stops the rollout; the history leads back', async (t) => {
  covers('WRK-208', 'WRK-210');
  const world = await start(t);
  await rolledOut(world);
  await setImage(world, 'nginx:1.9.1', 'kubectl set image nginx=nginx:1.9.1');
  await rolledOut(world);
  await setImage(world, 'nginx:1.91', 'kubectl set image nginx=nginx:1.91');
  await world.pass(20_000);
  // As printed: two new ones that cannot start, two old ones that serve.
  assert.deepEqual(await sets(world), { 1: '0 0 0', 2: '2 2 2', 3: '2 2 0' });
  assert.deepEqual(await printed(world, 'deployments'), ['nginx-deployment 2/3 2 2']);
  const all = await world.list(replicaSets, 'default');
  const byRevision = (revision: string): ReplicaSet | undefined =>
    all.find(({ metadata }) => metadata.annotations?.[revisionKey] === revision);
  const causes = ['2', '3'].map(
    (revision) => byRevision(revision)?.metadata.annotations?.['kubernetes.io/change-cause'],
  );
  assert.deepEqual(causes, [
    'kubectl set image nginx=nginx:1.9.1',
    'kubectl set image nginx=nginx:1.91',
  ]);
  // `kubectl rollout undo` puts the template of the set back.
  const { spec } = byRevision('2')?.spec?.template ?? {};
  await patch(world, { spec: { template: { spec } } });
  await rolledOut(world);
  assert.deepEqual(await sets(world), { 1: '0 0 0', 3: '0 0 0', 4: '3 3 3' });
  const first = byRevision('1')?.metadata.name ?? '';
  const options = { signal: world.signal };
  await world.client.delete(replicaSets, { namespace: 'default', name: first }, options);
  await world.pass(1_000);
  assert.deepEqual(Object.keys(await sets(world)), ['3', '4']);
  const wish = { 'deprecated.deployment.rollback.to': '1' };
  await patch(world, { metadata: { annotations: wish } });
  await world.pass(1_000);
  const notes = (await world.list(events, 'default')).map(({ note }) => note);
  assert.ok(notes.includes('Unable to find the revision to rollback to.'));
});

test('proportional scaling: 8 and 5 become 11 and 7, and none stays none', async (t) => {
  covers('WRK-055');
  const world = await start(t, 10, { maxSurge: 3, maxUnavailable: 2 });
  await rolledOut(world);
  assert.deepEqual(await printed(world, 'deployments'), ['nginx-deployment 10/10 10 10']);
  await setImage(world, 'nginx:1.9.1');
  await rolledOut(world);
  await setImage(world, 'nginx:sometag');
  await world.pass(10_000);
  assert.deepEqual(await sets(world), { 1: '0 0 0', 2: '8 8 8', 3: '5 5 0' });
  await patch(world, { spec: { replicas: 15 } });
  await world.pass(10_000);
  assert.deepEqual(await sets(world), { 1: '0 0 0', 2: '11 11 11', 3: '7 7 0' });
  // One more is for the largest.
  await patch(world, { spec: { replicas: 16 } });
  await world.pass(10_000);
  assert.deepEqual(await sets(world), { 1: '0 0 0', 2: '12 12 12', 3: '7 7 0' });
  await patch(world, { spec: { replicas: 15 } });
  await world.pass(10_000);
  assert.deepEqual(await printed(world, 'deployments'), ['nginx-deployment 11/15 7 11']);
});

test('pausing collects changes, resuming rolls them out at once', async (t) => {
  covers('WRK-056');
  const world = await start(t);
  await rolledOut(world);
  await patch(world, { spec: { paused: true } });
  await setImage(world, 'nginx:1.9.1');
  const resources = { limits: { cpu: '200m', memory: '512Mi' } };
  const containers = [{ name: 'nginx', resources }];
  await patch(world, { spec: { template: { spec: { containers } } } });
  await world.pass(5_000);
  assert.deepEqual(await sets(world), { 1: '3 3 3' });
  await patch(world, { spec: { paused: false } });
  await rolledOut(world);
  assert.deepEqual(await sets(world), { 1: '0 0 0', 2: '3 3 3' });
  const [pod] = await world.list(pods, 'default');
  assert.equal(pod?.spec?.containers[0]?.resources?.limits?.['cpu'], '200m');
});

test('a deadline tells of a rollout that is stuck, and everything still works', async (t) => {
  covers('WRK-061', 'WRK-062');
  const world = await start(t);
  await rolledOut(world);
  await patch(world, { spec: { progressDeadlineSeconds: 10 } });
  await setImage(world, 'nginx:1.91');
  await world.pass(5_000);
  assert.equal((await conditions(world))['Progressing'], 'True ReplicaSetUpdated');
  await world.pass(10_000);
  assert.deepEqual(await conditions(world), {
    Available: 'True MinimumReplicasAvailable',
    Progressing: 'False ProgressDeadlineExceeded',
  });
  assert.deepEqual(await sets(world), { 1: '2 2 2', 2: '2 2 0' }, 'nothing else is done');
  await patch(world, { spec: { replicas: 4 } });
  await world.pass(5_000);
  const sizes = Object.values(await sets(world)).map((line) => Number(line.split(' ')[0]));
  assert.equal(sizes[0] && sizes[1] && sizes[0] + sizes[1], 5);
  await patch(world, { spec: { paused: true } });
  await world.pass(1_000);
  await patch(world, { spec: { paused: false } });
  await setImage(world, 'nginx:1.7.9');
  await rolledOut(world);
  assert.equal((await conditions(world))['Progressing'], 'True NewReplicaSetAvailable');
  const refused = await world.server.request(
    'PATCH',
    '/apis/apps/v1/namespaces/default/deployments/nginx-deployment',
    { spec: { minReadySeconds: 30 } },
    { headers: { 'content-type': 'application/merge-patch+json' } },
  );
  assert.match(refused.body.message, /must be greater than minReadySeconds/);
  // While it is paused no deadline counts.
  await patch(world, { spec: { paused: true } });
  await setImage(world, 'nginx:1.91');
  await world.pass(30_000);
  assert.equal((await conditions(world))['Progressing'], 'Unknown DeploymentPaused');
});

test('a quota that is used up is a failure of the replicas, until there is more', async (t) => {
  covers('WRK-058');
  superseded('WRK-154', {
    by: 'v1.9',
    now: 'the message no longer begins with "unable to create pods:"',
  });
  const world = await openWorld(t);
  await world.addNode('n1');
  const quotaAt = { namespace: 'default', name: 'pod-demo' };
  const spec = { hard: { pods: '2' } };
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: quotaAt, spec };
  await world.client.create(resourceQuotas, quota, { signal: world.signal });
  await world.pass(1_000);
  const path = '/apis/apps/v1beta2/namespaces/default/deployments';
  await world.server.request('POST', path, manifest(3));
  await world.pass(10_000);
  // As `kubectl describe` prints it in the document.
  assert.deepEqual(await conditions(world), {
    Available: 'True MinimumReplicasAvailable',
    Progressing: 'True ReplicaSetUpdated',
    ReplicaFailure: 'True FailedCreate',
  });
  const { status } = await get(world);
  assert.equal(status?.availableReplicas, 2);
  const failure = status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  const [, name, why] = /^pods "([^"]+)" is forbidden: (.*)$/.exec(failure?.message ?? '') ?? [];
  assert.ok(name?.startsWith('nginx-deployment-'));
  assert.equal(why, 'exceeded quota: pod-demo, requested: pods=1, used: pods=2, limited: pods=2');
  assert.ok(failure?.lastUpdateTime !== undefined);
  await world.pass(600_000);
  assert.equal((await conditions(world))['Progressing'], 'False ProgressDeadlineExceeded');
  const more = { spec: { hard: { pods: '5' } } };
  const merge = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(resourceQuotas, quotaAt, more, merge);
  await world.pass(600_000);
  assert.deepEqual(await conditions(world), {
    Available: 'True MinimumReplicasAvailable',
    Progressing: 'True NewReplicaSetAvailable',
  });
});

test('Recreate ends all old pods before it makes new ones', async (t) => {
  covers('WRK-198');
  const world = await start(t);
  await rolledOut(world);
  await patch(world, { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } });
  await setImage(world, 'nginx:1.9.1');
  await world.until('the rollout', async () => {
    const images = (await world.list(pods, 'default')).map(
      ({ spec }) => spec?.containers[0]?.image,
    );
    assert.ok(new Set(images).size <= 1, `${images}`);
    return images.length === 3 && images[0] === 'nginx:1.9.1';
  });
  await rolledOut(world);
  assert.deepEqual(await sets(world), { 1: '0 0 0', 2: '3 3 3' });
});

test('scaling to none ends all pods; deleting ends the sets as well', async (t) => {
  covers('WRK-169', 'WRK-176');
  const world = await start(t);
  await rolledOut(world);
  await patch(world, { spec: { replicas: 0 } });
  await world.until('all to end', async () => (await printed(world, 'pods')).length === 0);
  await patch(world, { spec: { replicas: 2 } });
  await rolledOut(world);
  await world.client.delete(deployments, at, { signal: world.signal });
  await world.until('all to go', async () => {
    return (await printed(world, 'pods')).length + (await printed(world, 'rs')).length === 0;
  });
  const told = await world.list(events, 'default');
  const notes = told.map(({ note }) => note ?? '');
  assert.ok(
    notes.some((note) => note.endsWith('from 3 to 0')),
    notes.join('\n'),
  );
});
