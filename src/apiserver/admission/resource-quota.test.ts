/** ResourceQuotas: what they count, refuse and say, and that no race gets past them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';
const quotas = `${space}/resourcequotas`;

/** A quota as the controller leaves it: everything counted, nothing used. */
async function quota(server: TestServer, name: string, spec: object, used = {}): Promise<void> {
  const made = await server.request('POST', quotas, { metadata: { name }, spec });
  assert.equal(made.status, 201, made.text);
  const { hard } = made.body.spec;
  const none = Object.fromEntries(Object.keys(hard).map((key) => [key, '0']));
  const status = { hard, used: { ...none, ...used } };
  const set = await server.request('PUT', `${quotas}/${name}/status`, { ...made.body, status });
  assert.equal(set.status, 200, set.text);
}

async function used(server: TestServer, name: string): Promise<Record<string, string>> {
  return (await server.request('GET', `${quotas}/${name}`)).body.status.used;
}

async function openWithAccount(): Promise<TestServer> {
  const server = await openTestServer();
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  return server;
}

function pod(name: string, resources: object = {}, spec: object = {}): object {
  return {
    metadata: { name },
    spec: { containers: [{ name: 'main', image: 'x:1', resources }], ...spec },
  };
}

test('what a pod needs is counted when it is made; too much is refused in upstream words', async () => {
  await using server = await openWithAccount();
  await quota(server, 'q', { hard: { pods: '2', 'requests.cpu': '1', 'limits.memory': '1Gi' } });
  const resources = { requests: { cpu: '600m' }, limits: { memory: '512Mi' } };
  const make = (name: string, given: object) =>
    server.request('POST', `${space}/pods`, pod(name, given));
  assert.equal((await make('a', resources)).status, 201);
  assert.deepEqual(await used(server, 'q'), {
    pods: '1',
    'requests.cpu': '600m',
    'limits.memory': '512Mi',
  });
  const refused = await make('b', resources);
  assert.equal(refused.status, 403);
  assert.equal(refused.body.reason, 'Forbidden');
  assert.equal(
    refused.body.message,
    'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1',
  );
  const silent = await make('c', {});
  assert.equal(
    silent.body.message,
    'pods "c" is forbidden: failed quota: q: must specify limits.memory for: main; requests.cpu for: main',
  );
  assert.equal((await used(server, 'q'))['pods'], '1');
});

test('a hundred creations at once get exactly what the quota allows', async () => {
  await using server = await openTestServer();
  await quota(server, 'q', { hard: { 'count/configmaps': '40', configmaps: '35' } });
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      server.request('POST', `${space}/configmaps`, { metadata: { name: `c${index}` } }),
    ),
  );
  assert.equal(answers.filter(({ status }) => status === 201).length, 35);
  assert.ok(answers.every(({ status }) => status === 201 || status === 403));
  assert.deepEqual(await used(server, 'q'), { 'count/configmaps': '35', configmaps: '35' });
  const { body } = await server.request('GET', `${space}/configmaps`);
  assert.equal(body.items.length, 35);
});

test('two servers on one store share a quota', async () => {
  await using first = await openTestServer();
  await using second = await openTestServer({ store: first.store });
  await quota(first, 'q', { hard: { secrets: '10' } });
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      (index % 2 === 0 ? first : second).request('POST', `${space}/secrets`, {
        metadata: { name: `s${index}` },
      }),
    ),
  );
  assert.equal(answers.filter(({ status }) => status === 201).length, 10);
  assert.equal((await used(first, 'q'))['secrets'], '10');
});

test('a name that is taken and a dry run cost nothing', async () => {
  await using server = await openTestServer();
  await quota(server, 'q', { hard: { configmaps: '2' } });
  const make = (name: string, query = '') =>
    server.request('POST', `${space}/configmaps${query}`, { metadata: { name } });
  assert.equal((await make('a')).status, 201);
  assert.equal((await make('a')).status, 409);
  assert.equal((await make('b', '?dryRun=All')).status, 201);
  assert.equal((await used(server, 'q'))['configmaps'], '1');
  assert.equal((await make('b')).status, 201);
  assert.equal((await make('c', '?dryRun=All')).status, 403);
  assert.equal((await make('a')).status, 403);
});

