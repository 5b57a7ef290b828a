/** Objects written in one version of their group and read in another, old ones too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';

const labels = { app: 'zk' };
const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };

/** Path of creation, path of today, and what stands in the object. */
const objects: readonly (readonly [created: string, today: string, body: object])[] = [
  [
    '/apis/apps/v1beta1/namespaces/default/deployments',
    '/apis/apps/v1/namespaces/default/deployments',
    // The selector is taken from the labels.
    { spec: { template } },
  ],
  [
    '/apis/apps/v1beta2/namespaces/default/deployments',
    '/apis/apps/v1/namespaces/default/deployments',
    { spec: { selector: { matchLabels: labels }, template } },
  ],
  [
    '/apis/apps/v1beta2/namespaces/default/statefulsets',
    '/apis/apps/v1/namespaces/default/statefulsets',
    { spec: { serviceName: 'zk', selector: { matchLabels: labels }, template } },
  ],
  [
    '/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets',
    '/apis/policy/v1/namespaces/default/poddisruptionbudgets',
    { spec: { minAvailable: 2, selector: { matchLabels: labels } } },
  ],
  [
    '/apis/storage.k8s.io/v1beta1/storageclasses',
    '/apis/storage.k8s.io/v1/storageclasses',
    { provisioner: 'k8s.io/minikube-hostpath' },
  ],
  [
    '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies',
    '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies',
    { spec: { podSelector: {}, policyTypes: ['Ingress'] } },
  ],
  ['/api/v1/namespaces/default/configmaps', '/api/v1/namespaces/default/configmaps', {}],
];

test('each version of the documents takes objects, and today’s gives them back', async () => {
  const by = 'v1.25';
  const now = 'the newest of each, without PodSecurityPolicy; here the older ones are served too';
  superseded('API-102', { by, now });
  superseded('API-162', { by, now });
  await using server = await openTestServer();
  for (const [index, [created, today, body]] of objects.entries()) {
    const name = `o${index}`;
    const made = await server.request('POST', created, { metadata: { name }, ...body });
    assert.equal(made.status, 201, made.text);
    const group = created
      .replace(/^\/apis?\//, '')
      .replace(/\/(namespaces\/default\/)?[a-z]+$/, '');
    assert.equal(made.body.apiVersion, group);
    const read = await server.request('GET', `${today}/${name}`);
    assert.equal(read.status, 200, read.text);
    assert.equal(read.body.metadata.uid, made.body.metadata.uid);
    const back = await server.request('GET', `${created}/${name}`);
    assert.deepEqual(back.body, made.body);
  }
  const first = await server.request('GET', '/apis/apps/v1/namespaces/default/deployments/o0');
  assert.deepEqual(first.body.spec.selector, { matchLabels: labels });
  covers('API-107');
  const old = '/apis/extensions/v1beta1/namespaces/default/deployments';
  const oldest = await server.request('POST', old, {
    metadata: { name: 'old' },
    spec: { template },
  });
  assert.equal(oldest.status, 201, oldest.text);
  for (const version of ['apps/v1beta1', 'apps/v1beta2', 'extensions/v1beta1', 'apps/v1']) {
    const path = `/apis/${version}/namespaces/default/deployments`;
    const { body } = await server.request('GET', path);
    const listed = body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name);
    assert.deepEqual([body.apiVersion, listed], [version, ['o0', 'o1', 'old']]);
  }
  const without = { metadata: { name: 'no' }, spec: { template } };
  const refused = await server.request(
    'POST',
    '/apis/apps/v1beta2/namespaces/default/deployments',
    without,
  );
  assert.equal(refused.status, 422, refused.text);
  const policies = await server.request('GET', '/apis/extensions/v1beta1/podsecuritypolicies');
  assert.equal(policies.status, 404);
});
