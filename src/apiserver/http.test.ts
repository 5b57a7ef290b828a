/** The one test that opens sockets: TLS, both HTTP versions, streams, upgrades, closing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createPlain } from 'node:http';
import { connect as connectH2 } from 'node:http2';
import { createServer as createKubelet, request as httpsRequest } from 'node:https';
import { type AddressInfo, connect as connectPlain } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const random = systemRandom();
const nowMs = systemClock().now();
const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_600_000 };
const configMaps = '/api/v1/namespaces/default/configmaps';

function issue(
  commonName: string,
  role: 'server' | 'client',
  issuer: KeyPair,
  groups: string[] = [],
) {
  const ipAddresses = role === 'server' ? ['127.0.0.1'] : [];
  const given = { commonName, organizations: groups, role, ipAddresses, issuer, ...validity };
  return issueCertificate({ random }, given);
}

interface World {
  readonly server: TestServer;
  readonly port: number;
  readonly ca: KeyPair;
  readonly admin: KeyPair;
  readonly serving: KeyPair;
}

let world: World;

before(async () => {
  const ca = issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...validity });
  const admin = issue('admin', 'client', ca, ['system:masters']);
  const serving = issue('kubernetes', 'server', ca);
  const kubeletClient = { ca: ca.cert, ...admin };
  const server = await openTestServer({ options: { kubeletClient } });
  const listen = { host: '127.0.0.1', port: 0, ...serving, clientCA: ca.cert };
  const { port } = await server.server.listen(listen);
  world = { server, port, ca, admin, serving };
});

after(async () => {
  await world.server[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly as?: KeyPair | undefined;
}

function ask({ method = 'GET', path, headers = {}, body, as }: Ask): Promise<Answer> {
  const { port, ca } = world;
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path,
      method,
      headers,
      ca: ca.cert,
      agent: false,
      ...as,
    };
    const sent = httpsRequest(options, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: Buffer.concat(parts),
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('a client certificate names user and groups; without one there is only public information', async () => {
  covers('AUT-003', 'API-019', 'AUT-028');
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const self = await ask({ method: 'POST', path, as: world.admin, body: '{}' });
  const { userInfo } = JSON.parse(self.body.toString()).status;
  assert.equal(userInfo.username, 'admin');
  assert.deepEqual(userInfo.groups, ['system:masters', 'system:authenticated']);
  assert.equal((await ask({ path: configMaps, as: world.admin })).status, 200);
  assert.equal((await ask({ path: configMaps })).status, 403);
  const headers = { authorization: 'Bearer nonsense' };
  assert.equal((await ask({ path: configMaps, headers })).status, 401);
  assert.equal((await ask({ path: '/readyz' })).body.toString(), 'ok');
  const strangerCa = issueCertificate({ random }, { commonName: 'other', role: 'ca', ...validity });
  const stranger = issue('admin', 'client', strangerCa, ['system:masters']);
  assert.equal((await ask({ path: configMaps, as: stranger })).status, 401);
  assert.equal((await ask({ path: '/readyz', as: stranger })).status, 401);
});

test('HTTP/2 carries many requests on one connection', async () => {
  const { port, ca, admin } = world;
  const session = connectH2(`https://127.0.0.1:${port}`, { ca: ca.cert, ...admin });
  const get = (path: string) =>
    new Promise<string>((resolve, reject) => {
      const stream = session.request({ ':path': path });
      let text = '';
      stream.setEncoding('utf8');
      stream.on('data', (part: string) => {
        text += part;
      });
      stream.on('end', () => resolve(text));
      stream.on('error', reject);
    });
  const answers = await Promise.all(Array.from({ length: 20 }, () => get(configMaps)));
  for (const text of answers) assert.equal(JSON.parse(text).kind, 'ConfigMapList');
  session.close();
});

/** One stream of HTTP/2: what it is answered with, informational heads first. */
function askStream(
  headers: Readonly<Record<string, string>>,
  body?: Buffer,
): Promise<{ readonly statuses: readonly number[]; readonly headers: object; body: string }> {
  const { port, ca, admin } = world;
  const session = connectH2(`https://127.0.0.1:${port}`, { ca: ca.cert, ...admin });
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    const stream = session.request(headers, { endStream: body === undefined });
    const statuses: number[] = [];
    let [last, text]: [object, string] = [{}, ''];
    const onHead = (head: { readonly ':status'?: number }): void => {
      statuses.push(head[':status'] ?? 0);
      last = head;
    };
    stream.on('headers', onHead);
    stream.on('response', onHead);
    stream.setEncoding('utf8');
    stream.on('data', (part: string) => {
      text += part;
    });
    stream.on('error', reject);
    stream.on('close', () => {
      session.close();
      resolve({ statuses, headers: last, body: text });
    });
    if (body !== undefined) stream.end(body);
  });
}

