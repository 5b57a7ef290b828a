/** Lists: selectors, pages, revisions, tables. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';

async function fill(server: TestServer, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const name = `c${String(index).padStart(3, '0')}`;
    const labels = { even: String(index % 2 === 0), ...(index === 0 ? { first: '' } : {}) };
    await server.request('POST', configMaps, { metadata: { name, labels } });
  }
}

function names(answer: { readonly body: { readonly items: readonly unknown[] } }): string[] {
  // The test server answers with objects that have names.
  const items = answer.body.items as { readonly metadata: { readonly name: string } }[];
  return items.map(({ metadata }) => metadata.name);
}

test('label selectors', async () => {
  covers('API-018', 'API-036', 'API-038', 'API-039', 'API-040', 'API-106');
  await using server = await openTestServer();
  await fill(server, 4);
  const list = async (selector: string) =>
    names(
      await server.request('GET', `${configMaps}?labelSelector=${encodeURIComponent(selector)}`),
    );
  assert.deepEqual(await list('even=true'), ['c000', 'c002']);
  assert.deepEqual(await list('even==true,first'), ['c000']);
  assert.deepEqual(await list('even in (true,false),!first'), ['c001', 'c002', 'c003']);
  assert.deepEqual(await list('first!=x'), ['c000', 'c001', 'c002', 'c003']);
  assert.deepEqual(await list('even notin (true)'), ['c001', 'c003']);
  const spaced = 'labelSelector=even+in+%28true%29%2C%21first';
  assert.deepEqual(names(await server.request('GET', `${configMaps}?${spaced}`)), ['c002']);
  assert.equal((await server.request('GET', `${configMaps}?labelSelector=,,`)).status, 400);
});

test('field selectors', async () => {
  await using server = await openTestServer();
  await fill(server, 3);
  const list = (selector: string) =>
    server.request('GET', `${configMaps}?fieldSelector=${selector}`);
  assert.deepEqual(names(await list('metadata.name=c001')), ['c001']);
  assert.deepEqual(names(await list('metadata.name!=c001')), ['c000', 'c002']);
  const everywhere = await server.request(
    'GET',
    '/api/v1/configmaps?fieldSelector=metadata.namespace=default,metadata.name=c002',
  );
  assert.deepEqual(names(everywhere), ['c002']);
  assert.equal((await list('data.k=v')).status, 400);
});

test('pages show one revision, whatever happens meanwhile', async () => {
  await using server = await openTestServer();
  await fill(server, 5);
  const first = await server.request('GET', `${configMaps}?limit=2`);
  assert.deepEqual(names(first), ['c000', 'c001']);
  assert.equal(first.body.metadata.remainingItemCount, 3);
  await server.request('DELETE', `${configMaps}/c003`);
  await server.request('POST', configMaps, { metadata: { name: 'c002x' } });
  const token = encodeURIComponent(first.body.metadata.continue);
  const second = await server.request('GET', `${configMaps}?limit=2&continue=${token}`);
  assert.deepEqual(names(second), ['c002', 'c003']);
  assert.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion);
  const next = encodeURIComponent(second.body.metadata.continue);
  const third = await server.request('GET', `${configMaps}?limit=2&continue=${next}`);
  assert.deepEqual(names(third), ['c004']);
  assert.equal(third.body.metadata.continue, undefined);
});

test('pages with a selector are full pages', async () => {
  await using server = await openTestServer();
  await fill(server, 7);
  const path = `${configMaps}?labelSelector=even%3Dtrue&limit=2`;
  const first = await server.request('GET', path);
  assert.deepEqual(names(first), ['c000', 'c002']);
  const token = encodeURIComponent(first.body.metadata.continue);
  const second = await server.request('GET', `${path}&continue=${token}`);
  assert.deepEqual(names(second), ['c004', 'c006']);
});

test('a page whose revision is gone is 410 with a token that goes on', async () => {
  await using server = await openTestServer();
  await fill(server, 4);
  const first = await server.request('GET', `${configMaps}?limit=2`);
  await server.request('DELETE', `${configMaps}/c000`);
  await server.request('POST', configMaps, { metadata: { name: 'c009' } });
  await server.store.compact(server.store.revision);
  const token = encodeURIComponent(first.body.metadata.continue);
  const expired = await server.request('GET', `${configMaps}?limit=2&continue=${token}`);
  assert.equal(expired.status, 410);
  assert.equal(expired.body.reason, 'Expired');
  const fresh = encodeURIComponent(expired.body.metadata.continue);
  const rest = await server.request('GET', `${configMaps}?continue=${fresh}`);
  assert.deepEqual(names(rest), ['c002', 'c003', 'c009']);
  assert.equal((await server.request('GET', `${configMaps}?continue=nonsense`)).status, 400);
});

test('resourceVersion and resourceVersionMatch', async () => {
  await using server = await openTestServer();
  await fill(server, 1);
  const { body } = await server.request('GET', configMaps);
  const revision = body.metadata.resourceVersion;
  await fill(server, 3);
  const at = (query: string) => server.request('GET', `${configMaps}?${query}`);
  assert.deepEqual(names(await at(`resourceVersion=${revision}&resourceVersionMatch=Exact`)), [
    'c000',
  ]);
  const newer = await at(`resourceVersion=${revision}&resourceVersionMatch=NotOlderThan`);
  assert.equal(newer.body.items.length, 3);
  assert.equal((await at(`resourceVersion=${revision}`)).body.items.length, 3);
  assert.equal((await at('resourceVersionMatch=Exact')).status, 422);
  assert.equal((await at('resourceVersion=0&resourceVersionMatch=Exact')).status, 422);
  assert.equal((await at('resourceVersion=1&resourceVersionMatch=Never')).status, 422);
  assert.equal((await at('resourceVersion=x')).status, 400);
  const future = await at('resourceVersion=999999');
  assert.equal(future.status, 504);
  assert.equal(future.body.details.causes[0].reason, 'ResourceVersionTooLarge');
});

test('tables carry columns, cells and metadata', async () => {
  await using server = await openTestServer();
  await fill(server, 1);
  const headers = {
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
  };
  const table = await server.request('GET', configMaps, undefined, { headers });
  assert.equal(table.body.kind, 'Table');
  const columns = table.body.columnDefinitions.map(({ name }: { name: string }) => name);
  assert.deepEqual(columns, ['Name', 'Data', 'Age']);
  const [row] = table.body.rows;
  assert.deepEqual(row.cells.slice(0, 2), ['c000', 0]);
  assert.equal(row.object.kind, 'PartialObjectMetadata');
  assert.equal(row.object.metadata.name, 'c000');
  const one = await server.request('GET', `${configMaps}/c000?includeObject=Object`, undefined, {
    headers,
  });
  assert.equal(one.body.rows[0].object.kind, 'ConfigMap');
  const none = await server.request('GET', `${configMaps}?includeObject=None`, undefined, {
    headers,
  });
  assert.equal(none.body.rows[0].object, null);
});

test('metadata alone', async () => {
  await using server = await openTestServer();
  await fill(server, 1);
  const accept = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';
  const list = await server.request('GET', configMaps, undefined, { headers: { accept } });
  assert.equal(list.body.kind, 'PartialObjectMetadataList');
  assert.deepEqual(Object.keys(list.body.items[0]).sort(), ['apiVersion', 'kind', 'metadata']);
});

test('what nobody speaks is 406, what somebody else speaks falls through', async () => {
  await using server = await openTestServer();
  const get = (accept: string) =>
    server.request('GET', configMaps, undefined, { headers: { accept } });
  assert.equal((await get('application/cbor')).status, 406);
  assert.equal((await get('text/html')).status, 406);
  assert.equal((await get('application/cbor,application/json')).status, 200);
  assert.equal((await get('text/html;q=0.9, */*;q=0.1')).status, 200);
});

