/**
 * `coracle kube-controller-manager` in processes of its own beside an API server that has no
 * controllers: what its flags do, that one of two copies works, and what it refuses.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { defaultSettings } from '#controllers';
import { type ApiPort, openApiPort } from '#test/api-port.ts';
import { askHttps } from '#test/ask-https.ts';
import { covers, superseded } from '#test/covers.ts';
import type { TestAnswer } from '#test/fixtures.ts';
import { freePort } from '#test/free-port.ts';
import { ConfigError } from '../settings/config.ts';
import { controllerManagerFlags } from '../settings/controller-manager-flags.ts';
import { readControllerManagerSettings } from '../settings/controller-manager-settings.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** Sooner than by default, and with time enough for a holder on a busy machine to renew. */
const sooner = [
  '--leader-elect-lease-duration=9s',
  '--leader-elect-renew-deadline=8s',
  '--leader-elect-retry-period=300ms',
];
const untilMs = 60_000;

async function get(port: number, path: string): Promise<string> {
  const { status, text } = await askHttps(port, path);
  return `${status} ${text.trim()}`;
}

class Place {
  readonly folder = mkdtempSync(join(tmpdir(), 'coracle-controllers-'));
  readonly api: ApiPort;

  constructor(api: ApiPort, context: TestContext) {
    this.api = api;
    context.after(() => rmSync(this.folder, { recursive: true }));
    writeFileSync(this.file('config'), api.kubeconfig);
    execFileSync(
      'sh',
      [
        '-c',
        'openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca &&' +
          ' openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=bob -out me.csr',
      ],
      { cwd: this.folder, stdio: 'ignore' },
    );
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** A copy of the program; its log is text. */
  start(context: TestContext, command: string, flags: readonly string[]) {
    const child = spawn(
      process.execPath,
      ['bin/coracle.js', command, '--kubeconfig', this.file('config'), ...flags],
      { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const started = { child, log: '' };
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      started.log += part;
    });
    context.after(() => child.kill('SIGKILL'));
    return started;
  }

  async read(path: string): Promise<TestAnswer['body']> {
    return (await this.api.server.request('GET', path)).body;
  }

  async create(path: string, body: object): Promise<void> {
    const { status, text } = await this.api.server.request('POST', path, body);
    assert.equal(status, 201, text);
  }

  async until(what: string, check: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + untilMs;
    while (!(await check())) {
      assert.ok(performance.now() < endMs, `${what} did not happen`);
      await wait(50);
    }
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}

const lease = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager';
const nodes = '/api/v1/nodes';
const secrets = '/api/v1/namespaces/default/secrets';
const requests = '/apis/certificates.k8s.io/v1/certificatesigningrequests';

test('the controllers alone do what their flags say', { timeout: 180_000 }, async (t) => {
  covers('WRK-010', 'WRK-115', 'WRK-120', 'AUT-056');
  superseded('WRK-001', { by: 'v1.22', now: 'the same, its health at 10257 over TLS' });
  superseded('WRK-002', {
    by: 'v1.26',
    now: 'all but --logtostderr, which is gone; --cloud-provider knows external alone',
  });
  superseded('MON-008', { by: 'v1.22', now: 'on 10257, over TLS, for those who may get /metrics' });
  await using api = await openApiPort();
  const place = new Place(api, t);
  const port = await freePort();
  const flags = [
    ...['--allocate-node-cidrs', '--cluster-cidr=10.99.0.0/16', '--node-cidr-mask-size=26'],
    ...['--service-cluster-ip-range=10.99.0.0/25', `--root-ca-file=${place.file('ca.crt')}`],
    ...['--cluster-signing-cert-file', place.file('ca.crt'), '--cluster-signing-duration=48h'],
    ...['--cluster-signing-key-file', place.file('ca.key'), '--controllers=*,-ttl'],
    ...['--service-account-private-key-file', place.file('ca.key'), '--cloud-provider=external'],
    ...[`--master=https://127.0.0.1:${api.port}`, '--cloud-config=', '--kube-api-qps=50', '-v=6'],
    ...[`--secure-port=${port}`, '--authorization-always-allow-paths=/metrics'],
  ];
  const one = place.start(t, 'kube-controller-manager', flags);
  for (const name of ['n1', 'n2']) {
    await place.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  }
  const ranges: string[] = [];
  for (const name of ['n1', 'n2']) {
    const range = async () => (await place.read(`${nodes}/${name}`)).spec?.podCIDR;
    await place.until(`${name} has addresses`, async () => (await range()) !== undefined);
    ranges.push(await range());
  }
  // The first two blocks are those of Services.
  assert.deepEqual(ranges.toSorted(), ['10.99.0.128/26', '10.99.0.192/26']);
  const { metadata } = await place.read(`${nodes}/n1`);
  assert.equal(metadata.annotations?.['node.alpha.kubernetes.io/ttl'], undefined, 'no ttl');
  const told = [
    / request sent verb="PATCH" path="\/api\/v1\/nodes\/n1" status=200 /,
    / reconciled /,
  ];
  for (const line of told) await place.until(`${line} is told`, async () => line.test(one.log));

  const account = '/api/v1/namespaces/default/serviceaccounts/default';
  const uidOf = async () => (await place.read(account)).metadata.uid;
  await place.until('there is an account', async () => (await uidOf()) !== undefined);
  const uid = await uidOf();
  const annotations = { 'kubernetes.io/service-account.name': 'default' };
  const type = 'kubernetes.io/service-account-token';
  const mine = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'mine', annotations }, type };
  await place.create(secrets, mine);
  await place.until(
    'it has a token',
    async () => (await place.read(`${secrets}/mine`)).data?.token,
  );
  const secret = await place.read(`${secrets}/mine`);
  const plain = (key: string) => Buffer.from(secret.data[key], 'base64').toString('utf8');
  assert.equal(plain('ca.crt'), readFileSync(place.file('ca.crt'), 'utf8'));
  assert.equal(plain('namespace'), 'default');
  assert.equal(secret.metadata.annotations['kubernetes.io/service-account.uid'], uid);
  const [, claims = ''] = plain('token').split('.');
  const { sub } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8'));
  assert.equal(sub, 'system:serviceaccount:default:default');

  await askForCertificate(place);
  await place.until(
    'bob has a certificate',
    async () => (await place.read(`${requests}/bob`)).status.certificate !== undefined,
  );
  const { status } = await place.read(`${requests}/bob`);
  const certificate = new X509Certificate(Buffer.from(status.certificate, 'base64'));
  const authority = new X509Certificate(readFileSync(place.file('ca.crt')));
  assert.ok(certificate.verify(authority.publicKey));
  const hours = (certificate.validToDate.getTime() - Date.now()) / 3_600_000;
  assert.ok(hours > 47 && hours < 48, `${hours} hours`);

  assert.equal(await get(port, '/healthz'), '200 ok');
  const figures = await get(port, '/metrics');
  assert.match(figures, /^200 [\s\S]*workqueue_adds_total\{name="cidrallocator_node"\}/);
  const names = ['node-lifecycle', 'replicationcontroller', 'endpoints', 'serviceaccount'];
  for (const name of [...names, 'serviceaccount-token']) {
    assert.match(one.log, new RegExp(`controller started controller="${name}-controller"`));
  }
  assert.doesNotMatch(one.log, /controller="ttl-controller"/);
  assert.match(one.log, /flag changes nothing here flag="--kube-api-qps"/);
  const end = ended(one.child);
  one.child.kill('SIGTERM');
  assert.equal(await end, 0);
});

