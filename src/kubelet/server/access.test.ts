/** Who may ask a node's server what. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { openClient } from '#client';
import type { PlainRequest } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { covers } from '#test/covers.ts';
import { type AccessOptions, ServerAccess } from './access.ts';

const { signal } = new AbortController();

/** An API server that knows the token `good` of `eve`, who may read figures. */
function open(options: Partial<AccessOptions> = {}) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const answer = ({ path, body }: PlainRequest) => {
    const { spec } = JSON.parse(Buffer.from(body ?? []).toString());
    if (path.endsWith('/tokenreviews')) {
      asked.push(`token ${spec.token}`);
      const isKnown = spec.token === 'good';
      return { authenticated: isKnown, user: isKnown ? { username: 'eve', groups: ['g'] } : {} };
    }
    const { verb, subresource, name } = spec.resourceAttributes;
    asked.push(`${spec.user} ${verb} nodes/${subresource} ${name}`);
    return { allowed: verb === 'get' && subresource === 'metrics' };
  };
  const client = openClient({
    clock,
    transport: {
      send: async (request) => {
        const text = JSON.stringify({ kind: 'Review', metadata: {}, status: answer(request) });
        return {
          status: 201,
          headers: { 'content-type': 'application/json' },
          body: Buffer.from(text),
        };
      },
    },
  });
  const access = new ServerAccess(
    { client, clock },
    {
      nodeName: 'n1',
      access: options,
    },
  );
  return { access, asked, clock };
}

function request(
  path: string,
  more: { token?: string; certificate?: { CN: string; O?: string }; method?: string } = {},
): IncomingMessage {
  const { token, certificate, method = 'GET' } = more;
  // Only what is looked at.
  return {
    url: path,
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    socket: {
      authorized: certificate !== undefined,
      getPeerCertificate: () => ({ subject: certificate }),
    },
  } as unknown as IncomingMessage;
}

test('strangers are not let in, the API server and administrators are, unasked', async () => {
  covers('AUT-033');
  const { access, asked } = open();
  const statusOf = async (one: IncomingMessage) =>
    (await access.refusalOf(one, { signal }))?.status;
  assert.equal(await statusOf(request('/pods')), 401);
  const server = { CN: 'kube-apiserver-kubelet-client' };
  assert.equal(await statusOf(request('/exec/a/b/c', { certificate: server })), undefined);
  const admin = { CN: 'ann', O: 'system:masters' };
  assert.equal(await statusOf(request('/pods', { certificate: admin })), undefined);
  assert.deepEqual(asked, []);
  assert.equal(await statusOf(request('/pods', { token: 'bad' })), 401);
});

test('others may what the API server says, path by path', async () => {
  const { access, asked } = open();
  const refusalOf = (path: string, method = 'GET') =>
    access.refusalOf(request(path, { token: 'good', method }), { signal });
  assert.equal(await refusalOf('/metrics/resource'), undefined);
  assert.deepEqual(await refusalOf('/pods'), {
    status: 403,
    text: 'Forbidden (user=eve, verb=get, resource=nodes, subresource(s)=[pods proxy])',
  });
  assert.equal((await refusalOf('/metrics', 'POST'))?.status, 403);
  assert.equal((await refusalOf('/run/a/b/c', 'POST'))?.status, 403);
  assert.deepEqual(asked, [
    'token good',
    'eve get nodes/metrics n1',
    'eve get nodes/pods n1',
    'eve get nodes/proxy n1',
    'eve create nodes/metrics n1',
    'eve create nodes/proxy n1',
  ]);
});

test('an answer is believed for a while, a refusal not for as long', async () => {
  const { access, asked, clock } = open();
  const ask = async (path: string) => {
    asked.length = 0;
    await access.refusalOf(request(path, { certificate: { CN: 'eve' } }), { signal });
    return asked.length;
  };
  assert.deepEqual([await ask('/metrics'), await ask('/stats/summary')], [1, 1]);
  assert.deepEqual([await ask('/metrics'), await ask('/stats/summary')], [0, 0]);
  await clock.advance(60_000);
  assert.deepEqual([await ask('/metrics'), await ask('/stats/summary')], [0, 1]);
  await clock.advance(300_000);
  assert.equal(await ask('/metrics'), 1);
});

test('who shows nothing is anonymous where that is allowed, and a false token is not', async () => {
  const { access, asked } = open({ anonymous: true });
  assert.equal(await access.refusalOf(request('/metrics'), { signal }), undefined);
  assert.deepEqual(asked, ['system:anonymous get nodes/metrics n1']);
  const pods = await access.refusalOf(request('/pods'), { signal });
  assert.match(pods?.text ?? '', /^Forbidden \(user=system:anonymous, verb=get/);
  const other = await access.refusalOf(request('/metrics', { token: 'bad' }), { signal });
  assert.equal(other?.status, 401);
});

test('without webhooks tokens are not looked at, and all who are known may all', async () => {
  const { access, asked } = open({ tokens: false, authorizes: false });
  assert.equal(
    (await access.refusalOf(request('/pods', { token: 'good' }), { signal }))?.status,
    401,
  );
  const known = request('/run/a/b/c', { certificate: { CN: 'eve' }, method: 'POST' });
  assert.equal(await access.refusalOf(known, { signal }), undefined);
  assert.deepEqual(asked, []);
  const open2 = open({ anonymous: true, tokens: false, authorizes: false });
  assert.equal(await open2.access.refusalOf(request('/pods'), { signal }), undefined);
});

test('answers are believed for as long as was said', async () => {
  const { access, asked, clock } = open({
    ...{ tokenKnownMs: 1000, allowedKnownMs: 3000, deniedKnownMs: 2000 },
  });
  const ask = async (path: string) => {
    asked.length = 0;
    await access.refusalOf(request(path, { token: 'good' }), { signal });
    return asked.map((one) => one.split(' ')[0]);
  };
  await ask('/metrics');
  await ask('/stats/summary');
  await clock.advance(1000);
  assert.deepEqual(await ask('/metrics'), ['token']);
  await clock.advance(1000);
  assert.deepEqual(await ask('/stats/summary'), ['token', 'eve']);
  await clock.advance(1000);
  assert.deepEqual(await ask('/metrics'), ['token', 'eve']);
});
