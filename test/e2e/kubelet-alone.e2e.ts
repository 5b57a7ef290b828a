/**
 * The kubelet alone, as somebody sets it up who has an API server already: a bootstrap token, a
 * KubeletConfiguration, a runtime and a pod network of others. Then without any API server.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { systemClock } from '#kit/clock.ts';
import { serveGrpc } from '#kit/grpc.ts';
import { readMounts } from '#kit/mounts.ts';
import { systemRandom } from '#kit/random.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import { issueCertificate } from '#kit/x509.ts';
import { until } from '#test/cluster-process.ts';
import { covers, superseded } from '#test/covers.ts';
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

const standalone = ['--hostname-override', nodeName, '--node-ip', '127.0.0.1'];

function cgroupTrees(): readonly string[] {
  return readMounts()
    .filter(({ type }) => type.startsWith('cgroup'))
    .map(({ mountPoint }) => mountPoint);
}

/** In every tree, as somebody does who keeps a part of the machine for himself. */
function makeCgroup(path: string): void {
  for (const tree of cgroupTrees()) mkdirSync(join(tree, path), { recursive: true });
}

function cgroupFile(path: string, ...files: readonly string[]): string {
  const all = cgroupTrees().flatMap((tree) => files.map((file) => join(tree, path, file)));
  const found = all.find((file) => existsSync(file));
  assert.ok(found !== undefined, `there is no ${files.join(' or ')} of ${path}`);
  return readFileSync(found, 'utf8').trim();
}

/** The certificate that whoever connects is shown. */
function shownBy(port: number, host = '127.0.0.1'): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

