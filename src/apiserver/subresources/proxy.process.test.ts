/** The `proxy` sub-resource of pods and Services, against a web server on this machine. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import { rewriteLink, rewritePage } from './proxied-page.ts';
import { parseProxyName, splitProxyPath } from './proxy-target.ts';

const space = '/api/v1/namespaces/default';

async function readAll(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request) text += String(part);
  return text;
}

/** Answers what it was asked. */
async function openEcho(): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer((request, response) => {
    readAll(request).then((body) => {
      if (request.url === '/page') {
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end('<a href="/next">next</a> <img src=pic.png>');
        return;
      }
      if (request.url === '/moved') {
        response.writeHead(302, { location: '/page' });
        response.end();
        return;
      }
      const { method, url, headers } = request;
      const { 'x-own': own, authorization } = headers;
      response.writeHead(418, { 'content-type': 'application/json', 'x-answer': 'yes' });
      response.end(JSON.stringify({ method, url, body, own, authorization }));
    }, assert.ifError);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert(typeof address === 'object' && address !== null);
  return { port: address.port, server };
}

async function serveFrom(server: TestServer, port: number): Promise<void> {
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const containers = [{ name: 'web', image: 'web:1', ports: [{ containerPort: port }] }];
  await server.request('POST', `${space}/pods`, {
    metadata: { name: 'web' },
    spec: { containers },
  });
  const status = { podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] };
  await server.request('PATCH', `${space}/pods/web/status`, { status });
  const ports = [
    { name: 'one', port: 80 },
    { name: 'two', port: 81 },
  ];
  await server.request('POST', `${space}/services`, { metadata: { name: 'web' }, spec: { ports } });
  await server.request('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [
      { name: 'one', port, protocol: 'TCP' },
      { name: 'two', port: 1, protocol: 'TCP' },
    ],
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
  });
}

test('a request below proxy reaches the pod as it was sent, and its answer comes back', async () => {
  await using server = await openTestServer();
  const echo = await openEcho();
  try {
    await serveFrom(server, echo.port);
    const path = `${space}/pods/web/proxy/a//b/?x=1&y=%20`;
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const sent = method === 'GET' ? undefined : { hello: method };
      const answer = await server.request(method, path, sent, {
        headers: { 'x-own': 'mine', authorization: 'Bearer secret', accept: 'text/html' },
      });
      assert.equal(answer.status, 418);
      assert.equal(answer.headers['x-answer'], 'yes');
      assert.deepEqual(answer.body, {
        method,
        url: '/a//b/?x=1&y=%20',
        body: sent === undefined ? '' : JSON.stringify(sent),
        own: 'mine',
      });
    }
    const byPort = await server.request('GET', `${space}/pods/http:web:${echo.port}/proxy/z`);
    assert.equal(byPort.body.url, '/z');
    const bare = await server.request('GET', `${space}/pods/web/proxy?m=GET`);
    assert.equal(bare.status, 301);
    assert.equal(bare.headers['location'], `${space}/pods/web/proxy/?m=GET`);
    const post = await server.request('POST', `${space}/pods/web/proxy?m=POST`, {});
    assert.equal(post.body.url, '/?m=POST');
  } finally {
    echo.server.close();
  }
});

test('a Service is proxied by the name or the number of its port', async () => {
  covers('API-010', 'API-120');
  await using server = await openTestServer();
  const echo = await openEcho();
  try {
    await serveFrom(server, echo.port);
    for (const name of ['web:one', 'web:80', 'http:web:one']) {
      const { body } = await server.request('GET', `${space}/services/${name}/proxy/s/t?q=1`);
      assert.equal(body.url, '/s/t?q=1');
    }
    const closed = await server.request('GET', `${space}/services/web:two/proxy/`);
    assert.equal(closed.status, 503);
    assert.match(closed.body.message, /error trying to reach service/);
    const unknown = await server.request('GET', `${space}/services/web:three/proxy/`);
    assert.match(unknown.body.message, /no service port "three" found for service "web"/);
    const missing = await server.request('GET', `${space}/services/none/proxy/`);
    assert.equal(missing.status, 404);
  } finally {
    echo.server.close();
  }
});

test('links of a page and redirections lead back through the proxy', async () => {
  await using server = await openTestServer();
  const echo = await openEcho();
  try {
    await serveFrom(server, echo.port);
    const prefix = `${space}/pods/web/proxy`;
    const page = await server.request('GET', `${prefix}/page`);
    assert.equal(page.text, `<a href="${prefix}/next">next</a> <img src=pic.png>`);
    const moved = await server.request('GET', `${prefix}/moved`);
    assert.equal(moved.status, 302);
    assert.equal(moved.headers['location'], `${prefix}/page`);
  } finally {
    echo.server.close();
  }
});

test('names, paths and links are taken apart as upstream does', () => {
  assert.deepEqual(parseProxyName('a'), { scheme: 'http', name: 'a', port: '' });
  assert.deepEqual(parseProxyName('a:b'), { scheme: 'http', name: 'a', port: 'b' });
  assert.deepEqual(parseProxyName('https:a:'), { scheme: 'https', name: 'a', port: '' });
  assert.equal(parseProxyName('ftp:a:1'), undefined);
  assert.equal(parseProxyName(':1'), undefined);
  assert.deepEqual(splitProxyPath('/api/v1/nodes/n/proxy/proxy/x?y'), {
    prefix: '/api/v1/nodes/n/proxy',
    rest: '/proxy/x?y',
  });
  const place = { prefix: '/p', host: 'h:1' };
  assert.equal(rewriteLink('http://h:1/x?y', place), '/p/x?y');
  assert.equal(rewriteLink('http://other/x', place), 'http://other/x');
  assert.equal(rewriteLink('x/y', place), 'x/y');
  assert.equal(rewriteLink('/p/x', place), '/p/x');
  assert.equal(
    rewritePage(`a < b <form action='/f'>href="/t"</form>`, place),
    `a < b <form action='/p/f'>href="/t"</form>`,
  );
});

