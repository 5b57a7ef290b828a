/** What the server's flags change in what it serves: Events' life, watches, strangers, crowds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { covers } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';

const events = '/api/v1/namespaces/default/events';

test('an Event goes when its time is over, an hour if nobody says otherwise', async () => {
  covers('API-124', 'OTH-021');
  for (const [eventTTLMs, lifeMs] of [
    [undefined, 3_600_000],
    [60_000, 60_000],
  ] as const) {
    const clock = new VirtualClock();
    await using server = await openTestServer({ clock, options: { eventTTLMs } });
    const event = {
      metadata: { name: 'e' },
      involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
    };
    assert.equal((await server.request('POST', events, event)).status, 201);
    await clock.advance(lifeMs - 5_000);
    // It happened once more, and is kept from then on.
    const again = await server.request('PATCH', `${events}/e`, { count: 2 });
    assert.equal(again.status, 200);
    await clock.advance(lifeMs - 5_000);
    assert.equal((await server.request('GET', `${events}/e`)).status, 200);
    await clock.advance(10_000);
    assert.equal((await server.request('GET', `${events}/e`)).status, 404);
  }
});

test('kept for ever where the time is 0', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock, options: { eventTTLMs: 0 } });
  const event = {
    metadata: { name: 'e' },
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
  };
  await server.request('POST', events, event);
  await clock.advance(100 * 3_600_000);
  assert.equal((await server.request('GET', `${events}/e`)).status, 200);
});

test('--anonymous-auth=false: who shows nothing is told to show something', async () => {
  await using open = await openTestServer();
  assert.equal((await open.unbound('GET', '/readyz')).status, 200);
  await using closed = await openTestServer({ options: { anonymous: false } });
  const answer = await closed.unbound('GET', '/readyz');
  assert.deepEqual([answer.status, answer.body.message], [401, 'Unauthorized']);
  assert.equal((await closed.request('GET', '/readyz')).status, 200);
});

test('a watch that names no time lives as long as the server was told, or up to twice that', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock, options: { minRequestTimeoutMs: 10_000 } });
  const watch = await server.watch(
    '/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=1',
  );
  let ended = false;
  const read = async (): Promise<void> => {
    while ((await watch.next()) !== undefined);
    ended = true;
  };
  const reading = read();
  await clock.advance(9_000);
  assert.equal(ended, false);
  await clock.advance(12_000);
  await reading;
  assert.equal(ended, true);
});

test('too many at a time: 429 with Retry-After; watches and administrators are let in', async () => {
  const inFlight = { reading: 1, writing: 1 };
  await using server = await openTestServer({ options: { inFlight } });
  const as = { name: 'system:kube-controller-manager', groups: ['system:authenticated'] };
  const maps = '/api/v1/namespaces/default/configmaps';
  const make = (name: string) => server.request('POST', maps, { metadata: { name } }, { as });
  const [first, second] = await Promise.all([make('a'), make('b')]);
  assert.equal(first.status, 201);
  assert.deepEqual(
    [second.status, second.headers['retry-after'], second.text],
    [429, '1', 'Too many requests, please try again later.\n'],
  );
  // The first has left; an administrator need not wait for anybody.
  const [third, administrator] = await Promise.all([
    make('c'),
    server.request('POST', maps, { metadata: { name: 'd' } }),
  ]);
  assert.deepEqual([third.status, administrator.status], [201, 201]);
  const watches = await Promise.all([
    server.watch(`${maps}?watch=1`, { as }),
    server.watch(`${maps}?watch=1`, { as }),
  ]);
  assert.deepEqual(
    watches.map(({ status }) => status),
    [200, 200],
  );
  for (const watch of watches) watch.stop();
});

test('pods stay on nodes that fail as long as the server was told', async () => {
  await using server = await openTestServer({
    options: { tolerationSeconds: { notReady: 30, unreachable: 60 } },
  });
  const accounts = '/api/v1/namespaces/default/serviceaccounts';
  await server.request('POST', accounts, { metadata: { name: 'default' } });
  const { body } = await server.request('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', image: 'busybox' }] },
  });
  assert.deepEqual(
    body.spec.tolerations.map((each: { tolerationSeconds: number }) => each.tolerationSeconds),
    [30, 60],
  );
});

test('a token that was written down says who somebody is; any other says nothing', async () => {
  covers('AUT-001');
  const ann = { name: 'ann', uid: '7', groups: ['system:masters'] };
  const staticTokens = new Map([['abcdefghijklmnopqrstuvwxyz012345', ann]]);
  await using server = await openTestServer({ options: { staticTokens } });
  const get = (token: string) =>
    server.unbound('GET', '/api/v1/namespaces', { authorization: `Bearer ${token}` });
  assert.equal((await get('abcdefghijklmnopqrstuvwxyz012345')).status, 200);
  assert.equal((await get('abcdefghijklmnopqrstuvwxyz012346')).status, 401);
  const reviews = '/apis/authentication.k8s.io/v1/tokenreviews';
  const { body } = await server.request('POST', reviews, {
    spec: { token: 'abcdefghijklmnopqrstuvwxyz012345' },
  });
  assert.deepEqual(body.status.user, {
    username: 'ann',
    uid: '7',
    groups: ['system:masters', 'system:authenticated'],
  });
  // An empty file, as /dev/null is: nobody is believed by such a token.
  await using none = await openTestServer({ options: { staticTokens: new Map() } });
  const authorization = 'Bearer abcdefghijklmnopqrstuvwxyz012345';
  assert.equal((await none.unbound('GET', '/api/v1/namespaces', { authorization })).status, 401);
});
