/** CronJobs over a real API server and the Job controller: minutes pass on a virtual clock. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { cronJobs, events, jobs, pods } from '#resources/kinds.ts';
import type { CronJob, CronJobSpec, Job } from '#resources/types/batch-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const at = { namespace, name: 'hello' } as const;
const minute = 60_000;

function hello(spec: Partial<CronJobSpec> = {}): CronJob {
  const containers = [{ name: 'hello', image: 'busybox' }];
  const template = { spec: { restartPolicy: 'Never', containers } };
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: at,
    spec: { schedule: '*/1 * * * *', jobTemplate: { spec: { template } }, ...spec },
  };
}

async function start(t: TestContext, spec: Partial<CronJobSpec> = {}): Promise<World> {
  const world = await openWorld(t);
  await world.addNode('n1');
  world.becomesReady = ({ status }) => status?.phase === 'Pending';
  // Half a minute past a full one.
  await world.pass(minute - (world.clock.now() % minute) + 30_000);
  await world.client.create(cronJobs, hello(spec), { signal: world.signal });
  return world;
}

const get = (world: World): Promise<CronJob> =>
  world.client.get(cronJobs, at, { signal: world.signal });

async function patch(world: World, change: object): Promise<void> {
  await world.client.patch(cronJobs, at, change, { type: 'merge', signal: world.signal });
}

async function made(world: World): Promise<readonly Job[]> {
  const all = await world.list(jobs, namespace);
  return all.toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
}

const names = async (world: World) => (await made(world)).map(({ metadata }) => metadata.name);

/** Ends every pod that runs. */
async function finish(world: World, phase: 'Succeeded' | 'Failed' = 'Succeeded'): Promise<void> {
  const options = { type: 'merge', subresource: 'status', signal: world.signal } as const;
  for (const { metadata, status } of await world.list(pods, namespace)) {
    if (status?.phase !== 'Running') continue;
    const name = metadata.name ?? '';
    await world.client.patch(pods, { namespace, name }, { status: { phase } }, options);
  }
  await world.pass(2_000);
}

async function told(world: World): Promise<readonly string[]> {
  const all = await world.list(events, namespace);
  const mine = all.filter(({ regarding }) => regarding?.kind === 'CronJob');
  return mine.map(({ reason, note }) => `${reason}: ${note}`);
}

test('a Job each minute, named after it; deleting the CronJob ends them all', async (t) => {
  covers('WRK-101', 'WRK-103');
  const world = await start(t);
  await world.pass(20_000);
  assert.deepEqual(await names(world), []);
  await world.pass(20_000);
  const first = Math.floor(world.clock.now() / minute);
  assert.deepEqual(await names(world), [`hello-${first}`]);
  const { status } = await get(world);
  assert.deepEqual(
    status?.active?.map(({ kind, name }) => `${kind} ${name}`),
    [`Job hello-${first}`],
  );
  assert.equal(Date.parse(status?.lastScheduleTime ?? ''), first * minute);
  await finish(world);
  const after = (await get(world)).status;
  assert.equal(after?.active, undefined);
  assert.equal(after?.lastSuccessfulTime, (await made(world))[0]?.status?.completionTime);
  await world.pass(minute);
  assert.deepEqual(await names(world), [`hello-${first}`, `hello-${first + 1}`]);
  const all = await told(world);
  assert.ok(all.includes(`SuccessfulCreate: Created job hello-${first}`));
  assert.ok(
    all.includes(`SawCompletedJob: Saw completed job: hello-${first}, condition: Complete`),
  );
  assert.ok(!all.some((text) => text.startsWith('UnexpectedJob')));
  await patch(world, { spec: { schedule: '@hourly' } });
  assert.equal((await get(world)).spec?.schedule, '@hourly');
  const before = (await names(world)).length;
  // A question mark is a star, and `@hourly` is not each minute.
  for (const [schedule, more] of [
    ['@hourly', 0],
    ['? ? * ? *', 1],
  ] as const) {
    await patch(world, { spec: { schedule } });
    await world.pass(minute);
    assert.equal((await names(world)).length, before + more, schedule);
  }
  await world.client.delete(cronJobs, at, { signal: world.signal });
  await world.until('its Jobs and their pods to go', async () => {
    return (await made(world)).length + (await world.list(pods, namespace)).length === 0;
  });
  await world.pass(2 * minute);
  assert.deepEqual(await names(world), []);
});

test('what still runs is joined, waited for, or replaced', async (t) => {
  covers('WRK-107');
  const counts: Record<string, number> = {};
  for (const concurrencyPolicy of ['Allow', 'Forbid', 'Replace']) {
    const world = await start(t, { concurrencyPolicy });
    await world.pass(2 * minute + 10_000);
    const alive = await made(world);
    counts[concurrencyPolicy] = alive.length;
    const last = Math.floor(world.clock.now() / minute);
    const newest = alive.at(-1)?.metadata.name;
    assert.equal(newest, `hello-${concurrencyPolicy === 'Forbid' ? last - 1 : last}`);
    const active = (await get(world)).status?.active?.length;
    assert.equal(active, alive.length, concurrencyPolicy);
    const reasons = (await told(world)).map((text) => text.split(':')[0]);
    if (concurrencyPolicy === 'Forbid') assert.ok(reasons.includes('JobAlreadyActive'));
    if (concurrencyPolicy === 'Replace') assert.ok(reasons.includes('SuccessfulDelete'));
  }
  assert.deepEqual(counts, { Allow: 2, Forbid: 1, Replace: 1 });
  assert.equal((await get(await start(t))).spec?.concurrencyPolicy, 'Allow');
});

