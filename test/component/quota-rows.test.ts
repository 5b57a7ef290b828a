/**
 * What the documents say of quotas, each with the controller that keeps their status: what has to
 * be said of a pod, what is summed, what is counted, and what is refused in which words.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const space = '/api/v1/namespaces/default';

async function start(t: TestContext): Promise<World> {
  const world = await openWorld(t);
  await world.addNode('n1');
  await world.pass(1_000);
  return world;
}

/** Made as a user does; its status is there a moment later. */
async function quota(world: World, name: string, hard: object, more: object = {}): Promise<void> {
  const body = { metadata: { name }, spec: { hard, ...more } };
  const answer = await world.server.request('POST', `${space}/resourcequotas`, body);
  assert.equal(answer.status, 201, answer.text);
  await world.until(`the status of ${name}`, async () => {
    const { body: now } = await world.server.request('GET', `${space}/resourcequotas/${name}`);
    return now.status?.used !== undefined;
  });
}

async function dropQuota(world: World, name: string): Promise<void> {
  await world.server.request('DELETE', `${space}/resourcequotas/${name}`);
  await world.pass(500);
}

interface Outcome {
  readonly status: number;
  readonly message: string;
}

async function make(world: World, plural: string, name: string, body: object): Promise<Outcome> {
  const whole = { metadata: { name }, ...body };
  const answer = await world.server.request('POST', `${space}/${plural}`, whole);
  await world.pass(200);
  return { status: answer.status, message: answer.body.message ?? '' };
}

/** Containers `a`, `b` … with these resources. */
const containers = (...all: readonly object[]) => ({
  spec: {
    containers: all.map((resources, index) => ({
      name: String.fromCharCode(97 + index),
      image: 'nginx',
      resources,
    })),
  },
});

test('under a quota every container says what the quota is about', async (t) => {
  covers('QUO-008', 'QUO-032');
  const world = await start(t);
  const full = {
    requests: { cpu: '100m', memory: '10Mi' },
    limits: { cpu: '200m', memory: '20Mi' },
  };
  const missing = (name: string, which: string): string =>
    `pods "p" is forbidden: failed quota: ${name}: must specify ${which}`;
  const say = async (...all: readonly object[]): Promise<Outcome> =>
    make(world, 'pods', 'p', containers(...all));
  for (const [hard, without] of [
    ['requests.cpu', { requests: { memory: '10Mi' } }],
    ['requests.memory', { requests: { cpu: '100m' } }],
    ['cpu', { requests: { memory: '10Mi' } }],
    ['memory', { requests: { cpu: '100m' } }],
    ['limits.cpu', { requests: full.requests, limits: { memory: '20Mi' } }],
    ['limits.memory', { requests: full.requests, limits: { cpu: '200m' } }],
  ] as const) {
    await quota(world, 'one', { [hard]: '1Gi' });
    assert.deepEqual(await say(without), {
      status: 403,
      message: missing('one', `${hard} for: a`),
    });
    // One of two is not enough.
    assert.deepEqual(await say(full, without), {
      status: 403,
      message: missing('one', `${hard} for: b`),
    });
    assert.equal((await say(full, full)).status, 201, hard);
    await world.server.request('DELETE', `${space}/pods/p?gracePeriodSeconds=0`);
    await dropQuota(world, 'one');
  }
  const all = {
    'requests.cpu': '1',
    'requests.memory': '1Gi',
    'limits.cpu': '2',
    'limits.memory': '2Gi',
  };
  await quota(world, 'mem-cpu-demo', all);
  const four = Object.keys(all).toSorted();
  const which = four.map((key) => `${key} for: a`).join('; ');
  assert.equal((await say({})).message, missing('mem-cpu-demo', which));
});

