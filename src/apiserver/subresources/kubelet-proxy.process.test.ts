/** Upgraded connections to a kubelet, on real sockets: its last words come through. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { KubeletProxy, type KubeletProxyDeps } from './kubelet-proxy.ts';

// Neither is asked: where the kubelet is, is given.
const unused = {} as unknown as Pick<KubeletProxyDeps, 'store' | 'random'>;
const proxy = new KubeletProxy({ ...unused, log: silentLog }, { client: undefined });

test('how a command ended is told although the kubelet leaves its input unread', async (context) => {
  const upgraded = Promise.withResolvers<Duplex>();
  const kubelet = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', async () => leaveInput(socket, 'exit code 3', await upgraded.promise));
  });
  const kubeletPort = await listen(kubelet);
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    upgraded.resolve(socket);
    const target = { scheme: 'http', host: '127.0.0.1', port: kubeletPort, path: '/exec' } as const;
    proxy.upgrade(target, { method: 'POST', rawHeaders: [], head: new Uint8Array(), socket });
  });
  const client = connect({ port: await listen(server), host: '127.0.0.1', allowHalfOpen: true });
  context.after(() => {
    client.destroy();
    for (const each of [server, kubelet]) each.close();
  });
  client.write(Buffer.alloc(16 * 1024 * 1024));
  let text = '';
  client.on('data', (part: Buffer) => {
    text += part.toString();
  });
  await once(client, 'end');
  assert.equal(text, 'exit code 3');
});

test('a node that takes connections and says nothing is given up', async (context) => {
  const stopped = createServer();
  context.after(() => stopped.close());
  const held: Socket[] = [];
  stopped.on('connection', (socket) => held.push(socket.on('error', () => {})));
  context.after(() => held.forEach((socket) => void socket.destroy()));
  const target = { host: '127.0.0.1', port: await listen(stopped), path: '/' };
  const { cert, key } = issueCertificate(
    { random: seededRandom(1) },
    { commonName: 'server', role: 'client', notBeforeMs: 0, notAfterMs: 1_000 },
  );
  const client = { ca: cert, cert, key };
  const hasty = new KubeletProxy({ ...unused, log: silentLog }, { client, connectLimitMs: 50 });
  const { signal } = new AbortController();
  await assert.rejects(hasty.openStreams(target, { protocol: 'v4', signal }), {
    message: 'error dialing backend: connect timed out',
  });
  await assert.rejects(hasty.log(target, { signal }), {
    message: 'error trying to reach node: connect timed out',
  });
});

test('a node that is connected may take its time', async (context) => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const slow = createServer((socket) => {
    socket.once('data', async () => {
      await setTimeout(1_500);
      socket.end(answer);
    });
  });
  context.after(() => slow.close());
  const target = {
    scheme: 'http',
    host: '127.0.0.1',
    port: await listen(slow),
    path: '/',
  } as const;
  const calm = new KubeletProxy(
    { ...unused, log: silentLog },
    { client: undefined, connectLimitMs: 1_000 },
  );
  const { signal } = new AbortController();
  assert.equal((await calm.log(target, { signal })).status, 200);
});

/** Reads no more; closes when no more can be written to it: the kernel resets the connection. */
async function leaveInput(socket: Socket, words: string, server: Duplex): Promise<void> {
  socket.pause();
  for (let turns = 0; turns < 100; ) {
    await setImmediate();
    turns = server.isPaused() ? turns + 1 : 0;
  }
  socket.write(words, () => socket.destroy());
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A port, since it listens to one.
  return (server.address() as AddressInfo).port;
}
