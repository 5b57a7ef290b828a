/** What stands in the store: objects of the API under known keys, for every server on it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';

test('every key holds an object of a kind that is served, Secrets as they were given', async () => {
  covers('DAT-018', 'DAT-019');
  await using server = await openTestServer();
  const secret = { metadata: { name: 's' }, stringData: { password: 'very-secret' } };
  await server.request('POST', `${space}/secrets`, secret);
  await server.request('POST', `${space}/configmaps`, { metadata: { name: 'c' } });
  const labels = { app: 'a' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'a' }] } };
  await server.request('POST', '/apis/apps/v1/namespaces/default/deployments', {
    metadata: { name: 'd' },
    spec: { selector: { matchLabels: labels }, template },
  });
  const { entries } = server.store.list({ prefix: '/registry/' });
  const found: string[] = [];
  for (const { key, value } of entries) {
    if (key.startsWith('/registry/ranges/')) continue;
    const { apiVersion, kind, metadata } = JSON.parse(Buffer.from(value).toString('utf8'));
    const [group = '', version = ''] = apiVersion.includes('/')
      ? apiVersion.split('/')
      : ['', apiVersion];
    const served = server.catalog.findKind({ group, version }, kind);
    assert.ok(served !== undefined, `${key}: ${apiVersion} ${kind}`);
    assert.ok(key.endsWith(`/${metadata.name}`), key);
    found.push(kind);
  }
  for (const kind of ['Secret', 'ConfigMap', 'Deployment', 'Namespace', 'ServiceCIDR']) {
    assert.ok(found.includes(kind), kind);
  }
  const raw = server.store.get('/registry/secrets/default/s');
  assert.ok(raw !== undefined);
  const plain = Buffer.from('very-secret').toString('base64');
  assert.ok(Buffer.from(raw.value).toString('utf8').includes(plain));
});

test('what the server finds sound is in the store, and nothing else gets there', async () => {
  covers('API-168');
  await using server = await openTestServer();
  const path = `${space}/configmaps`;
  const stored = () => server.store.list({ prefix: '/registry/configmaps/default/' }).entries;
  const before = server.store.revision;
  const spoilt: readonly (readonly [object, number])[] = [
    [{ metadata: { name: 'Not_A_Name' } }, 422],
    [{ metadata: { name: 'a' }, data: { 'no key': '' } }, 422],
    [{ metadata: { name: 'a' }, data: 5 }, 400],
    [{ metadata: { name: 'a', namespace: 'other' } }, 400],
  ];
  for (const [object, code] of spoilt) {
    assert.equal((await server.request('POST', path, object)).status, code);
  }
  assert.deepEqual([stored(), server.store.revision], [[], before]);
  const made = await server.request('POST', path, { metadata: { name: 'a' }, data: { k: 'v' } });
  assert.equal(made.status, 201);
  const [entry, ...others] = stored();
  assert.deepEqual([entry?.key, others], ['/registry/configmaps/default/a', []]);
  const kept = JSON.parse(Buffer.from(entry?.value ?? '').toString('utf8'));
  assert.deepEqual([kept.metadata.uid, kept.data], [made.body.metadata.uid, { k: 'v' }]);
  // A change that is refused leaves it as it was.
  const change = { metadata: { name: 'a', uid: 'another' }, data: { k: 'w' } };
  assert.equal((await server.request('PUT', `${path}/a`, change)).status, 409);
  assert.deepEqual(stored(), [entry]);
});

test('servers keep nothing to themselves: what one writes, the other has', async () => {
  covers('DAT-024');
  await using first = await openTestServer();
  await using second = await openTestServer({ store: first.store });
  await using third = await openTestServer({ store: first.store });
  await first.request('POST', `${space}/configmaps`, { metadata: { name: 'a' } });
  assert.equal((await second.request('GET', `${space}/configmaps/a`)).status, 200);
  const involvedObject = { apiVersion: 'v1', kind: 'ConfigMap', name: 'a', namespace: 'default' };
  const event = { metadata: { name: 'e' }, involvedObject, reason: 'Seen', message: 'it is there' };
  assert.equal((await second.request('POST', `${space}/events`, event)).status, 201);
  const { body } = await third.request('GET', `${space}/events/e`);
  assert.equal(body.reason, 'Seen');
  await third.request('DELETE', `${space}/configmaps/a`);
  assert.equal((await first.request('GET', `${space}/configmaps/a`)).status, 404);
  await using later = await openTestServer({ store: first.store });
  assert.equal((await later.request('GET', `${space}/events/e`)).body.message, 'it is there');
});

test('no two Services get one address, whichever server is asked, and a full range says so', async () => {
  covers('DAT-021');
  const options = { serviceCIDR: '10.43.0.0/28' };
  await using first = await openTestServer({ options });
  await using second = await openTestServer({ store: first.store, options });
  const create = (name: string, index: number) =>
    (index % 2 === 0 ? first : second).request('POST', `${space}/services`, {
      metadata: { name },
      spec: { ports: [{ port: 80 }] },
    });
  // Fourteen addresses, of which the API itself has one.
  const names = Array.from({ length: 16 }, (_, index) => `s${index}`);
  const answers = await Promise.all(names.map(create));
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(made.length, 13);
  const addresses = made.map(({ body }) => body.spec.clusterIP);
  assert.equal(new Set(addresses).size, 13);
  for (const address of addresses) {
    const path = `/apis/networking.k8s.io/v1/ipaddresses/${address}`;
    assert.equal((await second.request('GET', path)).status, 200);
  }
  const refused = answers.find(({ status }) => status !== 201);
  assert.equal(refused?.status, 500);
  assert.match(refused?.body.message, /failed to allocate a serviceIP.*: range is full/);
});