async function askForCertificate(place: Place): Promise<void> {
  const csr = readFileSync(place.file('me.csr')).toString('base64');
  const signerName = 'kubernetes.io/kube-apiserver-client';
  await place.create(requests, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: 'bob' },
    spec: { request: csr, signerName, usages: ['client auth'] },
  });
  const asked = await place.read(`${requests}/bob`);
  const conditions = [{ type: 'Approved', status: 'True', reason: 'Asked', message: 'by hand' }];
  const approved = { ...asked, status: { conditions } };
  const path = `${requests}/bob/approval`;
  assert.equal((await place.api.server.request('PUT', path, approved)).status, 200);
}

test('of two copies one works; when it is killed the other goes on', {
  timeout: 180_000,
}, async (t) => {
  covers('HA-002', 'AUT-057');
  superseded('HA-019', { by: 'v1.20', now: 'the lock is a Lease of its own, not a ConfigMap' });
  await using api = await openApiPort();
  const place = new Place(api, t);
  const flags = ['--leader-elect=true', '--secure-port=0', ...sooner];
  const copies = [1, 2].map(() => place.start(t, 'kube-controller-manager', flags));
  const leads = ({ log }: { readonly log: string }): boolean => /^I \S+ leading /m.test(log);
  await place.until('one leads', async () => copies.some(leads));
  await place.until('both run', async () => copies.every(({ log }) => / controlling /.test(log)));
  const first = copies.find(leads);
  const second = copies.find((copy) => copy !== first);
  assert.ok(first !== undefined && second !== undefined);
  const holder = async (): Promise<string> => (await place.read(lease)).spec.holderIdentity;
  const renewed = async (): Promise<string> => (await place.read(lease)).spec.renewTime;
  const identity = ({ log }: { readonly log: string }): string | undefined =>
    / controlling .*identity="([^"]+)"/.exec(log)?.[1];
  assert.equal(await holder(), identity(first));
  // It renews and renews; the other only looks on.
  const before = await renewed();
  await place.until('it is renewed', async () => (await renewed()) !== before);
  assert.equal(leads(second), false);
  // Nothing is signed without an authority, and nobody fills in Secrets without a key.
  await askForCertificate(place);
  const election = 'leaseDuration: 9s\n  renewDeadline: 8s\n  retryPeriod: 300ms\n';
  writeFileSync(
    place.file('scheduler.yaml'),
    'apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n' +
      `leaderElection:\n  leaderElect: true\n  ${election}`,
  );
  const config = ['--config', place.file('scheduler.yaml'), '--secure-port=0', '--leader-elect'];
  const schedulers = [1, 2].map(() => place.start(t, 'kube-scheduler', config));
  await place.until('one schedules', async () => schedulers.some(leads));
  const third = schedulers.find(leads);
  const fourth = schedulers.find((copy) => copy !== third);
  assert.ok(third !== undefined && fourth !== undefined);
  await place.until('the other waits', async () => / scheduling /.test(fourth.log));
  const lock = lease.replace('kube-controller-manager', 'kube-scheduler');
  const who = async (): Promise<string> => (await place.read(lock)).spec.holderIdentity;
  const name = ({ log }: { readonly log: string }): string | undefined =>
    / scheduling .*identity="([^"]+)"/.exec(log)?.[1];
  assert.equal(await who(), name(third));
  assert.equal(leads(fourth), false);
  first.child.kill('SIGKILL');
  third.child.kill('SIGKILL');
  await place.until('the other leads', async () => (await holder()) === identity(second));
  await place.create('/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'later' },
  });
  const account = '/api/v1/namespaces/later/serviceaccounts/default';
  await place.until('it works', async () => (await place.read(account)).kind === 'ServiceAccount');
  await place.until('the other schedules', async () => (await who()) === name(fourth));
  assert.equal((await place.read(`${requests}/bob`)).status.certificate, undefined);
  const authority = ['--cluster-signing-cert-file', place.file('ca.crt')];
  authority.push('--cluster-signing-key-file', place.file('ca.key'));
  const alone = ['--controllers=csrsigning', '--leader-elect=false', '--secure-port=0'];
  place.start(t, 'kube-controller-manager', [...alone, ...authority]);
  await place.until(
    'one with an authority signs',
    async () => (await place.read(`${requests}/bob`)).status.certificate !== undefined,
  );
});

