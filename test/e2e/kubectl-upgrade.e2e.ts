/**
 * kubectl behind something that passes requests on and no upgrades, as many load balancers do: what
 * it says where a connection would have to become something else, and that the rest goes on.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '#kit/run-command.ts';
import { openApiPort } from '#test/api-port.ts';
import { covers } from '#test/covers.ts';
import type { TestServer } from '#test/fixtures.ts';
import { findKubectl } from '#test/kubectl-transcripts.ts';

const space = '/api/v1/namespaces/default';

/** Asks the server in the administrator's name, without the headers of one connection. */
async function passOn(
  server: TestServer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (!/^(connection|upgrade|host|sec-websocket.*)$/.test(name)) headers[name] = String(value);
  }
  const { method = 'GET', url = '/' } = request;
  const body = parts.length === 0 ? undefined : Buffer.concat(parts);
  const { signal } = new AbortController();
  const answer = await server.transport.send({ method, path: url, headers, body }, { signal });
  response.writeHead(answer.status, answer.headers);
  const { body: given } = answer;
  for await (const part of given instanceof Uint8Array ? [given] : given) response.write(part);
  response.end();
}

test('without upgrades on the way, streams end with the reason, and all else works', async () => {
  covers('API-012');
  await using port = await openApiPort();
  const { server } = port;
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const spec = { nodeName: 'n', containers: [{ name: 'c', image: 'busybox' }] };
  await server.request('POST', `${space}/pods`, { metadata: { name: 'p' }, spec });
  const status = { phase: 'Running', containerStatuses: [] };
  await server.request('PATCH', `${space}/pods/p/status`, { status });
  const between = createServer((request, response) => {
    passOn(server, request, response).catch(() => response.destroy());
  });
  // Where nobody listens for upgrades, Node takes what asks for one as a plain request.
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
  const address = between.address();
  assert(typeof address === 'object' && address !== null);
  const folder = mkdtempSync(join(tmpdir(), 'coracle-upgrade-'));
  try {
    const kubeconfig = join(folder, 'config');
    writeFileSync(kubeconfig, '');
    const kubectl = (...args: string[]) =>
      runCommand(
        findKubectl(),
        [`--server=http://127.0.0.1:${address.port}`, `--kubeconfig=${kubeconfig}`, ...args],
        { signal: new AbortController().signal, timeoutMs: 60_000 },
      );
    const got = await kubectl('get', 'pod', 'p', '-o', 'name');
    assert.equal(got.stdout, 'pod/p\n');
    for (const args of [
      ['port-forward', 'pod/p', ':80'],
      ['exec', 'p', '--', 'true'],
      ['attach', 'p'],
    ]) {
      const { code, stderr } = await kubectl(...args);
      assert.equal(code, 1, args.join(' '));
      assert.match(stderr, /Upgrade request required/, args.join(' '));
    }
  } finally {
    between.close();
    between.closeAllConnections();
    rmSync(folder, { recursive: true });
  }
});
