/** Bodies come whole, however they were cut; none takes for ever, nor do all take all memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BodyReader } from '#http2';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { Bodies, type ReadBody } from './bodies.ts';
import type { Wire } from './wire.ts';

const mebibyte = 1024 * 1024;

interface Coming {
  readonly results: ReadBody[];
  readonly reader: BodyReader;
  isDestroyed: boolean;
}

function coming(bodies: Bodies, headers: Readonly<Record<string, string>> = {}): Coming {
  let reader: BodyReader | undefined;
  let whenClosed = (): void => {};
  const wire = {
    ...{ method: 'POST', headers },
    readBody: (given: BodyReader) => {
      reader = given;
    },
    letBodyGo: () => {},
    destroy: () => {
      one.isDestroyed = true;
      whenClosed();
    },
    onceClosed: (callback: () => void) => {
      whenClosed = callback;
    },
    // The other members are about answers.
  } as unknown as Wire;
  const results: ReadBody[] = [];
  bodies.read(wire, (result) => results.push(result));
  assert.ok(reader);
  const one: Coming = { results, reader, isDestroyed: false };
  return one;
}

test('a body is what came, in parts of any size', () => {
  const bodies = new Bodies({ clock: new VirtualClock() });
  const random = seededRandom(3);
  for (const largest of [1, 100, 5_000, 20_000, 100_000]) {
    const { results, reader } = coming(bodies);
    const sent: Buffer[] = [];
    for (let n = 0; n < 30; n++) {
      const length = 1 + Math.floor(random.fraction() * largest);
      const part = Buffer.alloc(length, n + 1);
      sent.push(Buffer.from(part));
      reader.onPart(part);
    }
    reader.onEnd();
    assert.equal(results.length, 1);
    assert.deepEqual(Buffer.from(results[0] as Uint8Array), Buffer.concat(sent));
  }
  const { results, reader } = coming(bodies);
  reader.onEnd();
  assert.deepEqual(results, [undefined]);
});

test('a small part is not kept as it came, which may be in company', () => {
  const bodies = new Bodies({ clock: new VirtualClock() });
  const { results, reader } = coming(bodies);
  const company = Buffer.from('abcdefgh');
  for (let n = 0; n < 8; n++) reader.onPart(company.subarray(n, n + 1));
  // Where it came from is free for other things, but for the first part.
  company.fill('x', 1);
  reader.onEnd();
  assert.equal(Buffer.from(results[0] as Uint8Array).toString(), 'abcdefgh');
});

test('a body that is too large is known by its end, or when far too much has come', () => {
  const bodies = new Bodies({ clock: new VirtualClock() });
  const part = Buffer.alloc(mebibyte);
  const one = coming(bodies);
  for (let n = 0; n < 3; n++) one.reader.onPart(part);
  one.reader.onEnd();
  assert.equal((one.results[0] as Uint8Array).length, 3 * mebibyte);
  const two = coming(bodies);
  for (let n = 0; n < 4; n++) two.reader.onPart(part);
  assert.deepEqual(two.results, []);
  two.reader.onEnd();
  assert.deepEqual(two.results, ['too large']);
  const three = coming(bodies);
  for (let n = 0; n < 12; n++) three.reader.onPart(part);
  assert.deepEqual(three.results, []);
  for (let n = 0; n < 3; n++) three.reader.onPart(part);
  assert.deepEqual(three.results, ['too large']);
});

test('a body that takes longer than a minute is given up', async () => {
  const clock = new VirtualClock();
  const bodies = new Bodies({ clock });
  const slow = coming(bodies);
  const whole = coming(bodies);
  slow.reader.onPart(Buffer.from('{'));
  whole.reader.onEnd();
  await clock.advance(59_999);
  assert.deepEqual([slow.results, slow.isDestroyed], [[], false]);
  await clock.advance(1);
  assert.deepEqual([slow.results, slow.isDestroyed], [['gone'], true]);
  assert.deepEqual([whole.results, whole.isDestroyed], [[undefined], false]);
  bodies.close();
});

test('where all bodies are too much, the one that has taken longest is given up', () => {
  const bodies = new Bodies({ clock: new VirtualClock() });
  const part = Buffer.alloc(mebibyte);
  const begun = Array.from({ length: 128 }, () => coming(bodies));
  for (const { reader } of begun) for (let n = 0; n < 2; n++) reader.onPart(part);
  assert.ok(begun.every(({ isDestroyed }) => !isDestroyed));
  // As much as there may be; one byte more is too much.
  const last = coming(bodies);
  last.reader.onPart(Buffer.from('x'));
  assert.deepEqual(begun.map(({ isDestroyed }) => isDestroyed).indexOf(false), 1);
  assert.deepEqual(begun[0]?.results, ['gone']);
  // What is whole, or has gone, counts no more.
  for (const { reader } of begun.slice(1, 100)) reader.onEnd();
  for (let n = 0; n < 60; n++) coming(bodies).reader.onPart(part);
  assert.equal(begun.filter(({ isDestroyed }) => isDestroyed).length, 1);
  assert.ok(!last.isDestroyed);
});
