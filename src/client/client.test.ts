/** What the client puts on the wire, and what it makes of answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import type { PlainRequest, PlainResponse } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { clusterRoles, configMaps, nodes, pods } from '#resources/kinds.ts';
import type { ConfigMap } from '#resources/types/core-v1.ts';
import { readJsonLines } from './body.ts';
import { limits, openClient } from './client.ts';

const { signal } = new AbortController();
const encode = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));

function open(answer: (request: PlainRequest) => Partial<PlainResponse> = () => ({})) {
  const requests: PlainRequest[] = [];
  const clock = new VirtualClock();
  const transport = {
    send: async (request: PlainRequest): Promise<PlainResponse> => {
      requests.push(request);
      return { status: 200, headers: {}, body: encode('{}'), ...answer(request) };
    },
  };
  return { client: openClient({ transport, clock, userAgent: 'test/1' }), clock, requests };
}

const configMap: ConfigMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'shop', name: 'prices' },
};

test('an answer that nobody reads is not parsed; a refusal is', async () => {
  const at = { namespace: 'shop', name: 'prices' };
  const options = { type: 'merge', subresource: 'status', signal } as const;
  const { client, requests } = open(() => ({ body: encode('not JSON') }));
  assert.equal(await client.patchUnread(configMaps, at, { data: {} }, options), undefined);
  const [{ method, path, headers } = assert.fail()] = requests;
  assert.equal(`${method} ${path}`, 'PATCH /api/v1/namespaces/shop/configmaps/prices/status');
  assert.equal(headers['content-type'], 'application/merge-patch+json');
  const refusal = encode(JSON.stringify({ kind: 'Status', reason: 'Conflict', code: 409 }));
  const { client: refused } = open(() => ({ status: 409, body: refusal }));
  await assert.rejects(refused.patchUnread(configMaps, at, {}, options), (error) =>
    isReason(error, 'Conflict'),
  );
});

test('what is null is absent, in objects, lists and events', async () => {
  const rules = [{ verbs: ['get'], resources: null }];
  const role = { kind: 'ClusterRole', metadata: { name: 'a', labels: null }, rules };
  const bare = { kind: 'ClusterRole', metadata: { name: 'a' }, rules: [{ verbs: ['get'] }] };
  const empty = { ...bare, rules: null };
  const { client: one } = open(() => ({ body: encode(role) }));
  assert.deepEqual(await one.get(clusterRoles, { name: 'a' }, { signal }), bare);
  const items = [role, empty];
  const { client: all } = open(() => ({ body: encode({ metadata: {}, items }) }));
  const listed = await all.list(clusterRoles, { signal });
  assert.deepEqual(
    listed.items.map((item) => [item.metadata.labels, item.rules]),
    [
      [undefined, bare.rules],
      [undefined, undefined],
    ],
  );
  const event = `${JSON.stringify({ type: 'ADDED', object: empty })}\n`;
  const documents = [];
  for await (const document of readJsonLines(encode(event))) documents.push(document);
  const { rules: _rules, ...without } = bare;
  assert.deepEqual(documents, [{ type: 'ADDED', object: without }]);
});

test('methods, paths, queries and bodies', async () => {
  const { client, requests } = open();
  const at = { namespace: 'shop', name: 'prices' };
  await client.get(configMaps, at, { signal });
  await client.get(nodes, { name: 'n1' }, { signal });
  await client.list(pods, { labelSelector: 'a in (b,c)', limit: 5, signal }).catch(() => {});
  await client.create(configMaps, configMap, { signal });
  await client.update(configMaps, configMap, { subresource: 'status', signal });
  await client.patch(configMaps, at, { data: { a: 'b' } }, { type: 'strategic', signal });
  await client.delete(configMaps, at, {
    propagationPolicy: 'Foreground',
    preconditions: { uid: 'u' },
    signal,
  });
  const binding = { apiVersion: 'v1', kind: 'Binding', metadata: {} };
  await client.createSubresource(pods, at, 'binding', binding, { signal });
  assert.deepEqual(
    requests.map(({ method, path }) => `${method} ${path}`),
    [
      'GET /api/v1/namespaces/shop/configmaps/prices',
      'GET /api/v1/nodes/n1',
      'GET /api/v1/pods?labelSelector=a%20in%20(b%2Cc)&limit=5',
      'POST /api/v1/namespaces/shop/configmaps',
      'PUT /api/v1/namespaces/shop/configmaps/prices/status',
      'PATCH /api/v1/namespaces/shop/configmaps/prices',
      'DELETE /api/v1/namespaces/shop/configmaps/prices',
      'POST /api/v1/namespaces/shop/pods/prices/binding',
    ],
  );
  assert.equal(requests[0]?.headers['user-agent'], 'test/1');
  assert.equal(requests[5]?.headers['content-type'], 'application/strategic-merge-patch+json');
  assert.deepEqual(JSON.parse(new TextDecoder().decode(requests[6]?.body)), {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    propagationPolicy: 'Foreground',
    preconditions: { uid: 'u' },
  });
});

test('items of a list get the kind that the list leaves out', async () => {
  const list = {
    metadata: { resourceVersion: '9', continue: '' },
    items: [{ metadata: { name: 'a' } }],
  };
  const { client } = open(() => ({ body: encode(list) }));
  assert.deepEqual(await client.list(configMaps, { signal }), {
    items: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }],
    resourceVersion: '9',
    continue: undefined,
  });
});

test('a Status becomes an ApiError, and so does the word of something in between', async () => {
  const status = { kind: 'Status', reason: 'Conflict', code: 409, message: 'no' };
  const conflict = open(() => ({ status: 409, body: encode(status) }));
  const at = { namespace: 'shop', name: 'prices' };
  await assert.rejects(conflict.client.get(configMaps, at, { signal }), (error) => {
    return isReason(error, 'Conflict') && error.message === 'no';
  });
  const proxy = open(() => ({ status: 503, body: encode('<h1>busy</h1>') }));
  await assert.rejects(proxy.client.get(configMaps, at, { signal }), (error) => {
    return isReason(error, 'ServiceUnavailable') && error.status.code === 503;
  });
});

test('a watch gives events however its bytes are cut, and throws its ERROR', async () => {
  const object = (name: string) => ({ metadata: { name, resourceVersion: '1' } });
  const text = [
    { type: 'ADDED', object: object('ä') },
    { type: 'MODIFIED', object: object('b') },
    { type: 'BOOKMARK', object: { metadata: { resourceVersion: '7' } } },
    { type: 'DELETED', object: object('b') },
    { type: 'ERROR', object: { kind: 'Status', reason: 'Expired', code: 410 } },
  ]
    .map((event) => JSON.stringify(event))
    .join('\n');
  for (const size of [1, 7, 100, 10_000]) {
    const bytes = encode(text);
    const body = (async function* () {
      for (let from = 0; from < bytes.length; from += size) yield bytes.slice(from, from + size);
    })();
    const { client, requests } = open(() => ({ body }));
    const seen: string[] = [];
    const watching = (async () => {
      const options = { resourceVersion: '5', bookmarks: true, timeoutSeconds: 9, signal };
      for await (const event of client.watch(configMaps, options)) {
        const what = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.name;
        seen.push(`${event.type} ${what}`);
      }
    })();
    await assert.rejects(watching, (error) => isReason(error, 'Expired'));
    assert.deepEqual(seen, ['ADDED ä', 'MODIFIED b', 'BOOKMARK 7', 'DELETED b']);
    assert.equal(
      requests[0]?.path,
      '/api/v1/configmaps?watch=true&resourceVersion=5&allowWatchBookmarks=true&timeoutSeconds=9',
    );
  }
});

test('a request that gets no answer ends after its time', async () => {
  const clock = new VirtualClock();
  const transport = {
    send: (_: PlainRequest, options: { readonly signal: AbortSignal }): Promise<PlainResponse> =>
      new Promise((_resolve, reject) => {
        options.signal.addEventListener('abort', () => reject(options.signal.reason));
      }),
  };
  const client = openClient({ transport, clock });
  const at = { namespace: 'shop', name: 'prices' };
  const getting = assert.rejects(client.get(configMaps, at, { signal }), {
    name: 'DeadlineExceeded',
  });
  const watching = assert.rejects(
    client.watch(configMaps, { resourceVersion: '1', signal })[Symbol.asyncIterator]().next(),
    { name: 'DeadlineExceeded' },
  );
  await clock.advance(limits.requestMs + 1);
  await Promise.all([getting, watching]);
});