test('of a burst of writes on one connection a few begin in each turn of the loop', async (t) => {
  const { port, ca, admin, server } = world;
  const put = server.store.put.bind(server.store);
  let turn = 0;
  const putsOfTurns = new Map<number, number>();
  t.mock.method(server.store, 'put', (write: Parameters<typeof put>[0]) => {
    putsOfTurns.set(turn, (putsOfTurns.get(turn) ?? 0) + 1);
    return put(write);
  });
  const session = connectH2(`https://127.0.0.1:${port}`, { ca: ca.cert, ...admin });
  await once(session, 'connect');
  const path = '/api/v1/namespaces';
  const countTurns = (): void => {
    turn += 1;
    if (turning) setImmediate(countTurns);
  };
  let turning = true;
  countTurns();
  const answered = Array.from({ length: 100 }, async (_, index) => {
    const stream = session.request({ ':method': 'POST', ':path': path });
    stream.end(JSON.stringify({ metadata: { name: `burst-${index}` } }));
    const [headers] = await once(stream, 'response');
    stream.resume();
    await once(stream, 'close');
    return headers[':status'];
  });
  assert.deepEqual(new Set(await Promise.all(answered)), new Set([201]));
  turning = false;
  session.close();
  // As many that came as may begin, and as many that had waited.
  assert.ok(Math.max(...putsOfTurns.values()) <= 64, JSON.stringify([...putsOfTurns]));
});

test('streams of HTTP/2 are answered as requests of HTTP/1 are', async () => {
  const head = await askStream({ ':method': 'HEAD', ':path': '/healthz' });
  assert.deepEqual([head.statuses, head.body], [[200], '']);
  const refused = await askStream(
    { ':method': 'POST', ':path': configMaps, 'content-type': 'application/json' },
    Buffer.alloc(3 * 1024 * 1024 + 1, 0x20),
  );
  assert.deepEqual(refused.statuses, [413]);
  assert.equal(JSON.parse(refused.body).reason, 'RequestEntityTooLarge');
  const waits = await askStream(
    { ':method': 'POST', ':path': configMaps, expect: '100-continue' },
    Buffer.from('{"metadata":{"name":"waited"}}'),
  );
  assert.deepEqual(waits.statuses, [100, 201]);
  const hopes = await askStream({ ':path': configMaps, expect: 'wonders' });
  assert.deepEqual(hopes.statuses, [417]);
  const tunnel = await askStream({ ':method': 'CONNECT', ':authority': 'x:1' });
  assert.deepEqual(tunnel.statuses, [405]);
});

test('what concerns one connection only is not passed on over HTTP/2', async () => {
  await withKubelet(async () => {
    const path = '/api/v1/namespaces/default/pods/p/log?tailLines=2';
    const log = await askStream({ ':path': path });
    assert.deepEqual(log.statuses, [200]);
    assert.equal(log.body, 'line one\nline two\n');
    const stats = await askStream({ ':path': '/api/v1/nodes/n1/proxy/stats/summary' });
    assert.deepEqual(stats.statuses, [200]);
    assert.equal('connection' in stats.headers, false);
  });
});

test('a watch over HTTP/2 ends on the server when its stream is reset', async () => {
  const { port, ca, admin, server } = world;
  const session = connectH2(`https://127.0.0.1:${port}`, { ca: ca.cert, ...admin });
  const stream = session.request({ ':path': `${configMaps}?watch=1` });
  stream.on('error', () => {});
  stream.resume();
  await new Promise((resolve) => stream.once('response', resolve));
  const open = async (): Promise<string> => (await server.request('GET', '/metrics')).text;
  assert.match(await open(), /longrunning_requests\{component="apiserver",verb="WATCH"\} 1\n/);
  stream.close(8);
  while (!(await open()).includes('longrunning_requests{component="apiserver",verb="WATCH"} 0\n')) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  session.close();
});

test('bodies are bounded', async () => {
  const { length } = { length: 3 * 1024 * 1024 + 1 };
  const headers = { 'content-type': 'application/json' };
  const body = Buffer.alloc(length, 0x20);
  const large = await ask({ method: 'POST', path: configMaps, headers, body, as: world.admin });
  assert.equal(large.status, 413);
  assert.equal(JSON.parse(large.body.toString()).reason, 'RequestEntityTooLarge');
  const long = await ask({ path: `${configMaps}?a=${'x'.repeat(14_000)}`, as: world.admin });
  assert.equal(long.status, 200);
});

