/** Streams to the runtime, on real sockets: what is said, and that nothing of them stays. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, IncomingMessage } from 'node:http';
import { connect, createServer as createSocketServer, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { passStream, type StreamTarget } from './streaming.ts';

const { signal } = new AbortController();
const running: StreamTarget = {
  findContainer: async () => ({
    runtime: { sandboxes: [] },
    latest: { id: 'c1', state: 'running' },
  }),
};

test('a refused stream is closed on our side whatever the asker still says', async () => {
  await using node = await openNode(undefined, '');
  const { answer, closed } = await node.ask();
  assert.match(answer, /^HTTP\/1.1 404 Not Found\r\n.*pod does not exist$/s);
  await closed;
});

test('a stream that the runtime ends is closed on our side, whatever the asker still says', async () => {
  await using node = await openNode(running, 'HTTP/1.1 101 Switching Protocols\r\n\r\nbye');
  const { answer, closed } = await node.ask();
  assert.match(answer, /bye$/);
  await closed;
});

test('a stream on which nothing moves is ended', async () => {
  await using node = await openNode(running, undefined, { idleMs: 50 });
  const { answer, closed } = await node.ask();
  assert.match(answer, /^HTTP\/1.1 101 Switching Protocols\r\n/, 'the runtime would go on');
  await closed;
});

test('how a command ended is told although the runtime leaves its input unread', async () => {
  const words = 'HTTP/1.1 101 Switching Protocols\r\n\r\nexit code 3';
  await using node = await openNode(running, words, { leavesInput: true });
  const { answer, closed } = await node.ask(Buffer.alloc(16 * 1024 * 1024));
  assert.match(answer, /exit code 3$/);
  await closed;
});

test('the last words of a runtime are told to who still speaks when it has closed', async (context) => {
  const accepted = Promise.withResolvers<Socket>();
  const runtime = createSocketServer((socket) => accepted.resolve(socket.resume()));
  context.after(() => runtime.close());
  const url = `http://127.0.0.1:${await listen(runtime)}/exec/token`;
  const streams = { exec: async () => url, attach: async () => url, portForward: async () => url };
  let told = '';
  const asker = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      told += chunk.toString();
      done();
    },
  });
  context.after(() => asker.destroy());
  const request = new IncomingMessage(new Socket());
  Object.assign(request, { method: 'POST', url: '/exec/a/p/c?command=ls&output=1' });
  const stream = { request, socket: asker, head: Buffer.alloc(0), signal };
  await passStream({ runtime: streams }, { findPod: () => running }, stream);
  const other = await accepted.promise;
  await once(other, 'data');
  other.write('exit code 3');
  other.destroy();
  // As a ping comes: in pieces, before anybody has looked what the runtime says.
  for (const piece of ['p', 'i', 'n', 'g']) asker.push(piece);
  await once(asker, 'finish', { signal: AbortSignal.timeout(30_000) });
  assert.equal(told, 'exit code 3');
});

/** Reads no more; closes when no more can be written to it: the kernel resets the connection. */
async function leaveInput(socket: Socket, words: string, node: Duplex): Promise<void> {
  socket.pause();
  for (let turns = 0; turns < 100; ) {
    await setImmediate();
    turns = node.isPaused() ? turns + 1 : 0;
  }
  socket.write(words, () => socket.destroy());
}

/** A node whose runtime says these words to whoever streams, and closes; or waits. */
async function openNode(
  target: StreamTarget | undefined,
  words: string | undefined,
  { idleMs = 0, leavesInput = false }: { idleMs?: number; leavesInput?: boolean } = {},
) {
  const upgraded = Promise.withResolvers<Duplex>();
  const runtime = createSocketServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', async () => {
      if (leavesInput) await leaveInput(socket, words ?? '', await upgraded.promise);
      else if (words === undefined) socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
      else socket.end(words);
    });
  });
  const url = `http://127.0.0.1:${await listen(runtime)}/exec/token`;
  const streams = { exec: async () => url, attach: async () => url, portForward: async () => url };
  const server = createServer();
  server.on('upgrade', (request, socket, head) => {
    upgraded.resolve(socket);
    const stream = { request, socket, head, idleMs, signal };
    void passStream({ runtime: streams }, { findPod: () => target }, stream);
  });
  const port = await listen(server);
  return {
    /** All that is answered; `closed` once the node has let go of the connection. */
    ask: async (input?: Buffer) => {
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      client.write('POST /exec/a/p/c?command=ls&output=1 HTTP/1.1\r\nHost: n\r\n');
      client.write('Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n');
      if (input !== undefined) client.write(input);
      const parts: Buffer[] = [];
      client.on('data', (part: Buffer) => parts.push(part));
      const [socket] = await Promise.all([upgraded.promise, once(client, 'end')]);
      // What is on its way when the other side ends is read by nobody.
      client.end('more');
      const closed = socket.closed
        ? undefined
        : once(socket, 'close', { signal: AbortSignal.timeout(30_000) });
      return { answer: Buffer.concat(parts).toString(), closed };
    },
    [Symbol.asyncDispose]: async () => {
      (await upgraded.promise).destroy();
      for (const each of [server, runtime]) each.close();
    },
  };
}

async function listen(server: ReturnType<typeof createSocketServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}
