/** Who asks, and what they may: tokens, identities and the fixed table of permissions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';

async function withPod(server: TestServer): Promise<{ readonly uid: string }> {
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const made = await server.request('POST', `${space}/pods`, {
    metadata: { name: 'p' },
    spec: {
      containers: [{ name: 'main', image: 'nginx:1' }],
      volumes: [{ name: 's', secret: { secretName: 'mine' } }],
    },
  });
  assert.equal(made.status, 201);
  return made.body.metadata;
}

async function token(server: TestServer, spec: object = {}): Promise<string> {
  const answer = await server.request('POST', `${space}/serviceaccounts/default/token`, { spec });
  assert.equal(answer.status, 201, answer.text);
  return answer.body.status.token;
}

/** Nobody's connection, with a bearer token. */
function bearer(server: TestServer, value: string, path: string) {
  return server.unbound('GET', path, { authorization: `Bearer ${value}` });
}

test('a service-account token is who it says, until it expires', async () => {
  superseded('AUT-047', {
    by: 'v1.24',
    now: 'the token is asked for; no Secret holds one unless it is made by hand',
  });
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  await withPod(server);
  const value = await token(server, { expirationSeconds: 600 });
  const good = await bearer(server, value, `${space}/configmaps`);
  assert.equal(good.status, 200);
  const claims = JSON.parse(Buffer.from(value.split('.')[1] ?? '', 'base64url').toString());
  assert.equal(claims.sub, 'system:serviceaccount:default:default');
  assert.equal(claims.exp - claims.iat, 600);
  assert.equal(claims['kubernetes.io'].serviceaccount.name, 'default');
  const forged = `${value.slice(0, -4)}AAAA`;
  assert.equal((await bearer(server, forged, `${space}/configmaps`)).status, 401);
  assert.equal((await bearer(server, 'nonsense', `${space}/configmaps`)).status, 401);
  await clock.advance(601_000);
  assert.equal((await bearer(server, value, `${space}/configmaps`)).status, 401);
});

test('a token for another audience is not for this server', async () => {
  await using server = await openTestServer();
  await withPod(server);
  const value = await token(server, { audiences: ['vault'] });
  assert.equal((await bearer(server, value, `${space}/configmaps`)).status, 401);
  const review = { spec: { token: value, audiences: ['vault'] } };
  const asked = await server.request('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review);
  assert.equal(asked.body.status.authenticated, true);
  assert.equal(asked.body.status.user.username, 'system:serviceaccount:default:default');
});

test('a token bound to a pod ends with the pod', async () => {
  await using server = await openTestServer();
  const { uid } = await withPod(server);
  const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'p', uid };
  const value = await token(server, { boundObjectRef });
  assert.equal((await bearer(server, value, `${space}/pods/p`)).status, 200);
  await server.request('DELETE', `${space}/pods/p`);
  assert.equal((await bearer(server, value, `${space}/pods`)).status, 401);
  const path = `${space}/serviceaccounts/default/token`;
  assert.equal((await server.request('POST', path, { spec: { boundObjectRef } })).status, 404);
  assert.equal(
    (await server.request('POST', path, { spec: { expirationSeconds: 5 } })).status,
    422,
  );
});

test('a token ends with its service account', async () => {
  await using server = await openTestServer();
  await withPod(server);
  const value = await token(server);
  await server.request('DELETE', `${space}/serviceaccounts/default`);
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  assert.equal((await bearer(server, value, `${space}/configmaps`)).status, 401);
});

