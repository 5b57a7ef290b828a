/**
 * Figures and health of scheduler and controllers, from a server in a process of its own: who may
 * read them, and that they count what happened.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { Client } from '#client';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import type { ComponentStatus } from '#resources/types/core-v1.ts';
import { type Asked, askHttps } from '#test/ask-https.ts';
import { superseded } from '#test/covers.ts';
import { freePort } from '#test/free-port.ts';
import { ServerProcess } from '#test/server-process.ts';
import type { ClusterState } from '../state.ts';
import { runComponentServers } from './component-servers.ts';

const ask = (port: number, path: string, tls: object, token = ''): Promise<Asked> =>
  askHttps(port, path, token === '' ? { tls } : { tls, token });

test('figures of scheduler and controllers are told to those who may', {
  timeout: 300_000,
}, async () => {
  await using server = await ServerProcess.open(['--node', 'hollow', '--nodes', '1']);
  await server.start();
  // Written by the program itself.
  const state = JSON.parse(
    readFileSync(join(server.dataDir, 'cluster.json'), 'utf8'),
  ) as ClusterState;
  const { controllersPort = 0, schedulerPort = 0 } = state;
  const kubeconfig = readFileSync(join(server.dataDir, 'admin.kubeconfig'), 'utf8');
  const pem = (name: string): string => {
    const [, value = ''] = new RegExp(`${name}"?: "?([A-Za-z0-9+/=]+)`).exec(kubeconfig) ?? [];
    return Buffer.from(value, 'base64').toString('utf8');
  };
  const ca = { ca: pem('certificate-authority-data') };
  const admin = { ...ca, cert: pem('client-certificate-data'), key: pem('client-key-data') };

  superseded('API-009', {
    by: 'v1.19',
    now: 'deprecated, and told so; the store is one row, whose message is ok',
  });
  const statuses = await server.request('GET', '/api/v1/componentstatuses');
  const { items } = JSON.parse(statuses.text);
  const rows = items.map((one: ComponentStatus) => [
    ...[one.metadata.name, one.conditions?.[0]?.type, one.conditions?.[0]?.message],
  ]);
  assert.deepEqual(rows.toSorted(), [
    ['controller-manager', 'Healthy', 'ok'],
    ['etcd-0', 'Healthy', 'ok'],
    ['scheduler', 'Healthy', 'ok'],
  ]);

  superseded('MON-003', {
    by: 'v1.20',
    now: 'with TLS, on the ports of these three; that of the kubelet stays 10248, on loopback',
  });
  assert.deepEqual(await ask(schedulerPort, '/healthz', ca), { status: 200, text: 'ok' });
  assert.deepEqual(await ask(controllersPort, '/readyz', ca), { status: 200, text: 'ok' });
  assert.deepEqual(await ask(controllersPort, '/healthz', ca), { status: 200, text: 'ok' });
  assert.deepEqual(await ask(server.port, '/healthz', ca), { status: 200, text: 'ok' });
  assert.equal((await ask(schedulerPort, '/metrics', ca)).status, 401);
  assert.equal((await ask(schedulerPort, '/metrics', ca, 'nonsense')).status, 401);
  assert.equal((await ask(schedulerPort, '/nothing', admin)).status, 404);

  const accounts = '/api/v1/namespaces/default/serviceaccounts';
  await server.until(
    async () => (await server.request('GET', `${accounts}/default`)).status === 200,
    'the namespace has its account',
  );
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const made = await server.request('POST', `${accounts}/default/token`, review);
  const { token } = JSON.parse(made.text).status;
  const refused = await ask(controllersPort, '/metrics', ca, token);
  assert.equal(refused.status, 403);
  assert.match(refused.text, /User "system:serviceaccount:default:default" cannot get path "\/met/);

  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: { nodeSelector: { none: 'such' }, containers: [{ name: 'c', image: 'web' }] },
  };
  assert.equal((await server.request('POST', '/api/v1/namespaces/default/pods', pod)).status, 201);
  const both = [
    /^process_resident_memory_bytes [1-9]\d+$/m,
    /^kubernetes_build_info\{git_version="v1\.36/m,
    /^rest_client_requests_total\{code="20\d",host="[\w.]+:\d+",method="\w+"\} [1-9]/m,
  ];
  // What is counted at the end of an attempt comes before what is sent about it.
  await untilTold(server, () => ask(schedulerPort, '/metrics', admin), [
    ...both,
    // Once more if the node came after the pod.
    /^scheduler_schedule_attempts_total\{result="unschedulable",.*\} [12]$/m,
    /^scheduler_pending_pods\{queue="unschedulable"\} 1$/m,
  ]);
  await untilTold(server, () => ask(controllersPort, '/metrics', admin), [
    ...both,
    /^workqueue_adds_total\{name="serviceaccount"\} [1-9]/m,
    /^workqueue_depth\{name="deployment"\} 0$/m,
  ]);
});

/** Says which of the lines are missing. */
async function untilTold(
  server: ServerProcess,
  read: () => Promise<Asked>,
  lines: readonly RegExp[],
): Promise<void> {
  let missing = lines;
  const isTold = async (): Promise<boolean> => {
    const { text } = await read();
    missing = lines.filter((line) => !line.test(text));
    return missing.length === 0;
  };
  await server.until(isTold, () => `it tells ${missing.map(String).join(' and ')}`);
}

test('a certificate that is renewed is shown to connections from then on', async () => {
  const random = systemRandom();
  const clock = systemClock();
  const validity = { notBeforeMs: clock.now() - 60_000, notAfterMs: clock.now() + 3_600_000 };
  const ca = issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...validity });
  const pair = () =>
    issueCertificate(
      { random },
      { commonName: 'one', role: 'server', issuer: ca, ipAddresses: ['127.0.0.1'], ...validity },
    );
  const stop = new AbortController();
  const port = await freePort();
  let renew: ((next: { cert: string; key: string }) => void) | undefined;
  const figures = { runs: true, read: async () => '' };
  const first = pair();
  const running = runComponentServers(
    { clock, client: {} as Client, figures, log: silentLog },
    {
      ports: { scheduler: port },
      host: '127.0.0.1',
      tls: { ...first, ca: ca.cert },
      onRenewal: (use) => {
        renew = use;
      },
      signal: stop.signal,
    },
  );
  try {
    const shown = (): Promise<string> => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const options = { host: '127.0.0.1', port, path: '/healthz', agent: false, ca: ca.cert };
      const sent = request(options, (response) => {
        // A request of HTTPS has a socket of TLS.
        const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
        response.resume();
        response.on('end', () => resolve(serialNumber));
      });
      sent.once('error', reject);
      sent.end();
      return promise;
    };
    const serial = (of: { readonly cert: string }) => new X509Certificate(of.cert).serialNumber;
    while (renew === undefined) await clock.sleep(5, { signal: stop.signal });
    assert.equal(await shown(), serial(first));
    const second = pair();
    renew(second);
    assert.equal(await shown(), serial(second));
  } finally {
    stop.abort(new Error('test is over'));
    await running;
  }
});
