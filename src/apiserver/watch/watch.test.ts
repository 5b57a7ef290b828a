/**
 * Watches through the whole lifecycle, and the hub's promises: no gap, no repeat, bounded memory.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { present } from '#kit/assert.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import { watcherLimits } from './watcher.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';

function create(server: TestServer, name: string, labels: object = {}) {
  return server.request('POST', configMaps, { metadata: { name, labels } });
}

function short(event: { readonly type: string; readonly object: unknown }): string {
  const { metadata } = event.object as { metadata: { name?: string } };
  return `${event.type} ${metadata.name ?? ''}`;
}

test('a watch without a revision begins with what is there', async () => {
  await using server = await openTestServer();
  await create(server, 'a');
  const watch = await server.watch(`${configMaps}?watch=true`);
  assert.equal(short(await watch.next()), 'ADDED a');
  await create(server, 'b');
  assert.equal(short(await watch.next()), 'ADDED b');
  await server.request('PATCH', `${configMaps}/a`, { data: { x: 'y' } });
  const changed = await watch.next();
  assert.equal(short(changed), 'MODIFIED a');
  const gone = await server.request('DELETE', `${configMaps}/a`);
  assert.equal(gone.status, 200);
  const deleted = await watch.next();
  assert.equal(short(deleted), 'DELETED a');
  assert.ok(
    Number(deleted.object.metadata.resourceVersion) >
      Number(changed.object.metadata.resourceVersion),
  );
  assert.equal(deleted.object.data.x, 'y');
  watch.stop();
});

test('a watch from an older revision replays history without gap or repeat', async () => {
  await using server = await openTestServer();
  const { body } = await create(server, 'a');
  for (const name of ['b', 'c']) await create(server, name);
  const watch = await server.watch(
    `${configMaps}?watch=true&resourceVersion=${body.metadata.resourceVersion}`,
  );
  await create(server, 'd');
  const seen = [];
  for (let index = 0; index < 3; index++) seen.push(short(await watch.next()));
  assert.deepEqual(seen, ['ADDED b', 'ADDED c', 'ADDED d']);
  await create(server, 'e');
  assert.equal(short(await watch.next()), 'ADDED e');
  watch.stop();
});

test('a revision that history no longer covers is 410', async () => {
  await using server = await openTestServer();
  const { body } = await create(server, 'a');
  for (const name of ['b', 'c']) await create(server, name);
  await server.store.compact(server.store.revision);
  const path = `${configMaps}?watch=true&resourceVersion=${body.metadata.resourceVersion}`;
  const watch = await server.watch(path);
  // As upstream: it is a watch, and what is wrong with it is its first event.
  assert.equal(watch.status, 200);
  const { type, object } = await watch.next();
  assert.deepEqual([type, object.code, object.reason], ['ERROR', 410, 'Expired']);
});

test('selectors turn changes into ADDED and DELETED', async () => {
  covers('API-041');
  await using server = await openTestServer();
  const watch = await server.watch(`${configMaps}?watch=true&labelSelector=app%3Dweb`);
  await create(server, 'other', { app: 'db' });
  await create(server, 'mine', { app: 'web' });
  assert.equal(short(await watch.next()), 'ADDED mine');
  const relabel = (name: string, app: string) =>
    server.request('PATCH', `${configMaps}/${name}`, { metadata: { labels: { app } } });
  await relabel('mine', 'db');
  const left = await watch.next();
  assert.equal(short(left), 'DELETED mine');
  assert.equal(left.object.metadata.labels.app, 'web');
  await relabel('other', 'web');
  assert.equal(short(await watch.next()), 'ADDED other');
  await server.request('PATCH', `${configMaps}/other`, { data: { a: 'b' } });
  assert.equal(short(await watch.next()), 'MODIFIED other');
  watch.stop();
});

test('a watch of one object and one of a namespace see only that', async () => {
  await using server = await openTestServer();
  const one = await server.watch('/api/v1/watch/namespaces/default/configmaps/b');
  const named = await server.watch(`${configMaps}?watch=1&fieldSelector=metadata.name%3Db`);
  const space = await server.watch('/api/v1/namespaces/kube-public/configmaps?watch=1');
  await create(server, 'a');
  await create(server, 'b');
  await server.request('POST', '/api/v1/namespaces/kube-public/configmaps', {
    metadata: { name: 'c' },
  });
  assert.equal(short(await one.next()), 'ADDED b');
  assert.equal(short(await named.next()), 'ADDED b');
  assert.equal(short(await space.next()), 'ADDED c');
  for (const watch of [one, named, space]) watch.stop();
});

test('a watch by node follows pods as they are bound', async () => {
  await using server = await openTestServer();
  const pods = '/api/v1/namespaces/default/pods';
  await server.request('POST', '/api/v1/namespaces/default/serviceaccounts', {
    metadata: { name: 'default' },
  });
  const watch = await server.watch('/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dn1');
  for (const name of ['p', 'q']) {
    await server.request('POST', pods, {
      metadata: { name },
      spec: { containers: [{ name: 'main', image: 'nginx:1' }] },
    });
  }
  const bind = (name: string, node: string) =>
    server.request('POST', `${pods}/${name}/binding`, {
      metadata: { name },
      target: { kind: 'Node', name: node },
    });
  await bind('p', 'n2');
  await bind('q', 'n1');
  const event = await watch.next();
  assert.equal(short(event), 'ADDED q');
  assert.equal(event.object.spec.nodeName, 'n1');
  await server.request('DELETE', `${pods}/q?gracePeriodSeconds=0`);
  assert.equal(short(await watch.next()), 'DELETED q');
  watch.stop();
});

test('sendInitialEvents marks the end of the initial state', async () => {
  await using server = await openTestServer();
  await create(server, 'a');
  const query =
    'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  const watch = await server.watch(`${configMaps}?${query}`);
  assert.equal(short(await watch.next()), 'ADDED a');
  const end = await watch.next();
  assert.equal(end.type, 'BOOKMARK');
  assert.equal(end.object.metadata.annotations['k8s.io/initial-events-end'], 'true');
  watch.stop();
  const refused = await server.watch(`${configMaps}?watch=1&sendInitialEvents=true`);
  assert.equal(refused.status, 422);
});

test('bookmarks tell how far a quiet watch has come', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const watch = await server.watch(
    `${configMaps}?watch=1&allowWatchBookmarks=true&resourceVersion=${server.store.revision}`,
  );
  await server.request('POST', '/api/v1/namespaces', { metadata: { name: 'elsewhere' } });
  const { revision } = server.store;
  await clock.advance(61_000);
  const bookmark = await watch.next();
  assert.equal(bookmark.type, 'BOOKMARK');
  assert.equal(bookmark.object.kind, 'ConfigMap');
  assert.equal(bookmark.object.metadata.resourceVersion, String(revision));
  watch.stop();
});

test('a watch ends after timeoutSeconds', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const watch = await server.watch(`${configMaps}?watch=1&timeoutSeconds=5`);
  const ended = watch.next();
  await clock.advance(5_000);
  assert.equal(await ended, undefined);
});

test('a client that does not read is told 410 and let go', async () => {
  await using server = await openTestServer();
  const watch = await server.watch(
    `${configMaps}?watch=1&resourceVersion=${server.store.revision}`,
  );
  const fat = 'x'.repeat(900_000);
  const count = Math.ceil(watcherLimits.bufferBytesMax / fat.length) + 1;
  for (let index = 0; index < count; index++) {
    await server.request('POST', configMaps, { metadata: { name: `c${index}` }, data: { fat } });
  }
  const error = await watch.next();
  assert.equal(error.type, 'ERROR');
  assert.equal(error.object.code, 410);
  assert.equal(await watch.next(), undefined);
});

const asTable = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };

test('table watches send rows, and columns once', async () => {
  await using server = await openTestServer();
  for (const name of ['a', 'b']) await create(server, name);
  const { body } = await server.request('GET', `${configMaps}/a`, undefined, { headers: asTable });
  const all = '?watch=1&allowWatchBookmarks=true';
  const watch = await server.watch(`${configMaps}${all}`, { headers: asTable });
  const first = await watch.next();
  assert.deepEqual(first.object, body);
  const second = await watch.next();
  assert.deepEqual([second.object.kind, second.object.columnDefinitions], ['Table', null]);
  assert.equal(second.object.rows[0].cells[0], 'b');
  const { type, object } = await watch.next();
  assert.deepEqual([type, object.columnDefinitions, object.rows.length], ['BOOKMARK', null, 1]);
  assert.deepEqual(object.rows[0].object, {
    kind: 'PartialObjectMetadata',
    apiVersion: 'meta.k8s.io/v1',
    metadata: {
      resourceVersion: object.metadata.resourceVersion,
      annotations: { 'k8s.io/initial-events-end': 'true' },
    },
  });
  await create(server, 'c');
  const next = await watch.next();
  assert.deepEqual([next.object.columnDefinitions, next.object.rows[0].cells[0]], [null, 'c']);
  watch.stop();
  // Another watch has them in its own first event, whatever that is.
  const { resourceVersion } = next.object.metadata;
  const later = await server.watch(`${configMaps}?watch=1&resourceVersion=${resourceVersion}`, {
    headers: asTable,
  });
  await create(server, 'd');
  assert.deepEqual((await later.next()).object.columnDefinitions, body.columnDefinitions);
  await create(server, 'e');
  assert.equal((await later.next()).object.columnDefinitions, null);
  later.stop();
});

test('a bookmark of any kind has a row, if it is watched as a Table', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('GET', '/apis');
  const groups = body.groups.flatMap(({ versions }: { versions: { groupVersion: string }[] }) =>
    versions.map(({ groupVersion }) => `/apis/${groupVersion}`),
  );
  const paths: string[] = [];
  for (const group of ['/api/v1', ...groups]) {
    const { resources } = (await server.request('GET', group)).body;
    for (const { name, verbs } of resources) {
      if (verbs.includes('watch')) paths.push(`${group}/${name}`);
    }
  }
  assert.ok(paths.length > 50);
  const query = 'watch=1&allowWatchBookmarks=true&fieldSelector=metadata.name=nothing';
  for (const path of paths) {
    const watch = await server.watch(`${path}?${query}`, { headers: asTable });
    const { type, object } = await watch.next();
    assert.deepEqual([path, type, object.rows.length], [path, 'BOOKMARK', 1]);
    assert.equal(object.rows[0].cells.length, object.columnDefinitions.length);
    watch.stop();
  }
});

test('closing the server ends its watches', async () => {
  const server = await openTestServer();
  const watch = await server.watch(`${configMaps}?watch=1`);
  const ended = watch.next();
  await server[Symbol.asyncDispose]();
  assert.equal(await ended, undefined);
});

test('a watch keeps nothing of the state that it began with', async () => {
  await using server = await openTestServer();
  await server.request('POST', configMaps, { metadata: { name: 'one' }, data: { a: '1' } });
  const watch = await server.watch(`${configMaps}?watch=1&resourceVersion=0`);
  assert.equal((await watch.next()).type, 'ADDED');
  const key = '/registry/configmaps/default/one';
  const old = new WeakRef(present(server.store.get(key), 'it was stored'));
  const waiting = watch.next();
  await server.request('PUT', `${configMaps}/one`, { metadata: { name: 'one' }, data: { a: '2' } });
  assert.equal((await waiting).type, 'MODIFIED');
  await server.store.compact(server.store.revision);
  for (let round = 0; round < 20 && old.deref() !== undefined; round++) await collectGarbage();
  assert.equal(old.deref(), undefined);
  watch.stop();
});

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  // What is only held by the turn that reads it goes with the next one.
  await new Promise((resolve) => setImmediate(resolve));
  runInNewContext('gc')();
}

test('a watch of one name begins with that object alone', async () => {
  await using server = await openTestServer();
  for (const name of ['one', 'one-more', 'two']) {
    await server.request('POST', configMaps, { metadata: { name } });
  }
  const query = 'watch=1&fieldSelector=metadata.name%3Done&sendInitialEvents=true';
  const more = 'resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  const watch = await server.watch(`${configMaps}?${query}&${more}`);
  assert.equal((await watch.next()).object.metadata.name, 'one');
  assert.equal((await watch.next()).type, 'BOOKMARK');
  watch.stop();
  const everywhere = await server.watch(`/api/v1/configmaps?${query}&${more}`);
  assert.equal((await everywhere.next()).object.metadata.name, 'one');
  assert.equal((await everywhere.next()).type, 'BOOKMARK');
  everywhere.stop();
});

test('a watch from a revision that never was here is told to list again', async () => {
  await using server = await openTestServer();
  const revision = server.store.revision + 1;
  const never = await server.watch(`${configMaps}?watch=1&resourceVersion=${revision}`);
  const { type, object } = await never.next();
  never.stop();
  assert.equal(type, 'ERROR');
  const current = server.store.revision;
  assert.deepEqual(
    [object.code, object.message],
    [504, `Timeout: Too large resource version: ${revision}, current: ${current}`],
  );
});
