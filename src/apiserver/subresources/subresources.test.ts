/** Scale, binding, graceful deletion, eviction, admission of pods. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';
const pods = `${space}/pods`;
const deployments = '/apis/apps/v1/namespaces/default/deployments';

async function account(server: TestServer, fields: object = {}): Promise<void> {
  const made = await server.request('POST', `${space}/serviceaccounts`, {
    metadata: { name: 'default' },
    ...fields,
  });
  assert.equal(made.status, 201);
}

function pod(name: string, spec: object = {}): object {
  return {
    metadata: { name },
    spec: { containers: [{ name: 'main', image: 'nginx:1' }], ...spec },
  };
}

async function runningPod(server: TestServer, name: string): Promise<void> {
  assert.equal((await server.request('POST', pods, pod(name))).status, 201);
  const target = { kind: 'Node', name: 'n1' };
  const bound = await server.request('POST', `${pods}/${name}/binding`, {
    metadata: { name },
    target,
  });
  assert.equal(bound.status, 201);
}

test('scale: read, replace, patch', async () => {
  covers('API-113');
  await using server = await openTestServer();
  await server.request('POST', deployments, {
    metadata: { name: 'web' },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'main', image: 'nginx:1' }] },
      },
    },
  });
  const path = `${deployments}/web/scale`;
  const { body } = await server.request('GET', path);
  assert.equal(body.kind, 'Scale');
  assert.equal(body.apiVersion, 'autoscaling/v1');
  assert.equal(body.spec.replicas, 3);
  assert.equal(body.status.selector, 'app=web');
  const replaced = await server.request('PUT', path, { ...body, spec: { replicas: 5 } });
  assert.equal(replaced.body.spec.replicas, 5);
  const stale = await server.request('PUT', path, { ...body, spec: { replicas: 6 } });
  assert.equal(stale.status, 409);
  const patched = await server.request('PATCH', path, { spec: { replicas: 0 } });
  assert.equal(patched.body.spec.replicas, undefined);
  const after = await server.request('GET', `${deployments}/web`);
  assert.equal(after.body.spec.replicas, 0);
  assert.equal(after.body.metadata.generation, 3);
  const negative = await server.request('PATCH', path, { spec: { replicas: -1 } });
  assert.equal(negative.status, 422);
  assert.equal((await server.request('GET', `${deployments}/none/scale`)).status, 404);
  // So are the others that can be; of some the selector is a plain map.
  const labels = { app: 'web' };
  const containers = [{ name: 'main', image: 'nginx:1' }];
  const template = { metadata: { labels }, spec: { containers } };
  const sets = '/apis/apps/v1/namespaces/default';
  for (const [kind, selector] of [
    [`${space}/replicationcontrollers`, labels],
    [`${sets}/replicasets`, { matchLabels: labels }],
    [`${sets}/statefulsets`, { matchLabels: labels }],
  ] as const) {
    const set = { metadata: { name: 'web' }, spec: { replicas: 2, selector, template } };
    assert.equal((await server.request('POST', kind, set)).status, 201, kind);
    const { body: scale } = await server.request('GET', `${kind}/web/scale`);
    assert.deepEqual([scale.spec.replicas, scale.status.selector], [2, 'app=web'], kind);
    const changed = { ...scale, spec: { replicas: 7 } };
    assert.equal((await server.request('PUT', `${kind}/web/scale`, changed)).status, 200, kind);
    assert.equal((await server.request('GET', `${kind}/web`)).body.spec.replicas, 7, kind);
  }
  const daemons = {
    metadata: { name: 'web' },
    spec: { selector: { matchLabels: labels }, template },
  };
  assert.equal((await server.request('POST', `${sets}/daemonsets`, daemons)).status, 201);
  assert.equal((await server.request('GET', `${sets}/daemonsets/web/scale`)).status, 404);
});

test('a pod is bound once', async () => {
  await using server = await openTestServer();
  await account(server);
  await runningPod(server, 'p');
  const { body } = await server.request('GET', `${pods}/p`);
  assert.equal(body.spec.nodeName, 'n1');
  assert.equal(body.metadata.generation, 1);
  const condition = body.status.conditions.find(
    ({ type }: { type: string }) => type === 'PodScheduled',
  );
  assert.equal(condition.status, 'True');
  const again = await server.request('POST', `${pods}/p/binding`, {
    metadata: { name: 'p' },
    target: { name: 'n2' },
  });
  assert.equal(again.status, 409);
  assert.match(again.body.message, /pod p is already assigned to node "n1"/);
  await server.request('POST', pods, pod('q'));
  const empty = await server.request('POST', `${pods}/q/binding`, { metadata: { name: 'q' } });
  assert.equal(empty.status, 500);
});

test('a pod is bound only as it was seen, where the binding says so', async () => {
  await using server = await openTestServer();
  await account(server);
  const { body } = await server.request('POST', pods, pod('p'));
  const { uid, resourceVersion } = body.metadata;
  const bind = (metadata: object) =>
    server.request('POST', `${pods}/p/binding`, {
      metadata: { name: 'p', ...metadata },
      target: { name: 'n1' },
    });
  for (const [metadata, what] of [
    [{ uid: 'other', resourceVersion }, 'UID'],
    [{ uid, resourceVersion: '1' }, 'ResourceVersion'],
  ] as const) {
    const refused = await bind(metadata);
    assert.equal(refused.status, 409);
    assert.match(
      refused.body.message,
      new RegExp(`Precondition failed: ${what} in precondition: `),
    );
  }
  assert.equal((await bind({ uid, resourceVersion })).status, 201);
});

test('deleting a running pod marks it; a shorter grace pulls the end forward; zero ends it', async () => {
  covers('API-059');
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  await account(server);
  await runningPod(server, 'p');
  const first = await server.request('DELETE', `${pods}/p`);
  assert.equal(first.body.metadata.deletionGracePeriodSeconds, 30);
  const end = Date.parse(first.body.metadata.deletionTimestamp);
  assert.equal(end, clock.now() + 30_000);
  assert.equal(first.body.metadata.generation, 2);
  const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
  const table = await server.request('GET', `${pods}/p`, undefined, { headers });
  assert.ok(table.body.rows[0].cells.includes('Terminating'));
  const same = await server.request('DELETE', `${pods}/p?gracePeriodSeconds=60`);
  assert.equal(same.body.metadata.resourceVersion, first.body.metadata.resourceVersion);
  const shorter = await server.request('DELETE', `${pods}/p`, { gracePeriodSeconds: 5 });
  assert.equal(Date.parse(shorter.body.metadata.deletionTimestamp), end - 25_000);
  const gone = await server.request('DELETE', `${pods}/p?gracePeriodSeconds=0`);
  assert.equal(gone.status, 200);
  assert.equal((await server.request('GET', `${pods}/p`)).status, 404);
});

test('a pod that nobody runs goes at once', async () => {
  await using server = await openTestServer();
  await account(server);
  await server.request('POST', pods, pod('p'));
  await server.request('DELETE', `${pods}/p`);
  assert.equal((await server.request('GET', `${pods}/p`)).status, 404);
  await runningPod(server, 'q');
  await server.request('PATCH', `${pods}/q/status`, { status: { phase: 'Succeeded' } });
  await server.request('DELETE', `${pods}/q`);
  assert.equal((await server.request('GET', `${pods}/q`)).status, 404);
});

test('eviction is a delete with the options it brings', async () => {
  superseded('API-152', { by: 'v1.8', now: 'it always succeeds, with 201 Created' });
  await using server = await openTestServer();
  await account(server);
  await runningPod(server, 'p');
  const evicted = await server.request('POST', `${pods}/p/eviction`, {
    kind: 'Eviction',
    apiVersion: 'policy/v1',
    metadata: { name: 'p' },
    deleteOptions: { gracePeriodSeconds: 7 },
  });
  assert.equal(evicted.status, 201);
  const { body } = await server.request('GET', `${pods}/p`);
  assert.equal(body.metadata.deletionGracePeriodSeconds, 7);
});

test('a pod gets its service account, its token volume and what the account adds', async () => {
  covers('AUT-040', 'AUT-044', 'ADM-007', 'ADM-035');
  superseded('AUT-080', {
    by: 'v1.24',
    now: 'the token is made for the pod, and stands in no Secret',
  });
  await using server = await openTestServer();
  const orphan = await server.request('POST', pods, pod('p'));
  assert.equal(orphan.status, 403);
  assert.match(
    orphan.body.message,
    /service account default\/default: serviceaccount "default" not found/,
  );
  await account(server, { imagePullSecrets: [{ name: 'pull' }] });
  const named = await server.request('POST', pods, pod('p', { serviceAccountName: 'nobody' }));
  assert.equal(named.status, 403);
  assert.match(named.body.message, /serviceaccount "nobody" not found/);
  const { body } = await server.request('POST', pods, pod('p'));
  const changed = { spec: { serviceAccountName: 'other' } };
  assert.equal((await server.request('PATCH', `${pods}/p`, changed)).status, 422);
  assert.equal(body.spec.serviceAccountName, 'default');
  assert.deepEqual(body.spec.imagePullSecrets, [{ name: 'pull' }]);
  const [volume] = body.spec.volumes;
  assert.match(volume.name, /^kube-api-access-[a-z0-9]{5}$/);
  assert.deepEqual(volume.projected.sources, [
    { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    {
      downwardAPI: {
        items: [
          { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } },
        ],
      },
    },
  ]);
  assert.deepEqual(body.spec.containers[0].volumeMounts, [
    {
      name: volume.name,
      readOnly: true,
      mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
    },
  ]);
});

test('account and pod can say no to the token; the pod has the last word', async () => {
  covers('AUT-034', 'AUT-042', 'AUT-043');
  await using server = await openTestServer();
  await account(server, { automountServiceAccountToken: false });
  const quiet = await server.request('POST', pods, pod('p'));
  assert.equal(quiet.body.spec.volumes, undefined);
  const loud = pod('q', { automountServiceAccountToken: true });
  assert.equal((await server.request('POST', pods, loud)).body.spec.volumes.length, 1);
  const no = pod('r', { automountServiceAccountToken: false });
  assert.equal((await server.request('POST', pods, no)).body.spec.volumes, undefined);
});

test('priority comes from the class, tolerations from the cluster', async () => {
  covers('ADM-011');
  await using server = await openTestServer();
  await account(server);
  const { body } = await server.request('POST', pods, pod('p'));
  assert.equal(body.spec.priority, 0);
  assert.equal(body.spec.preemptionPolicy, 'PreemptLowerPriority');
  assert.deepEqual(
    body.spec.tolerations,
    ['not-ready', 'unreachable'].map((name) => ({
      key: `node.kubernetes.io/${name}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 300,
    })),
  );
  const critical = pod('q', { priorityClassName: 'system-node-critical' });
  assert.equal((await server.request('POST', pods, critical)).body.spec.priority, 2_000_001_000);
  const unknown = pod('r', { priorityClassName: 'none' });
  assert.equal((await server.request('POST', pods, unknown)).status, 403);
  const chosen = pod('s', { priority: 7 });
  assert.equal((await server.request('POST', pods, chosen)).status, 403);
  const all = pod('t', { tolerations: [{ operator: 'Exists' }] });
  assert.equal((await server.request('POST', pods, all)).body.spec.tolerations.length, 1);
});

test('a new node is tainted until it is ready', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  assert.deepEqual(body.spec.taints, [
    { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' },
  ]);
});

test('what a sub-resource is not for, it does not do', async () => {
  await using server = await openTestServer();
  await account(server);
  await runningPod(server, 'p');
  const change = { spec: { containers: [{ name: 'main', image: 'other:1' }] } };
  const unknown = await server.request('PATCH', `${pods}/p/nothing`, change);
  assert.equal(unknown.status, 404);
  await server.request('PATCH', `${pods}/p/status`, { ...change, status: { phase: 'Running' } });
  const { body } = await server.request('GET', `${pods}/p`);
  assert.equal(body.spec.containers[0].image, 'nginx:1');
  assert.equal(body.status.phase, 'Running');
  assert.equal((await server.request('DELETE', `${pods}/p/status`)).status, 405);
  assert.equal((await server.request('PUT', `${pods}/p/binding`, {})).status, 405);
});

test('streams need a connection of their own', async () => {
  await using server = await openTestServer();
  for (const name of ['exec', 'attach', 'portforward']) {
    const answer = await server.request('POST', `${pods}/p/${name}?command=ls`);
    assert.equal(answer.status, 400);
    assert.equal(answer.body.message, 'Upgrade request required');
  }
  assert.equal((await server.request('GET', `${pods}/p/log`)).status, 404);
});

test('ephemeral containers are added on a way of their own, and stay as they are', async () => {
  await using server = await openTestServer();
  await account(server);
  await runningPod(server, 'p');
  const path = `${pods}/p/ephemeralcontainers`;
  const debug = { name: 'debug', image: 'busybox:1', targetContainerName: 'main' };
  const patch = (body: object) =>
    server.request('PATCH', path, body, {
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
    });
  const added = await patch({
    metadata: { labels: { not: 'changed' } },
    spec: { ephemeralContainers: [debug], hostNetwork: true },
  });
  assert.equal(added.status, 200);
  assert.equal(added.body.metadata.generation, 2);
  assert.equal(added.body.metadata.labels, undefined);
  assert.equal(added.body.spec.hostNetwork, undefined);
  assert.equal(
    added.body.spec.ephemeralContainers[0].terminationMessagePath,
    '/dev/termination-log',
  );
  assert.equal((await server.request('GET', path)).body.kind, 'Pod');
  const changed = await patch({ spec: { ephemeralContainers: [{ name: 'debug', image: 'x' }] } });
  assert.equal(changed.status, 422);
  assert.match(changed.body.message, /existing ephemeral containers "debug" may not be changed/);
  const { body } = added;
  const less = { ...body, spec: { ...body.spec, ephemeralContainers: [] } };
  const removed = await server.request('PUT', path, less);
  assert.match(removed.body.message, /existing ephemeral containers "debug" may not be removed/);
  const plain = await server.request('PUT', `${pods}/p`, less);
  assert.equal(plain.status, 422);
  const unknown = { ...debug, name: 'other', targetContainerName: 'none' };
  assert.equal((await patch({ spec: { ephemeralContainers: [unknown] } })).status, 422);
});

test('a pod is resized on a way of its own, within its class', async () => {
  await using server = await openTestServer();
  await account(server);
  const resources = (cpu: string, memory = '64Mi') => ({ requests: { cpu, memory } });
  const containers = [{ name: 'main', image: 'nginx:1', resources: resources('100m') }];
  await server.request('POST', pods, { metadata: { name: 'p' }, spec: { containers } });
  const resize = (given: object) =>
    server.request(
      'PATCH',
      `${pods}/p/resize`,
      { spec: { hostNetwork: true, containers: [{ name: 'main', image: 'x', resources: given }] } },
      { headers: { 'content-type': 'application/strategic-merge-patch+json' } },
    );
  const done = await resize(resources('200m'));
  assert.equal(done.status, 200);
  assert.equal(done.body.metadata.generation, 2);
  assert.deepEqual(done.body.spec.containers[0].resources, resources('200m'));
  assert.equal(done.body.spec.containers[0].image, 'nginx:1');
  assert.equal(done.body.spec.hostNetwork, undefined);
  const other = await resize({ limits: { cpu: '200m', memory: '64Mi' } });
  assert.equal(other.status, 422);
  assert.match(other.body.message, /Pod QOS Class may not change as a result of resizing/);
  const removed = await resize({ requests: { cpu: null } });
  assert.match(removed.body.message, /resource requests cannot be removed/);
  const storage = await resize({ requests: { 'ephemeral-storage': '1Gi' } });
  assert.match(storage.body.message, /only cpu and memory resources are mutable/);
  const whole = (change: object) =>
    server.request('PUT', `${pods}/p/resize`, {
      ...done.body,
      spec: { ...done.body.spec, ...change },
    });
  const main = done.body.spec.containers[0];
  const renamed = await whole({ containers: [{ ...main, name: 'other' }] });
  assert.match(
    renamed.body.message,
    /containers\[0\].name: Forbidden: containers may not be renamed/,
  );
  const added = await whole({ containers: [main, { ...main, name: 'other' }] });
  assert.match(added.body.message, /containers: Forbidden: containers may not be added or removed/);
  const plain = { spec: { containers: [{ name: 'main', resources: resources('300m') }] } };
  const strategic = { headers: { 'content-type': 'application/strategic-merge-patch+json' } };
  assert.equal((await server.request('PATCH', `${pods}/p`, plain, strategic)).status, 422);
});
