/** Live answers: small parts wait for company, full ones do not. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { writeResponse } from './http-response.ts';
import { Turns } from './turns.ts';
import type { Wire } from './wire.ts';

async function* partsOf(...lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const length of lengths) yield Buffer.alloc(length, 'x');
}

function live(body: AsyncIterable<Uint8Array>): { readonly rests: number[]; all: Promise<string> } {
  const outgoing = new PassThrough({ highWaterMark: 1024 * 1024 });
  const wire: Wire = {
    ...{ method: 'GET', path: '/', headers: {}, isHttp2: false, isCut: false },
    ...{ incoming: new PassThrough(), outgoing },
    writeHead: () => true,
    flushHead: () => {},
  };
  const rests: number[] = [];
  const turns = new Turns({ clock: new VirtualClock() });
  turns.rest = (resume) => {
    rests.push(outgoing.readableLength);
    resume();
  };
  void writeResponse({ turns, log: silentLog }, wire, {
    status: 200,
    headers: {},
    body,
    live: true,
  });
  return { rests, all: text(outgoing) };
}

test('events rest after each write, so that others go out with the next', async () => {
  const { rests, all } = live(partsOf(100, 100, 100));
  assert.equal((await all).length, 300);
  assert.equal(rests.length, 3);
});

test('a log that comes in full parts goes on at once', async () => {
  const { rests, all } = live(partsOf(16_384, 16_384, 8192));
  assert.equal((await all).length, 40_960);
  assert.deepEqual(rests, []);
});