test('a long list comes in slices that together are the same JSON', async () => {
  let nowMs = 0;
  const { systemClock } = await import('#kit/clock.ts');
  // A clock on which every look costs a millisecond, so that slices end soon.
  const clock = { ...systemClock(), monotonic: () => nowMs++ };
  await using server = await openTestServer({ clock });
  await fill(server, 300);
  const { signal } = new AbortController();
  const request = { method: 'GET', path: configMaps, headers: {} };
  const { body } = await server.transport.send(request, { signal });
  assert.equal(body instanceof Uint8Array, false);
  const answer = await server.request('GET', configMaps);
  assert.equal(answer.body.items.length, 300);
});

test('a slice of a list of large objects is not much longer than one of them', async () => {
  await using server = await openTestServer();
  const data = { text: 'x'.repeat(300_000) };
  for (let n = 0; n < 20; n++) {
    await server.request('POST', configMaps, { metadata: { name: `n${n}` }, data });
  }
  const { signal } = new AbortController();
  const request = { method: 'GET', path: configMaps, headers: {} };
  const { body } = await server.transport.send(request, { signal });
  assert.ok(!(body instanceof Uint8Array));
  let longest = 0;
  for await (const { length } of body) longest = Math.max(longest, length);
  assert.ok(longest < 1_000_000, `${longest}`);
});

