/**
 * What every transport must do, whatever it runs over. `transportContract` is called by the test of
 * each transport with a way to connect a client's end to a server that the contract provides.
 *
 * Nothing here looks at the clock: a step ends when its promise does, and "the server has stopped
 * producing" means that it produced nothing more during many turns of the event loop.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';
import { settle } from '#kit/virtual-clock.ts';

/** Answers a request that came from `identity`. */
export type Serve = (
  identity: string,
  request: PlainRequest,
  options: { readonly signal: AbortSignal },
) => Promise<PlainResponse>;

export interface Connected {
  readonly transport: Transport;
  /** Cuts the connection under everything that is open. Absent where there is none to cut. */
  readonly lose?: () => void;
}

/** Connects a client that is `identity` to `serve`; undoes it when the test ends. */
export type Connect = (
  context: TestContext,
  identity: string,
  serve: Serve,
) => Promise<Connected> | Connected;

const never = new AbortController().signal;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
/** Small Buffers share one pool of memory, as most bytes in a server do. */
const bytesOf = (value: string): Uint8Array => Buffer.from(value, 'utf8');
const ask = (path: string): PlainRequest => ({ method: 'GET', path, headers: {} });

async function whole(body: PlainResponse['body']): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

function streamOf(body: PlainResponse['body']): AsyncIterator<Uint8Array> {
  assert(!(body instanceof Uint8Array), 'a stream is expected');
  return body[Symbol.asyncIterator]();
}

/** Says when the server's side of a stream was left. */
function endlessly(chunk: Uint8Array) {
  const freed = Promise.withResolvers<void>();
  let produced = 0;
  async function* body(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const aborted = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => aborted.resolve(), { once: true });
    try {
      while (!signal.aborted) {
        produced += 1;
        yield chunk;
        await Promise.race([settle(), aborted.promise]);
      }
    } finally {
      freed.resolve();
    }
  }
  return { freed: freed.promise, produced: () => produced, body };
}

/** One chunk, then nothing until the signal aborts: a watch on which nothing happens. */
function silently(first: Uint8Array) {
  const freed = Promise.withResolvers<void>();
  async function* body(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      yield first;
      if (signal.aborted) return;
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    } finally {
      freed.resolve();
    }
  }
  return { freed: freed.promise, body };
}

export function transportContract(name: string, connect: Connect): void {
  answers(name, connect);
  cancelling(name, connect);
  pressure(name, connect);
  losing(name, connect);
}

function answers(name: string, connect: Connect): void {
  test(`${name}: carries method, path, headers and bodies both ways`, async (t) => {
    const seen: PlainRequest[] = [];
    const { transport } = await connect(t, 'anna', async (_, request) => {
      seen.push(request);
      return {
        status: 409,
        headers: { 'content-type': 'text/plain', 'x-answer': 'yes' },
        body: bytesOf('no, thank you'),
      };
    });
    const body = bytesOf('{"täxt": 1}');
    const headers = { accept: 'application/json', 'x-question': 'why' };
    const path = '/api/v1/pods?limit=5&labelSelector=a%3Db';
    const response = await transport.send(
      { method: 'POST', path, headers, body },
      { signal: never },
    );
    assert.equal(response.status, 409);
    assert.equal(response.headers['x-answer'], 'yes');
    assert.equal(response.headers['content-type'], 'text/plain');
    assert.equal(text(await whole(response.body)), 'no, thank you');
    const request = seen[0];
    assert.deepEqual([request?.method, request?.path], ['POST', path]);
    assert.equal(request?.headers['x-question'], 'why');
    assert.equal(text(request?.body ?? new Uint8Array()), '{"täxt": 1}');
  });

  test(`${name}: carries big bodies both ways unchanged`, async (t) => {
    const pattern = (length: number): Uint8Array =>
      Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 255);
    const answer = pattern(5_000_011);
    let received: Uint8Array | undefined;
    const { transport } = await connect(t, 'anna', async (_, request) => {
      received = request.body;
      return { status: 200, headers: {}, body: answer };
    });
    const body = pattern(3_000_017);
    const request = { method: 'PUT', path: '/', headers: {}, body } as const;
    const response = await transport.send(request, { signal: never });
    assert.ok(Buffer.from(await whole(response.body)).equals(answer), 'the answer came whole');
    assert.ok(Buffer.from(received ?? []).equals(body), 'the request came whole');
    assert.equal(answer.byteLength, 5_000_011, 'the server keeps its own bytes');
    assert.equal(body.byteLength, 3_000_017, 'the client keeps its own bytes');
  });

  test(`${name}: keeps the parts of a stream in order`, async (t) => {
    const { transport } = await connect(t, 'anna', async () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        for (let i = 0; i < 1000; i++) yield bytesOf(`${i}\n`);
      })(),
    }));
    const response = await transport.send(ask('/'), { signal: never });
    const lines = text(await whole(response.body)).split('\n');
    assert.deepEqual(
      lines.slice(0, 1000).map(Number),
      Array.from({ length: 1000 }, (_, i) => i),
    );
  });

  test(`${name}: keeps requests apart that run at the same time`, async (t) => {
    const { transport } = await connect(t, 'anna', async (_, request) => {
      if (request.path.length % 2 === 0) await settle();
      return { status: 200, headers: {}, body: bytesOf(request.path) };
    });
    const paths = Array.from({ length: 50 }, (_, i) => `/${'x'.repeat(i)}`);
    const bodies = await Promise.all(
      paths.map(async (path) => {
        const response = await transport.send(ask(path), { signal: never });
        return text(await whole(response.body));
      }),
    );
    assert.deepEqual(bodies, paths);
  });

  test(`${name}: binds the identity when it is connected`, async (t) => {
    const serve: Serve = async (identity) => ({
      status: 200,
      headers: {},
      body: bytesOf(identity),
    });
    const anna = await connect(t, 'anna', serve);
    const bert = await connect(t, 'bert', serve);
    const headers = { 'x-remote-user': 'bert', 'impersonate-user': 'bert' };
    const request = { method: 'GET', path: '/', headers };
    for (const [expected, { transport }] of [
      ['anna', anna],
      ['bert', bert],
      ['anna', anna],
    ] as const) {
      const response = await transport.send(request, { signal: never });
      assert.equal(text(await whole(response.body)), expected);
    }
  });
}

