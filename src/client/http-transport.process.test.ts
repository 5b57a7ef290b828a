/** The transport over HTTPS against the contract: who the client is comes from its certificate. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import {
  createServer as createPlainServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { seededRandom } from '#kit/random.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { openHttpTransport } from './http-transport.ts';
import { type Serve, transportContract } from './transport.contract.ts';

const random = seededRandom(7);
const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2120, 0, 1) };
const ca = issueCertificate({ random }, { commonName: 'test', role: 'ca', ...validity });
const issue = (role: 'server' | 'client', commonName: string): KeyPair => {
  const ipAddresses = role === 'server' ? ['127.0.0.1'] : [];
  const request = { commonName, role, ipAddresses, ...validity, issuer: ca };
  return issueCertificate({ random }, request);
};
const serverPair = issue('server', 'server');

transportContract('https', async (context, identity, serve) => {
  const server = createServer(
    { ...serverPair, ca: ca.cert, requestCert: true, rejectUnauthorized: true },
    (request, response) => void answer(serve, request, response),
  );
  const port = await listening(context, server);
  const { cert, key } = issue('client', identity);
  const options = { server: `https://127.0.0.1:${port}`, ca: ca.cert, cert, key };
  const transport = openHttpTransport(options);
  context.after(() => transport[Symbol.dispose]());
  return { transport, lose: () => server.closeAllConnections() };
});

async function listening(context: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  // A server that listens on an address and port says so.
  return (server.address() as AddressInfo).port;
}

/** As small a server as the contract allows. */
async function answer(serve: Serve, request: IncomingMessage, response: ServerResponse) {
  const controller = new AbortController();
  response.on('close', () => controller.abort(new Error('closed')));
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  // The socket of an HTTPS server.
  const { subject } = (request.socket as TLSSocket).getPeerCertificate();
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value);
  try {
    const { method = '', url: path = '' } = request;
    const plain = { method, path, headers, body: Buffer.concat(parts) };
    const answered = await serve(String(subject.CN), plain, { signal: controller.signal });
    response.writeHead(answered.status, answered.headers);
    response.flushHeaders();
    const { body } = answered;
    for await (const chunk of body instanceof Uint8Array ? [body] : body) {
      if (controller.signal.aborted) break;
      if (!response.write(chunk)) {
        await new Promise<void>((resolve) => {
          response.once('drain', resolve);
          controller.signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    }
    response.end();
  } catch {
    response.destroy();
  }
}

test('https: does not speak to a server that another authority vouches for', async (t) => {
  const stranger = issueCertificate({ random }, { commonName: 'other', role: 'ca', ...validity });
  let asked = 0;
  const server = createServer(serverPair, (_, response) => {
    asked += 1;
    response.end();
  });
  const port = await listening(t, server);
  const options = { server: `https://127.0.0.1:${port}`, ca: stranger.cert };
  using transport = openHttpTransport(options);
  const request = { method: 'GET', path: '/', headers: {} };
  const { signal } = new AbortController();
  await assert.rejects(transport.send(request, { signal }), /certificate/);
  assert.equal(asked, 0);
});

test('https: reads a token file again for each request', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'token-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const tokenFile = join(directory, 'token');
  const seen: (string | undefined)[] = [];
  const server = createPlainServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end();
  });
  const port = await listening(t, server as Server);
  using transport = openHttpTransport({ server: `http://127.0.0.1:${port}`, tokenFile });
  const { signal } = new AbortController();
  for (const token of ['one', 'two']) {
    writeFileSync(tokenFile, `${token}\n`);
    const { body } = await transport.send({ method: 'GET', path: '/', headers: {} }, { signal });
    if (!(body instanceof Uint8Array)) for await (const _ of body);
  }
  assert.deepEqual(seen, ['Bearer one', 'Bearer two']);
});

for (const connectionsMax of [undefined, 4]) {
  const count = connectionsMax ?? 32;
  const name = `many requests share ${count} connections, and what must not wait has its own`;
  test(`https: ${name}`, (t) => shareConnections(t, { connectionsMax, count }));
}

async function shareConnections(
  t: TestContext,
  {
    connectionsMax,
    count,
  }: { readonly connectionsMax: number | undefined; readonly count: number },
): Promise<void> {
  const held: ServerResponse[] = [];
  const reached = Promise.withResolvers<void>();
  const server = createServer(serverPair, (request, response) => {
    if (request.url !== '/held') response.end();
    else if (held.push(response) === count) reached.resolve();
  });
  let connections = 0;
  server.on('secureConnection', () => {
    connections += 1;
  });
  const port = await listening(t, server);
  const url = `https://127.0.0.1:${port}`;
  using transport = openHttpTransport({ server: url, ca: ca.cert, connectionsMax });
  const { signal } = new AbortController();
  const ask = async (path: string): Promise<void> => {
    const { body } = await transport.send({ method: 'GET', path, headers: {} }, { signal });
    if (!(body instanceof Uint8Array)) for await (const _ of body);
  };
  const all = Array.from({ length: 100 }, () => ask('/held'));
  await reached.promise;
  await ask('/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1');
  await ask('/api/v1/pods?watch=true');
  assert.equal(held.length, count);
  server.removeAllListeners('request');
  server.on('request', (_: unknown, response: ServerResponse) => response.end());
  for (const response of held) response.end();
  await Promise.all(all);
  assert.ok(connections <= count + 2, `${connections} connections`);
}

test('https: new pods that the server holds up keep nobody waiting whom they wait for', async (t) => {
  const held: ServerResponse[] = [];
  const reached = Promise.withResolvers<void>();
  let isThere = false;
  const server = createServer(serverPair, (request, response) => {
    isThere ||= request.url === '/api/v1/namespaces/new/serviceaccounts';
    if (held.push(response) === 32) reached.resolve();
    if (isThere) for (const each of held) each.end();
  });
  const port = await listening(t, server);
  using transport = openHttpTransport({ server: `https://127.0.0.1:${port}`, ca: ca.cert });
  const { signal } = new AbortController();
  const create = async (plural: string): Promise<void> => {
    const path = `/api/v1/namespaces/new/${plural}`;
    const { body } = await transport.send({ method: 'POST', path, headers: {} }, { signal });
    if (!(body instanceof Uint8Array)) for await (const _ of body);
  };
  const pods = Array.from({ length: 40 }, () => create('pods'));
  await reached.promise;
  assert.equal(isThere, false);
  await create('serviceaccounts');
  await Promise.all(pods);
});
