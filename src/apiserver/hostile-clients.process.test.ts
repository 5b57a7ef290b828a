/**
 * Clients that do what no client should: stop in the middle, send without end, open and reset
 * streams as fast as they can. The server refuses or lets go of them, keeps its memory, and goes on
 * serving all others. It runs in this process, which has no other tests, so that memory can be
 * told.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import {
  type Frame,
  flag,
  frameOf,
  frameType,
  headerBlock,
  RawHttp2,
  statusOf,
} from '#test/raw-http2.ts';

const clock = systemClock();
const random = systemRandom();
const never = new AbortController().signal;
const space = '/api/v1/namespaces/default/configmaps';
const growthBytesMax = 96 * 1024 * 1024;

interface World {
  readonly server: TestServer;
  readonly target: { readonly port: number; readonly ca: string } & KeyPair;
}

let world: World;

before(async () => {
  const nowMs = clock.now();
  const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_600_000 };
  const ca = issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...validity });
  const issue = (role: 'server' | 'client'): KeyPair =>
    issueCertificate(
      { random },
      {
        ...{ commonName: 'one', role, issuer: ca, ipAddresses: ['127.0.0.1'], ...validity },
        organizations: role === 'client' ? ['system:masters'] : [],
      },
    );
  const server = await openTestServer();
  const listen = { host: '127.0.0.1', port: 0, ...issue('server'), clientCA: ca.cert };
  const { port } = await server.server.listen(listen);
  world = { server, target: { port, ca: ca.cert, ...issue('client') } };
  await server.request('POST', space, { metadata: { name: 'one' } });
});

after(async () => {
  await world.server[Symbol.asyncDispose]();
});

async function open(): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', ...world.target, ALPNProtocols: ['http/1.1'] });
  await once(socket, 'secureConnect');
  // What the server does to it is what the tests look at.
  socket.on('error', () => {});
  return socket;
}

/** All that the server says until it closes the connection. */
async function readAll(socket: TLSSocket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(parts).toString('utf8');
}

async function isServing(): Promise<void> {
  const socket = await open();
  socket.write(`GET ${space}/one HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  assert.match(await readAll(socket), /^HTTP\/1.1 200 /);
}

/** Runs what attacks; afterwards the server serves, and has not kept what it was sent. */
async function withstands(attack: () => Promise<void>): Promise<void> {
  const before = process.memoryUsage().rss;
  await attack();
  await isServing();
  const growth = process.memoryUsage().rss - before;
  assert.ok(growth < growthBytesMax, `memory grew by ${Math.round(growth / 1e6)} MB`);
  assert.equal(world.server.server.bugs, 0);
}

test('a body that is too large is refused when it has come, and one without end is cut', async () => {
  await withstands(async () => {
    const socket = await open();
    const length = 3 * 1024 * 1024 + 1;
    socket.write(`POST ${space} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n`);
    socket.write(`content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`);
    socket.write(Buffer.alloc(length, 0x20));
    const answer = await readAll(socket);
    assert.match(answer, /^HTTP\/1.1 413 /);
    assert.match(answer, /"message":"Request entity too large: limit is 3145728"/);
  });
  await withstands(async () => {
    const socket = await open();
    socket.write(`POST ${space} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`);
    const chunk = Buffer.concat([
      Buffer.from('100000\r\n'),
      Buffer.alloc(2 ** 20),
      Buffer.from('\r\n'),
    ]);
    const closed = readAll(socket);
    let sent = 0;
    while (!socket.destroyed && sent < 200) {
      sent += 1;
      if (!socket.write(chunk)) await Promise.race([once(socket, 'drain').catch(() => {}), closed]);
    }
    await closed;
    assert.ok(sent < 200, 'the server let go');
  });
});

test('heads that are too large are refused; those of a MiB are read', async () => {
  await withstands(async () => {
    const ask = async (bytes: number): Promise<string> => {
      const socket = await open();
      const path = `${space}?labelSelector=a%3Db&x=${'y'.repeat(bytes)}`;
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      return await readAll(socket);
    };
    assert.match(await ask(900_000), /^HTTP\/1.1 200 /);
    assert.match(await ask(2_000_000), /^HTTP\/1.1 431 /);
  });
});

test('what is no HTTP, and a request that says two lengths, end with 400', async () => {
  await withstands(async () => {
    for (const text of [
      'hello\r\n\r\n',
      `FOO ${space} HTTP/1.1\r\nhost: x\r\n\r\n`,
      `POST ${space} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello`,
      `POST ${space} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      `GET ${space} HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n`,
    ]) {
      const socket = await open();
      socket.write(text);
      assert.match(await readAll(socket), /^HTTP\/1.1 400 /, text);
    }
  });
});