/** Says of each request what it was, and which of the two it came to. */
async function openBackend(
  who: string,
  { tls }: { readonly tls: boolean },
): Promise<{ readonly port: number; close(): void }> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    response.end(`${who} ${request.method} ${request.url}`);
  };
  const nowMs = systemClock().now();
  const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_600_000 };
  const own = { commonName: who, role: 'ca', ...validity } as const;
  const server = tls
    ? createSecureServer(issueCertificate({ random: systemRandom() }, own), answer)
    : createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert(typeof address === 'object' && address !== null);
  return { port: address.port, close: () => server.close() };
}

test('every form of a Service name: by scheme and port, with path and query, for who may', async () => {
  covers('API-094', 'API-118', 'API-119', 'API-138', 'API-139');
  superseded('API-095', {
    by: 'v1.10',
    now: 'the path /api/v1/proxy is gone; proxy is a sub-resource',
  });
  await using server = await openTestServer();
  const plain = await openBackend('plain', { tls: false });
  const secure = await openBackend('secure', { tls: true });
  const other = await openBackend('other', { tls: false });
  try {
    await serveFrom(server, plain.port);
    const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
    const service = async (name: string, portName: string, port: number) => {
      const ports = [{ port: 80, ...(portName === '' ? {} : { name: portName }) }];
      await server.request('POST', `${space}/services`, { metadata: { name }, spec: { ports } });
      await server.request('POST', slices, {
        metadata: { name, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports: [{ name: portName, port, protocol: 'TCP' }],
        endpoints: [{ addresses: ['127.0.0.1'] }],
      });
    };
    await service('unnamed', '', plain.port);
    await service('named', 'web', plain.port);
    await service('tls', '', secure.port);
    await service('tls-named', 'web', secure.port);
    const cases = [
      ['services/unnamed', 'plain'],
      ['services/named:web', 'plain'],
      ['services/https:tls:', 'secure'],
      ['services/https:tls-named:web', 'secure'],
      [`pods/web:${plain.port}`, 'plain'],
      [`pods/https:web:${secure.port}`, 'secure'],
    ] as const;
    for (const [name, who] of cases) {
      const { status, text } = await server.request('GET', `${space}/${name}/proxy/a/b?c=d&e=%20`);
      assert.deepEqual([status, text], [200, `${who} GET /a/b?c=d&e=%20`], name);
    }
    const addresses = [{ type: 'InternalIP', address: '127.0.0.1' }];
    await server.request('POST', '/api/v1/nodes', { metadata: { name: 'n' } });
    await server.request('PATCH', '/api/v1/nodes/n/status', { status: { addresses } });
    for (const [name, who] of [
      [`n:${plain.port}`, 'plain'],
      [`http:n:${plain.port}`, 'plain'],
      [`https:n:${secure.port}`, 'secure'],
    ] as const) {
      const { text } = await server.request('GET', `/api/v1/nodes/${name}/proxy/x?y=z`);
      assert.equal(text, `${who} GET /x?y=z`, name);
    }
    const odd = await server.request('GET', '/api/v1/nodes/https:n:web/proxy/');
    assert.equal(odd.status, 400);
    const as = { name: 'jane', groups: ['system:authenticated'] };
    for (const name of ['services/unnamed', 'pods/web']) {
      const refused = await server.request('GET', `${space}/${name}/proxy/`, undefined, { as });
      assert.equal(refused.status, 403, name);
    }
    const node = await server.request('GET', '/api/v1/nodes/n/proxy/', undefined, { as });
    assert.equal(node.status, 403);
    assert.equal((await server.unbound('GET', `${space}/services/unnamed/proxy/`)).status, 403);
    const old = '/api/v1/proxy/namespaces/default/services/unnamed/';
    assert.equal((await server.request('GET', old)).status, 404);
    // With a second endpoint each of the two is asked.
    await server.request('POST', slices, {
      metadata: { name: 'more', labels: { 'kubernetes.io/service-name': 'unnamed' } },
      addressType: 'IPv4',
      ports: [{ name: '', port: other.port, protocol: 'TCP' }],
      endpoints: [{ addresses: ['127.0.0.1'] }],
    });
    const seen = new Set<string>();
    for (let time = 0; time < 40 && seen.size < 2; time++) {
      seen.add((await server.request('GET', `${space}/services/unnamed/proxy/`)).text);
    }
    assert.deepEqual([...seen].sort(), ['other GET /', 'plain GET /']);
  } finally {
    plain.close();
    secure.close();
    other.close();
  }
});

test('requests to a Service are spread over its endpoints', async () => {
  covers('API-122');
  await using server = await openTestServer();
  const one = await openBackend('one', { tls: false });
  const two = await openBackend('two', { tls: false });
  try {
    const ports = [{ port: 80 }];
    await server.request('POST', `${space}/services`, { metadata: { name: 's' }, spec: { ports } });
    for (const [name, { port }] of Object.entries({ one, two })) {
      await server.request('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
        metadata: { name, labels: { 'kubernetes.io/service-name': 's' } },
        addressType: 'IPv4',
        ports: [{ name: '', port, protocol: 'TCP' }],
        endpoints: [{ addresses: ['127.0.0.1'] }],
      });
    }
    const seen = new Set<string>();
    for (let time = 0; time < 40 && seen.size < 2; time++) {
      seen.add((await server.request('GET', `${space}/services/s/proxy/`)).text);
    }
    assert.deepEqual([...seen].sort(), ['one GET /', 'two GET /']);
  } finally {
    one.close();
    two.close();
  }
});
