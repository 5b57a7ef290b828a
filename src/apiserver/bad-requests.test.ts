/** Requests that make no sense: refused as upstream refuses them, never a fault of the server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default/configmaps';

/** `[method, path, body, status, reason, what the message says]`, as upstream v1.36 answered. */
type Case = readonly [string, string, unknown, number, string, RegExp];

async function check(server: TestServer, cases: readonly Case[]): Promise<void> {
  for (const [method, path, body, status, reason, message] of cases) {
    const answer = await server.request(method, path, body);
    const what = `${method} ${path.slice(0, 80)} ${String(body).slice(0, 40)}`;
    assert.equal(answer.status, status, `${what}: ${answer.text.slice(0, 200)}`);
    assert.equal(answer.body.reason, reason, what);
    assert.match(answer.body.message, message, what);
  }
}

test('methods that no resource has', async () => {
  await using server = await openTestServer();
  const text = /^the server does not allow this method on the requested resource$/;
  await check(
    server,
    ['TRACE', 'OPTIONS', 'HEAD', 'CONNECT'].map((method) => [
      ...[method, space, undefined, 405, 'MethodNotAllowed', text],
    ]) as unknown as Case[],
  );
});

test('paths that lead elsewhere lead nowhere', async () => {
  await using server = await openTestServer();
  await server.request('POST', space, { metadata: { name: 'one' } });
  const unknown = /^the server could not find the requested resource$/;
  await check(server, [
    ['GET', `${space}/..`, undefined, 400, 'BadRequest', /^Name parameter invalid: "..": may not/],
    ['GET', `${space}/%2e%2e`, undefined, 400, 'BadRequest', /may not be '..'$/],
    ['GET', `${space}/.`, undefined, 400, 'BadRequest', /may not be '.'$/],
    ['GET', `${space}/a%25b`, undefined, 400, 'BadRequest', /may not contain '%'$/],
    ['GET', `${space}/%zz`, undefined, 400, 'BadRequest', /invalid URL escape/],
    // An encoded slash is a slash: here a sub-resource that is none, never a name with a slash.
    ['GET', `${space}/one%2Fx`, undefined, 404, 'NotFound', unknown],
    ['GET', `${space}/one%2F..%2F..`, undefined, 404, 'NotFound', unknown],
    [
      'GET',
      '/api/v1/namespaces/default%2Fconfigmaps/x',
      undefined,
      404,
      'NotFound',
      /"x" not found/,
    ],
    ['GET', '/apis/foo/v1/bars', undefined, 404, 'NotFound', unknown],
    ['GET', '/apis/apps/v9/deployments', undefined, 404, 'NotFound', unknown],
    ['GET', `${space}/one/foo`, undefined, 404, 'NotFound', unknown],
  ]);
  const found = await server.request('GET', '/api/v1/namespaces/default%2Fconfigmaps%2Fone');
  assert.equal(found.body.metadata.name, 'one');
});

test('numbers and revisions of lists and watches', async () => {
  await using server = await openTestServer();
  const integer = /^strconv.ParseInt: parsing "abc": invalid syntax$/;
  const revision =
    /^invalid resource version: resourceVersion: Invalid value: "(abc|-1)": strconv.ParseUint: /;
  const token = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const broken = [
    'foo',
    token({ v: 'foo', rv: 1, start: 'a' }),
    token({ v: 'meta.k8s.io/v1', rv: 'x', start: 'a' }),
    token({ v: 'meta.k8s.io/v1', rv: 1, start: '../../secrets/default/x' }),
    token({ v: 'meta.k8s.io/v1', rv: 1, start: '/registry/secrets/default/x' }),
  ];
  await check(server, [
    ['GET', `${space}?limit=abc`, undefined, 400, 'BadRequest', integer],
    ['GET', `${space}?watch=1&timeoutSeconds=abc`, undefined, 400, 'BadRequest', integer],
    ['GET', `${space}?resourceVersion=abc`, undefined, 400, 'BadRequest', revision],
    ['GET', `${space}?resourceVersion=-1`, undefined, 400, 'BadRequest', revision],
    ...broken.map(
      (text): Case => [
        ...(['GET', `${space}?continue=${text}`, undefined] as const),
        ...([400, 'BadRequest', /continue key is not valid/] as const),
      ],
    ),
  ]);
  assert.equal((await server.request('GET', `${space}?limit=-1`)).status, 200);
});

test('what nests too deep, and what is no object', async () => {
  await using server = await openTestServer();
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  const body = (depth: number): string => `{"metadata":{"name":"deep"},"other":${nested(depth)}}`;
  await check(server, [
    ['POST', space, body(20_000), 400, 'BadRequest', /exceeded max depth/],
    ['POST', space, nested(1_000_000), 400, 'BadRequest', /exceeded max depth/],
    ['POST', space, '[]', 400, 'BadRequest', /cannot unmarshal array/],
    ['POST', space, '{"metadata":', 400, 'BadRequest', /json parse error/],
  ]);
  // A string of brackets is not deep.
  const brackets = { metadata: { name: 'flat' }, data: { text: nested(20_000) } };
  assert.equal((await server.request('POST', space, brackets)).status, 201);
  assert.equal((await server.request('POST', space, body(9_000))).status, 201);
});

test('selectors of thousands of values are read in time', async () => {
  await using server = await openTestServer();
  await server.request('POST', space, { metadata: { name: 'one', labels: { a: 'v4999' } } });
  const values = Array.from({ length: 5_000 }, (_, index) => `v${index}`).join(',');
  const found = await server.request('GET', `${space}?labelSelector=a+in+(${values})`);
  assert.equal(found.body.items.length, 1);
  const long = `${space}?labelSelector=a%3Db&x=${'y'.repeat(1024 * 1024)}`;
  assert.equal((await server.request('GET', long)).status, 413);
});

test('any word but no means yes where a query asks yes or no', async () => {
  await using server = await openTestServer();
  await using watch = await openWatch(server, 'watch=foo');
  assert.equal(watch.status, 200);
  for (const no of ['false', '0', 'False', '']) {
    const { body } = await server.request('GET', `${space}?watch=${no}`);
    assert.equal(body.kind, 'ConfigMapList', no);
  }
});

async function openWatch(server: TestServer, query: string) {
  await server.request('POST', space, { metadata: { name: 'seen' } });
  const watch = await server.watch(`${space}?${query}`);
  assert.equal((await watch.next()).type, 'ADDED');
  return { status: watch.status, [Symbol.asyncDispose]: async () => watch.stop() };
}
