/** What a server makes by itself: the very objects of upstream, kept as they should be. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const flow = '/apis/flowcontrol.apiserver.k8s.io/v1';

/** How many of a kind upstream v1.36 has, and the hash of them as `canonical` writes them. */
const upstream: readonly (readonly [string, number, string])[] = [
  [`${rbac}/clusterroles`, 71, 'f5fa02f7b4ae00e99d2b0ea2a491243fed46ed10161bb42add075630eba0ecbf'],
  [
    `${rbac}/clusterrolebindings`,
    52,
    'fa00cf70bbeca32ef35cc4980c48de49597f86943369a62cbdc365d8aec3f500',
  ],
  [`${rbac}/roles`, 7, '2d43fa92271845a31f2e7fb14c15e3933c048b8f417dc64c68717f20f39cb990'],
  [`${rbac}/rolebindings`, 7, '3b5c44564b04f254a1d335b5e2160574e7fee842c03d594361a2a5b666ceae02'],
  [`${flow}/flowschemas`, 11, 'a1d2dde91a897e5c729b6a87ea89efff5b87ba24dbcd22197cba88599a23e948'],
  [
    `${flow}/prioritylevelconfigurations`,
    8,
    '07ff51073307c184d987bf21fc3fcea7caa8f71306dab40f9e55d4597fef7cfb',
  ],
];

