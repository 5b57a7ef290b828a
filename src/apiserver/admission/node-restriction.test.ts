/** What a node may write, and what it may not, in upstream's words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const node = { name: 'system:node:n1', groups: ['system:nodes'] };
const pods = '/api/v1/namespaces/default/pods';

const csr = `-----BEGIN CERTIFICATE REQUEST-----
MIHrMIGSAgEAMDAxFTATBgNVBAoMDHN5c3RlbTpub2RlczEXMBUGA1UEAwwOc3lz
dGVtOm5vZGU6bjEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASjNKMfzmouATJO
nBEN9Aicvjfu9wSDJI43MK3AZc+BcMBDJmTwxHnLnT+WN4pa+AhHdryqf7x6tnd8
oGQHiT6GoAAwCgYIKoZIzj0EAwIDSAAwRQIhAJOrBiDOOjhgH9v8AX4axdlj5kp0
lRD40BfDxslfLH8oAiBXgs0X02atUT/CnS0qTs3L9r/aGQvJVHSE4OfFgTthfw==
-----END CERTIFICATE REQUEST-----
`;

async function asNode(server: TestServer, method: string, path: string, body?: object) {
  return server.request(method, path, body, { as: node });
}

test('a node makes and changes itself only, and not how it is chosen', async () => {
  await using server = await openTestServer();
  const nodes = '/api/v1/nodes';
  const other = await asNode(server, 'POST', nodes, { metadata: { name: 'n2' } });
  assert.equal(
    other.body.message,
    'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
  );
  const labels = {
    'node-restriction.kubernetes.io/tier': 'gold',
    'node-role.kubernetes.io/control-plane': '',
    'kubernetes.io/hostname': 'n1',
    'node.kubernetes.io/size': 'big',
    mine: 'yes',
  };
  const proud = await asNode(server, 'POST', nodes, { metadata: { name: 'n1', labels } });
  assert.equal(
    proud.body.message,
    'nodes "n1" is forbidden: node "n1" is not allowed to set the following labels: node-restriction.kubernetes.io/tier, node-role.kubernetes.io/control-plane',
  );
  const { 'kubernetes.io/hostname': hostname, 'node.kubernetes.io/size': size, mine } = labels;
  const good = { 'kubernetes.io/hostname': hostname, 'node.kubernetes.io/size': size, mine };
  const made = await asNode(server, 'POST', nodes, { metadata: { name: 'n1', labels: good } });
  assert.equal(made.status, 201, made.text);
  const change = (body: object) => asNode(server, 'PATCH', `${nodes}/n1`, body);
  assert.match(
    (await change({ spec: { taints: [] } })).body.message,
    /not allowed to modify taints/,
  );
  assert.equal(
    (await change({ metadata: { labels: { 'node-restriction.kubernetes.io/tier': 'x' } } })).body
      .message,
    'nodes "n1" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/tier',
  );
  const owner = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'u' };
  const owned = await change({ metadata: { ownerReferences: [owner] } });
  assert.match(owned.body.message, /not allowed to modify ownerReferences/);
  assert.equal((await change({ metadata: { labels: { mine: 'no' } } })).status, 200);
  const taints = await asNode(server, 'PATCH', `${nodes}/n1/status`, { spec: { taints: [] } });
  assert.equal(taints.status, 403);
  const status = { nodeInfo: { kubeletVersion: 'v1' } };
  assert.equal((await asNode(server, 'PATCH', `${nodes}/n1/status`, { status })).status, 200);
});

async function placed(server: TestServer, name: string, nodeName: string): Promise<void> {
  const containers = [{ name: 'main', image: 'x:1' }];
  const made = await server.request('POST', pods, {
    metadata: { name },
    spec: { nodeName, containers },
  });
  assert.equal(made.status, 201, made.text);
}

test('a node reports on its own pods, in the status only', async () => {
  await using server = await openTestServer();
  await server.request('POST', '/api/v1/namespaces/default/serviceaccounts', {
    metadata: { name: 'default' },
  });
  await placed(server, 'own', 'n1');
  await placed(server, 'far', 'n2');
  const set = (name: string, body: object) =>
    asNode(server, 'PATCH', `${pods}/${name}/status`, body);
  assert.equal((await set('own', { status: { phase: 'Running' } })).status, 200);
  assert.equal((await set('far', { status: { phase: 'Running' } })).status, 403);
  assert.equal(
    (await set('own', { metadata: { labels: { a: 'b' } } })).body.message,
    'pods "own" is forbidden: node "n1" cannot update labels through pod status',
  );
  assert.equal((await asNode(server, 'DELETE', `${pods}/far`)).status, 403);
  assert.equal((await asNode(server, 'DELETE', `${pods}/own?gracePeriodSeconds=0`)).status, 200);
});

test('a node makes mirror pods of its own, which name nothing', async () => {
  await using server = await openTestServer();
  const made = await server.request('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  const { uid } = made.body.metadata;
  const owner = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid, controller: true };
  const spec = { nodeName: 'n1', containers: [{ name: 'main', image: 'x:1' }] };
  const mirror = { 'kubernetes.io/config.mirror': 'hash' };
  const make = async (fields: object, more: object = {}) =>
    asNode(server, 'POST', pods, {
      metadata: { name: 'm', annotations: mirror, ownerReferences: [owner], ...fields },
      spec: { ...spec, ...more },
    });
  const refused = async (text: RegExp, fields: object, more: object = {}): Promise<void> => {
    const { status, body } = await make(fields, more);
    assert.equal(status, 403);
    assert.match(body.message, text);
  };
  await refused(/"kubernetes.io\/config.mirror" annotation, node "n1" can only/, {
    annotations: {},
  });
  await refused(/with spec.nodeName set to itself/, {}, { nodeName: 'n2' });
  await refused(/with an owner reference set to itself/, { ownerReferences: [] });
  await refused(/with a single owner/, { ownerReferences: [owner, { ...owner, uid: 'x' }] });
  await refused(/with a controller owner/, { ownerReferences: [{ ...owner, controller: false }] });
  await refused(/UID mismatch: expected x got/, { ownerReferences: [{ ...owner, uid: 'x' }] });
  await refused(/that reference serviceaccounts$/, {}, { serviceAccountName: 'x' });
  const secret = [{ name: 's', secret: { secretName: 'x' } }];
  await refused(/that reference secrets$/, {}, { volumes: secret });
  const claim = [{ name: 's', persistentVolumeClaim: { claimName: 'x' } }];
  await refused(/that reference persistentvolumeclaims$/, {}, { volumes: claim });
  const good = await make({});
  assert.equal(good.status, 201, good.text);
  assert.equal(good.body.spec.volumes, undefined);
});

test('a node holds its own lease, CSINode and slices', async () => {
  await using server = await openTestServer();
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  const lease = (name: string) => asNode(server, 'POST', leases, { metadata: { name } });
  assert.equal(
    (await lease('n2')).body.message,
    'leases.coordination.k8s.io "n2" is forbidden: can only access node lease with the same name as the requesting node',
  );
  assert.equal((await lease('n1')).status, 201);
  const csi = (name: string) =>
    asNode(server, 'POST', '/apis/storage.k8s.io/v1/csinodes', {
      metadata: { name },
      spec: { drivers: [] },
    });
  assert.match((await csi('n2')).body.message, /can only access CSINode with the same name/);
  assert.equal((await csi('n1')).status, 201);
  const slice = (name: string, nodeName: string) =>
    asNode(server, 'POST', '/apis/resource.k8s.io/v1/resourceslices', {
      metadata: { name },
      spec: { nodeName, driver: 'x.example.com', pool: { name: nodeName, resourceSliceCount: 1 } },
    });
  assert.match(
    (await slice('s', 'n2')).body.message,
    /can only create ResourceSlice with the same NodeName as the requesting node/,
  );
  assert.equal((await slice('s', 'n1')).status, 201);
});

test('a node asks for certificates for itself', async () => {
  await using server = await openTestServer();
  const ask = (as: { name: string; groups: string[] }, name: string) =>
    server.request(
      'POST',
      '/apis/certificates.k8s.io/v1/certificatesigningrequests',
      {
        metadata: { name },
        spec: {
          request: Buffer.from(csr).toString('base64'),
          signerName: 'kubernetes.io/kubelet-serving',
          usages: ['digital signature', 'server auth'],
        },
      },
      { as },
    );
  const other = await ask({ name: 'system:node:n2', groups: ['system:nodes'] }, 'a');
  assert.match(other.body.message, /can only create a node CSR with CN=system:node:n2/);
  assert.equal((await ask(node, 'b')).status, 201);
});