test('items leave out what the list says of all: kind and version', async () => {
  await using server = await openTestServer({ options: { legacyVersions: true } });
  await fill(server, 1);
  const { body } = await server.request('GET', configMaps);
  assert.equal(body.kind, 'ConfigMapList');
  assert.deepEqual(Object.keys(body.items[0]), ['metadata']);
  assert.equal(Object.keys(body.items[0].metadata)[0], 'resourceVersion');
  const accept = 'application/yaml';
  const yaml = await server.request('GET', configMaps, undefined, { headers: { accept } });
  assert.doesNotMatch(yaml.text, /kind: ConfigMap$/m);
  const partial = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
  const metadata = await server.request('GET', configMaps, undefined, {
    headers: { accept: partial },
  });
  assert.equal(metadata.body.items[0].kind, 'PartialObjectMetadata');
  const deployments = '/apis/extensions/v1beta1/namespaces/default/deployments';
  const template = {
    metadata: { labels: { app: 'a' } },
    spec: { containers: [{ name: 'a', image: 'a' }] },
  };
  await server.request('POST', deployments, { metadata: { name: 'a' }, spec: { template } });
  const old = await server.request('GET', deployments);
  assert.equal(old.body.kind, 'DeploymentList');
  assert.equal('kind' in old.body.items[0] || 'apiVersion' in old.body.items[0], false);
  const one = await server.request('GET', `${deployments}/a`);
  assert.equal(one.body.kind, 'Deployment');
});

test('each page says how many objects follow, also one that goes on at the newest state', async () => {
  await using server = await openTestServer();
  await fill(server, 7);
  const page = async (token: string) => {
    const { body } = await server.request('GET', `${configMaps}?limit=2&continue=${token}`);
    const { metadata } = body;
    return { names: names({ body }), left: metadata.remainingItemCount, token: metadata.continue };
  };
  const first = await page('');
  const second = await page(first.token);
  assert.deepEqual([first.left, second.left], [5, 3]);
  await server.request('DELETE', `${configMaps}/c006`);
  const third = await page(second.token);
  assert.deepEqual([third.names, third.left], [['c004', 'c005'], 1]);
  const parsed = JSON.parse(Buffer.from(second.token, 'base64url').toString());
  const newest = { ...parsed, rv: -1, rest: undefined };
  const after = await page(Buffer.from(JSON.stringify(newest)).toString('base64url'));
  assert.deepEqual([after.names, after.left], [['c004', 'c005'], undefined]);
  const { token } = await page('');
  const again = {
    ...JSON.parse(Buffer.from(token, 'base64url').toString()),
    rv: -1,
    rest: undefined,
  };
  assert.equal((await page(Buffer.from(JSON.stringify(again)).toString('base64url'))).left, 2);
});

test('a rehearsed create is refused where the name is taken', async () => {
  await using server = await openTestServer();
  await fill(server, 1);
  const again = await server.request('POST', `${configMaps}?dryRun=All`, {
    metadata: { name: 'c000' },
  });
  assert.equal(again.body.reason, 'AlreadyExists');
  assert.equal(again.body.message, 'configmaps "c000" already exists');
});

test('a list of pods has its revision, and pods the stem of their names', async () => {
  superseded('API-128', { by: 'v1.20', now: 'there is no selfLink' });
  await using server = await openTestServer();
  const space = '/api/v1/namespaces/default';
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const spec = { containers: [{ name: 'c', image: 'busybox' }] };
  const made = await server.request('POST', `${space}/pods`, {
    metadata: { generateName: 'web-' },
    spec,
  });
  const { body } = await server.request('GET', `${space}/pods`);
  assert.deepEqual([body.kind, body.apiVersion], ['PodList', 'v1']);
  assert.equal(body.metadata.resourceVersion, made.body.metadata.resourceVersion);
  assert.equal(body.metadata.selfLink, undefined);
  const [{ metadata }] = body.items;
  assert.equal(metadata.generateName, 'web-');
  assert.match(metadata.name, /^web-[a-z0-9]{5}$/);
  assert.equal(metadata.selfLink, undefined);
});