test('large answers are compressed for those who take it, small ones are not', async () => {
  const data = { fat: 'x'.repeat(200_000) };
  const body = JSON.stringify({ metadata: { name: 'fat' }, data });
  await ask({ method: 'POST', path: configMaps, body, as: world.admin });
  const headers = { 'accept-encoding': 'gzip' };
  const packed = await ask({ path: `${configMaps}/fat`, headers, as: world.admin });
  assert.equal(packed.headers['content-encoding'], 'gzip');
  assert.equal(JSON.parse(gunzipSync(packed.body).toString()).data.fat.length, 200_000);
  const plain = await ask({ path: `${configMaps}/fat`, as: world.admin });
  assert.equal(plain.headers['content-encoding'], undefined);
  const small = await ask({ path: '/version', headers, as: world.admin });
  assert.equal(small.headers['content-encoding'], undefined);
});

test('a watch streams, and ends on the server when its client goes', async () => {
  const { port, ca, admin, server } = world;
  const path = `${configMaps}?watch=1&resourceVersion=${server.store.revision}`;
  const options = { host: '127.0.0.1', port, path, ca: ca.cert, agent: false as const, ...admin };
  const sent = httpsRequest(options);
  const answer = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve);
    sent.on('error', reject);
    sent.end();
  });
  const next = () => new Promise<Buffer>((resolve) => answer.once('data', resolve));
  for (const name of ['w1', 'w2']) {
    const line = next();
    await server.request('POST', configMaps, { metadata: { name } });
    const event = JSON.parse((await line).toString());
    assert.equal(event.object.metadata.name, name);
  }
  const open = async (): Promise<string> => (await server.request('GET', '/metrics')).text;
  assert.match(await open(), /longrunning_requests\{component="apiserver",verb="WATCH"\} 1\n/);
  answer.on('error', () => {});
  sent.destroy();
  while (!(await open()).includes('longrunning_requests{component="apiserver",verb="WATCH"} 0\n')) {
    await new Promise((resolve) => setImmediate(resolve));
  }
});

/** A stand-in for a kubelet: says what it was asked, and echoes upgraded bytes. */
async function withKubelet(run: (port: number, seen: string[]) => Promise<void>): Promise<void> {
  const { ca, serving, server } = world;
  const seen: string[] = [];
  const options = { ...serving, ca: ca.cert, requestCert: true, rejectUnauthorized: true };
  const kubelet = createKubelet(options, (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.writeHead(request.url?.includes('broken') ? 400 : 200);
    response.end('line one\nline two\n');
  });
  kubelet.on('upgrade', (request, socket, head) => {
    seen.push(`${request.method} ${request.url} ${request.headers['authorization'] ?? 'no token'}`);
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n',
    );
    socket.write(head);
    socket.pipe(socket);
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', resolve));
  const { port } = kubelet.address() as AddressInfo;
  const status = {
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
  };
  await server.request('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  await server.request('PATCH', '/api/v1/nodes/n1/status', { status });
  const space = '/api/v1/namespaces/default';
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  await server.request('POST', `${space}/pods`, {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'main', image: 'nginx:1' }] },
  });
  const target = { kind: 'Node', name: 'n1' };
  await server.request('POST', `${space}/pods/p/binding`, { metadata: { name: 'p' }, target });
  try {
    await run(port, seen);
  } finally {
    await new Promise((resolve) => kubelet.close(resolve));
  }
}

