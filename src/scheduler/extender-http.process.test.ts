/** Extenders over a real socket: the body goes, the answer comes, and nobody is waited for long. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { seededRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { readSchedulerConfiguration } from './configuration/configuration.ts';
import { openExtenderPost } from './extender-http.ts';

test('a request is JSON to the verb below the prefix; other answers than 200 and silence fail', async () => {
  const server = createServer(async (request, response) => {
    if (request.url === '/x/silent') return;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    response.statusCode = request.url === '/x/filter' ? 200 : 500;
    response.end(JSON.stringify({ got: JSON.parse(Buffer.concat(chunks).toString()) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  // Who answers has all the time that a busy machine may need; who never does has little.
  const [extender, hasty] = readSchedulerConfiguration(`
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
extenders:
- {urlPrefix: "http://127.0.0.1:${port}/x/", filterVerb: filter, httpTimeout: 60s}
- {urlPrefix: "http://127.0.0.1:${port}/x/", filterVerb: filter, httpTimeout: 200ms}
`).extenders;
  assert.ok(extender !== undefined && hasty !== undefined);
  const post = openExtenderPost({ clock: systemClock() });
  const { signal } = new AbortController();
  try {
    assert.deepEqual(await post(extender, 'filter', { a: 1 }, { signal }), { got: { a: 1 } });
    await assert.rejects(post(extender, 'other', {}, { signal }), /failed other .* code 500/);
    await assert.rejects(post(hasty, 'silent', {}, { signal }), /no answer within 200 ms/);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('an extender is verified by the authority that the configuration gives, as data or as a file', async () => {
  const random = seededRandom(1);
  const time = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
  const ca = issueCertificate({ random }, { commonName: 'authority', role: 'ca', ...time });
  const pair = issueCertificate(
    { random },
    { commonName: 'extender', role: 'server', dnsNames: ['extender.test'], issuer: ca, ...time },
  );
  const server = createSecureServer(pair, (_, response) => response.end('{}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const folder = mkdtempSync(path.join(tmpdir(), 'coracle-extender-'));
  writeFileSync(path.join(folder, 'ca.crt'), ca.cert);
  const caData = Buffer.from(ca.cert).toString('base64');
  const serverName = 'extender.test';
  const common = { urlPrefix: `https://127.0.0.1:${port}`, filterVerb: 'filter' };
  const ask = async (tls: object): Promise<unknown> => {
    const source = JSON.stringify({
      apiVersion: 'kubescheduler.config.k8s.io/v1',
      kind: 'KubeSchedulerConfiguration',
      extenders: [{ ...common, ...tls }],
    });
    const [extender] = readSchedulerConfiguration(source).extenders;
    assert.ok(extender !== undefined);
    const post = openExtenderPost({ clock: systemClock() });
    return post(extender, 'filter', {}, { signal: new AbortController().signal });
  };
  try {
    const caFile = path.join(folder, 'ca.crt');
    assert.deepEqual(await ask({ tlsConfig: { caData, serverName } }), {});
    assert.deepEqual(await ask({ tlsConfig: { caFile, serverName } }), {});
    assert.deepEqual(await ask({ tlsConfig: { insecure: true } }), {});
    assert.deepEqual(await ask({ enableHTTPS: true }), {});
    await assert.rejects(ask({}), /self-signed certificate|unable to verify/);
    await assert.rejects(ask({ enableHTTPS: true, tlsConfig: { caData } }), /does not match/);
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  }
});