test('changes are charged with what they add', async () => {
  await using server = await openTestServer();
  await quota(server, 'q', { hard: { 'services.nodeports': '3', services: '2' } });
  const ports = [
    { name: 'a', port: 1 },
    { name: 'b', port: 2 },
  ];
  const path = `${space}/services`;
  const spec = { type: 'NodePort', ports, selector: { a: 'b' } };
  assert.equal((await server.request('POST', path, { metadata: { name: 's' }, spec })).status, 201);
  const more = (names: string[]) =>
    server.request('PATCH', `${path}/s`, {
      spec: { ports: names.map((name, index) => ({ name, port: index + 1 })) },
    });
  assert.equal((await more(['a', 'b', 'c'])).status, 200);
  assert.equal((await used(server, 'q'))['services.nodeports'], '3');
  const refused = await more(['a', 'b', 'c', 'd']);
  assert.equal(refused.status, 403);
  assert.match(refused.body.message, /exceeded quota: q, requested: services.nodeports=1, used/);
  assert.deepEqual(await used(server, 'q'), { 'services.nodeports': '3', services: '1' });
});

test('a claim counts in its class; growing it counts too', async () => {
  await using server = await openTestServer();
  const gold = 'gold.storageclass.storage.k8s.io/requests.storage';
  await quota(server, 'q', { hard: { [gold]: '5Gi', 'requests.storage': '8Gi' } });
  const claim = (name: string, storageClassName: string, storage: string) =>
    server.request('POST', `${space}/persistentvolumeclaims`, {
      metadata: { name },
      spec: {
        storageClassName,
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage } },
      },
    });
  assert.equal((await claim('a', 'gold', '4Gi')).status, 201);
  const refused = await claim('b', 'gold', '2Gi');
  assert.equal(
    refused.body.message,
    `persistentvolumeclaims "b" is forbidden: exceeded quota: q, requested: ${gold}=2Gi, used: ${gold}=4Gi, limited: ${gold}=5Gi`,
  );
  assert.equal((await claim('b', 'tin', '2Gi')).status, 201);
  assert.deepEqual(await used(server, 'q'), { [gold]: '4Gi', 'requests.storage': '6Gi' });
});

test('scopes: only pods without a deadline, only pods of a class', async () => {
  await using server = await openWithAccount();
  await server.request('POST', '/apis/scheduling.k8s.io/v1/priorityclasses', {
    metadata: { name: 'high' },
    value: 10,
  });
  await quota(server, 'long', { hard: { pods: '1' }, scopes: ['NotTerminating'] });
  const matchExpressions = [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }];
  await quota(server, 'high', { hard: { pods: '1' }, scopeSelector: { matchExpressions } });
  const make = (name: string, spec: object) =>
    server.request('POST', `${space}/pods`, pod(name, {}, spec));
  const high = { priorityClassName: 'high', activeDeadlineSeconds: 9 };
  assert.equal((await make('a', high)).status, 201);
  assert.match((await make('b', high)).body.message, /exceeded quota: high/);
  assert.equal((await make('c', {})).status, 201);
  assert.match((await make('d', {})).body.message, /exceeded quota: long/);
  assert.equal((await make('e', { activeDeadlineSeconds: 9 })).status, 201);
});

test('a quota that was not counted yet holds nothing back; half counted refuses', async () => {
  await using server = await openTestServer();
  const spec = { hard: { configmaps: '0' } };
  const made = await server.request('POST', quotas, { metadata: { name: 'q' }, spec });
  const make = (name: string) =>
    server.request('POST', `${space}/configmaps`, { metadata: { name } });
  assert.equal((await make('a')).status, 201);
  const status = { hard: { configmaps: '5' } };
  await server.request('PUT', `${quotas}/q/status`, { ...made.body, status });
  assert.match(
    (await make('b')).body.message,
    /status unknown for quota: q, resources: configmaps/,
  );
});

test('events are never counted, and other namespaces are others', async () => {
  await using server = await openTestServer();
  await quota(server, 'q', { hard: { 'count/events': '0', 'count/configmaps': '0' } });
  const event = {
    metadata: { name: 'e' },
    involvedObject: { namespace: 'default' },
    reason: 'x',
    source: { component: 'x' },
    type: 'Normal',
  };
  assert.equal((await server.request('POST', `${space}/events`, event)).status, 201);
  const elsewhere = '/api/v1/namespaces/kube-system/configmaps';
  assert.equal((await server.request('POST', elsewhere, { metadata: { name: 'a' } })).status, 201);
});