test('with a LimitRange that says it for them, containers need not', async (t) => {
  covers('QUO-022');
  const world = await start(t);
  for (const resource of ['cpu', 'memory']) {
    await quota(world, 'q', { [`limits.${resource}`]: '2Gi' });
    assert.equal((await make(world, 'pods', resource, containers({}))).status, 403);
    const limits = [{ type: 'Container', default: { [resource]: '1' } }];
    const { status } = await make(world, 'limitranges', resource, { spec: { limits } });
    assert.equal(status, 201);
    assert.equal((await make(world, 'pods', resource, containers({}))).status, 201);
    await dropQuota(world, 'q');
  }
});

test('storage on the node is summed as it is asked for and limited', async (t) => {
  covers('QUO-012');
  const world = await start(t);
  const key = 'ephemeral-storage';
  await quota(world, 'q', { [`requests.${key}`]: '1Gi', [`limits.${key}`]: '2Gi' });
  const sized = (request: string, limit: string) =>
    containers({ requests: { [key]: request }, limits: { [key]: limit } });
  assert.equal((await make(world, 'pods', 'a', sized('512Mi', '1Gi'))).status, 201);
  const { message } = await make(world, 'pods', 'b', sized('768Mi', '768Mi'));
  const over = `requested: requests.${key}=768Mi, used: requests.${key}=512Mi`;
  assert.ok(message.includes(`${over}, limited: requests.${key}=1Gi`), message);
  const much = await make(world, 'pods', 'c', sized('1Mi', '1025Mi'));
  assert.ok(much.message.includes(`requested: limits.${key}=1025Mi`), much.message);
  assert.equal((await make(world, 'pods', 'd', sized('512Mi', '1Gi'))).status, 201);
});

const claim = (storage: string) => ({
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
});

test('claims: the sixth, and the third of 2Gi where there are 5', async (t) => {
  covers('QUO-010', 'QUO-041');
  const world = await start(t);
  const plural = 'persistentvolumeclaims';
  await quota(world, 'storagequota', { [plural]: '5', 'requests.storage': '5Gi' });
  assert.equal((await make(world, plural, 'a', claim('2Gi'))).status, 201);
  assert.equal((await make(world, plural, 'b', claim('2Gi'))).status, 201);
  const third = await make(world, plural, 'c', claim('2Gi'));
  assert.deepEqual(third, {
    status: 403,
    message:
      'persistentvolumeclaims "c" is forbidden: exceeded quota: storagequota, ' +
      'requested: requests.storage=2Gi, used: requests.storage=4Gi, limited: requests.storage=5Gi',
  });
  for (const name of ['c', 'd', 'e']) {
    assert.equal((await make(world, plural, name, claim('1Mi'))).status, 201);
  }
  const sixth = await make(world, plural, 'f', claim('1Mi'));
  assert.match(sixth.message, /requested: persistentvolumeclaims=1, used: .*=5, limited: .*=5$/);
});

