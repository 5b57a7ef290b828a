/**
 * How the server leaves: not ready first, then no new connections, watches ended as if their time
 * had come, requests in flight finished, and those that never finish cut after a limit.
 */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { issueCertificate } from '#kit/x509.ts';
import { openStoreOver, type Store } from '#store';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const maps = '/api/v1/namespaces/default/configmaps';

/** A store whose commits wait at a gate once it is shut. */
class Gate {
  #waiting: (() => void)[] = [];
  #isShut = false;
  readonly arrived = Promise.withResolvers<void>();

  shut(): void {
    this.#isShut = true;
  }

  open(): void {
    this.#isShut = false;
    for (const go of this.#waiting.splice(0)) go();
  }

  async append(): Promise<void> {
    if (!this.#isShut) return;
    this.arrived.resolve();
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  store(clock: VirtualClock): Promise<Store> {
    const backing = {
      load: async (sink: { onStart(loaded: { reserved: number; compacted: number }): void }) =>
        sink.onStart({ reserved: 0, compacted: 0 }),
      append: () => this.append(),
      compact: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
    return openStoreOver({ clock, log: silentLog }, { backing });
  }
}

interface World {
  readonly server: TestServer;
  readonly clock: VirtualClock;
  readonly gate: Gate;
  send(method: string, path: string, body?: object): Promise<IncomingMessage>;
}

async function openWorld(): Promise<World> {
  const random = systemRandom();
  const nowMs = systemClock().now();
  const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_600_000 };
  const ca = issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...validity });
  const issue = (commonName: string, role: 'server' | 'client') =>
    issueCertificate(
      { random },
      {
        ...{ commonName, role, issuer: ca, ...validity },
        organizations: ['system:masters'],
        ipAddresses: role === 'server' ? ['127.0.0.1'] : [],
      },
    );
  const [gate, clock] = [new Gate(), new VirtualClock({ startMs: nowMs })];
  const server = await openTestServer({ clock, store: await gate.store(clock) });
  const listen = { host: '127.0.0.1', port: 0, ...issue('kubernetes', 'server') };
  const { port } = await server.server.listen({ ...listen, clientCA: ca.cert });
  const client = issue('admin', 'client');
  const send: World['send'] = (method, path, body) =>
    new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const at = { host: '127.0.0.1', port, method, path, headers, agent: false };
      const sent = httpsRequest({ ...at, ca: ca.cert, ...client }, resolve);
      sent.once('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  return { server, clock, gate, send };
}

/** Reads to the end; whether the answer was whole. */
async function drainOf(response: IncomingMessage): Promise<boolean> {
  try {
    for await (const _ of response);
  } catch {
    return false;
  }
  return response.complete;
}

test('what is in flight finishes, watches end whole, and nobody new is let in', async () => {
  const { server, gate, send } = await openWorld();
  const watch = await send('GET', `${maps}?watch=true`);
  const watched = drainOf(watch);
  server.server.drain();
  assert.equal((await send('GET', '/readyz')).statusCode, 500);
  assert.equal((await send('GET', '/livez')).statusCode, 200);
  assert.equal((await send('GET', maps)).statusCode, 200, 'a draining server still serves');
  gate.shut();
  const writing = send('POST', maps, { metadata: { name: 'last' } });
  await gate.arrived.promise;
  const closing = server[Symbol.asyncDispose]();
  assert.equal(await watched, true);
  await assert.rejects(send('GET', maps), /ECONNREFUSED|ECONNRESET/);
  gate.open();
  const written = await writing;
  assert.equal(written.statusCode, 201);
  assert.equal(await drainOf(written), true);
  await closing;
  await server.store[Symbol.asyncDispose]();
});

test('a request that never finishes is cut when its time is over', async () => {
  const { server, gate, clock, send } = await openWorld();
  gate.shut();
  const writing = send('POST', maps, { metadata: { name: 'stuck' } });
  const outcome = writing.then(
    () => 'answered',
    () => 'cut',
  );
  await gate.arrived.promise;
  let isClosed = false;
  const closing = server[Symbol.asyncDispose]().then(() => {
    isClosed = true;
  });
  await clock.advance(4900);
  assert.equal(isClosed, false);
  await clock.advance(200);
  assert.equal(await outcome, 'cut');
  await closing;
  gate.open();
  await server.store[Symbol.asyncDispose]();
});