test('logs, node paths and exec pass through to the kubelet', async () => {
  covers('AUT-017');
  await withKubelet(async (_port, seen) => {
    const pod = '/api/v1/namespaces/default/pods/p';
    const log = await ask({ path: `${pod}/log?tailLines=2`, as: world.admin });
    assert.equal(log.body.toString(), 'line one\nline two\n');
    const wrong = await ask({ path: `${pod}/log?container=none`, as: world.admin });
    assert.equal(
      JSON.parse(wrong.body.toString()).message,
      'container none is not valid for pod p',
    );
    const refused = await ask({ path: `${pod}/log?sinceTime=broken`, as: world.admin });
    assert.equal(refused.status, 400);
    const stats = await ask({ path: '/api/v1/nodes/n1/proxy/stats/summary?a=b', as: world.admin });
    assert.equal(stats.status, 200);
    const echoed = await upgrade(`${pod}/exec?command=ls&command=-l&stdout=true`, 'SPDY/3.1');
    assert.match(echoed, /^HTTP\/1\.1 101 /);
    assert.match(echoed, /hello$/);
    assert.deepEqual(seen, [
      'GET /containerLogs/default/p/main?tailLines=2',
      'GET /containerLogs/default/p/main?sinceTime=broken',
      'GET /stats/summary?a=b',
      'POST /exec/default/p/main?command=ls&command=-l&output=1 no token',
    ]);
    const unknown = 'websocket\r\nSec-WebSocket-Protocol: v9.channel.k8s.io';
    assert.match(await upgrade(`${pod}/exec?command=ls`, unknown), /^HTTP\/1\.1 400 /);
    assert.match(await upgrade(`${pod}/exec?command=ls`, 'SPDY/3.1', 'nobody'), /^HTTP\/1\.1 403 /);
    assert.match(await upgrade(`${pod}/log`, 'SPDY/3.1'), /^HTTP\/1\.1 404 /);
    assert.equal(seen.length, 4);
    const older = 'websocket\r\nSec-WebSocket-Protocol: v4.channel.k8s.io, channel.k8s.io';
    assert.match(await upgrade(`${pod}/exec?command=ls`, older), /^HTTP\/1\.1 101 .*hello$/s);
    assert.equal(seen.at(-1), 'POST /exec/default/p/main?command=ls no token');
  });
});

test('a log can be read over WebSocket', async () => {
  await withKubelet(async (_port, seen) => {
    const path = '/api/v1/namespaces/default/pods/p/log?container=main';
    /** The first frame behind the head of the answer. */
    const read = async (protocol: string, sentBytes: number): Promise<string> => {
      const asked = `websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Protocol: ${protocol}`;
      const text = await upgrade(path, asked, 'admin', '');
      assert.match(
        text,
        new RegExp(`^HTTP/1\\.1 101 .*Sec-WebSocket-Protocol: ${protocol}\r\n`, 's'),
      );
      const [, frames = ''] = text.split('\r\n\r\n');
      assert.equal(frames.charCodeAt(1), sentBytes);
      return frames.slice(2, 2 + sentBytes);
    };
    assert.equal(await read('binary.k8s.io', 18), 'line one\nline two\n');
    const encoded = Buffer.from('line one\nline two\n').toString('base64');
    assert.equal(await read('base64.binary.k8s.io', encoded.length), encoded);
    assert.deepEqual(seen, [
      'GET /containerLogs/default/p/main',
      'GET /containerLogs/default/p/main',
    ]);
  });
});

/** Asks for an upgrade, says hello, and gives back everything received until `hello` or the end. */
function upgrade(
  path: string,
  protocol: string,
  who: 'admin' | 'nobody' = 'admin',
  said = 'hello',
): Promise<string> {
  const { port, ca, admin } = world;
  const identity = who === 'admin' ? admin : {};
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      ca: ca.cert,
      ...identity,
      ALPNProtocols: ['http/1.1'],
    });
    let text = '';
    socket.on('secureConnect', () => {
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`,
      );
    });
    socket.setEncoding('latin1');
    socket.on('data', (part: string) => {
      if (said !== '' && text === '' && part.includes(' 101 ')) socket.write(said);
      text += part;
      if (text.endsWith('hello')) socket.destroy();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

test('closing lets go of idle connections and ends watches', async () => {
  const server = await openTestServer();
  const { serving, ca, admin } = world;
  const listen = { host: '127.0.0.1', port: 0, ...serving, clientCA: ca.cert };
  const { port } = await server.server.listen(listen);
  const session = connectH2(`https://127.0.0.1:${port}`, { ca: ca.cert, ...admin });
  const stream = session.request({ ':path': `${configMaps}?watch=1` });
  await new Promise((resolve) => stream.once('response', resolve));
  const ended = new Promise((resolve) => stream.once('close', resolve));
  stream.resume();
  await server[Symbol.asyncDispose]();
  await ended;
  session.destroy();
});