test('every name that can be counted is counted and refused', async (t) => {
  covers('QUO-013', 'QUO-037', 'QUO-038');
  const world = await start(t);
  const ports = [{ port: 80 }];
  const labels = { a: 'b' };
  const template = { metadata: { labels }, ...containers({}) };
  const bodies: Readonly<Record<string, readonly [string, object]>> = {
    pods: ['pods', containers({})],
    configmaps: ['configmaps', {}],
    secrets: ['secrets', {}],
    persistentvolumeclaims: ['persistentvolumeclaims', claim('1Mi')],
    replicationcontrollers: [
      'replicationcontrollers',
      { spec: { replicas: 0, selector: labels, template } },
    ],
    resourcequotas: ['resourcequotas', { spec: { hard: { pods: '99' } } }],
    services: ['services', { spec: { ports } }],
    'services.loadbalancers': ['services', { spec: { ports, type: 'LoadBalancer' } }],
    'services.nodeports': ['services', { spec: { ports, type: 'NodePort' } }],
  };
  // Some are there already: `kube-root-ca.crt`, the quota itself, the Service of the API.
  const there: Readonly<Record<string, number>> = {
    configmaps: 1,
    resourcequotas: 1,
    services: 1,
  };
  for (const [name, [plural, body]] of Object.entries(bodies)) {
    const most = (there[name] ?? 0) + 1;
    await quota(world, 'q', { [name]: String(most) });
    const id = name.replace('.', '-');
    const made = await make(world, plural, `${id}-a`, body);
    assert.equal(made.status, 201, made.message);
    const { body: now } = await world.server.request('GET', `${space}/resourcequotas/q`);
    assert.equal(now.status.used[name], String(most), name);
    assert.deepEqual(await make(world, plural, `${id}-b`, body), {
      status: 403,
      message:
        `${plural} "${id}-b" is forbidden: exceeded quota: q, ` +
        `requested: ${name}=1, used: ${name}=${most}, limited: ${name}=${most}`,
    });
    await dropQuota(world, 'q');
    // A LoadBalancer has node ports, too.
    const gone = `${space}/${plural}/${id}-a?gracePeriodSeconds=0`;
    assert.equal((await world.server.request('DELETE', gone)).status, 200, name);
    await world.pass(500);
  }
  // None at all of a type, and of another two.
  await quota(world, 'none', { 'services.nodeports': '0', 'services.loadbalancers': '3' });
  const nodePort = { spec: { ports, type: 'NodePort' } };
  assert.equal((await make(world, 'services', 'no', nodePort)).status, 403);
  assert.equal((await make(world, 'services', 'yes', { spec: { ports } })).status, 201);
  // A pod that has ended is not counted any more.
  world.becomesReady = () => false;
  await quota(world, 'q', { pods: '1' });
  assert.equal((await make(world, 'pods', 'ends', containers({}))).status, 201);
  assert.equal((await make(world, 'pods', 'late', containers({}))).status, 403);
  const { body } = await world.server.request('GET', `${space}/pods/ends`);
  const ended = { ...body, status: { ...body.status, phase: 'Failed' } };
  const path = `${space}/pods/ends/status`;
  assert.equal((await world.server.request('PUT', path, ended)).status, 200);
  await world.pass(2_000);
  assert.equal((await make(world, 'pods', 'late', containers({}))).status, 201);
});

test('huge pages count in quotas, each size for itself', async (t) => {
  superseded('VOL-131', {
    by: 'v1.10',
    now: 'quotas count huge pages, and LimitRanges bound them',
  });
  const world = await start(t);
  await quota(world, 'pages', { 'requests.hugepages-2Mi': '8Mi', 'hugepages-1Gi': '1Gi' });
  const pages = (amounts: object) => {
    const all = { cpu: '100m', memory: '10Mi', ...amounts };
    return { requests: all, limits: all };
  };
  const two = await make(world, 'pods', 'two', {
    ...containers(pages({ 'hugepages-2Mi': '4Mi' }), pages({ 'hugepages-2Mi': '2Mi' })),
  });
  assert.equal(two.status, 201, two.message);
  const used = async () => {
    const { body } = await world.server.request('GET', `${space}/resourcequotas/pages`);
    return body.status.used;
  };
  await world.until(
    'it is counted',
    async () => (await used())['requests.hugepages-2Mi'] === '6Mi',
  );
  const more = await make(world, 'pods', 'more', containers(pages({ 'hugepages-2Mi': '4Mi' })));
  assert.equal(more.status, 403);
  assert.match(more.message, /exceeded quota: pages, requested: requests\.hugepages-2Mi=4Mi/);
  const limits = [{ type: 'Container', max: { 'hugepages-2Mi': '2Mi' } }];
  const range = { metadata: { name: 'small' }, spec: { limits } };
  assert.equal((await world.server.request('POST', `${space}/limitranges`, range)).status, 201);
  await world.pass(500);
  const large = await make(world, 'pods', 'large', containers(pages({ 'hugepages-2Mi': '4Mi' })));
  assert.equal(large.status, 403);
  assert.match(large.message, /maximum hugepages-2Mi usage per Container is 2Mi, but limit is 4Mi/);
});
