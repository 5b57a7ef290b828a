/** Admission plugins switched on and off by name, and what those do that are off by themselves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultPlugins, type PluginFlags, readPlugins } from '#api/admission-plugins.ts';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer, type TestServerOptions } from '#test/fixtures.ts';

const pods = '/api/v1/namespaces/default/pods';

function openWith(flags: PluginFlags, given: TestServerOptions['options'] = {}) {
  const read = readPlugins(flags);
  assert.ok(read.ok);
  return openTestServer({ options: { ...given, admissionPlugins: read.plugins } });
}

function pod(spec: object = {}, name = 'a') {
  return {
    metadata: { name },
    spec: {
      automountServiceAccountToken: false,
      containers: [{ name: 'c', image: 'busybox', imagePullPolicy: 'IfNotPresent' }],
      ...spec,
    },
  };
}

async function withAccount(server: TestServer): Promise<void> {
  const path = '/api/v1/namespaces/default/serviceaccounts';
  await server.request('POST', path, { metadata: { name: 'default' } });
}

test('the list of plugins: what is known, what is here, and upstream words', () => {
  assert.equal(defaultPlugins.has('ResourceQuota'), true);
  assert.equal(defaultPlugins.has('AlwaysPullImages'), false);
  const cases: readonly (readonly [PluginFlags, string])[] = [
    [{ enable: ['Foo'] }, 'enable-admission-plugins plugin "Foo" is unknown'],
    [{ disable: ['Foo'] }, 'disable-admission-plugins plugin "Foo" is unknown'],
    [{ only: ['Foo'] }, 'admission-control plugin "Foo" is unknown'],
    [
      { enable: ['Priority', 'LimitRanger'], disable: ['LimitRanger', 'Priority'] },
      '[LimitRanger Priority] in enable-admission-plugins and disable-admission-plugins overlapped',
    ],
    [
      { only: ['Priority'], disable: ['LimitRanger'] },
      'admission-control and enable-admission-plugins/disable-admission-plugins flags are mutually exclusive',
    ],
    [{ enable: ['EventRateLimit'] }, 'admission plugin EventRateLimit is not there yet'],
  ];
  for (const [flags, problem] of cases) {
    assert.deepEqual(readPlugins(flags), { ok: false, problem });
  }
});

test('--admission-control: those that are named, and no others', async () => {
  covers('ADM-001', 'ADM-019');
  await using bare = await openWith({ only: ['NamespaceLifecycle'] });
  // Without the plugin nobody asks for the account, adds tolerations or counts.
  const quota = { metadata: { name: 'none' }, spec: { hard: { pods: '0' } } };
  const quotas = '/api/v1/namespaces/default/resourcequotas';
  // As the controller writes it, by which alone a quota is counted.
  const counts = { status: { hard: { pods: '0' }, used: { pods: '0' } } };
  await bare.request('POST', quotas, quota);
  await bare.request('PATCH', `${quotas}/none/status`, counts);
  const made = await bare.request('POST', pods, pod());
  assert.equal(made.status, 201);
  assert.equal(made.body.spec.tolerations, undefined);
  assert.equal(made.body.spec.serviceAccountName, undefined);
  await using counted = await openWith({ only: ['NamespaceLifecycle', 'ResourceQuota'] });
  assert.equal((await counted.request('POST', pods, pod({}, 'free'))).status, 201);
  await counted.request('POST', quotas, quota);
  await counted.request('PATCH', `${quotas}/none/status`, counts);
  const refused = await counted.request('POST', pods, pod());
  assert.equal(refused.status, 403);
  assert.match(refused.body.message, /exceeded quota: none/);
  await using usual = await openWith({ disable: ['ServiceAccount'] });
  assert.equal((await usual.request('POST', pods, pod())).body.spec.tolerations.length, 2);
});

test('AlwaysPullImages: every container pulls, whatever it says', async () => {
  covers('ADM-006');
  await using server = await openWith({ enable: ['AlwaysPullImages'] });
  await withAccount(server);
  const volumes = [{ name: 'i', image: { reference: 'busybox', pullPolicy: 'Never' } }];
  const main = { name: 'c', image: 'busybox:1', imagePullPolicy: 'IfNotPresent' };
  const { body } = await server.request('POST', pods, pod({ volumes, containers: [main] }));
  assert.equal(body.spec.containers[0].imagePullPolicy, 'Always');
  assert.equal(body.spec.volumes[0].image.pullPolicy, 'Always');
});

test('LimitPodHardAntiAffinityTopology: pods keep apart by host, or not at all', async () => {
  covers('ADM-010');
  await using server = await openWith({ enable: ['LimitPodHardAntiAffinityTopology'] });
  await withAccount(server);
  const apart = (topologyKey: string) => ({
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey, labelSelector: { matchLabels: { app: 'a' } } },
        ],
      },
    },
  });
  const zone = await server.request('POST', pods, pod(apart('topology.kubernetes.io/zone')));
  assert.equal(zone.status, 403);
  assert.equal(
    zone.body.message,
    'pods "a" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ' +
      'topology.kubernetes.io/zone but only key kubernetes.io/hostname is allowed',
  );
  const host = await server.request('POST', pods, pod(apart('kubernetes.io/hostname')));
  assert.equal(host.status, 201);
});

test('PodNodeSelector: the namespace says on which nodes its pods run', async () => {
  covers('ADM-051');
  await using server = await openWith({ enable: ['PodNodeSelector'] });
  await withAccount(server);
  const annotations = { 'scheduler.alpha.kubernetes.io/node-selector': 'pool=green, disk=ssd' };
  await server.request('PATCH', '/api/v1/namespaces/default', { metadata: { annotations } });
  const own = await server.request('POST', pods, pod({ nodeSelector: { size: 'big' } }));
  assert.deepEqual(own.body.spec.nodeSelector, { disk: 'ssd', pool: 'green', size: 'big' });
  const other = await server.request('POST', pods, pod({ nodeSelector: { pool: 'red' } }, 'b'));
  assert.equal(
    other.body.message,
    'pods "b" is forbidden: pod node label selector conflicts with its namespace node label selector',
  );
});

test('ExtendedResourceToleration: who asks for a device tolerates its taint', async () => {
  await using server = await openWith({ enable: ['ExtendedResourceToleration'] });
  await withAccount(server);
  const resources = { limits: { 'example.com/dongle': '1', cpu: '1' } };
  const containers = [{ name: 'c', image: 'busybox', resources }];
  const { body } = await server.request('POST', pods, pod({ containers }));
  assert.deepEqual(body.spec.tolerations[0], {
    key: 'example.com/dongle',
    operator: 'Exists',
    effect: 'NoSchedule',
  });
  assert.equal(body.spec.tolerations.length, 3);
});

test('DenyServiceExternalIPs: no new ones; those that are there may stay', async () => {
  await using server = await openWith({ enable: ['DenyServiceExternalIPs'] });
  const services = '/api/v1/namespaces/default/services';
  const service = (externalIPs: readonly string[]) => ({
    metadata: { name: 's' },
    spec: { ports: [{ port: 80 }], externalIPs },
  });
  const refused = await server.request('POST', services, service(['192.0.2.7']));
  assert.equal(
    refused.body.message,
    'services "s" is forbidden: Use of external IPs is denied by admission control',
  );
  assert.equal((await server.request('POST', services, service([]))).status, 201);
  const patch = { spec: { externalIPs: ['192.0.2.7'] } };
  assert.equal((await server.request('PATCH', `${services}/s`, patch)).status, 403);
});

test('OwnerReferencesPermissionEnforcement: who may not touch the owner holds up nothing', async () => {
  superseded('ADM-009', {
    by: 'v1.8',
    now: 'who may update the finalizers of the owner; that it may be deleted is not enough',
  });
  await using server = await openWith({ enable: ['OwnerReferencesPermissionEnforcement'] });
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'owner', uid: 'u1' };
  const object = (blockOwnerDeletion: boolean) => ({
    metadata: { generateName: 'event-', ownerReferences: [{ ...owner, blockOwnerDeletion }] },
    involvedObject: { kind: 'Pod', name: 'owner', namespace: 'default' },
  });
  const events = '/api/v1/namespaces/default/events';
  const scheduler = { as: { name: 'system:kube-scheduler', groups: ['system:authenticated'] } };
  const free = await server.request('POST', events, object(false), scheduler);
  assert.equal(free.status, 201);
  const held = await server.request('POST', events, object(true), scheduler);
  assert.equal(held.status, 403);
  const why =
    'cannot set blockOwnerDeletion if an ownerReference refers to a resource ' +
    "you can't set finalizers on: ";
  assert.equal(held.body.message.includes(why), true);
  assert.equal((await server.request('POST', events, object(true))).status, 201);
});

test('without --allow-privileged neither pods nor templates are privileged', async () => {
  covers('ADM-008');
  superseded('ADM-002', {
    by: 'v1.15',
    now: 'only the server has the flag, and here it allows privileged pods unless told otherwise',
  });
  await using strict = await openWith({}, { allowPrivileged: false });
  await withAccount(strict);
  const containers = [
    { name: 'c', image: 'busybox', securityContext: { privileged: true } },
    { name: 'd', image: 'busybox' },
  ];
  const refused = await strict.request('POST', pods, pod({ containers }));
  assert.equal(refused.status, 422);
  assert.equal(
    refused.body.message,
    'Pod "a" is invalid: spec.containers[0].securityContext.privileged: Forbidden: disallowed by cluster policy',
  );
  const labels = { app: 'a' };
  const deployment = {
    metadata: { name: 'd' },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { initContainers: containers, containers: [{ name: 'e', image: 'busybox' }] },
      },
    },
  };
  const template = await strict.request(
    'POST',
    '/apis/apps/v1/namespaces/default/deployments',
    deployment,
  );
  assert.deepEqual(
    template.body.details.causes.map(({ field }: { field: string }) => field),
    ['spec.template.spec.initContainers[0].securityContext.privileged'],
  );
  await using usual = await openWith({}, { allowPrivileged: true });
  await withAccount(usual);
  assert.equal((await usual.request('POST', pods, pod({ containers }))).status, 201);
});