test('a suspended CronJob starts nothing, and ends nothing that it started', async (t) => {
  covers('WRK-108');
  const world = await start(t);
  assert.equal((await get(world)).spec?.suspend, false);
  await world.pass(40_000);
  const before = await names(world);
  assert.equal(before.length, 1);
  await patch(world, { spec: { suspend: true } });
  await world.pass(3 * minute);
  assert.deepEqual(await names(world), before);
  assert.equal((await get(world)).status?.active?.length, 1);
  await patch(world, { spec: { suspend: false } });
  await world.pass(1_000);
  const last = Math.floor(world.clock.now() / minute);
  assert.deepEqual(await names(world), [...before, `hello-${last}`], 'the latest is made up for');
});

test('finished Jobs are kept up to the limits', async (t) => {
  covers('WRK-109');
  const world = await start(t);
  const { successfulJobsHistoryLimit, failedJobsHistoryLimit } = (await get(world)).spec ?? {};
  assert.deepEqual([successfulJobsHistoryLimit, failedJobsHistoryLimit], [3, 1]);
  for (let turn = 0; turn < 6; turn++) {
    await world.pass(minute);
    await finish(world);
  }
  assert.equal((await names(world)).length, 3);
  await patch(world, { spec: { jobTemplate: { spec: { backoffLimit: 0 } } } });
  for (let turn = 0; turn < 2; turn++) {
    await world.pass(minute);
    await finish(world, 'Failed');
  }
  const failed = async () => (await made(world)).filter(({ status }) => status?.failed === 1);
  assert.equal((await failed()).length, 1);
  assert.equal((await names(world)).length, 4);
  await patch(world, { spec: { successfulJobsHistoryLimit: 0 } });
  await world.pass(2_000);
  assert.equal((await names(world)).length, 1);
  await patch(world, { spec: { failedJobsHistoryLimit: 0 } });
  await world.pass(2_000);
  assert.deepEqual(await names(world), []);
});

test('a changed template is for the next start', async (t) => {
  covers('WRK-105');
  const world = await start(t);
  await world.pass(40_000);
  const containers = [{ name: 'hello', image: 'busybox:2' }];
  const template = { spec: { template: { spec: { containers } } } };
  await patch(world, { spec: { jobTemplate: template } });
  await world.pass(minute);
  const images = (await made(world)).map(({ spec }) => spec?.template?.spec?.containers[0]?.image);
  assert.deepEqual(images, ['busybox', 'busybox:2']);
});

test('what was missed by more than the deadline is not made up for', async (t) => {
  superseded('WRK-106', {
    by: 'v1.21',
    now: 'a start missed by more than the deadline is not made; nothing counts it as failed',
  });
  const world = await start(t, { schedule: '*/10 * * * *', startingDeadlineSeconds: 60 });
  await patch(world, { spec: { suspend: true } });
  // Two minutes after a full ten.
  const now = world.clock.now();
  await world.pass(10 * minute - (now % (10 * minute)) + 2 * minute);
  await patch(world, { spec: { suspend: false } });
  await world.pass(minute);
  assert.deepEqual(await names(world), []);
  await patch(world, { spec: { startingDeadlineSeconds: 300 } });
  await world.pass(2_000);
  assert.equal((await names(world)).length, 1);
});

test('about once: nothing for a start that was missed, and again where the note is lost', async (t) => {
  covers('WRK-104');
  const world = await start(t, { startingDeadlineSeconds: 10 });
  await patch(world, { spec: { suspend: true } });
  await world.pass(minute);
  await patch(world, { spec: { suspend: false } });
  await world.pass(20_000);
  assert.deepEqual(await names(world), [], 'no Job for a time that is over');
  await world.pass(30_000);
  const [first] = await made(world);
  assert.ok(first !== undefined);
  // The Job was made, and whoever made it died before it was noted; nobody keeps the Job.
  const { signal } = world;
  const before = new Date(world.clock.now() - 2 * minute).toISOString();
  const status = { status: { lastScheduleTime: before, active: null } };
  const of = { namespace, name: first.metadata.name ?? '' };
  await patch(world, { spec: { suspend: true, startingDeadlineSeconds: 300 } });
  await world.client.delete(jobs, of, { propagationPolicy: 'Background', signal });
  await world.client.patch(cronJobs, at, status, { type: 'merge', subresource: 'status', signal });
  await patch(world, { spec: { suspend: false } });
  await world.pass(2_000);
  const [second] = await made(world);
  assert.equal(second?.metadata.name, first.metadata.name, 'for the same time');
  assert.notEqual(second?.metadata.uid, first.metadata.uid);
});

test('a new schedule does not start what it would have started before', async (t) => {
  const world = await start(t, { schedule: '0 0 1 1 *' });
  await world.pass(10 * minute);
  await patch(world, { spec: { schedule: '*/5 * * * *' } });
  await world.pass(1_000);
  assert.deepEqual(await names(world), []);
  await world.pass(5 * minute);
  assert.equal((await names(world)).length, 1);
});
