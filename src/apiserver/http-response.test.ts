/** Live answers: events wait for company, what is relayed from a node waits for nothing. */
import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
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

interface Live {
  readonly rests: number[];
  readonly outgoing: PassThrough;
  readonly all: Promise<string>;
}

function live(body: AsyncIterable<Uint8Array>): Live {
  const outgoing = new PassThrough({ highWaterMark: 1024 * 1024 });
  const wire: Wire = {
    ...{ method: 'GET', path: '/', headers: {}, hasWholeBody: true, isClosed: false, isCut: false },
    readBody: () => {},
    letBodyGo: () => {},
    answer: () => {},
    begin: () => true,
    flushHead: () => {},
    write: (part) => outgoing.write(part),
    end: () => void outgoing.end(),
    destroy: () => void outgoing.destroy(),
    onceDrained: (callback) => void outgoing.once('drain', callback),
    onceClosed: (callback) => void outgoing.once('close', callback),
    asWritable: () => outgoing,
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
  return { rests, outgoing, all: text(outgoing) };
}

test('events rest after each write, so that others go out with the next', async () => {
  const { rests, all } = live(partsOf(100, 100, 100));
  assert.equal((await all).length, 300);
  assert.equal(rests.length, 3);
});

test('a log goes on as it comes from its node, however small its parts are', async () => {
  const { rests, all } = live(Readable.from(partsOf(16_384, 100, 8192), { objectMode: false }));
  assert.equal((await all).length, 24_676);
  assert.deepEqual(rests, []);
});

test('a client that leaves ends the request to the node', async () => {
  const fromNode = new PassThrough();
  const { outgoing, all } = live(fromNode);
  fromNode.write('a line\n');
  const closed = new Promise((resolve) => fromNode.once('close', resolve));
  outgoing.destroy();
  await Promise.all([closed, assert.rejects(all)]);
});

test('an answer that breaks off at the node breaks off at the client', async () => {
  const fromNode = new PassThrough();
  const { all } = live(fromNode);
  fromNode.write('a line\n');
  fromNode.destroy(new Error('the connection was lost'));
  await assert.rejects(all);
});