/** A kubeconfig that names a server nobody asks, in a folder of its own. */
function writeKubeconfig(t: TestContext): { readonly folder: string; readonly kubeconfig: string } {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-controllers-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const kubeconfig = join(folder, 'config');
  writeFileSync(
    kubeconfig,
    'clusters: [{name: c, cluster: {server: "https://10.0.0.1"}}]\n' +
      'contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n',
  );
  return { folder, kubeconfig };
}

test('flags that cannot be used are refused in upstream’s words', (t) => {
  const { folder, kubeconfig } = writeKubeconfig(t);
  const template = join(folder, 'pod.yaml');
  writeFileSync(template, 'apiVersion: v1\nkind: Pod\nmetadata: {name: scrub}\nspec: {}\n');
  const read = (flags: Readonly<Record<string, string | true>>) =>
    readControllerManagerSettings({ kubeconfig, ...flags }, {});
  const refuse = (flags: Readonly<Record<string, string | true>>, message: RegExp): void =>
    assert.throws(
      () => read(flags),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, message);
        return true;
      },
    );
  assert.throws(() => readControllerManagerSettings({}, {}), /--kubeconfig is needed outside/);
  refuse({ controllers: '*,none' }, /^"none" is not in the list of known controllers$/);
  refuse(
    { concurrentJobSyncs: 'x' },
    /^invalid argument "x" for "--concurrent-job-syncs" flag: strconv.ParseInt: parsing "x"/,
  );
  refuse({ leaderElect: 'maybe' }, /strconv.ParseBool: parsing "maybe": invalid syntax/);
  refuse({ nodeMonitorPeriod: '5' }, /time: invalid duration "5"/);
  refuse({ nodeEvictionRate: 'x' }, /strconv.ParseFloat/);
  refuse({ concurrentJobSyncs: '0' }, /concurrent-job-syncs must be greater than 0, but got 0/);
  refuse({ maxEndpointsPerSlice: '1001' }, /max-endpoints-per-slice must not be more than 1000/);
  refuse({ cloudProvider: 'aws' }, /cloud provider "aws" was specified, but built-in cloud/);
  refuse({ allocateNodeCidrs: true }, /invalid CIDR address: /);
  refuse(
    { allocateNodeCidrs: true, clusterCidr: '10.0.0.0/16', nodeCidrMaskSize: '12' },
    /mask size \/12 does not fit into 10\.0\.0\.0\/16/,
  );
  const both = { allocateNodeCidrs: true as const, clusterCidr: '10.0.0.0/16,fd42::/48' };
  refuse({ ...both, nodeCidrMaskSize: '26' }, /not allowed with dual-stack clusters/);
  refuse({ ...both, nodeCidrMaskSizeIpv6: '80' }, /the node CIDR size is too big/);
  refuse({ ...both, clusterCidr: '10.0.0.0/16,10.1.0.0/16' }, /one of each family/);
  refuse({ clusterSigningKeyFile: kubeconfig }, /cannot specify key without cert/);
  refuse(
    {
      ...{ clusterSigningCertFile: kubeconfig, clusterSigningKeyFile: kubeconfig },
      clusterSigningLegacyUnknownCertFile: kubeconfig,
      clusterSigningLegacyUnknownKeyFile: kubeconfig,
    },
    /cannot specify --cluster-signing-\{cert,key\}-file and other/,
  );
  refuse({ leaderElectResourceLock: 'endpoints' }, /resourceLock value must be "leases"/);
  refuse({ securePort: '70000' }, /--secure-port 70000 must be between 0 and 65535/);
  refuse({ pvRecyclerPodTemplateFilepathNfs: template }, /does not contain any volume\(s\)/);
  const volumes = 'volumes: [{name: vol, hostPath: {path: /any}}]';
  writeFileSync(template, `apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {${volumes}}\n`);
  const { hostPath, nfs } = read({ pvRecyclerPodTemplateFilepathHostpath: template }).controllers
    .recycling;
  assert.equal(hostPath.template.spec?.volumes?.[0]?.hostPath?.path, '/any');
  assert.equal(nfs.template, defaultSettings.recycling.nfs.template);
  assert.equal(read({}).controllers.hostPathProvisioner, false);
  assert.equal(read({ enableHostpathProvisioner: true }).controllers.hostPathProvisioner, true);
});