test('others can check our tokens', async () => {
  await using server = await openTestServer();
  await withPod(server);
  const configuration = await server.request('GET', '/.well-known/openid-configuration');
  assert.equal(configuration.body.jwks_uri, 'https://192.0.2.1:6443/openid/v1/jwks');
  assert.equal(configuration.headers['cache-control'], 'public, max-age=3600');
  const [header = '', payload = '', signature = ''] = (await token(server)).split('.');
  const { body } = await server.request('GET', '/openid/v1/jwks');
  const { createPublicKey, verify } = await import('node:crypto');
  const [jwk] = JSON.parse(body).keys;
  assert.equal(JSON.parse(Buffer.from(header, 'base64url').toString()).kid, jwk.kid);
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const sound = verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    { key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  assert.equal(sound, true);
});

test('nobody in particular may ask whether the server lives, and nothing else', async () => {
  await using server = await openTestServer();
  for (const path of ['/healthz', '/livez', '/readyz', '/version', '/readyz/ping']) {
    assert.equal((await server.unbound('GET', path)).status, 200, path);
  }
  for (const path of ['/api', '/apis', '/metrics', '/openapi/v3']) {
    assert.equal((await server.unbound('GET', path)).status, 403, path);
  }
  const pods = await server.unbound('GET', '/api/v1/pods');
  assert.equal(
    pods.body.message,
    'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope',
  );
});

test('a service account reads its own namespace, except Secrets', async () => {
  await using server = await openTestServer();
  const as: Identity = {
    name: 'system:serviceaccount:default:robot',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:default'],
  };
  const status = async (method: string, path: string) =>
    (await server.request(method, path, undefined, { as })).status;
  assert.equal(await status('GET', `${space}/configmaps`), 200);
  assert.equal(await status('GET', `${space}/secrets`), 403);
  assert.equal(await status('GET', '/api/v1/namespaces/kube-system/configmaps'), 403);
  assert.equal(await status('GET', '/api/v1/configmaps'), 403);
  assert.equal(await status('DELETE', `${space}/configmaps/x`), 403);
  assert.equal(await status('GET', `${space}/pods/p/exec`), 403);
  assert.equal(await status('GET', '/apis'), 200);
  // A question that names it by its groups has the same answer.
  const question = {
    ...{ apiVersion: 'authorization.k8s.io/v1', kind: 'LocalSubjectAccessReview' },
    metadata: { namespace: 'default' },
    spec: {
      user: 'robot',
      groups: as.groups,
      resourceAttributes: { verb: 'list', resource: 'pods', namespace: 'default' },
    },
  };
  const path = '/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews';
  assert.equal((await server.request('POST', path, question)).body.status.allowed, true);
  const refused = await server.request('GET', `${space}/secrets/s`, undefined, { as });
  assert.equal(
    refused.body.message,
    'secrets "s" is forbidden: User "system:serviceaccount:default:robot" cannot get resource "secrets" in API group "" in the namespace "default"',
  );
});

test('a node sees its own pods and what they refer to', async () => {
  covers('AUT-010', 'AUT-073');
  superseded('AUT-036', { by: 'v1.7', now: 'a node reads the Secrets of its own pods only' });
  superseded('AUT-027', { by: 'v1.7', now: 'a node changes no other Node than its own' });
  await using server = await openTestServer();
  const as: Identity = { name: 'system:node:n1', groups: ['system:nodes'] };
  const status = async (method: string, path: string, body?: object) =>
    (await server.request(method, path, body, { as })).status;
  await withPod(server);
  for (const name of ['mine', 'other']) {
    await server.request('POST', `${space}/secrets`, { metadata: { name } });
  }
  assert.equal(await status('GET', `${space}/secrets/mine`), 403);
  assert.equal(await status('GET', `${space}/pods/p`), 403);
  await server.request('POST', `${space}/pods/p/binding`, {
    metadata: { name: 'p' },
    target: { kind: 'Node', name: 'n1' },
  });
  assert.equal(await status('GET', `${space}/secrets/mine`), 200);
  assert.equal(await status('GET', `${space}/secrets?fieldSelector=metadata.name%3Dmine`), 200);
  assert.equal(await status('GET', `${space}/secrets/other`), 403);
  assert.equal(await status('GET', `${space}/secrets`), 403);
  assert.equal(await status('GET', `${space}/configmaps/kube-root-ca.crt`), 404);
  assert.equal(await status('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1'), 200);
  assert.equal(await status('GET', '/api/v1/pods'), 403);
  assert.equal(
    await status('PATCH', `${space}/pods/p/status`, { status: { phase: 'Running' } }),
    200,
  );
  assert.equal(await status('PATCH', `${space}/pods/p`, { metadata: {} }), 403);
  const { body } = await server.request('GET', `${space}/pods/p`);
  const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: body.metadata.uid };
  const token = `${space}/serviceaccounts/default/token`;
  assert.equal(await status('POST', token, { spec: { boundObjectRef } }), 201);
  assert.equal(await status('POST', token, { spec: {} }), 403);
  const node = (name: string) => ({ metadata: { name } });
  assert.equal(await status('POST', '/api/v1/nodes', node('n1')), 201);
  await server.request('POST', '/api/v1/nodes', node('n2'));
  assert.equal(await status('PATCH', '/api/v1/nodes/n1/status', { status: {} }), 200);
  assert.equal(await status('PATCH', '/api/v1/nodes/n2/status', { status: {} }), 403);
  assert.equal(await status('GET', '/api/v1/services'), 200);
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  assert.equal(await status('POST', leases, node('n1')), 201);
  assert.equal(await status('PATCH', `${leases}/n1`, { spec: { leaseDurationSeconds: 40 } }), 200);
  assert.equal(await status('PATCH', `${leases}/n2`, { spec: {} }), 403);
  await server.request('DELETE', `${space}/pods/p?gracePeriodSeconds=0`);
  assert.equal(await status('GET', `${space}/secrets/mine`), 403);
});