test('a kubelet alone beside an API server', { timeout: 480_000 }, async (t) => {
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
    ...['--cluster-dns', '10.96.0.10', '--cluster-domain', 'my.domain'],
  ];
  const current = join(kubelet.certDir, 'kubelet-client-current.pem');
  let startMs = 0;

  await t.test('without its configuration it ends whenever it is started', async () => {
    // Whoever watches over it starts it again and again: until the next test has written one.
    const config = join(runtime.folder, 'kubelet.yaml');
    const start = ['kubelet', '--config', config, '--root-dir', kubelet.rootDir];
    for (let tries = 0; tries < 2; tries++) {
      const all = ['bin/coracle.js', ...start];
      const ended = await runCommand(process.execPath, all, { signal, timeoutMs: 60_000 });
      assert.equal(ended.code, 1, ended.stderr);
      assert.match(ended.stderr, /failed to load kubelet config file.*no such file or directory/);
    }
    // How often systemd does is in src/cluster/commands/install-command.disk.test.ts.
    covers('POD-005');
  });
  await t.test('it does not start over a runtime that is too old', async () => {
    const endpoint = `unix://${join(runtime.folder, 'old.sock')}`;
    // As containerd was before 1.6, and CRI-O before 1.20.
    using _old = await serveGrpc(endpoint, [
      {
        path: '/runtime.v1alpha2.RuntimeService/Version',
        decode: (bytes) => bytes,
        encode: () => new Uint8Array(),
        answer: async () => undefined,
      },
    ]);
    const start = kubelet.start([], [...standalone, '--container-runtime-endpoint', endpoint]);
    await assert.rejects(start, /validate CRI v1 runtime API for endpoint "unix:.*old\.sock": /);
    assert.ok(!existsSync(join(kubelet.rootDir, 'pods')), 'there is nothing for a pod');
    const now = 'no version is compared: over one without CRI v1 the kubelet does not start';
    superseded('POD-036', { by: 'v1.26', now });
  });
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
    const absent = kubelet.start(fields, ['--kubeconfig', kubeconfig]);
    await assert.rejects(absent, /invalid kubeconfig: stat .*kubelet.conf: no such file/s);
    assert.equal(await ok('get', 'nodes', '-o', 'name'), '');
    covers('POD-052');
  });
  await t.test('it gets its certificates, registers and is Ready', async () => {
    const beforeMs = systemClock().monotonic();
    await kubelet.start(fields, flags);
    startMs = systemClock().monotonic() - beforeMs;
    assert.match(readFileSync(kubeconfig, 'utf8'), /client-certificate: .*kubelet-client-current/);
    const { subject } = new X509Certificate(readFileSync(current));
    assert.equal(subject, `O=system:nodes\nCN=system:node:${nodeName}`);
    await until(async () => (await kubectl('get', 'node', nodeName)).code === 0, {
      what: () => `the Node is there\n${kubelet.output}`,
      limitMs: 60_000,
    });
    await ok('wait', '--for=condition=Ready', `node/${nodeName}`, '--timeout=60s');
    assert.equal(await ok('get', 'nodes', '-l', 'disk=ssd', '-o', 'name'), `node/${nodeName}\n`);
    const path = 'jsonpath={range .status.addresses[*]}{.type}={.address} {end}';
    const addresses = await ok('get', 'node', nodeName, '-o', path);
    assert.equal(addresses, `InternalIP=127.0.0.1 Hostname=${nodeName} `);
    covers('POD-007', 'POD-055', 'POD-056');
    const told = 'a cloud’s controller tells ExternalIP; the kubelet the other two';
    superseded('POD-045', { by: 'v1.31', now: told });
    assert.ok(existsSync(join(kubelet.rootDir, 'pods')), 'its folders are where it was told');
    superseded('POD-010', { by: 'v1.24', now: '--root-dir; there is no --docker-root' });
    await until(async () => (await shownBy(kubelet.port)).issuer === 'CN=coracle-ca', {
      what: 'the cluster has signed what it serves with',
      limitMs: 60_000,
    });
    covers('BOO-045');
  });
  await t.test('a pod is scheduled and runs, with logs and exec', async () => {
    const path = join(runtime.folder, 'pod.yaml');
    writeFileSync(path, pod);
    await ok('apply', '-f', path);
    await ok('wait', '--for=condition=Ready', 'pod/web', '--timeout=60s');
    await until(async () => (await ok('logs', 'web')) === 'serving\n', {
      what: 'it says so',
      limitMs: 60_000,
    });
    assert.equal(await ok('exec', 'web', '--', 'hostname'), 'web\n');
    const resolving = await ok('exec', 'web', '--', 'cat', '/etc/resolv.conf');
    assert.match(resolving, /^search default\.svc\.my\.domain svc\.my\.domain my\.domain\b/m);
    assert.match(resolving, /^nameserver 10\.96\.0\.10$/m);
    covers('POD-212', 'DNS-024');
    const local = 'the two programs still suffice; over TLS with a login, not localhost:8080';
    superseded('POD-016', { by: 'v1.20', now: local });
  });
  const container = (): Promise<string> =>
    ok('get', 'pod', 'web', '-o', 'jsonpath={.status.containerStatuses[0].containerID}');
  await t.test('its certificate ends while it runs, and nobody notices', async () => {
    const before = await container();
    const read = (name: string): string => readFileSync(join(tls, name), 'utf8');
    const put = (notAfterMs: number): void => {
      const { cert, key } = issueCertificate(
        { random: systemRandom() },
        {
          ...{ commonName: `system:node:${nodeName}`, organizations: ['system:nodes'] },
          ...{ role: 'client', notBeforeMs: systemClock().now() - 3_600_000, notAfterMs },
          issuer: { cert: read('ca.crt'), key: read('ca.key') },
        },
      );
      writeFileSync(current, cert + key);
    };
    await kubelet.kill();
    // One that was away for too long comes in as it did at first.
    put(systemClock().now() - 1000);
    await kubelet.start(fields, flags);
    await kubelet.kill();
    // Long enough to start with, however slow this machine is.
    const endMs = systemClock().now() + 4000 + 3 * startMs;
    put(endMs);
    await kubelet.start(fields, flags);
    await until(() => new X509Certificate(readFileSync(current)).validToDate.getTime() > endMs, {
      what: () => `another certificate is there\n${kubelet.output}`,
      limitMs: 60_000,
    });
    const limitMs = 10_000 + 3 * startMs;
    await until(() => systemClock().now() > endMs + 1000, { what: 'it is over', limitMs });
    await ok('annotate', 'pod', 'web', 'seen=again');
    assert.equal(await ok('exec', 'web', '--', 'hostname'), 'web\n');
    assert.equal(await container(), before);
    await ok('delete', 'pod', 'web', '--timeout=60s');
    assert.equal((await kubectl('get', 'pod', 'web')).code, 1);
  });
  await t.test('without an API server it runs what lies in its folder', async () => {
    await kubelet.kill();
    const manifests = join(runtime.folder, 'manifests');
    mkdirSync(manifests);
    writeFileSync(join(manifests, 'web.yaml'), pod.replace('name: web', 'name: still'));
    await kubelet.start(
      [`staticPodPath: ${manifests}`, 'resolvConf: ""'],
      [...standalone, '--address=127.0.0.1', `--healthz_port=${kubelet.healthzPort}`],
    );
    await until(() => /Standalone mode, no API client/.test(kubelet.output), {
      what: () => `it says so: ${kubelet.output}`,
      limitMs: 60_000,
    });
    // What ended before may still be there.
    const state = { state: 'CONTAINER_RUNNING' } as const;
    const running = async (): Promise<readonly string[]> => {
      const all = await runtime.runtime.listContainers({ state }, { signal });
      return all.map(({ id, labels }) => `${labels['io.kubernetes.pod.name']} ${id}`);
    };
    const isOwn = new RegExp(`^still-${nodeName} [^,]+$`);
    await until(async () => isOwn.test((await running()).join()), {
      what: () => `the static pod runs\n${kubelet.output}`,
      limitMs: 60_000,
    });
    const first = (await running()).join();
    const id = first.split(' ').at(-1) ?? '';
    // It asks nobody that the machine asks.
    const options = { signal, timeoutSeconds: 60 };
    const cmd = ['cat', '/etc/resolv.conf'];
    const { stdout } = await runtime.runtime.execSync({ containerId: id, cmd }, options);
    assert.equal(Buffer.from(stdout).toString(), 'search .\nnameserver 127.0.0.1\n');
    covers('POD-012');
    await runtime.runtime.stopContainer(id, { graceSeconds: 0, signal });
    const isOther = async (): Promise<boolean> => {
      const now = (await running()).join();
      return isOwn.test(now) && now !== first;
    };
    const what = () => `it runs again\n${kubelet.output}`;
    await until(isOther, { what, limitMs: 60_000 });
    // That systemd watches over the program itself is in
    // src/cluster/commands/install-command.disk.test.ts.
    covers('POD-035');
    const { issuer } = await shownBy(kubelet.port);
    assert.match(issuer, /alone/);
    await assert.rejects(shownBy(kubelet.port, '127.0.0.2'), /ECONNREFUSED/);
    const healthz = `http://127.0.0.1:${kubelet.healthzPort}/healthz`;
    assert.equal(await (await fetch(healthz)).text(), 'ok');
    covers('POD-006');
  });
  await t.test('what is reserved is enforced, in cgroups that have to be there', async () => {
    await kubelet.kill();
    const flags = [
      ...standalone,
      ...['--kube-reserved=cpu=100m,memory=100Mi', '--kube-reserved-cgroup=/coracle-alone/kube'],
      ...['--system-reserved=cpu=50m,memory=64Mi,ephemeral-storage=1Gi'],
      '--system-reserved-cgroup=/coracle-alone/system',
    ];
    const enforce = '--enforce-node-allocatable=pods,kube-reserved,system-reserved';
    const refused = (name: string): Promise<void> =>
      assert.rejects(
        kubelet.start([], [...flags, enforce]),
        new RegExp(`Failed to enforce ${name} Reserved Cgroup Limits on .* some missing paths`),
      );
    await assert.rejects(
      kubelet.start([], [...standalone, '--enforce-node-allocatable=pods,system-reserved']),
      /systemReservedCgroup \(--system-reserved-cgroup\) must be specified/,
    );
    await refused('System');
    makeCgroup('coracle-alone/system');
    await refused('Kube');
    makeCgroup('coracle-alone/kube');
    await kubelet.start([], [...flags, enforce]);
    const limitOf = (name: string): number =>
      Number(cgroupFile(`coracle-alone/${name}`, 'memory.limit_in_bytes', 'memory.max'));
    assert.equal(limitOf('kube'), 100 * 1024 ** 2);
    assert.equal(limitOf('system'), 64 * 1024 ** 2);
    await until(() => totalmem() - limitOf('kubepods') === 164 * 1024 ** 2, {
      what: () => `pods have the rest: ${limitOf('kubepods')} of ${totalmem()}`,
      limitMs: 60_000,
    });
    covers('POD-267', 'POD-268', 'POD-269');
  });
});
