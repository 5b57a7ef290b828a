/** The transport over a MessagePort, and a stand-in on one thread, against the contract. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { openPortTransport, portLimits, servePort } from './port-transport.ts';
import { transportContract } from './transport.contract.ts';

transportContract('port', (context, identity, serve) => {
  const { port1, port2 } = new MessageChannel();
  const served = servePort(port1, {
    send: (request, options) => serve(identity, request, options),
  });
  const transport = openPortTransport(port2);
  context.after(() => {
    transport[Symbol.dispose]();
    served[Symbol.dispose]();
  });
  return { transport, lose: () => port1.close() };
});

transportContract('direct', (_, identity, serve) => ({
  transport: {
    send: async (request, options) => {
      options.signal.throwIfAborted();
      const response = await serve(identity, request, options);
      const { body } = response;
      if (body instanceof Uint8Array) return response;
      return { ...response, body: abortable(body, options.signal) };
    },
  },
}));

/** On one thread a body is the server's own; only what an abort does is added. */
async function* abortable(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  signal.addEventListener('abort', () => void chunks.return?.(), { once: true });
  try {
    for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) {
      signal.throwIfAborted();
      yield chunk;
    }
  } finally {
    signal.throwIfAborted();
  }
}

test('port: a small view on a large buffer takes only its own bytes along', async () => {
  const { port1, port2 } = new MessageChannel();
  const pool = new Uint8Array(8 * 1024 * 1024).fill(7);
  using _served = servePort(port1, {
    send: async () => ({ status: 200, headers: {}, body: pool.subarray(100, 110) }),
  });
  using transport = openPortTransport(port2);
  const request = { method: 'GET', path: '/', headers: {} };
  const { body } = await transport.send(request, { signal: new AbortController().signal });
  assert(body instanceof Uint8Array);
  assert.equal(body.buffer.byteLength, 10);
  assert.equal(pool.byteLength, 8 * 1024 * 1024, 'the server still has its pool');
});

test('port: no more than the window and one chunk are under way', async () => {
  const { port1, port2 } = new MessageChannel();
  const chunk = new Uint8Array(portLimits.windowBytes / 8);
  let produced = 0;
  using _served = servePort(port1, {
    send: async () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        for (; produced < 10_000; produced++) yield chunk;
      })(),
    }),
  });
  using transport = openPortTransport(port2);
  const controller = new AbortController();
  const request = { method: 'GET', path: '/', headers: {} };
  await transport.send(request, { signal: controller.signal });
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
  assert.equal(produced, 8);
  controller.abort(new Error('enough'));
});

test('port: a closed port refuses requests at once', async () => {
  const { port2 } = new MessageChannel();
  const transport = openPortTransport(port2);
  transport[Symbol.dispose]();
  const request = { method: 'GET', path: '/', headers: {} };
  await assert.rejects(transport.send(request, { signal: new AbortController().signal }), {
    name: 'ConnectionLost',
  });
});