test('a node hears that a pod is gone, and nothing of pods of others', async () => {
  await using server = await openTestServer();
  const as: Identity = { name: 'system:node:n1', groups: ['system:nodes'] };
  const status = async (method: string, path: string, body?: object) =>
    (await server.request(method, path, body, { as })).status;
  await withPod(server);
  const report = { status: { phase: 'Running' } };
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } };
  assert.equal(await status('PATCH', `${space}/pods/p/status`, report), 403);
  assert.equal(await status('POST', `${space}/pods/p/eviction`, eviction), 403);
  assert.equal(await status('DELETE', `${space}/pods/p`), 403);
  await server.request('DELETE', `${space}/pods/p?gracePeriodSeconds=0`);
  assert.equal(await status('PATCH', `${space}/pods/p/status`, report), 404);
  assert.equal(await status('POST', `${space}/pods/p/eviction`, eviction), 404);
  assert.equal(await status('DELETE', `${space}/pods/p`), 404);
});

test('names that the server knows: the proxy, who is authenticated, and the masters', async () => {
  covers('AUT-063');
  await using server = await openTestServer();
  const status = async (path: string, name: string, groups: readonly string[] = []) =>
    (await server.request('GET', path, undefined, { as: { name, groups } })).status;
  assert.equal(await status('/api/v1/services', 'system:kube-proxy'), 200);
  assert.equal(await status('/api/v1/secrets', 'system:kube-proxy'), 403);
  assert.equal(await status('/api/v1/services', 'jane'), 403);
  assert.equal(await status('/api/v1/secrets', 'jane', ['system:masters']), 200);
  const review = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  // The group comes with having been recognised.
  const jane: Identity = { name: 'jane', groups: [] };
  const { body } = await server.request('POST', review, {}, { as: jane });
  assert.deepEqual(body.status.userInfo, { username: 'jane', groups: ['system:authenticated'] });
});

