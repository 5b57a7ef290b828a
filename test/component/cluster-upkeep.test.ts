/** Certificates, tokens, roles and what else the cluster keeps in order by itself. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { openClient } from '#client';
import { formatTime } from '#kit/clock.ts';
import {
  certificateSigningRequests,
  clusterRoles,
  configMaps,
  events,
  ipAddresses,
  namespaces,
  nodes,
  pods,
  resourceClaims,
  resourceClaimTemplates,
  secrets,
  serviceAccounts,
  serviceCIDRs,
  validatingAdmissionPolicies,
} from '#resources/kinds.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const encode = (text: string): string => Buffer.from(text).toString('base64');
const isGone = (error: unknown): boolean => isReason(error, 'NotFound');
const merge = (world: World) => ({ type: 'merge', signal: world.signal }) as const;

function requestFor(subject: string): string {
  const curve = 'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';
  const script = `${curve} -keyout /dev/null -subj "${subject}" 2>/dev/null`;
  return encode(execFileSync('sh', ['-c', script], { encoding: 'utf8' }));
}

async function ask(world: World, name: string, spec: object, user?: string): Promise<void> {
  const csr = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: spec as CertificateSigningRequest['spec'],
  };
  const identity = { name: user ?? 'admin', groups: ['system:masters', 'system:authenticated'] };
  const transport = world.server.server.direct(identity);
  const client = openClient({ transport, clock: world.clock });
  await client.create(certificateSigningRequests, csr, world);
  await world.pass(1_000);
}

const csrOf = (world: World, name: string) =>
  world.client.get(certificateSigningRequests, { name }, world);

async function approve(world: World, name: string): Promise<void> {
  const csr = await csrOf(world, name);
  const conditions = [{ type: 'Approved', status: 'True', reason: 'Fine' }];
  const next = { ...csr, status: { ...csr.status, conditions } };
  const options = { subresource: 'approval', signal: world.signal };
  await world.client.update(certificateSigningRequests, next, options);
  await world.pass(1_000);
}

const clientUsages = ['digital signature', 'client auth'];

test('a kubelet gets its certificate without being asked; others wait for approval', async (t) => {
  covers('WRK-009');
  const world = await openWorld(t);
  const node = {
    request: requestFor('/O=system:nodes/CN=system:node:n1'),
    signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
    usages: clientUsages,
  };
  await ask(world, 'node-csr', node, 'system:node:n1');
  const issued = await csrOf(world, 'node-csr');
  assert.equal(issued.status?.conditions?.[0]?.reason, 'AutoApproved');
  assert.match(issued.status?.conditions?.[0]?.message ?? '', /^Auto approving self kubelet/);
  const pem = Buffer.from(issued.status?.certificate ?? '', 'base64').toString('latin1');
  const certificate = new X509Certificate(pem);
  assert.equal(certificate.subject, 'O=system:nodes\nCN=system:node:n1');
  assert.ok(certificate.verify(new X509Certificate(world.issuer.cert).publicKey));
  const user = {
    request: requestFor('/CN=bob'),
    signerName: 'kubernetes.io/kube-apiserver-client',
    usages: clientUsages,
    expirationSeconds: 3600,
  };
  await ask(world, 'bob', user);
  assert.equal((await csrOf(world, 'bob')).status?.certificate, undefined);
  await approve(world, 'bob');
  const bob = Buffer.from((await csrOf(world, 'bob')).status?.certificate ?? '', 'base64');
  const endMs = new X509Certificate(bob).validToDate.getTime();
  assert.ok(Math.abs(endMs - world.clock.now() - 3_600_000) < 5_000);
});

test('a usage that is not for the signer fails; requests go when their time is over', async (t) => {
  const world = await openWorld(t);
  const signerName = 'kubernetes.io/kube-apiserver-client';
  const request = requestFor('/CN=bob');
  await ask(world, 'wrong', { request, signerName, usages: ['server auth'] });
  await approve(world, 'wrong');
  const failed = (await csrOf(world, 'wrong')).status?.conditions?.find(
    ({ type }) => type === 'Failed',
  );
  assert.deepEqual(
    [failed?.reason, failed?.message],
    ['SignerValidationFailure', 'invalid usage for client certificate: server auth'],
  );
  const legacy = {
    apiVersion: 'certificates.k8s.io/v1beta1',
    kind: 'CertificateSigningRequest',
    metadata: { name: 'any' },
    spec: {
      request,
      signerName: 'kubernetes.io/legacy-unknown',
      usages: ['digital signature', 'key encipherment', 'server auth', 'client auth'],
    },
  };
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
  const { status } = await world.server.request('POST', path, {
    ...legacy,
    apiVersion: 'certificates.k8s.io/v1',
  });
  assert.equal(status, 201);
  await world.pass(1_000);
  await approve(world, 'any');
  const pem = Buffer.from((await csrOf(world, 'any')).status?.certificate ?? '', 'base64');
  const text = execFileSync('openssl', ['x509', '-noout', '-text'], {
    input: pem,
    encoding: 'utf8',
  });
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature, Key Encipherment/);
  assert.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/);
  await ask(world, 'pending', { request, signerName, usages: clientUsages });
  await world.pass(3_610_000);
  await assert.rejects(csrOf(world, 'wrong'), isGone);
  await assert.rejects(csrOf(world, 'any'), isGone);
  await csrOf(world, 'pending');
});

async function createToken(world: World, id: string, more: Record<string, string> = {}) {
  const text = { 'token-id': id, 'token-secret': 'f395accd246ae52d', ...more };
  const data = Object.fromEntries(Object.entries(text).map(([key, value]) => [key, encode(value)]));
  const metadata = { namespace: 'kube-system', name: `bootstrap-token-${id}` };
  const type = 'bootstrap.kubernetes.io/token';
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type, data };
  await world.client.create(secrets, secret, world);
}

test('bootstrap tokens sign cluster-info while they hold, and are deleted after', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  const at = { namespace: 'kube-public', name: 'cluster-info' };
  const info = { apiVersion: 'v1', kind: 'ConfigMap', metadata: at, data: { kubeconfig: 'k' } };
  await client.create(configMaps, info, { signal });
  const signing = { 'usage-bootstrap-signing': 'true' };
  const expiration = formatTime(world.clock.now() + 120_000);
  await createToken(world, 'aaaaaa', { ...signing, expiration });
  // Any secret signs, though it is none to log in with.
  await createToken(world, 'bbbbbb', { ...signing, 'token-secret': 'Other form' });
  await createToken(world, 'cccccc', { 'usage-bootstrap-authentication': 'true' });
  await world.pass(1_000);
  const dataOf = async () => (await client.get(configMaps, at, { signal })).data ?? {};
  const names = async () => Object.keys(await dataOf()).toSorted();
  assert.deepEqual(await names(), ['jws-kubeconfig-aaaaaa', 'jws-kubeconfig-bbbbbb', 'kubeconfig']);
  const [header, middle, signature] = (await dataOf())['jws-kubeconfig-aaaaaa']?.split('.') ?? [];
  assert.equal(middle, '');
  assert.deepEqual(JSON.parse(Buffer.from(header ?? '', 'base64url').toString()), {
    alg: 'HS256',
    kid: 'aaaaaa',
  });
  const payload = `${header}.${Buffer.from('k').toString('base64url')}`;
  const hmac = createHmac('sha256', 'aaaaaa.f395accd246ae52d').update(payload);
  assert.equal(signature, hmac.digest('base64url'));
  await client.patch(configMaps, at, { data: { 'jws-kubeconfig-zzzzzz': 'x' } }, merge(world));
  await world.pass(1_000);
  assert.equal((await names()).includes('jws-kubeconfig-zzzzzz'), false);
  await world.pass(120_000);
  const left = await world.list(secrets, 'kube-system');
  const ids = left
    .map(({ metadata }) => metadata.name)
    .filter((name) => /bootstrap/.test(name ?? ''));
  assert.deepEqual(ids.toSorted(), ['bootstrap-token-bbbbbb', 'bootstrap-token-cccccc']);
  assert.deepEqual(await names(), ['jws-kubeconfig-bbbbbb', 'kubeconfig']);
});

test('a token Secret is filled in, holds, and goes with its account', async (t) => {
  covers('WRK-121');
  const world = await openWorld(t);
  const { client, signal } = world;
  const account = { namespace, name: 'robot' };
  const kind = { apiVersion: 'v1', kind: 'ServiceAccount' };
  await client.create(serviceAccounts, { ...kind, metadata: account }, { signal });
  const create = async (name: string, of: string) => {
    const annotations = { 'kubernetes.io/service-account.name': of };
    const metadata = { namespace, name, annotations };
    const type = 'kubernetes.io/service-account-token';
    await client.create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata, type }, { signal });
    await world.pass(500);
  };
  await create('robot-token', 'robot');
  const at = { namespace, name: 'robot-token' };
  const { data = {}, metadata } = await client.get(secrets, at, { signal });
  assert.deepEqual(Object.keys(data).toSorted(), ['ca.crt', 'namespace', 'token']);
  assert.equal(data['ca.crt'], encode('the certificate'));
  assert.equal(data['namespace'], encode(namespace));
  const { uid } = (await client.get(serviceAccounts, account, { signal })).metadata;
  assert.equal(metadata.annotations?.['kubernetes.io/service-account.uid'], uid);
  const token = Buffer.from(data['token'] ?? '', 'base64').toString();
  const whoAmI = async () => {
    const path = '/apis/authentication.k8s.io/v1/tokenreviews';
    const { body } = await world.server.request('POST', path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token },
    });
    return body.status.user?.username;
  };
  assert.equal(await whoAmI(), 'system:serviceaccount:default:robot');
  await create('nobody-token', 'nobody');
  await assert.rejects(client.get(secrets, { namespace, name: 'nobody-token' }, world), isGone);
  await client.delete(serviceAccounts, account, { signal });
  await world.pass(1_000);
  await assert.rejects(client.get(secrets, at, { signal }), isGone);
  assert.equal(await whoAmI(), undefined);
});

test('a new namespace gets an account and no token', async (t) => {
  superseded('AUT-026', { by: 'v1.24', now: 'the account alone; tokens are asked for' });
  const world = await openWorld(t);
  const { client, signal } = world;
  const metadata = { name: 'x' };
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata }, { signal });
  await world.pass(5_000);
  const accounts = await world.list(serviceAccounts, 'x');
  assert.deepEqual(
    accounts.map((one) => [one.metadata.name, one.secrets]),
    [['default', undefined]],
  );
  assert.deepEqual(await world.list(secrets, 'x'), []);
});

test('aggregated ClusterRoles have the rules of those they select', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  const kind = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole' };
  const rule = (resource: string) => ({ apiGroups: [''], resources: [resource], verbs: ['get'] });
  const create = (
    name: string,
    labels: Record<string, string>,
    rules: object[],
    more: object = {},
  ) =>
    client.create(
      clusterRoles,
      { ...kind, metadata: { name, labels }, rules: rules as never, ...more },
      { signal },
    );
  const clusterRoleSelectors = [{ matchLabels: { monitoring: 'yes' } }];
  await create('monitoring', {}, [], { aggregationRule: { clusterRoleSelectors } });
  await create('b', { monitoring: 'yes' }, [rule('pods'), rule('nodes')]);
  await create('a', { monitoring: 'yes' }, [rule('services'), rule('nodes')]);
  await create('c', {}, [rule('secrets')]);
  await world.pass(1_000);
  const resources = async () =>
    (await client.get(clusterRoles, { name: 'monitoring' }, { signal })).rules?.flatMap(
      (one) => one.resources ?? [],
    );
  assert.deepEqual(await resources(), ['services', 'nodes', 'pods']);
  await client.delete(clusterRoles, { name: 'b' }, { signal });
  await world.pass(1_000);
  assert.deepEqual(await resources(), ['services', 'nodes']);
});

test('nodes are told how long to keep Secrets; policies that they were looked at', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  const names = Array.from({ length: 101 }, (_, index) => `n${index}`);
  const ttl = async () =>
    (await client.get(nodes, { name: 'n0' }, { signal })).metadata.annotations?.[
      'node.alpha.kubernetes.io/ttl'
    ];
  const create = (name: string) =>
    client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } }, { signal });
  await create('n0');
  await world.pass(500);
  assert.equal(await ttl(), '0');
  for (const name of names.slice(1)) await create(name);
  await world.pass(500);
  assert.equal(await ttl(), '15');
  const policy = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: 'p' },
    spec: {
      matchConstraints: {
        resourceRules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
        ],
      },
      validations: [{ expression: 'true' }, { expression: 'object.spec.nope == 1' }],
    },
  };
  await client.create(validatingAdmissionPolicies, policy as never, { signal });
  const look = async () =>
    (await client.get(validatingAdmissionPolicies, { name: 'p' }, { signal })).status;
  await world.until('it was looked at', async () => (await look())?.observedGeneration === 1);
  const { expressionWarnings = [] } = (await look())?.typeChecking ?? {};
  assert.deepEqual(
    expressionWarnings.map(({ fieldRef }) => fieldRef),
    ['spec.validations[1].expression'],
  );
});

test('a range of Service addresses is ready, and stays while one of them is in use', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  const kind = { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR' };
  const metadata = { name: 'more' };
  await client.create(
    serviceCIDRs,
    { ...kind, metadata, spec: { cidrs: ['10.99.0.0/24'] } },
    { signal },
  );
  await world.pass(500);
  const ready = async () => {
    const { status } = await client.get(serviceCIDRs, metadata, { signal });
    const condition = status?.conditions?.find(({ type }) => type === 'Ready');
    return `${condition?.status} ${condition?.reason ?? ''}`.trim();
  };
  assert.equal(await ready(), 'True');
  const address = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IPAddress',
    metadata: { name: '10.99.0.7' },
    spec: { parentRef: { resource: 'services', namespace, name: 'web' } },
  };
  await client.create(ipAddresses, address, { signal });
  await world.pass(500);
  await client.delete(serviceCIDRs, metadata, { signal });
  await world.pass(2_000);
  assert.equal(await ready(), 'False Terminating');
  await client.delete(ipAddresses, address.metadata, { signal });
  await world.pass(1_000);
  await assert.rejects(client.get(serviceCIDRs, metadata, { signal }), isGone);
});

test('device claims are made from templates and given back by pods that have ended', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const exactly = { deviceClassName: 'gpu' };
  const spec = { devices: { requests: [{ name: 'r', exactly }] } };
  const api = { apiVersion: 'resource.k8s.io/v1' };
  const template = { ...api, kind: 'ResourceClaimTemplate', metadata: { namespace, name: 't' } };
  const metadata = { namespace, name: 'p' };
  const podSpec = {
    containers: [{ name: 'c', image: 'i' }],
    resourceClaims: [{ name: 'gpu', resourceClaimTemplateName: 't' }],
  };
  world.becomesReady = () => false;
  await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec: podSpec }, { signal });
  await world.pass(1_000);
  const told = (await world.list(events)).filter(({ regarding }) => regarding?.kind === 'Pod');
  assert.equal(
    told.find(({ reason }) => reason === 'FailedResourceClaimCreation')?.note,
    'PodResourceClaim gpu: resource claim template "t": resourceclaimtemplate.resource.k8s.io ' +
      '"t" not found',
  );
  await client.create(resourceClaimTemplates, { ...template, spec: { spec } } as never, { signal });
  await world.pass(10_000);
  const pod = await client.get(pods, metadata, { signal });
  const [status] = pod.status?.resourceClaimStatuses ?? [];
  assert.match(status?.resourceClaimName ?? '', /^p-gpu-/);
  const at = { namespace, name: status?.resourceClaimName ?? '' };
  const claim = await client.get(resourceClaims, at, { signal });
  assert.deepEqual(claim.metadata.ownerReferences, [
    { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: pod.metadata.uid, controller: true },
  ]);
  assert.equal(claim.metadata.annotations?.['resource.kubernetes.io/pod-claim-name'], 'gpu');
  // Allocated by a scheduler; the pod's own was named without one.
  const results = [{ request: 'r', driver: 'd.example.com', pool: 'p', device: 'x' }];
  const allocated = { ...claim, status: { allocation: { devices: { results } } } };
  await client.update(resourceClaims, allocated as never, { subresource: 'status', signal });
  await world.pass(1_000);
  const reserved = await client.get(resourceClaims, at, { signal });
  assert.equal(reserved.status?.reservedFor?.[0]?.uid, pod.metadata.uid);
  const done = { status: { phase: 'Succeeded' } };
  await client.patch(pods, metadata, done, { ...merge(world), subresource: 'status' });
  await world.pass(2_000);
  await assert.rejects(client.get(resourceClaims, at, { signal }), isGone);
});
