/** HTTP and TCP tries against real sockets of this process. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { issueCertificate } from '#kit/x509.ts';
import { validatePod } from '#resources/core/pod/spec-validation.ts';
import type { HTTPGetAction } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { freePort } from '#test/free-port.ts';
import { httpProbe, tcpProbe } from './http-probe.ts';
import { portOf, type TryDeps, tryHandler, tryProbe } from './try.ts';

const { signal } = new AbortController();
const host = '127.0.0.1';
const limits = { clock: systemClock(), timeoutMs: 60_000, signal };

async function listen(context: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  context.after(() => server.close());
  // It listens on TCP.
  return (server.address() as AddressInfo).port;
}

test('HTTP: 200 to 399 is success, the request is as asked', async (context) => {
  covers('POD-094');
  let status = 200;
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    response.writeHead(status);
    response.end('body');
  });
  const port = await listen(context, server);
  const httpHeaders = [
    { name: 'X-Custom-Header', value: 'Awesome' },
    { name: 'Host', value: 'example.com' },
  ];
  const action = { port, path: '/healthz?x=1', httpHeaders };
  const probe = () => httpProbe(action, { host, port }, limits);
  assert.deepEqual(await probe(), { result: 'success', message: '' });
  const [request] = requests;
  assert.equal(request?.url, '/healthz?x=1');
  assert.equal(request?.headers['x-custom-header'], 'Awesome');
  assert.equal(request?.headers.host, 'example.com');
  status = 302;
  const message = 'Probe terminated redirects, Response body: body';
  assert.deepEqual(await probe(), { result: 'warning', message }, 'it leads nowhere');
  for (status of [404, 500]) {
    const message = `HTTP probe failed with statuscode: ${status}`;
    assert.deepEqual(await probe(), { result: 'failure', message });
  }
});

test('redirects are followed on the same host, and told of where they lead elsewhere', async (context) => {
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    const location = new URL(url, 'http://x').searchParams.get('loc');
    if (url === '/sick') response.writeHead(500);
    else if (url !== '/well') response.writeHead(302, { location: location ?? url });
    response.end(location === null ? 'text' : `to ${location}`);
  });
  const port = await listen(context, server);
  const probe = (path: string, purpose: 'probe' | 'lifecycle' = 'probe') =>
    httpProbe({ port, path }, { host, port }, limits, purpose);
  assert.equal((await probe('/go?loc=/well')).result, 'success');
  assert.deepEqual(asked.splice(0), ['/go?loc=/well', '/well']);
  assert.equal((await probe(`/go?loc=http://${host}:${port}/sick`)).result, 'failure');
  asked.length = 0;
  assert.deepEqual(await probe('/go?loc=http://0.0.0.0/'), {
    result: 'warning',
    message: 'Probe terminated redirects, Response body: to http://0.0.0.0/',
  });
  assert.deepEqual(asked.splice(0), ['/go?loc=http://0.0.0.0/']);
  assert.match((await probe('/round')).message, /stopped after 10 redirects$/);
  assert.equal(asked.length, 10);
  assert.equal((await probe('/sick', 'lifecycle')).result, 'success', 'a hook was heard');
});

test('HTTPS: the certificate is not looked at', async (context) => {
  const request = { commonName: 'x', role: 'server', notBeforeMs: 0, notAfterMs: 1e12 } as const;
  const pair = issueCertificate({ random: systemRandom() }, request);
  const port = await listen(
    context,
    createSecureServer(pair, (_, response) => response.end()),
  );
  const result = await httpProbe({ port, scheme: 'HTTPS' }, { host, port }, limits);
  assert.equal(result.result, 'success');
  const plain = await listen(
    context,
    createServer((_, response) => response.end()),
  );
  const target = { host, port: plain };
  const said = await httpProbe({ port: plain, scheme: 'HTTPS' }, target, limits);
  assert.match(said.message, /": http: server gave HTTP response to HTTPS client$/);
  const hook = { httpGet: { host, port: plain, scheme: 'HTTPS' } };
  const subject = { container: { name: 'c' }, containerId: 'c', podIP: '' };
  // Only time is asked for.
  const deps = { clock: systemClock() } as unknown as TryDeps;
  const heard = await tryHandler(deps, hook, subject, { signal, timeoutSeconds: 10 });
  assert.equal(heard.result, 'success', 'a hook tries again without TLS');
});

test('TCP: an open port is success, a closed one is named', async (context) => {
  const server = createTcpServer();
  const port = await listen(context, server);
  assert.equal((await tcpProbe({ host, port }, limits)).result, 'success');
  // Not the one that was open: the kernel may give that to somebody else.
  const closed = await freePort();
  assert.deepEqual(await tcpProbe({ host, port: closed }, limits), {
    result: 'failure',
    message: `dial tcp 127.0.0.1:${closed}: connect: connection refused`,
  });
  const refused = await httpProbe({ port: closed }, { host, port: closed }, limits);
  assert.match(refused.message, /^Get "http:\/\/127.*": dial tcp .*: connection refused$/);
});

test('a server that says nothing fails the probe when its time is over', async (context) => {
  const port = await listen(
    context,
    createServer(() => {}),
  );
  const clock = new VirtualClock();
  const waiting = httpProbe({ port }, { host, port }, { clock, timeoutMs: 1000, signal });
  await settle();
  await clock.advance(1000);
  assert.match((await waiting).message, /context deadline exceeded/);
});

test('an HTTP probe asks the pod itself, in plain HTTP, unless it says otherwise', async (context) => {
  covers('POD-172');
  const asked: IncomingMessage[] = [];
  const answer: RequestListener = (request, response) => {
    asked.push(request);
    response.end();
  };
  const port = await listen(context, createServer(answer));
  const issued = { commonName: 'x', role: 'server', notBeforeMs: 0, notAfterMs: 1e12 } as const;
  const pair = issueCertificate({ random: systemRandom() }, issued);
  const securePort = await listen(context, createSecureServer(pair, answer));
  // Only time is asked for.
  const deps = { clock: systemClock() } as unknown as TryDeps;
  const container = { name: 'c', ports: [{ name: 'live', containerPort: port }] };
  const probe = (httpGet: HTTPGetAction, podIP = host) =>
    tryProbe(
      deps,
      { httpGet, timeoutSeconds: 60 },
      { container, containerId: 'c', podIP },
      { signal },
    );
  const twice = ['a', 'b'].map((value) => ({ name: 'X-Twice', value }));
  assert.equal((await probe({ port: 'live', httpHeaders: twice })).result, 'success');
  assert.deepEqual(asked[0]?.headersDistinct['x-twice'], ['a', 'b']);
  assert.equal((await probe({ port, host }, '192.0.2.1')).result, 'success');
  assert.equal((await probe({ port: securePort, scheme: 'HTTPS' })).result, 'success');
  assert.equal(asked.length, 3);
  const refused = (number: number) => {
    const livenessProbe = { httpGet: { port: number, path: '/', scheme: 'HTTP' } };
    const spec = { containers: [{ name: 'c', image: 'i:1', livenessProbe }] };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'n' }, spec };
    return validatePod(pod).some(({ field }) => field.endsWith('livenessProbe.httpGet.port'));
  };
  assert.deepEqual([0, 1, 65_535, 65_536].map(refused), [true, false, false, true]);
});

test('ports are found by number and by name', () => {
  const container = { name: 'c', ports: [{ name: 'live', containerPort: 8080 }] };
  assert.deepEqual(
    [portOf(container, 80), portOf(container, 'live'), portOf(container, 'none')],
    [80, 8080, undefined],
  );
});