test('memory: the tutorial of quotas, word for word', async () => {
  covers('ADM-018');
  await using server = await openWithAccount();
  const hard = {
    'requests.cpu': '1',
    'requests.memory': '1Gi',
    'limits.cpu': '2',
    'limits.memory': '2Gi',
  };
  await quota(server, 'mem-cpu-demo', { hard });
  const make = (name: string, resources: object) =>
    server.request('POST', `${space}/pods`, pod(name, resources));
  const first = {
    limits: { memory: '800Mi', cpu: '800m' },
    requests: { memory: '600Mi', cpu: '400m' },
  };
  assert.equal((await make('quota-mem-cpu-demo', first)).status, 201);
  assert.deepEqual(await used(server, 'mem-cpu-demo'), {
    'requests.cpu': '400m',
    'requests.memory': '600Mi',
    'limits.cpu': '800m',
    'limits.memory': '800Mi',
  });
  const second = {
    limits: { memory: '1Gi', cpu: '800m' },
    requests: { memory: '700Mi', cpu: '400m' },
  };
  const refused = await make('quota-mem-cpu-demo-2', second);
  assert.equal(refused.status, 403);
  assert.equal(
    refused.body.message,
    'pods "quota-mem-cpu-demo-2" is forbidden: exceeded quota: mem-cpu-demo, requested: requests.memory=700Mi, used: requests.memory=600Mi, limited: requests.memory=1Gi',
  );
  const partly = await make('c', {
    limits: { memory: '1Mi', cpu: '1m' },
    requests: { memory: '1Mi' },
  });
  // What is limited and not requested is requested as much.
  assert.equal(partly.status, 201);
  const without = await make('d', { requests: { memory: '1Mi', cpu: '1m' } });
  assert.equal(without.status, 403);
  assert.match(without.body.message, /must specify limits.cpu for: main; limits.memory for: main$/);
});

test('a LimitRange can say for a container what the quota wants said', async () => {
  covers('ADM-020');
  await using server = await openWithAccount();
  await quota(server, 'q', { hard: { 'limits.cpu': '2', 'limits.memory': '2Gi' } });
  const make = (name: string) => server.request('POST', `${space}/pods`, pod(name));
  assert.equal((await make('a')).status, 403);
  const limits = [{ type: 'Container', default: { cpu: '1', memory: '512Mi' } }];
  const range = { metadata: { name: 'r' }, spec: { limits } };
  assert.equal((await server.request('POST', `${space}/limitranges`, range)).status, 201);
  assert.equal((await make('a')).status, 201);
  assert.deepEqual(await used(server, 'q'), { 'limits.cpu': '1', 'limits.memory': '512Mi' });
});

test('ephemeral storage is counted as it is asked for and limited', async () => {
  await using server = await openWithAccount();
  const hard = { 'requests.ephemeral-storage': '1Gi', 'limits.ephemeral-storage': '2Gi' };
  await quota(server, 'q', { hard });
  const make = (name: string, resources: object) =>
    server.request('POST', `${space}/pods`, pod(name, resources));
  const half = { 'ephemeral-storage': '512Mi' };
  const whole = { 'ephemeral-storage': '1Gi' };
  assert.equal((await make('a', { requests: half, limits: whole })).status, 201);
  assert.deepEqual(await used(server, 'q'), {
    'requests.ephemeral-storage': '512Mi',
    'limits.ephemeral-storage': '1Gi',
  });
  const more = await make('b', { requests: whole, limits: whole });
  assert.match(more.body.message, /requested: requests.ephemeral-storage=1Gi, used: .*=512Mi/);
  // Nobody has to say anything about it.
  assert.equal((await make('c', {})).status, 201);
});

test('a scope restricts what a quota may bound', async () => {
  covers('QUO-015');
  await using server = await openTestServer();
  const make = (name: string, scope: string, hard: object) =>
    server.request('POST', quotas, { metadata: { name }, spec: { hard, scopes: [scope] } });
  const wrong = await make('a', 'BestEffort', { cpu: '1' });
  assert.equal(wrong.status, 422);
  assert.match(wrong.body.message, /unsupported scope applied to resource/);
  assert.equal((await make('a', 'BestEffort', { pods: '1' })).status, 201);
  for (const scope of ['NotBestEffort', 'Terminating', 'NotTerminating']) {
    const seven = ['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu'];
    const hard = Object.fromEntries([...seven, 'limits.memory', 'pods'].map((key) => [key, '1']));
    assert.equal((await make(scope.toLowerCase(), scope, hard)).status, 201, scope);
    assert.equal((await make('x', scope, { services: '1' })).status, 422, scope);
  }
});

