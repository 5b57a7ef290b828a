/**
 * The kubelet alone, as somebody sets it up who has an API server already: a bootstrap token, a
 * KubeletConfiguration, a runtime and a pod network of others. Then without any API server.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import { issueCertificate } from '#kit/x509.ts';
import { until } from '#test/cluster-process.ts';
import { covers } from '#test/covers.ts';
import { KubeletProcess } from '#test/kubelet-process.ts';
import { busyboxImage, OwnRuntime } from '#test/own-runtime.ts';
import { ServerProcess } from '#test/server-process.ts';

const { signal } = new AbortController();
const nodeName = 'alone';

const pod = `
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: ${busyboxImage}
    command: [sh, -c, "echo serving; trap exit TERM; while true; do sleep 1; done"]
`;

/** The certificate that whoever connects is shown. */
function shownBy(port: number): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

test('a kubelet alone beside an API server', { timeout: 180_000 }, async (t) => {
  await using server = await ServerProcess.open(['--node', 'none']);
  await server.start();
  await using runtime = await OwnRuntime.open();
  await using kubelet = await KubeletProcess.open(runtime);
  const admin = join(server.dataDir, 'admin.kubeconfig');
  const kubectl = (...args: readonly string[]): Promise<CommandResult> =>
    runCommand('kubectl', ['--kubeconfig', admin, ...args], { signal, timeoutMs: 60_000 });
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await kubectl(...args);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}${stdout}\n${kubelet.output}`);
    return stdout;
  };
  const tls = join(server.dataDir, 'server/tls');
  const ca = readFileSync(join(tls, 'ca.crt'), 'utf8');
  const token = readFileSync(join(server.dataDir, 'server/token'), 'utf8').trim().split('::')[1];
  const loginFile = (name: string, authority: string): string => {
    const path = join(runtime.folder, name);
    writeFileSync(
      path,
      `apiVersion: v1
kind: Config
clusters:
- name: c
  cluster:
    server: https://127.0.0.1:${server.port}
    certificate-authority-data: ${Buffer.from(authority).toString('base64')}
users: [{ name: u, user: { token: "${token}" } }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`,
    );
    return path;
  };
  const kubeconfig = join(runtime.folder, 'kubelet.conf');
  const fields = [
    'rotateCertificates: true',
    'serverTLSBootstrap: true',
    `authentication: { x509: { clientCAFile: ${join(tls, 'ca.crt')} } }`,
  ];
  const flags = [
    ...['--kubeconfig', kubeconfig, '--bootstrap-kubeconfig', loginFile('bootstrap.conf', ca)],
    ...['--hostname-override', nodeName, '--node-ip', '127.0.0.1', '--node-labels', 'disk=ssd'],
  ];
  const current = join(kubelet.certDir, 'kubelet-client-current.pem');

  await t.test('it does not believe a server of another authority', async () => {
    const nowMs = systemClock().now();
    const stranger = issueCertificate(
      { random: systemRandom() },
      { commonName: 'other', role: 'ca', notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 60_000 },
    );
    const wrong = loginFile('wrong.conf', stranger.cert);
    const start = kubelet.start(fields, [
      ...['--kubeconfig', kubeconfig, '--bootstrap-kubeconfig', wrong],
    ]);
    await assert.rejects(start, /the kubelet ended early:.*certificate/is);
  });
  await t.test('it gets its certificates, registers and is Ready', async () => {
    await kubelet.start(fields, flags);
    assert.match(readFileSync(kubeconfig, 'utf8'), /client-certificate: .*kubelet-client-current/);
    const { subject } = new X509Certificate(readFileSync(current));
    assert.equal(subject, `O=system:nodes\nCN=system:node:${nodeName}`);
    await until(async () => (await kubectl('get', 'node', nodeName)).code === 0, {
      what: () => `the Node is there\n${kubelet.output}`,
      limitMs: 20_000,
    });
    await ok('wait', '--for=condition=Ready', `node/${nodeName}`, '--timeout=20s');
    assert.equal(await ok('get', 'nodes', '-l', 'disk=ssd', '-o', 'name'), `node/${nodeName}\n`);
    await until(async () => (await shownBy(kubelet.port)).issuer === 'CN=coracle-ca', {
      what: 'the cluster has signed what it serves with',
      limitMs: 20_000,
    });
    covers('BOO-045');
  });
  await t.test('a pod is scheduled and runs, with logs and exec', async () => {
    const path = join(runtime.folder, 'pod.yaml');
    writeFileSync(path, pod);
    await ok('apply', '-f', path);
    await ok('wait', '--for=condition=Ready', 'pod/web', '--timeout=30s');
    assert.equal(await ok('logs', 'web'), 'serving\n');
    assert.equal(await ok('exec', 'web', '--', 'hostname'), 'web\n');
  });
  const container = (): Promise<string> =>
    ok('get', 'pod', 'web', '-o', 'jsonpath={.status.containerStatuses[0].containerID}');
  await t.test('its certificate ends while it runs, and nobody notices', async () => {
    const before = await container();
    await kubelet.kill();
    const nowMs = systemClock().now();
    const endMs = nowMs + 6_000;
    const read = (name: string): string => readFileSync(join(tls, name), 'utf8');
    const ending = issueCertificate(
      { random: systemRandom() },
      {
        ...{ commonName: `system:node:${nodeName}`, organizations: ['system:nodes'] },
        ...{ role: 'client', notBeforeMs: nowMs - 3_600_000, notAfterMs: endMs },
        issuer: { cert: read('ca.crt'), key: read('ca.key') },
      },
    );
    writeFileSync(current, ending.cert + ending.key);
    await kubelet.start(fields, flags);
    await until(() => new X509Certificate(readFileSync(current)).validToDate.getTime() > endMs, {
      what: () => `another certificate is there\n${kubelet.output}`,
      limitMs: 15_000,
    });
    await until(() => systemClock().now() > endMs + 1000, { what: 'it is over', limitMs: 15_000 });
    await ok('annotate', 'pod', 'web', 'seen=again');
    assert.equal(await ok('exec', 'web', '--', 'hostname'), 'web\n');
    assert.equal(await container(), before);
    await ok('delete', 'pod', 'web', '--timeout=20s');
    assert.equal((await kubectl('get', 'pod', 'web')).code, 1);
  });
  await t.test('without an API server it runs what lies in its folder', async () => {
    await kubelet.kill();
    const manifests = join(runtime.folder, 'manifests');
    mkdirSync(manifests);
    writeFileSync(join(manifests, 'web.yaml'), pod.replace('name: web', 'name: still'));
    await kubelet.start(
      [`staticPodPath: ${manifests}`, 'enableServer: false'],
      [...['--hostname-override', nodeName, '--node-ip', '127.0.0.1']],
    );
    assert.match(kubelet.output, /Standalone mode, no API client/);
    const running = async (): Promise<readonly string[]> => {
      const all = await runtime.runtime.listContainers({}, { signal });
      return all
        .filter(({ state }) => state === 'CONTAINER_RUNNING')
        .map(({ labels }) => labels['io.kubernetes.pod.name'] ?? '');
    };
    await until(async () => (await running()).join() === `still-${nodeName}`, {
      what: () => `the static pod runs\n${kubelet.output}`,
      limitMs: 30_000,
    });
  });
});