test('hundreds of connections that never finish a request do not keep others out', async () => {
  await withstands(async () => {
    const sockets: TLSSocket[] = [];
    for (let index = 0; index < 300; index++) {
      const socket = await open();
      sockets.push(socket);
      const head = `POST ${space} HTTP/1.1\r\nhost: x\r\n`;
      socket.write(index % 2 === 0 ? head : `${head}content-length: 100\r\n\r\n{"meta`);
    }
    await isServing();
    for (const socket of sockets) socket.destroy();
  });
});

interface Session {
  readonly raw: RawHttp2;
  readonly frames: Frame[];
  /** Resolves when the server has said goodbye or closed. */
  readonly gone: Promise<void>;
}

async function openSession(): Promise<Session> {
  const frames: Frame[] = [];
  const gone = Promise.withResolvers<void>();
  const raw = await RawHttp2.open(world.target, (frame) => {
    if (frame.type !== frameType.data) frames.push(frame);
    if (frame.type === frameType.goAway) gone.resolve();
  });
  raw.socket.once('close', () => gone.resolve());
  return { raw, frames, gone: gone.promise };
}

const get = headerBlock({
  ':method': 'GET',
  ':scheme': 'https',
  ':path': `${space}/one`,
  ':authority': 'x',
});

test('streams that are opened and reset at once end with goodbye, not with memory', async () => {
  await withstands(async () => {
    const { raw, gone } = await openSession();
    const reset = Buffer.alloc(4);
    reset.writeUInt32BE(8);
    let isGone = false;
    const end = gone.then(() => {
      isGone = true;
    });
    for (let stream = 1; stream < 200_000 && !isGone; stream += 2) {
      const head = frameOf(frameType.headers, flag.endHeaders | flag.endStream, stream, get);
      raw.socket.write(Buffer.concat([head, frameOf(frameType.resetStream, 0, stream, reset)]));
      if (stream % 512 === 1) await clock.sleep(1, { signal: never });
    }
    await end;
    raw.socket.destroy();
  });
});

test('floods of settings, pings, empty frames and continuations are cut or cost nothing', async () => {
  const settings = frameOf(frameType.settings, 0, 0, Buffer.alloc(0));
  const ping = frameOf(frameType.ping, 0, 0, Buffer.alloc(8));
  const begun = frameOf(frameType.headers, 0, 1, get.subarray(0, 3));
  const more = frameOf(frameType.continuation, 0, 1, Buffer.alloc(0));
  const junk = frameOf(
    frameType.continuation,
    0,
    1,
    headerBlock(
      Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`x-${n}`, 'y'.repeat(20)])),
    ),
  );
  const body = frameOf(
    frameType.headers,
    flag.endHeaders,
    1,
    headerBlock({ ':method': 'POST', ':scheme': 'https', ':path': space, ':authority': 'x' }),
  );
  const empty = frameOf(frameType.data, 0, 1, Buffer.alloc(0));
  for (const [first, flood] of [
    [Buffer.alloc(0), settings],
    [Buffer.alloc(0), ping],
    [begun, more],
    [begun, junk],
    [body, empty],
  ] as const) {
    await withstands(async () => {
      const { raw, gone } = await openSession();
      // Nothing of the answers is read: what the server wants to say must not pile up in it.
      raw.socket.pause();
      raw.socket.write(first);
      const burst = Buffer.concat(Array.from({ length: 64 }, () => flood));
      let isGone = false;
      void gone.then(() => {
        isGone = true;
      });
      for (let count = 0; count < 2_000 && !isGone && !raw.socket.destroyed; count++) {
        if (raw.socket.writableLength > 2 ** 20) await clock.sleep(1, { signal: never });
        else raw.socket.write(burst);
        if (count % 64 === 0) await clock.sleep(1, { signal: never });
      }
      raw.socket.destroy();
    });
  }
});

