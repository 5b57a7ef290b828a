/** The node's server on real sockets: what may be asked on which port, and which TLS it speaks. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { askHttps } from '#test/ask-https.ts';
import { freePort } from '#test/free-port.ts';
import { type ServerParts, serveKubelet } from './server.ts';
import type { Serving } from './serving.ts';

const host = '127.0.0.1';

async function open(context: TestContext, serves: Serving) {
  const nowMs = systemClock().now();
  const validity = { notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 3_600_000 };
  const deps = { random: systemRandom() };
  const ca = issueCertificate(deps, { commonName: 'ca', role: 'ca', ...validity });
  const pair = issueCertificate(deps, { commonName: 'n', role: 'server', issuer: ca, ...validity });
  const admin = issueCertificate(deps, {
    ...{ commonName: 'ann', organizations: ['system:masters'], role: 'client', issuer: ca },
    ...validity,
  });
  // Only what is asked of them: no figures, no runtime.
  const parts = { clock: systemClock(), log: silentLog } as unknown as ServerParts;
  const server = await serveKubelet(parts, {
    ...{ nodeName: 'n', host, port: 0, ...pair, clientCA: ca.cert, serves },
    findPod: () => undefined,
    pods: () => [],
  });
  const ending = new AbortController();
  const ended = server.run(ending.signal);
  context.after(async () => {
    ending.abort();
    await ended;
  });
  const tls = { ...admin, rejectUnauthorized: false };
  return { port: server.port, tls, ask: (path: string) => askHttps(server.port, path, { tls }) };
}

test('the port without TLS tells figures to everybody, and does nothing', async (context) => {
  const readOnlyPort = await freePort();
  const { port } = await open(context, { readOnlyPort });
  assert.equal((await askHttps(port, '/pods')).status, 401);
  const ask = (path: string) => fetch(`http://${host}:${readOnlyPort}${path}`);
  const pods = await ask('/pods');
  assert.equal(pods.status, 200);
  assert.deepEqual(await pods.json(), {
    ...{ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: [] },
  });
  assert.equal(await (await ask('/healthz')).text(), 'ok');
  for (const path of ['/exec/a/b/c?command=ls', '/run/a/b/c', '/containerLogs/a/b/c', '/logs/']) {
    const answer = await ask(path);
    assert.deepEqual(
      [answer.status, await answer.text()],
      [405, 'Debug endpoints are disabled.\n'],
    );
  }
  for (const path of ['/configz', '//']) assert.equal((await ask(path)).status, 404);
});

test('a command as long as the API server takes is read', async (context) => {
  const { ask } = await open(context, {});
  const command = 'a'.repeat(200_000);
  // Who asks without an upgrade is told of that; a head that is too long is 431.
  assert.equal((await ask(`/exec/a/b/c?command=echo&command=${command}`)).status, 400);
});

test('what is switched off is refused also to those who may', async (context) => {
  const off = await open(context, { debugging: false });
  for (const path of ['/containerLogs/a/b/c', '/logs/', '/runningpods/']) {
    assert.deepEqual(await off.ask(path), { status: 405, text: 'Debug endpoints are disabled.\n' });
  }
  assert.equal((await off.ask('/pods')).status, 200);
  for (const path of ['/exec/a/b/c', 'https://n/exec/a/b/c', '/./exec/a/b/c']) {
    const socket = connect({ host, port: off.port, ...off.tls });
    const head = ['Host: n', 'Connection: Upgrade', 'Upgrade: SPDY/3.1', '', ''].join('\r\n');
    socket.write(`POST ${path}?command=ls HTTP/1.1\r\n${head}`);
    const [answer] = await once(socket, 'data');
    socket.destroy();
    assert.match(String(answer), /^HTTP\/1.1 405 /, path);
  }
  const asked = await open(context, { logQueries: true });
  assert.deepEqual(await asked.ask('/logs/?query=%20'), {
    status: 400,
    text: 'unit: Invalid value: [" "]: unit cannot be empty\n',
  });
  assert.equal((await off.ask('/logs/?query=%20')).status, 405);
  const noLogs = await open(context, { systemLogs: false });
  assert.deepEqual(await noLogs.ask('/logs/'), {
    status: 405,
    text: 'logs endpoint is disabled.\n',
  });
  assert.equal((await noLogs.ask('/containerLogs/a/b/c')).status, 404);
});

test('a path is read in one way, and what is none is refused', async (context) => {
  const { port, tls, ask } = await open(context, { debugging: false });
  for (const path of ['/pods%', '/logs/%zz', '/containerLogs/a/b/%4']) {
    assert.deepEqual(await ask(path), { status: 400, text: '400 Bad Request' }, path);
  }
  const off = { status: 405, text: 'Debug endpoints are disabled.\n' };
  for (const path of ['/%63ontainerLogs/a/b/c', '/containerLogs%2Fa/b/%ff']) {
    assert.deepEqual(await ask(path), off, path);
  }
  assert.equal((await ask('//pods')).status, 404, 'no host called pods');
  assert.equal((await ask('/%70ods?a=%zz')).status, 200, 'what is asked about it is not looked at');
  const upgrade = async (path: string): Promise<string> => {
    const socket = connect({ host, port, ...tls });
    const head = ['Host: n', 'Connection: Upgrade', 'Upgrade: SPDY/3.1', '', ''].join('\r\n');
    socket.write(`POST ${path}?command=ls HTTP/1.1\r\n${head}`);
    const [answer] = await once(socket, 'data');
    socket.destroy();
    return String(answer);
  };
  assert.match(await upgrade('/%65xec/a/b/c'), /^HTTP\/1.1 405 /);
  assert.match(await upgrade('/exec/a/b/%c'), /^HTTP\/1.1 400 .*\r\n\r\n400 Bad Request$/s);
});

test('TLS is spoken as it was set', async (context) => {
  const ciphers = 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384';
  const newest = await open(context, { tls: { minVersion: 'TLSv1.3' } });
  const chosen = await open(context, { tls: { ciphers } });
  const speak = async (port: number, more: object): Promise<string> => {
    const socket = connect({ host, port, rejectUnauthorized: false, ...more });
    try {
      await once(socket, 'secureConnect');
      return `${socket.getProtocol()} ${socket.getCipher().name}`;
    } catch {
      return 'refused';
    } finally {
      socket.destroy();
    }
  };
  const old = { maxVersion: 'TLSv1.2' };
  assert.equal(await speak(newest.port, old), 'refused');
  assert.match(await speak(newest.port, {}), /^TLSv1.3 /);
  assert.equal(await speak(chosen.port, old), 'TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384');
  const other = { ...old, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' };
  assert.equal(await speak(chosen.port, other), 'refused');
});