interface Item {
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Without status and what each server makes up; keys and objects in order. */
function canonical(items: readonly Item[]): string {
  const shown = items.map(({ metadata, ...rest }) => ({
    ...Object.fromEntries(Object.entries(rest).filter(([key]) => key !== 'status')),
    metadata: Object.fromEntries(
      ['name', 'namespace', 'labels', 'annotations']
        .filter((key) => metadata[key] !== undefined)
        .map((key) => [key, metadata[key]]),
    ),
  }));
  const place = ({ metadata }: Item): string =>
    `${metadata['namespace'] ?? ''}/${metadata['name']}`;
  shown.sort((a, b) => (place(a) < place(b) ? -1 : 1));
  return JSON.stringify(shown, (_key, value) =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}

async function openWithDefaults(): Promise<TestServer & { readonly clock: VirtualClock }> {
  const clock = new VirtualClock();
  const server = await openTestServer({ clock, options: { defaultObjects: true } });
  await clock.advance(10_000);
  return { ...server, clock, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

test('the roles, bindings and flow control are those of upstream, word for word', async () => {
  await using server = await openWithDefaults();
  for (const [path, count, hash] of upstream) {
    const { body } = await server.request('GET', path);
    assert.equal(body.items.length, count, path);
    const found = createHash('sha256').update(canonical(body.items)).digest('hex');
    assert.equal(found, hash, `${path} differs from upstream`);
  }
  const { body } = await server.request('GET', `${rbac}/clusterroles/view`);
  assert.deepEqual(
    body.metadata.managedFields.map(({ manager }: { manager: string }) => manager),
    ['kube-apiserver'],
  );
});

test('a schema says whether its level is there', async () => {
  await using server = await openWithDefaults();
  const told = async (name: string) => {
    const { body } = await server.request('GET', `${flow}/flowschemas/${name}`);
    return body.status.conditions.map(
      ({ status, reason, message }: Record<string, string>) => `${status} ${reason}: ${message}`,
    );
  };
  assert.deepEqual(await told('probes'), [
    'False Found: This FlowSchema references the PriorityLevelConfiguration object named "exempt" and it exists',
  ]);
  const spec = { priorityLevelConfiguration: { name: 'mine' }, matchingPrecedence: 500 };
  await server.request('POST', `${flow}/flowschemas`, { metadata: { name: 'mine' }, spec });
  await server.clock.advance(100);
  assert.deepEqual(await told('mine'), [
    'True NotFound: This FlowSchema references the PriorityLevelConfiguration object named "mine" but there is no such object',
  ]);
  const level = { metadata: { name: 'mine' }, spec: { type: 'Exempt' } };
  const made = await server.request('POST', `${flow}/prioritylevelconfigurations`, level);
  assert.equal(made.status, 201);
  await server.clock.advance(100);
  assert.match((await told('mine'))[0], /^False Found: /);
});

test('flow control is kept: what is mandatory always, suggestions while nobody wants otherwise', async () => {
  await using server = await openWithDefaults();
  const patch = (path: string, body: object) => server.request('PATCH', `${flow}/${path}`, body);
  const precedence = async (name: string) =>
    (await server.request('GET', `${flow}/flowschemas/${name}`)).body.spec?.matchingPrecedence;
  await patch('flowschemas/catch-all', { spec: { matchingPrecedence: 9000 } });
  await patch('flowschemas/probes', { spec: { matchingPrecedence: 9 } });
  const annotations = { 'apf.kubernetes.io/autoupdate-spec': 'false' };
  await patch('flowschemas/service-accounts', {
    metadata: { annotations },
    spec: { matchingPrecedence: 8999 },
  });
  await server.request('DELETE', `${flow}/flowschemas/global-default`);
  const leftOver = {
    metadata: { name: 'old', annotations: { 'apf.kubernetes.io/autoupdate-spec': 'true' } },
    spec: { priorityLevelConfiguration: { name: 'system' }, matchingPrecedence: 700 },
  };
  await server.request('POST', `${flow}/flowschemas`, leftOver);
  await server.clock.advance(61_000);
  assert.equal(await precedence('catch-all'), 10_000);
  assert.equal(await precedence('probes'), 2);
  assert.equal(await precedence('service-accounts'), 8999);
  assert.equal(await precedence('global-default'), 9900);
  assert.equal((await server.request('GET', `${flow}/flowschemas/old`)).status, 404);
});

test('flow control is kept while somebody changes it all the time', async () => {
  await using server = await openWithDefaults();
  const patch = (name: string, matchingPrecedence: number) =>
    server.request('PATCH', `${flow}/flowschemas/${name}`, { spec: { matchingPrecedence } });
  const spec = { priorityLevelConfiguration: { name: 'system' }, matchingPrecedence: 500 };
  await server.request('POST', `${flow}/flowschemas`, { metadata: { name: 'mine' }, spec });
  await patch('catch-all', 9000);
  for (let round = 0; round < 7; round++) {
    await patch('mine', 501 + round);
    await server.clock.advance(10_000);
  }
  const { body } = await server.request('GET', `${flow}/flowschemas/catch-all`);
  assert.equal(body.spec.matchingPrecedence, 10_000);
});

test('the shares of the exempt level are for people to say, and nothing else of it', async () => {
  await using server = await openWithDefaults();
  const exempt = `${flow}/prioritylevelconfigurations/exempt`;
  const given = { nominalConcurrencyShares: 7, lendablePercent: 30 };
  const patched = await server.request('PATCH', exempt, { spec: { exempt: given } });
  assert.equal(patched.status, 200);
  await server.clock.advance(61_000);
  assert.deepEqual((await server.request('GET', exempt)).body.spec, {
    type: 'Exempt',
    exempt: given,
  });
});

test('an object that is refused holds up no other', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock, options: { defaultObjects: true } });
  const space = '/api/v1/namespaces/kube-public/resourcequotas';
  const hard = { 'count/roles.rbac.authorization.k8s.io': '0' };
  await server.request('POST', space, { metadata: { name: 'none' }, spec: { hard } });
  const status = { hard, used: { 'count/roles.rbac.authorization.k8s.io': '0' } };
  await server.request('PATCH', `${space}/none/status`, { status });
  await clock.advance(10_000);
  const namesAt = async (path: string) =>
    (await server.request('GET', path)).body.items.map(({ metadata }: Item) => metadata['name']);
  assert.deepEqual(await namesAt(`${rbac}/namespaces/kube-public/roles`), []);
  assert.equal((await namesAt(`${flow}/flowschemas`)).length, 11);
});

test('roles are brought up to date at the next start, and what was added to them stays', async () => {
  const clock = new VirtualClock();
  await using first = await openTestServer({ clock, options: { defaultObjects: true } });
  await clock.advance(10_000);
  const { store } = first;
  const role = `${rbac}/clusterroles/system:node-bootstrapper`;
  const own = { apiGroups: [''], resources: ['pods'], verbs: ['get'] };
  await first.request('PATCH', role, { metadata: { labels: null }, rules: [own] });
  const basic = `${rbac}/clusterroles/system:basic-user`;
  const annotations = { 'rbac.authorization.kubernetes.io/autoupdate': 'false' };
  await first.request('PATCH', basic, { metadata: { annotations }, rules: [own] });
  const binding = `${rbac}/clusterrolebindings/system:discovery`;
  await first.request('PATCH', binding, { subjects: [] });
  const moved = `${rbac}/clusterrolebindings/cluster-admin`;
  await first.request('DELETE', moved);
  await first.request('POST', `${rbac}/clusterrolebindings`, {
    metadata: { name: 'cluster-admin' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
  });
  await using second = await openTestServer({ clock, store, options: { defaultObjects: true } });
  await clock.advance(10_000);
  const get = async (path: string) => (await second.request('GET', path)).body;
  const { rules, metadata } = await get(role);
  assert.deepEqual(rules[0], own);
  assert.deepEqual(
    rules.slice(1).flatMap(({ verbs }: { verbs: string[] }) => verbs),
    ['create', 'get', 'list', 'watch'],
  );
  assert.deepEqual(metadata.labels, { 'kubernetes.io/bootstrapping': 'rbac-defaults' });
  assert.deepEqual((await get(basic)).rules, [own]);
  assert.deepEqual((await get(binding)).subjects[0].name, 'system:authenticated');
  assert.equal((await get(moved)).roleRef.name, 'cluster-admin');
});
