/**
 * Jobs against a real API server, whose status validation judges every step: counting, indexes,
 * back-off, policies, suspension, deadlines, and what a deleted Job leaves behind.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { formatTime } from '#kit/clock.ts';
import { events, jobs, pods } from '#resources/kinds.ts';
import type { Job, JobSpec } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const at = { namespace, name: 'pi' };
const indexKey = 'batch.kubernetes.io/job-completion-index';
const finalizer = 'batch.kubernetes.io/job-tracking';

async function start(t: TestContext, spec: Partial<JobSpec>, delayMs = 0): Promise<World> {
  const world = await openWorld(t, { podDelayMs: delayMs });
  await world.addNode('n1');
  world.becomesReady = (pod) => !['Succeeded', 'Failed'].includes(pod.status?.phase ?? '');
  const podSpec = { restartPolicy: 'Never', containers: [{ name: 'c', image: 'pi:1' }] };
  const job: Job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: at,
    spec: { template: { spec: podSpec }, ...spec },
  };
  await world.client.create(jobs, job, { signal: world.signal });
  return world;
}

const read = (world: World): Promise<Job> => world.client.get(jobs, at, { signal: world.signal });

async function alive(world: World): Promise<readonly Pod[]> {
  const all = await world.list(pods, namespace);
  return all.filter(
    ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined &&
      status?.phase !== 'Succeeded' &&
      status?.phase !== 'Failed',
  );
}

async function running(world: World, count: number): Promise<readonly Pod[]> {
  let found: readonly Pod[] = [];
  await world.until(`${count} running pods`, async () => {
    found = await alive(world);
    return found.length === count && found.every(({ status }) => status?.phase === 'Running');
  });
  return found;
}

async function end(world: World, pod: Pod | undefined, exitCode: number): Promise<void> {
  assert.ok(pod !== undefined);
  const { signal, client, clock } = world;
  const name = pod.metadata.name ?? '';
  const terminated = { exitCode, finishedAt: formatTime(clock.now()) };
  const phase = exitCode === 0 ? 'Succeeded' : 'Failed';
  const container = { name: 'c', image: 'pi:1', imageID: '', ready: false, restartCount: 0 };
  const containerStatuses = [{ ...container, state: { terminated } }];
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(pods, { namespace, name }, { status: { phase, containerStatuses } }, options);
}

const indexOf = (pod: Pod): string => pod.metadata.labels?.[indexKey] ?? '';

function has(job: Job, type: string): boolean {
  return job.status?.conditions?.some((one) => one.type === type && one.status === 'True') ?? false;
}

async function over(world: World, type: 'Complete' | 'Failed'): Promise<Job> {
  await world.until(type, async () => has(await read(world), type));
  const job = await read(world);
  const { active = 0, terminating = 0, uncountedTerminatedPods } = job.status ?? {};
  assert.deepEqual([active, terminating, uncountedTerminatedPods ?? {}], [0, 0, {}]);
  await world.pass(1_000);
  for (const pod of await world.list(pods, namespace)) {
    assert.ok(!pod.metadata.finalizers?.includes(finalizer), `${pod.metadata.name} is tracked`);
  }
  return job;
}

const why = (job: Job, type: string): string | undefined =>
  job.status?.conditions?.find((one) => one.type === type)?.reason;

async function reasons(world: World): Promise<readonly string[]> {
  const all = await world.list(events, namespace);
  return all.filter(({ regarding }) => regarding?.kind === 'Job').map(({ reason = '' }) => reason);
}

test('a Job of three, two at a time, runs until three have succeeded', async (t) => {
  covers('WRK-089', 'WRK-097', 'WRK-141', 'WRK-212');
  const world = await start(t, { completions: 3, parallelism: 2 });
  const [first, second] = await running(world, 2);
  assert.match(first?.metadata.name ?? '', /^pi-[a-z0-9]{5}$/);
  assert.deepEqual(first?.metadata.finalizers, [finalizer]);
  assert.equal(first?.metadata.labels?.['job-name'], 'pi');
  const { metadata, spec } = await read(world);
  const uid = metadata.uid ?? '';
  assert.deepEqual(spec?.selector, { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } });
  for (const key of ['controller-uid', 'batch.kubernetes.io/controller-uid']) {
    assert.equal(first?.metadata.labels?.[key], uid, key);
  }
  const plain = (pod: Pod): string =>
    JSON.stringify(pod.spec).replaceAll(/kube-api-access-[a-z0-9]{5}/g, 'the token');
  assert.equal(first && plain(first), second && plain(second));
  await end(world, first, 0);
  await world.pass(500);
  await running(world, 2);
  for (const pod of await running(world, 2)) await end(world, pod, 0);
  const job = await over(world, 'Complete');
  assert.equal(job.status?.succeeded, 3);
  assert.equal(why(job, 'Complete'), 'CompletionsReached');
  assert.ok(job.status?.completionTime !== undefined);
  const kept = await world.list(pods, namespace);
  assert.equal(kept.length, 3, 'pods stay for their logs');
  assert.equal(new Set(kept.map(plain)).size, 1);
  const told = await reasons(world);
  assert.equal(told.filter((reason) => reason === 'SuccessfulCreate').length, 3);
  assert.ok(told.includes('Completed'));
});

test('a late cache neither makes too many pods nor counts one twice', async (t) => {
  const world = await start(t, { completions: 4, parallelism: 2 }, 2_000);
  for (let turn = 0; turn < 2; turn++) {
    const found = await running(world, 2);
    await world.pass(5_000);
    assert.equal((await alive(world)).length, 2);
    for (const pod of found) await end(world, pod, 0);
    await world.pass(10_000);
  }
  const job = await over(world, 'Complete');
  assert.equal(job.status?.succeeded, 4);
  assert.equal((await world.list(pods, namespace)).length, 4);
});

test('a work queue is done when one has succeeded and all have ended', async (t) => {
  covers('WRK-092', 'WRK-143');
  const world = await start(t, { parallelism: 3 });
  const [one, two, three] = await running(world, 3);
  await end(world, one, 0);
  await world.pass(5_000);
  assert.equal((await alive(world)).length, 2, 'no new pods after a success');
  assert.equal(has(await read(world), 'Complete'), false);
  await end(world, two, 0);
  await end(world, three, 0);
  assert.equal((await over(world, 'Complete')).status?.succeeded, 3);
});

test('failures wait longer each time, up to the limit', async (t) => {
  covers('WRK-094');
  const world = await start(t, { backoffLimit: 2 });
  const waits: number[] = [];
  for (let failure = 0; failure < 3; failure++) {
    const [pod] = await running(world, 1);
    await end(world, pod, 1);
    const sinceMs = world.clock.now();
    if (failure === 2) break;
    await world.until('the next pod', async () => (await alive(world)).length === 1);
    waits.push(Math.round((world.clock.now() - sinceMs) / 10_000));
  }
  assert.deepEqual(waits, [1, 2]);
  const job = await over(world, 'Failed');
  assert.equal(job.status?.failed, 3);
  assert.equal(why(job, 'Failed'), 'BackoffLimitExceeded');
  assert.equal(why(job, 'FailureTarget'), 'BackoffLimitExceeded');
  assert.ok((await reasons(world)).includes('BackoffLimitExceeded'));
});

test('a deleted pod is replaced, and counts as failed', async (t) => {
  const world = await start(t, {});
  const [pod] = await running(world, 1);
  const name = pod?.metadata.name ?? '';
  await world.client.delete(pods, { namespace, name }, { signal: world.signal });
  await world.pass(15_000);
  const [next] = await running(world, 1);
  assert.notEqual(next?.metadata.name, name);
  assert.equal((await read(world)).status?.failed, 1);
  await end(world, next, 0);
  await over(world, 'Complete');
});

test('no replacement before the end, where the policy says so', async (t) => {
  const world = await start(t, { podReplacementPolicy: 'Failed' });
  const [pod] = await running(world, 1);
  world.living.clear();
  const name = pod?.metadata.name ?? '';
  await world.client.delete(pods, { namespace, name }, { signal: world.signal });
  await world.pass(15_000);
  assert.equal((await alive(world)).length, 0);
  assert.equal((await read(world)).status?.terminating, 1);
  await end(world, pod, 1);
  await world.pass(15_000);
  assert.equal((await alive(world)).length, 1);
});

test('an Indexed Job gives each pod its index and starts each index anew', async (t) => {
  const world = await start(t, { completions: 4, parallelism: 4, completionMode: 'Indexed' });
  const found = [...(await running(world, 4))].sort((a, b) => (indexOf(a) < indexOf(b) ? -1 : 1));
  assert.deepEqual(found.map(indexOf), ['0', '1', '2', '3']);
  const [zero] = found;
  assert.equal(zero?.spec?.hostname, 'pi-0');
  assert.match(zero?.metadata.name ?? '', /^pi-0-[a-z0-9]{5}$/);
  assert.equal(zero?.metadata.annotations?.[indexKey], '0');
  const [variable] = zero?.spec?.containers[0]?.env ?? [];
  assert.equal(variable?.name, 'JOB_COMPLETION_INDEX');
  assert.equal(variable?.valueFrom?.fieldRef?.fieldPath, `metadata.labels['${indexKey}']`);
  await end(world, found[2], 1);
  for (const index of [0, 1, 3]) await end(world, found[index], 0);
  await world.pass(1_000);
  assert.equal((await read(world)).status?.completedIndexes, '0,1,3');
  await world.pass(12_000);
  const [again] = await running(world, 1);
  assert.equal(again && indexOf(again), '2');
  await end(world, again, 0);
  const job = await over(world, 'Complete');
  assert.equal(job.status?.completedIndexes, '0-3');
  assert.deepEqual([job.status?.succeeded, job.status?.failed], [4, 1]);
});

test('each index has its own limit; failed indexes fail the Job at its end', async (t) => {
  const world = await start(t, {
    completions: 2,
    parallelism: 2,
    completionMode: 'Indexed',
    backoffLimitPerIndex: 1,
  });
  const found = await running(world, 2);
  const one = found.find((pod) => indexOf(pod) === '1');
  await end(world, one, 1);
  await world.pass(12_000);
  const second = (await running(world, 2)).find((pod) => indexOf(pod) === '1');
  const count = second?.metadata.annotations?.['batch.kubernetes.io/job-index-failure-count'];
  assert.equal(count, '1');
  await end(world, second, 1);
  await world.pass(20_000);
  const remaining = await running(world, 1);
  assert.equal((await read(world)).status?.failedIndexes, '1');
  await end(world, remaining[0], 0);
  const job = await over(world, 'Failed');
  assert.equal(why(job, 'Failed'), 'FailedIndexes');
  assert.deepEqual([job.status?.succeeded, job.status?.failed], [1, 2]);
});

test('a success policy ends the Job early and deletes the rest', async (t) => {
  const world = await start(t, {
    completions: 3,
    parallelism: 3,
    completionMode: 'Indexed',
    successPolicy: { rules: [{ succeededIndexes: '0' }] },
  });
  const leader = (await running(world, 3)).find((pod) => indexOf(pod) === '0');
  await end(world, leader, 0);
  const job = await over(world, 'Complete');
  assert.equal(why(job, 'Complete'), 'SuccessPolicy');
  assert.equal((await alive(world)).length, 0);
});

test('a failure policy fails the Job at once, or does not count', async (t) => {
  const rules = [
    { action: 'Ignore', onExitCodes: { operator: 'In', values: [7] } },
    { action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } },
  ];
  const world = await start(t, { backoffLimit: 0, podFailurePolicy: { rules } });
  const [ignored] = await running(world, 1);
  await end(world, ignored, 7);
  await world.pass(15_000);
  const [next] = await running(world, 1);
  assert.equal((await read(world)).status?.failed ?? 0, 0);
  await end(world, next, 42);
  const job = await over(world, 'Failed');
  const condition = job.status?.conditions?.find(({ type }) => type === 'Failed');
  const name = `default/${next?.metadata.name}`;
  assert.equal(
    condition?.message,
    `Container c for pod ${name} failed with exit code 42 matching FailJob rule at index 1`,
  );
  assert.equal(condition?.reason, 'PodFailurePolicy');
});

test('suspending deletes the pods without a failure that stays, resuming starts anew', async (t) => {
  covers('WRK-093');
  const world = await start(t, { suspend: true, parallelism: 2, completions: 2 });
  await world.pass(2_000);
  const { status } = await read(world);
  assert.equal(status?.startTime, undefined);
  assert.equal(why(await read(world), 'Suspended'), 'JobSuspended');
  assert.equal((await world.list(pods, namespace)).length, 0);
  const { client, signal } = world;
  const set = (spec: object) => client.patch(jobs, at, { spec }, { type: 'merge', signal });
  await set({ suspend: false, parallelism: 0 });
  await world.pass(2_000);
  assert.equal((await world.list(pods, namespace)).length, 0, 'parallelism 0 pauses');
  assert.ok((await read(world)).status?.startTime !== undefined);
  assert.equal(has(await read(world), 'Suspended'), false);
  await set({ parallelism: 2 });
  await running(world, 2);
  await set({ suspend: true });
  await world.until('no pods', async () => (await alive(world)).length === 0);
  await world.until('suspended', async () => has(await read(world), 'Suspended'));
  await world.pass(2_000);
  assert.equal((await read(world)).status?.failed, undefined, 'nothing has failed');
  await set({ suspend: false });
  await running(world, 2);
  await set({ parallelism: 1 });
  await running(world, 1);
  await world.pass(2_000);
  assert.equal((await read(world)).status?.failed, undefined, 'one was too many');
  const told = await reasons(world);
  assert.ok(told.includes('Resumed') && told.includes('Suspended'));
});

test('after its deadline a Job fails and its pods are deleted', async (t) => {
  covers('WRK-098');
  const world = await start(t, { activeDeadlineSeconds: 30 });
  await running(world, 1);
  await world.pass(20_000);
  assert.equal(has(await read(world), 'Failed'), false);
  await world.pass(11_000);
  const job = await over(world, 'Failed');
  assert.equal(why(job, 'Failed'), 'DeadlineExceeded');
  assert.equal((await alive(world)).length, 0);
});

test('what another program manages is left alone', async (t) => {
  const world = await start(t, { managedBy: 'example.com/other' });
  await world.pass(5_000);
  assert.equal((await world.list(pods, namespace)).length, 0);
  assert.deepEqual((await read(world)).status ?? {}, {});
});

test('pods of a deleted Job lose their finalizer; a new one may adopt them', async (t) => {
  covers('WRK-099');
  const selector = { matchLabels: { app: 'pi' } };
  const template = {
    metadata: { labels: { app: 'pi' } },
    spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'pi:1' }] },
  };
  const spec = { manualSelector: true, selector, template };
  const world = await start(t, spec);
  const { client, signal } = world;
  const [pod] = await running(world, 1);
  await client.delete(jobs, at, { propagationPolicy: 'Orphan', signal });
  const name = pod?.metadata.name ?? '';
  const isGone = (error: unknown): boolean => isReason(error, 'NotFound');
  await world.until('the Job is gone', () => read(world).then(() => false, isGone));
  const find = (): Promise<Pod> => client.get(pods, { namespace, name }, { signal });
  await world.until('untracked', async () => (await find()).metadata.finalizers === undefined);
  const other = { namespace, name: 'pi2' };
  const successor: Job = { apiVersion: 'batch/v1', kind: 'Job', metadata: other, spec };
  await client.create(jobs, successor, { signal });
  await world.until('adopted', async () => {
    const { ownerReferences = [], finalizers } = (await find()).metadata;
    return ownerReferences[0]?.name === 'pi2' && finalizers?.[0] === finalizer;
  });
  assert.equal((await alive(world)).length, 1);
  await end(world, pod, 0);
  await world.until('done', async () => has(await client.get(jobs, other, { signal }), 'Complete'));
});

test('a finished Job goes with its pods when its time is over, not before', async (t) => {
  const world = await start(t, { ttlSecondsAfterFinished: 60 });
  const { client, signal } = world;
  const [pod] = await running(world, 1);
  await world.pass(70_000);
  await end(world, pod, 0);
  await over(world, 'Complete');
  await world.pass(50_000);
  const more = { spec: { ttlSecondsAfterFinished: 100 } };
  await client.patch(jobs, at, more, { type: 'merge', signal });
  await world.pass(30_000);
  assert.ok(has(await read(world), 'Complete'), 'it was given more time');
  await world.pass(25_000);
  await assert.rejects(read(world), (error) => isReason(error, 'NotFound'));
  assert.equal((await world.list(pods, namespace)).length, 0);
});

test('never more pods than completions are left; one that is deleted is replaced', async (t) => {
  covers('WRK-088', 'WRK-091', 'WRK-152');
  const world = await start(t, { completions: 5, parallelism: 10, backoffLimit: 6 });
  const five = await running(world, 5);
  await end(world, five[0], 0);
  await end(world, five[1], 137);
  await world.pass(2_000);
  assert.equal((await alive(world)).length, 3, 'a failure waits for its time');
  await world.pass(12_000);
  assert.equal((await running(world, 4)).length, 4);
  const [gone] = await running(world, 4);
  const name = gone?.metadata.name ?? '';
  await world.client.delete(pods, { namespace, name }, { signal: world.signal });
  await world.pass(30_000);
  const left = await running(world, 4);
  assert.ok(!left.some(({ metadata }) => metadata.name === name));
  for (const pod of left) await end(world, pod, 0);
  const job = await over(world, 'Complete');
  assert.equal(job.status?.succeeded, 5);
  const path = '/apis/batch/v1/namespaces/default/jobs';
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'c' }] } };
  const one = { metadata: { name: 'one' }, spec: { completions: 2, template } };
  const { body } = await world.server.request('POST', path, one);
  assert.equal(body.spec.parallelism, 1);
  await world.server.request('DELETE', `${path}/one`);
  await world.client.delete(jobs, at, { propagationPolicy: 'Background', signal: world.signal });
  await world.until('its pods to go', async () => (await world.list(pods, namespace)).length === 0);
});

test('a pod that never ends keeps its Job going; what may not be changed is refused', async (t) => {
  covers('WRK-100', 'WRK-144', 'WRK-145');
  const world = await start(t, { completions: 3, parallelism: 3 });
  const [one, two, blocked] = await running(world, 3);
  await end(world, one, 0);
  await end(world, two, 0);
  await world.pass(5 * 60_000);
  const job = await read(world);
  assert.deepEqual([job.status?.active, job.status?.succeeded], [1, 2]);
  assert.equal((await alive(world))[0]?.metadata.name, blocked?.metadata.name);
  const path = '/apis/batch/v1/namespaces/default/jobs';
  const headers = { 'content-type': 'application/strategic-merge-patch+json' };
  const containers = [{ name: 'c', image: 'pi:2' }];
  const change = { spec: { template: { spec: { containers } } } };
  const patched = await world.server.request('PATCH', `${path}/pi`, change, { headers });
  assert.equal(patched.status, 422);
  assert.match(patched.body.message, /field is immutable/);
  const always = await world.server.request('POST', path, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'always' },
    spec: { template: { spec: { restartPolicy: 'Always', containers } } },
  });
  assert.equal(always.status, 422);
  assert.match(always.body.message, /valid values: "OnFailure", "Never"/);
});

test('an Indexed Job can grow and shrink by completions and parallelism together', async (t) => {
  const world = await start(t, { completions: 2, parallelism: 2, completionMode: 'Indexed' });
  await running(world, 2);
  const resize = async (count: number): Promise<void> => {
    const spec = { completions: count, parallelism: count };
    await world.client.patch(jobs, at, { spec }, { type: 'merge', signal: world.signal });
  };
  const indexes = async () => (await alive(world)).map(indexOf).toSorted();
  await resize(4);
  await running(world, 4);
  assert.deepEqual(await indexes(), ['0', '1', '2', '3']);
  const three = (await alive(world)).find((pod) => indexOf(pod) === '3');
  await end(world, three, 0);
  await world.until('index 3', async () => (await read(world)).status?.completedIndexes === '3');
  await resize(2);
  await world.until('the others to go', async () => (await indexes()).join() === '0,1');
  await world.until('index 3 to be out of range', async () => {
    const { completedIndexes, succeeded = 0 } = (await read(world)).status ?? {};
    return completedIndexes === undefined && succeeded === 0;
  });
  for (const pod of await alive(world)) await end(world, pod, 0);
  const job = await over(world, 'Complete');
  assert.equal(job.status?.completedIndexes, '0,1');
});