const claimSpec = (storage: string): object => ({
  accessModes: ['ReadWriteOnce'],
  resources: { requests: { storage } },
});

test('claims: by number and by storage together', async () => {
  await using server = await openTestServer();
  const claim = (name: string, storage: string) =>
    server.request('POST', `${space}/persistentvolumeclaims`, {
      metadata: { name },
      spec: claimSpec(storage),
    });
  await quota(server, 'storage', {
    hard: { persistentvolumeclaims: '5', 'requests.storage': '5Gi' },
  });
  assert.equal((await claim('a', '2Gi')).status, 201);
  assert.equal((await claim('b', '2Gi')).status, 201);
  const third = await claim('c', '2Gi');
  assert.equal(
    third.body.message,
    'persistentvolumeclaims "c" is forbidden: exceeded quota: storage, requested: requests.storage=2Gi, used: requests.storage=4Gi, limited: requests.storage=5Gi',
  );
  for (const name of ['c', 'd', 'e']) assert.equal((await claim(name, '1Mi')).status, 201);
  assert.equal((await claim('f', '1Mi')).status, 403);
  await server.request('DELETE', `${quotas}/storage`);
  await quota(server, 'object-quota-demo', { hard: { persistentvolumeclaims: '1' } });
  assert.equal((await claim('pvc-quota-demo', '1Mi')).status, 201);
  assert.equal(
    (await claim('pvc-quota-demo-2', '1Mi')).body.message,
    'persistentvolumeclaims "pvc-quota-demo-2" is forbidden: exceeded quota: object-quota-demo, requested: persistentvolumeclaims=1, used: persistentvolumeclaims=1, limited: persistentvolumeclaims=1',
  );
});

test('every name that can be counted is counted and refused', async () => {
  covers('ADM-050');
  await using server = await openWithAccount();
  const ports = [{ port: 80 }];
  const template = {
    metadata: { labels: { a: 'b' } },
    spec: { containers: [{ name: 'main', image: 'x:1' }] },
  };
  const bodies: Record<string, readonly [string, object]> = {
    pods: ['pods', pod('x')],
    configmaps: ['configmaps', {}],
    secrets: ['secrets', {}],
    persistentvolumeclaims: ['persistentvolumeclaims', { spec: claimSpec('1Mi') }],
    replicationcontrollers: [
      'replicationcontrollers',
      { spec: { selector: { a: 'b' }, template } },
    ],
    resourcequotas: ['resourcequotas', { spec: { hard: { pods: '99' } } }],
    services: ['services', { spec: { ports } }],
    'services.loadbalancers': ['services', { spec: { ports, type: 'LoadBalancer' } }],
    'services.nodeports': ['services', { spec: { ports, type: 'NodePort' } }],
  };
  for (const [name, [plural, body]] of Object.entries(bodies)) {
    await quota(server, 'q', { hard: { [name]: '1' } });
    const make = (word: string) =>
      server.request('POST', `${space}/${plural}`, { ...body, metadata: { name: `${word}` } });
    const id = name.replace('.', '-');
    assert.equal((await make(`${id}-a`)).status, 201, name);
    assert.equal((await used(server, 'q'))[name], '1');
    const { status, body: refused } = await make(`${id}-b`);
    assert.equal(status, 403, name);
    assert.equal(
      refused.message,
      `${plural} "${id}-b" is forbidden: exceeded quota: q, requested: ${name}=1, used: ${name}=1, limited: ${name}=1`,
    );
    await server.request('DELETE', `${quotas}/q`);
    await server.request('DELETE', `${space}/${plural}/${id}-a`);
  }
  await quota(server, 'none', { hard: { 'services.nodeports': '0' } });
  const forbidden = { metadata: { name: 'n' }, spec: { ports, type: 'NodePort' } };
  assert.equal((await server.request('POST', `${space}/services`, forbidden)).status, 403);
});
