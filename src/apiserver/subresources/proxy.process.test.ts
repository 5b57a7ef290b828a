/** The `proxy` sub-resource of pods and Services, against a web server on this machine. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
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
