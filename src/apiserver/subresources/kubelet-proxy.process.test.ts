/** Upgraded connections to a kubelet, on real sockets: its last words come through. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { silentLog } from '#kit/log.ts';
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