test('settings are upstream’s if nothing is said, and what is said counts', (t) => {
  superseded('HPA-010', { by: 'v1.12', now: 'the loop runs every 15 seconds' });
  superseded('HPA-022', {
    by: 'v1.22',
    now: 'metrics come from the metrics APIs alone, so the flag is gone; --master still goes before --kubeconfig',
  });
  const { kubeconfig } = writeKubeconfig(t);
  const read = (flags: Readonly<Record<string, string | true>>) =>
    readControllerManagerSettings({ kubeconfig, ...flags }, {});
  assert.ok(!('horizontal-pod-autoscaler-use-rest-clients' in controllerManagerFlags));
  assert.equal(read({}).access.server, 'https://10.0.0.1');
  assert.equal(read({ master: 'https://10.0.0.2' }).access.server, 'https://10.0.0.2');
  const plain = read({});
  assert.deepEqual(plain.controllers.controllers, ['*', '-serviceaccount-token-controller']);
  const { health, autoscaling } = plain.controllers;
  assert.equal(health.graceMs, 50_000);
  assert.equal(health.evictionPeriodMs, 10_000);
  assert.equal(autoscaling.syncPeriodMs, 15_000);
  assert.equal(plain.serving.port, 10_257);
  assert.ok(!('logtostderr' in controllerManagerFlags));
  assert.equal(plain.clusterCIDR, undefined);
  assert.deepEqual(plain.election.enabled, true);
  assert.deepEqual(plain.idle, []);
  const { controllers, idle, clusterCIDR } = read({
    ...{ controllers: 'podgc,-job,*', concurrentRcSyncs: '7', terminatedPodGcThreshold: '3' },
    ...{ nodeMonitorGracePeriod: '40s', nodeMonitorPeriod: '2s', nodeEvictionRate: '0' },
    ...{ secondaryNodeEvictionRate: '0.5', unhealthyZoneThreshold: '0.7' },
    ...{ horizontalPodAutoscalerSyncPeriod: '5s', horizontalPodAutoscalerTolerance: '0.2' },
    ...{ enableGarbageCollector: 'false', useServiceAccountCredentials: true },
    // Without --allocate-node-cidrs it is ignored, as upstream says.
    clusterCidr: '10.0.0.0/16',
  });
  assert.deepEqual(controllers.controllers, [
    ...['pod-garbage-collector-controller', '-job-controller', '*'],
    ...['-garbage-collector-controller', '-serviceaccount-token-controller'],
  ]);
  assert.equal(controllers.workers['replicationcontroller-controller'], 7);
  assert.equal(controllers.terminatedPodsMax, 3);
  assert.deepEqual(controllers.health, {
    ...plain.controllers.health,
    graceMs: 40_000,
    monitorPeriodMs: 2_000,
    evictionPeriodMs: Infinity,
    slowEvictionPeriodMs: 2_000,
    unhealthyShare: 0.7,
  });
  assert.equal(controllers.autoscaling.syncPeriodMs, 5_000);
  assert.equal(controllers.autoscaling.tolerance, 0.2);
  assert.equal(clusterCIDR, undefined);
  assert.deepEqual(idle, ['cluster-cidr', 'use-service-account-credentials']);
});
