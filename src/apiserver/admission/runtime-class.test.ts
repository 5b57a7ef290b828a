/** Pods that ask for a RuntimeClass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';

test('a RuntimeClass adds its cost and its nodes; one that is not there is refused', async () => {
  await using server = await openTestServer();
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const create = (name: string, spec: object) =>
    server.request('POST', `${space}/pods`, {
      metadata: { name },
      spec: { containers: [{ name: 'main', image: 'x:1' }], ...spec },
    });
  const missing = await create('a', { runtimeClassName: 'vm' });
  assert.equal(missing.status, 403);
  assert.match(missing.body.message, /pod rejected: RuntimeClass "vm" not found/);
  const toleration = { key: 'vm', operator: 'Exists' };
  const made = await server.request('POST', '/apis/node.k8s.io/v1/runtimeclasses', {
    metadata: { name: 'vm' },
    handler: 'kata',
    overhead: { podFixed: { cpu: '10m', memory: '1Mi' } },
    scheduling: { nodeSelector: { vm: 'yes' }, tolerations: [toleration] },
  });
  assert.equal(made.status, 201);
  const { body } = await create('b', { runtimeClassName: 'vm', nodeSelector: { disk: 'ssd' } });
  assert.deepEqual(body.spec.overhead, { cpu: '10m', memory: '1Mi' });
  assert.deepEqual(body.spec.nodeSelector, { vm: 'yes', disk: 'ssd' });
  assert.deepEqual(body.spec.tolerations.at(-1), toleration);
  const other = await create('c', { runtimeClassName: 'vm', nodeSelector: { vm: 'no' } });
  assert.equal(other.status, 403);
  const cheaper = await create('d', { runtimeClassName: 'vm', overhead: { cpu: '1m' } });
  assert.match(cheaper.body.message, /doesn't match RuntimeClass's defined Overhead/);
  const without = await create('e', { overhead: { cpu: '1m' } });
  assert.match(without.body.message, /Overhead set without corresponding RuntimeClass/);
});

test('names of sysctls must be names', async () => {
  await using server = await openTestServer();
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const sysctls = ['foo-', 'kernel.shmmax', 'safe-and-unsafe', 'bar..', 'net/ipv4/a.b'].map(
    (name) => ({ name, value: '1' }),
  );
  const { status, body } = await server.request('POST', `${space}/pods`, {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'main', image: 'x:1' }], securityContext: { sysctls } },
  });
  assert.equal(status, 422);
  assert.deepEqual(
    body.details.causes.map(({ field }: { field: string }) => field),
    ['spec.securityContext.sysctls[0].name', 'spec.securityContext.sysctls[3].name'],
  );
  assert.match(body.message, /Invalid value: "foo-": must have at most 253 characters and match/);
});
