/** Encodings are kept while they are read and while what they encode is held, within a limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownGarbage } from '#kit/collect-garbage.ts';
import { type Encoding, Encodings } from './encodings.ts';

const encoding = (length: number): Encoding => ({
  ...{ revision: 1, view: 'v1' },
  bytes: new Uint8Array(length),
});

test('what is read goes on being kept, and what is not makes room', () => {
  const encodings = new Encodings({ bytesMax: 100 });
  const [first, second, third, fourth, fifth] = Array.from({ length: 5 }, () => new Uint8Array(1));
  assert.ok(first && second && third && fourth && fifth);
  const kept = encoding(20);
  encodings.keep(first, kept);
  encodings.keep(second, encoding(20));
  assert.equal(encodings.get(first), kept);
  // These are more than half of what is allowed, with the first that was read meanwhile.
  encodings.keep(third, encoding(20));
  assert.equal(encodings.get(first), kept);
  encodings.keep(fourth, encoding(20));
  encodings.keep(fifth, encoding(20));
  assert.equal(encodings.get(first), kept);
  assert.equal(encodings.get(second), undefined);
});

test('one that is larger than what is allowed is kept alone', () => {
  const encodings = new Encodings({ bytesMax: 100 });
  const [small, large, other] = [new Uint8Array(1), new Uint8Array(1), new Uint8Array(1)];
  encodings.keep(small, encoding(10));
  encodings.keep(large, encoding(1000));
  encodings.keep(other, encoding(10));
  assert.notEqual(encodings.get(large), undefined);
  assert.equal(encodings.get(small), undefined);
});

test('the encoding of what nobody holds any more is given up', async () => {
  const encodings = new Encodings();
  let givenUp = 0;
  const registry = new FinalizationRegistry(() => {
    givenUp += 1;
  });
  const held = new Uint8Array(1);
  const lasting = encoding(1);
  encodings.keep(held, lasting);
  for (let i = 0; i < 100; i++) {
    const one = encoding(1);
    registry.register(one.bytes, i);
    encodings.keep(new Uint8Array(1), one);
  }
  ownGarbage().collect();
  // Told in turns of its own.
  for (let turn = 0; turn < 50 && givenUp === 0; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(givenUp > 90, `${givenUp} of 100 were given up`);
  assert.equal(encodings.get(held), lasting);
});