test('a connection has so many streams and no more, and the others go on', async () => {
  await withstands(async () => {
    const { raw, frames } = await openSession();
    const watch = headerBlock({
      ':method': 'GET',
      ':scheme': 'https',
      ':path': `${space}?watch=1&resourceVersion=0`,
      ':authority': 'x',
    });
    const open = 1_000;
    for (let index = 0; index < open + 10; index++) {
      raw.send(frameType.headers, flag.endHeaders | flag.endStream, 1 + 2 * index, watch);
      if (index % 100 === 0) await clock.sleep(5, { signal: never });
    }
    const limitMs = clock.monotonic() + 60_000;
    const answered = () => frames.filter(({ type }) => type === frameType.headers);
    const refused = () => frames.filter(({ type }) => type === frameType.resetStream);
    while (answered().length < open || refused().length < 10) {
      assert.ok(clock.monotonic() < limitMs, `${answered().length}, ${refused().length}`);
      await clock.sleep(10, { signal: never });
    }
    assert.ok(answered().every(({ payload }) => statusOf(payload) === 200));
    raw.socket.destroy();
  });
});

/** Waits until so many streams have got the head of an answer, or the server has let go. */
async function answeredOrGone({ frames, gone }: Session, count: number): Promise<void> {
  let isGone = false;
  void gone.then(() => {
    isGone = true;
  });
  const limitMs = clock.monotonic() + 60_000;
  while (!isGone && frames.filter(({ type }) => type === frameType.headers).length < count) {
    assert.ok(clock.monotonic() < limitMs, 'no answers within a minute');
    await clock.sleep(10, { signal: never });
  }
}

test('lists that are asked for and not read are not kept for those who asked', async () => {
  const large = '/api/v1/namespaces/large/configmaps';
  await world.server.request('POST', '/api/v1/namespaces', { metadata: { name: 'large' } });
  const data = { text: 'x'.repeat(100_000) };
  for (let n = 0; n < 80; n++) {
    await world.server.request('POST', large, { metadata: { name: `n${n}` }, data });
  }
  await withstands(async () => {
    const session = await openSession();
    const { raw } = session;
    const closed = Buffer.from([0, 4, 0, 0, 0, 0]);
    raw.send(frameType.settings, 0, 0, closed);
    const list = headerBlock({
      ...{ ':method': 'GET', ':scheme': 'https', ':path': large, ':authority': 'x' },
    });
    // Together they would be 480 MB.
    for (let index = 0; index < 60; index++) {
      raw.send(frameType.headers, flag.endHeaders | flag.endStream, 1 + 2 * index, list);
    }
    await answeredOrGone(session, 60);
    await clock.sleep(500, { signal: never });
    raw.socket.destroy();
  });
});

test('bodies that come byte by byte cost little more than their bytes', async () => {
  await withstands(async () => {
    const { raw } = await openSession();
    const head = headerBlock({
      ...{ ':method': 'POST', ':scheme': 'https', ':path': space, ':authority': 'x' },
    });
    const streams = [1, 3, 5, 7];
    for (const stream of streams) raw.send(frameType.headers, flag.endHeaders, stream, head);
    const byte = Buffer.from(' ');
    const burst = Buffer.concat(
      Array.from({ length: 500 }, () =>
        streams.map((stream) => frameOf(frameType.data, 0, stream, byte)),
      ).flat(),
    );
    // Two million parts.
    for (let n = 0; n < 1_000; n++) {
      if (!raw.socket.write(burst)) await once(raw.socket, 'drain');
    }
    await clock.sleep(200, { signal: never });
    assert.ok(!raw.socket.destroyed);
    raw.socket.destroy();
  });
});

test('heads that name one kept field again and again are too large, and cost nothing', async () => {
  await withstands(async () => {
    const session = await openSession();
    const { raw, frames } = session;
    const value = Buffer.alloc(3_900, 'y');
    const literal = Buffer.concat([Buffer.from([0x40, 1, 0x62, 127, 0xbd, 0x1d]), value]);
    const kept = Buffer.concat([get, literal]);
    const whole = flag.endHeaders | flag.endStream;
    raw.send(frameType.headers, whole, 1, kept);
    const bomb = Buffer.concat([get, Buffer.alloc(900, 0x80 | 62)]);
    const count = 300;
    for (let n = 1; n <= count; n++) {
      raw.send(frameType.headers, whole, 1 + 2 * n, bomb);
      if (n % 50 === 0) await clock.sleep(1, { signal: never });
    }
    await answeredOrGone(session, 1 + count);
    const heads = frames.filter(({ type }) => type === frameType.headers);
    for (const { stream, payload } of heads) {
      assert.equal(statusOf(payload), stream === 1 ? 200 : 431);
    }
    raw.socket.destroy();
  });
});