function cancelling(name: string, connect: Connect): void {
  test(`${name}: cancels a request that has no answer yet`, async (t) => {
    const arrived = Promise.withResolvers<void>();
    const freed = Promise.withResolvers<void>();
    const { transport } = await connect(t, 'anna', (_, __, { signal }) => {
      arrived.resolve();
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          freed.resolve();
          reject(signal.reason);
        });
      });
    });
    const controller = new AbortController();
    const sending = transport.send(ask('/'), { signal: controller.signal });
    await arrived.promise;
    const reason = new Error('never mind');
    controller.abort(reason);
    await assert.rejects(sending, reason);
    await freed.promise;
  });

  test(`${name}: refuses a request whose signal has aborted`, async (t) => {
    let asked = 0;
    const { transport } = await connect(t, 'anna', async () => {
      asked += 1;
      return { status: 200, headers: {}, body: new Uint8Array() };
    });
    const reason = new Error('too late');
    const sending = transport.send(ask('/'), { signal: AbortSignal.abort(reason) });
    await assert.rejects(sending, reason);
    assert.equal(asked, 0);
  });

  test(`${name}: an aborted watch ends with the reason and frees the server's side`, async (t) => {
    const watch = silently(bytesOf('first'));
    const { transport } = await connect(t, 'anna', async (_, __, { signal }) => ({
      status: 200,
      headers: {},
      body: watch.body(signal),
    }));
    const controller = new AbortController();
    const response = await transport.send(ask('/'), { signal: controller.signal });
    const stream = streamOf(response.body);
    assert.equal(text((await stream.next()).value ?? new Uint8Array()), 'first');
    const waiting = stream.next();
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(waiting, reason);
    await watch.freed;
  });

  test(`${name}: leaving a stream early frees the server's side`, async (t) => {
    const watch = endlessly(bytesOf('again and again'));
    const { transport } = await connect(t, 'anna', async (_, __, { signal }) => ({
      status: 200,
      headers: {},
      body: watch.body(signal),
    }));
    const response = await transport.send(ask('/'), { signal: never });
    assert(!(response.body instanceof Uint8Array));
    for await (const chunk of response.body) if (chunk.byteLength > 0) break;
    await watch.freed;
  });
}

function pressure(name: string, connect: Connect): void {
  test(`${name}: a slow reader stops the server, and nobody else`, async (t) => {
    const chunk = new Uint8Array(64 * 1024);
    const watch = endlessly(chunk);
    const { transport } = await connect(t, 'anna', async (_, request, { signal }) => ({
      status: 200,
      headers: {},
      body: request.path === '/watch' ? watch.body(signal) : bytesOf('here'),
    }));
    const controller = new AbortController();
    const response = await transport.send(ask('/watch'), { signal: controller.signal });
    const stream = streamOf(response.body);
    await stream.next();
    const stopped = await whenStill(watch.produced);
    assert.ok(stopped * chunk.byteLength < 64 * 1024 * 1024, `${stopped} chunks were buffered`);
    const other = await transport.send(ask('/other'), { signal: never });
    assert.equal(text(await whole(other.body)), 'here');
    // Reading on makes the server go on.
    let read = 0;
    while (watch.produced() <= stopped) {
      const { value } = await stream.next();
      read += value?.byteLength ?? 0;
    }
    assert.ok(read > 0);
    controller.abort(new Error('enough'));
    await watch.freed;
  });
}

/** The value once it has stayed the same for many turns of the event loop. */
async function whenStill(value: () => number): Promise<number> {
  let last = value();
  for (let still = 0; still < 500; still++) {
    await settle();
    if (value() === last) continue;
    last = value();
    still = 0;
    assert.ok(last < 1_000_000, 'the server never stopped');
  }
  return last;
}

function losing(name: string, connect: Connect): void {
  test(`${name}: a server that fails half way is not mistaken for an end`, async (t) => {
    const { transport } = await connect(t, 'anna', async () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        yield bytesOf('half');
        await settle();
        throw new Error('the disk is gone');
      })(),
    }));
    const response = await transport.send(ask('/'), { signal: never });
    await assert.rejects(whole(response.body));
  });

  test(`${name}: a lost connection fails what is open`, async (t) => {
    const watch = silently(bytesOf('first'));
    const arrived = Promise.withResolvers<void>();
    const { transport, lose } = await connect(t, 'anna', async (_, request, { signal }) => {
      if (request.path === '/watch') return { status: 200, headers: {}, body: watch.body(signal) };
      arrived.resolve();
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    });
    // On one thread there is no connection to lose.
    if (lose === undefined) return;
    const response = await transport.send(ask('/watch'), { signal: never });
    const stream = streamOf(response.body);
    await stream.next();
    const reading = assert.rejects(stream.next());
    const sending = assert.rejects(transport.send(ask('/slow'), { signal: never }));
    await arrived.promise;
    lose();
    await Promise.all([reading, sending]);
    await watch.freed;
  });
}