test('a connection on which nothing is asked for long is let go, one with a watch is not', async () => {
  const clock = new VirtualClock({ startMs: nowMs });
  await using server = await openTestServer({ clock });
  const { ca, admin, serving } = world;
  const listen = { host: '127.0.0.1', port: 0, ...serving, clientCA: ca.cert };
  const { port } = await server.server.listen(listen);
  const asked = async (path: string) => {
    const session = connectH2(`https://127.0.0.1:${port}`, { ca: ca.cert, ...admin });
    const stream = session.request({ ':path': path });
    stream.resume();
    await once(stream, path.includes('watch') ? 'response' : 'close');
    return session;
  };
  const idle = await asked(configMaps);
  const watching = await asked(`${configMaps}?watch=1`);
  const silent = connectTls({ host: '127.0.0.1', port, ca: ca.cert, ALPNProtocols: ['h2'] });
  silent.resume();
  await once(silent, 'secureConnect');
  const closed = Promise.all([once(idle, 'close'), once(silent, 'close')]);
  await clock.advance(89_999);
  const more = idle.request({ ':path': configMaps });
  more.resume();
  await once(more, 'close');
  await clock.advance(89_999);
  assert.ok(!idle.closed);
  await clock.advance(1);
  await closed;
  assert.ok(!watching.closed);
  watching.destroy();
});

test('who speaks HTTP without TLS is told so, and others are served on', async () => {
  const socket = connectPlain({ host: '127.0.0.1', port: world.port });
  socket.write('GET /api HTTP/1.1\r\nHost: x\r\n\r\n');
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part);
  assert.equal(
    Buffer.concat(parts).toString(),
    'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n',
  );
  assert.equal((await ask({ path: '/readyz' })).status, 200);
});

test('requests on a connection are as many as told, and by chance its last', async () => {
  const server = await openTestServer({ options: { goawayChance: 1, streamsMax: 7 } });
  const { serving, ca, admin } = world;
  const listen = { host: '127.0.0.1', port: 0, ...serving, clientCA: ca.cert };
  const { port } = await server.server.listen(listen);
  const session = connectH2(`https://127.0.0.1:${port}`, { ca: ca.cert, ...admin });
  const closed = new Promise<void>((resolve) => session.once('close', resolve));
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  assert.equal(session.remoteSettings.maxConcurrentStreams, 7);
  const stream = session.request({ ':path': configMaps });
  stream.setEncoding('utf8');
  let text = '';
  for await (const part of stream) text += part;
  assert.equal(JSON.parse(text).kind, 'ConfigMapList');
  await closed;
  await server[Symbol.asyncDispose]();
});

test('a connection to a Service becomes what both ends want, through the proxy', async () => {
  const { server } = world;
  const asked: (string | undefined)[] = [];
  const backend = createPlain();
  backend.on('upgrade', (request, socket) => {
    asked.push(`${request.method} ${request.url}`, request.headers['authorization']);
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n',
    );
    socket.pipe(socket);
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  const { port } = backend.address() as AddressInfo;
  const space = '/api/v1/namespaces/default';
  const ports = [{ name: 'web', port: 80 }];
  await server.request('POST', `${space}/services`, {
    metadata: { name: 'echo' },
    spec: { ports },
  });
  await server.request('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: 'echo-1', labels: { 'kubernetes.io/service-name': 'echo' } },
    addressType: 'IPv4',
    ports: [{ name: 'web', port, protocol: 'TCP' }],
    endpoints: [{ addresses: ['127.0.0.1'] }],
  });
  try {
    const path = `${space}/services/http:echo:web/proxy/live?a=b`;
    assert.match(await upgrade(path, 'echo'), /^HTTP\/1\.1 101 .*hello$/s);
    assert.deepEqual(asked, ['POST /live?a=b', undefined]);
    assert.match(await upgrade(path, 'echo', 'nobody'), /^HTTP\/1\.1 403 /);
  } finally {
    await new Promise((resolve) => backend.close(resolve));
  }
});

test('a kubelet is found where the server was told, if its node does not say', async () => {
  covers('API-021');
  await withKubelet(async (port, seen) => {
    const { ca, admin } = world;
    const options = {
      kubeletClient: { ca: ca.cert, ...admin },
      kubeletPort: port,
      kubeletAddressTypes: ['ExternalIP', 'InternalIP'],
    };
    await using server = await openTestServer({ options });
    const space = '/api/v1/namespaces/default';
    await server.request('POST', '/api/v1/nodes', { metadata: { name: 'n2' } });
    const addresses = [
      { type: 'InternalIP', address: '192.0.2.1' },
      { type: 'ExternalIP', address: '127.0.0.1' },
    ];
    await server.request('PATCH', '/api/v1/nodes/n2/status', { status: { addresses } });
    await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
    const spec = { nodeName: 'n2', containers: [{ name: 'c', image: 'busybox' }] };
    await server.request('POST', `${space}/pods`, { metadata: { name: 'q' }, spec });
    const log = await server.request('GET', `${space}/pods/q/log`);
    assert.deepEqual([log.status, log.text], [200, 'line one\nline two\n']);
    assert.deepEqual(seen, ['GET /containerLogs/default/q/c']);
  });
});
