/** Tokens: what binds them, what ends them, who may ask for them, and what a review says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';
const reviews = '/apis/authentication.k8s.io/v1/tokenreviews';

async function account(server: TestServer, name = 'default'): Promise<void> {
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name } });
}

async function ask(server: TestServer, spec: object, options: object = {}) {
  const path = `${space}/serviceaccounts/default/token`;
  return server.request('POST', path, { spec }, options);
}

async function pod(server: TestServer, name: string, spec: object = {}): Promise<string> {
  const containers = [{ name: 'main', image: 'x:1' }];
  const made = await server.request('POST', `${space}/pods`, {
    metadata: { name },
    spec: { containers, ...spec },
  });
  assert.equal(made.status, 201, made.text);
  return made.body.metadata.uid;
}

async function holds(server: TestServer, token: string): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` };
  return (await server.unbound('GET', '/api', headers)).status === 200;
}

async function review(server: TestServer, token: string, audiences?: string[]) {
  const { body } = await server.request('POST', reviews, { spec: { token, audiences } });
  return body.status;
}

test('a token ends with the pod, Secret or node that it is bound to', async () => {
  await using server = await openTestServer();
  await account(server);
  await server.request('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  await server.request('POST', `${space}/secrets`, { metadata: { name: 's' } });
  await pod(server, 'p', { nodeName: 'n1' });
  const things = [
    ['Pod', 'p', `${space}/pods/p?gracePeriodSeconds=0`],
    ['Secret', 's', `${space}/secrets/s`],
    ['Node', 'n1', '/api/v1/nodes/n1'],
  ] as const;
  for (const [kind, name, path] of things) {
    const boundObjectRef = { apiVersion: 'v1', kind, name };
    const { status, body } = await ask(server, { boundObjectRef });
    assert.equal(status, 201);
    const { token } = body.status;
    assert.equal(await holds(server, token), true, kind);
    assert.equal((await server.request('DELETE', path)).status, 200);
    assert.equal(await holds(server, token), false, kind);
    const said = await review(server, token);
    const problem = '[invalid bearer token, service account token has been invalidated]';
    assert.deepEqual(said, { user: {}, error: problem });
  }
});

test('what a token may be bound to, in upstream words', async () => {
  await using server = await openTestServer();
  await account(server);
  await account(server, 'other');
  await pod(server, 'p', { serviceAccountName: 'other' });
  const bind = async (kind: string, name: string, uid?: string): Promise<string> =>
    (await ask(server, { boundObjectRef: { apiVersion: 'v1', kind, name, uid } })).body.message;
  assert.match(await bind('Pod', 'none'), /^pods "none" not found$/);
  assert.equal(
    await bind('Pod', 'p'),
    'cannot bind token for serviceaccount "default" to pod running with different serviceaccount name.',
  );
  assert.equal(
    await bind('ConfigMap', 'x'),
    'cannot bind token to object of type /v1, Kind=ConfigMap',
  );
  await server.request('POST', `${space}/secrets`, { metadata: { name: 's' } });
  assert.match(
    await bind('Secret', 's', 'wrong'),
    /on Secret "s": the UID in the bound object reference \(wrong\) does not match the UID/,
  );
  const short = await ask(server, { expirationSeconds: 5 });
  assert.match(short.body.message, /may not specify a duration less than 10 minutes/);
  const path = `${space}/serviceaccounts/default/token`;
  const misnamed = await server.request('POST', path, { metadata: { name: 'x' }, spec: {} });
  assert.equal(misnamed.status, 422);
  assert.match(misnamed.body.message, /must match the service account name if specified/);
});

test('a node gets tokens of its own pods, for audiences that they name', async () => {
  await using server = await openTestServer();
  await account(server);
  const own = await pod(server, 'own', {
    nodeName: 'n1',
    volumes: [
      {
        name: 't',
        projected: { sources: [{ serviceAccountToken: { path: 'x', audience: 'vault' } }] },
      },
    ],
  });
  const far = await pod(server, 'far', { nodeName: 'n2' });
  const node = { as: { name: 'system:node:n1', groups: ['system:nodes'] } };
  const of = (name: string, uid?: string) => ({ apiVersion: 'v1', kind: 'Pod', name, uid });
  const refused = async (spec: object): Promise<string> => {
    const { status, body } = await ask(server, spec, node);
    assert.equal(status, 403);
    return body.message;
  };
  assert.match(await refused({}), /node requested token not bound to a pod$/);
  assert.match(
    await refused({ boundObjectRef: of('own') }),
    /node requested token with a pod binding without a uid$/,
  );
  assert.match(
    await refused({ boundObjectRef: of('far', far) }),
    /node requested token bound to a pod scheduled on a different node$/,
  );
  assert.match(
    await refused({ boundObjectRef: of('own', own), audiences: ['bank'] }),
    /audience "bank" not found in pod spec volume, system:node:n1 is not authorized/,
  );
  for (const audiences of [[], ['vault']]) {
    const good = await ask(server, { boundObjectRef: of('own', own), audiences }, node);
    assert.equal(good.status, 201, good.text);
  }
});

test('a review says for which audiences a token holds', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  await account(server);
  const { body } = await ask(server, { audiences: ['vault', 'bank'] });
  const { token } = body.status;
  assert.equal(await holds(server, token), false);
  const good = await review(server, token, ['bank', 'post']);
  assert.deepEqual(good.audiences, ['bank']);
  assert.equal(good.authenticated, true);
  assert.equal(good.user.username, 'system:serviceaccount:default:default');
  const bad = await review(server, token, ['post']);
  assert.equal(
    bad.error,
    '[invalid bearer token, token audiences ["vault","bank"] is invalid for the target audiences ["post"]]',
  );
  assert.deepEqual(await review(server, 'x.y.z'), { user: {}, error: 'invalid bearer token' });
  await clock.advance(3_601_000);
  const late = await review(server, token, ['bank']);
  assert.equal(late.error, '[invalid bearer token, service account token has expired]');
  const none = await server.request('POST', reviews, { spec: {} });
  assert.equal(none.body.message, 'token is required for TokenReview in authentication');
});

test('the use of a token that a Secret holds is noted, and can be forbidden', async () => {
  await using server = await openTestServer();
  await account(server);
  await server.request('POST', `${space}/secrets`, {
    metadata: { name: 's', annotations: { 'kubernetes.io/service-account.name': 'default' } },
    type: 'kubernetes.io/service-account-token',
  });
  const boundObjectRef = { apiVersion: 'v1', kind: 'Secret', name: 's' };
  const { token } = (await ask(server, { boundObjectRef })).body.status;
  const watch = await server.watch(`${space}/secrets?watch=1&fieldSelector=metadata.name%3Ds`);
  await watch.next();
  assert.equal(await holds(server, token), true);
  const noted = await watch.next();
  watch.stop();
  assert.match(
    noted.object.metadata.labels['kubernetes.io/legacy-token-last-used'],
    /^\d{4}-\d\d-\d\d$/,
  );
  const labels = { 'kubernetes.io/legacy-token-invalid-since': '2026-01-01' };
  await server.request('PATCH', `${space}/secrets/s`, { metadata: { labels } });
  assert.equal(await holds(server, token), false);
  assert.match((await review(server, token)).error, /has been marked invalid\. Use tokens from/);
  const map = 'kube-apiserver-legacy-service-account-token-tracking';
  const since = await server.request('GET', `/api/v1/namespaces/kube-system/configmaps/${map}`);
  assert.match(since.body.data.since, /^\d{4}-\d\d-\d\d$/);
});

test('a bootstrap token stands for a node that joins, until it ends', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const stringData = {
    'token-id': 'abcdef',
    'token-secret': '0123456789abcdef',
    'usage-bootstrap-authentication': 'true',
    'auth-extra-groups': 'system:bootstrappers:workers',
    expiration: new Date(clock.now() + 60_000).toISOString(),
  };
  const secrets = '/api/v1/namespaces/kube-system/secrets';
  const made = await server.request('POST', secrets, {
    metadata: { name: 'bootstrap-token-abcdef' },
    type: 'bootstrap.kubernetes.io/token',
    stringData,
  });
  assert.equal(made.status, 201, made.text);
  const token = 'abcdef.0123456789abcdef';
  const said = await review(server, token);
  assert.equal(said.user.username, 'system:bootstrap:abcdef');
  assert.deepEqual(said.user.groups, [
    'system:bootstrappers',
    'system:bootstrappers:workers',
    'system:authenticated',
  ]);
  const headers = { authorization: `Bearer ${token}` };
  const requests = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
  assert.equal((await server.unbound('GET', requests, headers)).status, 200);
  assert.equal((await server.unbound('GET', '/api/v1/nodes', headers)).status, 403);
  assert.equal(await holds(server, 'abcdef.0123456789abcdeg'), false);
  const usage = { 'usage-bootstrap-authentication': 'false' };
  const path = `${secrets}/bootstrap-token-abcdef`;
  await server.request('PATCH', path, { stringData: usage });
  assert.equal(await holds(server, token), false);
  await server.request('PATCH', path, { stringData });
  assert.equal(await holds(server, token), true);
  await clock.advance(61_000);
  assert.equal(await holds(server, token), false);
});