test('the scheduler binds and reads, but does not see Secrets or change workloads', async () => {
  await using server = await openTestServer();
  const as: Identity = { name: 'system:kube-scheduler', groups: [] };
  const status = async (method: string, path: string, body?: object) =>
    (await server.request(method, path, body, { as })).status;
  await withPod(server);
  assert.equal(await status('GET', '/api/v1/pods'), 200);
  assert.equal(await status('GET', '/api/v1/secrets'), 403);
  assert.equal(await status('POST', `${space}/configmaps`, { metadata: { name: 'a' } }), 403);
  const binding = { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n1' } };
  assert.equal(await status('POST', `${space}/pods/p/binding`, binding), 201);
  const manager: Identity = { name: 'system:kube-controller-manager', groups: [] };
  const made = await server.request(
    'POST',
    `${space}/configmaps`,
    { metadata: { name: 'a' } },
    { as: manager },
  );
  assert.equal(made.status, 201);
});

test('reviews answer about oneself and about others', async () => {
  await using server = await openTestServer();
  const as: Identity = { name: 'jane', groups: ['dev'] };
  const self = await server.request(
    'POST',
    '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    {},
    { as },
  );
  assert.deepEqual(self.body.status.userInfo.groups, ['dev', 'system:authenticated']);
  const resourceAttributes = { verb: 'list', resource: 'pods', namespace: 'default' };
  const mayI = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const asked = await server.request('POST', mayI, { spec: { resourceAttributes } }, { as });
  assert.equal(asked.status, 201);
  assert.equal(asked.body.status.allowed, false);
  const mayThey = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
  const spec = { user: 'x', groups: ['system:masters'], resourceAttributes };
  const other = await server.request('POST', mayThey, { spec });
  assert.equal(other.body.status.allowed, true);
  assert.equal((await server.request('POST', mayThey, { spec }, { as })).status, 403);
});

test('a review of one namespace answers for that namespace only', async () => {
  await using server = await openTestServer();
  const group = '/apis/authorization.k8s.io/v1';
  const path = `${group}/namespaces/default/localsubjectaccessreviews`;
  const ask = (namespace: string, user: object) => {
    const resourceAttributes = { verb: 'list', resource: 'pods', namespace };
    return server.request('POST', path, { spec: { ...user, resourceAttributes } });
  };
  const allowed = await ask('default', { user: 'x', groups: ['system:masters'] });
  assert.equal(allowed.body.kind, 'LocalSubjectAccessReview');
  assert.equal(allowed.body.status.allowed, true);
  const account = 'system:serviceaccount:default:robot';
  const groups = ['system:serviceaccounts', 'system:serviceaccounts:default'];
  const own = await ask('default', { user: account, groups });
  const sameAnswer = await server.request('POST', `${group}/subjectaccessreviews`, {
    spec: own.body.spec,
  });
  assert.equal(own.body.status.allowed, sameAnswer.body.status.allowed);
  assert.equal((await ask('kube-system', { user: 'x' })).status, 422);
  const nowhere = await server.request('POST', `${group}/localsubjectaccessreviews`, {});
  assert.equal(nowhere.status, 404);
  const { body } = await server.request('GET', group);
  const named = body.resources.filter(({ namespaced }: { namespaced: boolean }) => namespaced);
  assert.deepEqual(
    named.map(({ name }: { name: string }) => name),
    ['localsubjectaccessreviews'],
  );
});

test('a review is no table', async () => {
  await using server = await openTestServer();
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const spec = { nonResourceAttributes: { verb: 'get', path: '/' } };
  const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
  assert.equal((await server.request('POST', path, { spec }, { headers })).status, 406);
});

test('impersonation: who may, becomes the user; who may not, is refused', async () => {
  await using server = await openTestServer();
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const headers = { 'impersonate-user': 'jane', 'impersonate-group': 'dev, ops' };
  const put = await server.request('POST', path, {}, { headers });
  assert.deepEqual(put.body.status.userInfo, {
    username: 'jane',
    groups: ['dev', 'ops', 'system:authenticated'],
  });
  const seen = await server.request('GET', '/api/v1/pods', undefined, { headers });
  assert.match(seen.body.message, /User "jane" cannot list resource "pods"/);
  const as: Identity = { name: 'joe', groups: [] };
  const refused = await server.request('POST', path, {}, { as, headers });
  assert.equal(refused.status, 403);
  assert.match(refused.body.message, /User "joe" cannot impersonate resource "users"/);
  const groupOnly = { 'impersonate-group': 'system:masters' };
  assert.equal((await server.request('POST', path, {}, { headers: groupOnly })).status, 400);
});

test('impersonation of service accounts, nobody, and what else is known of somebody', async () => {
  await using server = await openTestServer();
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const ask = async (headers: Record<string, string>) => {
    const given = Object.entries(headers).map(([key, value]) => [`impersonate-${key}`, value]);
    const options = { headers: Object.fromEntries(given) };
    const { status, body } = await server.request('POST', path, {}, options);
    return status === 403 ? undefined : body.status.userInfo;
  };
  const username = 'system:serviceaccount:shop:bot';
  const key = 'authentication.kubernetes.io/node-name';
  assert.deepEqual(
    await ask({ user: username, uid: 'u', [`extra-${encodeURIComponent(key)}`]: 'n1, n2' }),
    {
      ...{ username, uid: 'u', extra: { [key]: ['n1', 'n2'] } },
      groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
    },
  );
  const { extra } = await ask({ user: username, 'extra-__proto__': 'x' });
  assert.deepEqual(Object.entries(extra), [['__proto__', ['x']]]);
  const named = await ask({ user: username, group: 'dev' });
  assert.deepEqual(named.groups, ['dev', 'system:authenticated']);
  // Who is nobody, or says so, is not among those who may ask who they are.
  assert.equal(await ask({ user: 'system:anonymous' }), undefined);
  assert.equal(await ask({ user: 'jane', group: 'system:unauthenticated' }), undefined);
  const as: Identity = { name: 'joe', groups: [] };
  const refused = await server.request(
    ...(['POST', path, {}, { as, headers: { 'impersonate-user': username } }] as const),
  );
  assert.match(
    refused.body.message,
    /serviceaccounts "bot" is forbidden: User "joe" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "shop"/,
  );
  const lone = { headers: { 'impersonate-extra-a': 'b' } };
  assert.equal((await server.request('POST', path, {}, lone)).status, 400);
});

test('what somebody may do at all: everything, their own namespace, questions about themselves', async () => {
  await using server = await openTestServer();
  const path = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews';
  const ask = async (as: Identity, namespace: string) =>
    await server.request('POST', path, { spec: { namespace } }, { as });
  const master = await ask({ name: 'root', groups: ['system:masters'] }, 'default');
  assert.equal(master.status, 201);
  assert.deepEqual(master.body.spec, {});
  const { incomplete, resourceRules, nonResourceRules } = master.body.status;
  assert.equal(incomplete, false);
  assert.deepEqual(resourceRules[0], { verbs: ['*'], apiGroups: ['*'], resources: ['*'] });
  assert.deepEqual(nonResourceRules[0], { verbs: ['*'], nonResourceURLs: ['*'] });
  // As upstream, what anybody may is said of those too who may do all.
  assert.deepEqual(resourceRules[1].resources, ['selfsubjectreviews']);
  assert.deepEqual(nonResourceRules[1].nonResourceURLs, ['/.well-known', '/.well-known/*']);
  const groups = ['system:authenticated'];
  const jane = await ask({ name: 'jane', groups }, 'default');
  assert.equal(jane.body.status.incomplete, false);
  assert.equal(jane.body.status.resourceRules.length, 2);
  const bot = { name: 'system:serviceaccount:default:bot', groups };
  const own = await ask(bot, 'default');
  assert.deepEqual(own.body.status.resourceRules[2].verbs, ['get', 'list', 'watch']);
  assert.equal(own.body.status.incomplete, true);
  assert.equal((await ask(bot, 'other')).body.status.resourceRules.length, 2);
  const nowhere = await ask(bot, '');
  assert.equal(nowhere.body.message, 'no namespace on request');
});
