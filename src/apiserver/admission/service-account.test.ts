/** Service accounts of pods: which Secrets they allow, mirror pods, and the one that comes late. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openTestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';

function pod(spec: object, metadata: object = {}): object {
  const containers = [{ name: 'main', image: 'x:1' }];
  return { metadata: { name: 'p', ...metadata }, spec: { containers, ...spec } };
}

test('an account that says so lets its pods use the listed Secrets only', async () => {
  await using server = await openTestServer();
  await server.request('POST', `${space}/serviceaccounts`, {
    metadata: {
      name: 'default',
      annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' },
    },
    secrets: [{ name: 'good' }],
  });
  const refused = async (spec: object): Promise<string> => {
    const { status, body } = await server.request('POST', `${space}/pods`, pod(spec));
    assert.equal(status, 403);
    return body.message;
  };
  const because = 'is not allowed because service account default does not reference that secret';
  assert.equal(
    await refused({ volumes: [{ name: 'v', secret: { secretName: 'bad' } }] }),
    `pods "p" is forbidden: volume with secret.secretName="bad" ${because}`,
  );
  const env = (name: string) => [{ name: 'A', valueFrom: { secretKeyRef: { name, key: 'k' } } }];
  const main = { name: 'main', image: 'x:1' };
  assert.equal(
    await refused({ containers: [{ ...main, env: env('bad') }] }),
    `pods "p" is forbidden: container main with envVar A referencing secret.secretName="bad" ${because}`,
  );
  const first = { name: 'first', image: 'x:1', envFrom: [{ secretRef: { name: 'bad' } }] };
  assert.equal(
    await refused({ initContainers: [first] }),
    `pods "p" is forbidden: init container first with envFrom referencing secret.secretName="bad" ${because}`,
  );
  assert.match(
    await refused({ imagePullSecrets: [{ name: 'pull' }] }),
    /imagePullSecrets\[0\].name="pull" is not allowed because service account default does not/,
  );
  const good = pod({ containers: [{ ...main, env: env('good') }] });
  assert.equal((await server.request('POST', `${space}/pods`, good)).status, 201);
  const debug = { name: 'debug', image: 'x:1', env: env('bad') };
  const late = await server.request('PATCH', `${space}/pods/p/ephemeralcontainers`, {
    spec: { ephemeralContainers: [debug] },
  });
  assert.equal(late.status, 403, late.text);
  assert.match(late.body.message, /ephemeral container debug with envVar A referencing/);
});

test('a mirror pod may name neither account nor Secret', async () => {
  await using server = await openTestServer();
  const metadata = { annotations: { 'kubernetes.io/config.mirror': 'x' } };
  const make = (spec: object) =>
    server.request('POST', `${space}/pods`, pod({ nodeName: 'n', ...spec }, metadata));
  const account = await make({ serviceAccountName: 'default' });
  assert.match(account.body.message, /a mirror pod may not reference service accounts$/);
  const secret = await make({ volumes: [{ name: 'v', secret: { secretName: 'x' } }] });
  assert.match(secret.body.message, /a mirror pod may not reference secrets$/);
  const sources = [{ serviceAccountToken: { path: 'token' } }];
  const token = await make({ volumes: [{ name: 'v', projected: { sources } }] });
  assert.match(token.body.message, /may not use ServiceAccountToken volume projections$/);
  assert.equal((await make({})).status, 201);
});

test('a pod waits a little for the default account, and says which name it was to get', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const first = server.request('POST', `${space}/pods`, pod({}));
  await clock.advance(250);
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  await clock.advance(250);
  assert.equal((await first).status, 201);
  await server.request('DELETE', `${space}/serviceaccounts/default`);
  const named = pod({}, { name: undefined, generateName: 'web-' });
  const second = server.request('POST', `${space}/pods`, named);
  await clock.advance(2_000);
  assert.equal(
    (await second).body.message,
    'pods "web-" is forbidden: error looking up service account default/default: serviceaccount "default" not found',
  );
  const other = await server.request('POST', `${space}/pods`, pod({ serviceAccountName: 'x' }));
  assert.match(other.body.message, /serviceaccount "x" not found/);
});
