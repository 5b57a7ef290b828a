/** Random and damaged messages: reading them never throws and never takes long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import { addressRecords, formatQuestion, parseAnswer, parseQuery, types } from './wire.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 2_000);

function damaged(random: Random): Buffer {
  const question = { name: 'a.b.example', type: types.A, class: 1 };
  const message = Buffer.from(formatQuestion(random.integer(65_536), question));
  if (random.integer(2) === 0) message[2] = 0x81;
  message[7] = random.integer(4);
  const tail = Buffer.from(random.bytes(random.integer(60)));
  const all = Buffer.concat([message, tail]);
  for (let i = random.integer(6); i > 0; i--) all[random.integer(all.length)] = random.integer(256);
  return all.subarray(0, random.integer(all.length + 1));
}

/** Reads one damaged message after the other. */
function hurt(read: (message: Buffer) => void): void {
  const random = seededRandom(seed);
  for (let round = 0; round < rounds; round++) read(damaged(random));
}

test(`damaged messages are read without harm (seed ${seed})`, () => {
  hurt((message) => {
    const query = parseQuery(message);
    if (query !== undefined) assert.ok(query.question.name.length <= 255);
    const answer = parseAnswer(message);
    if (answer === undefined) return;
    for (const record of addressRecords(message, answer.answers)) assert.ok(record.ttl >= 0);
    for (const { ttlOffset } of answer.records) assert.ok(ttlOffset + 4 <= message.length);
  });
});

test('canary: a reader that trusts lengths is hurt', () => {
  assert.throws(() => hurt((message) => message.readUInt16BE(12 + (message[12] ?? 0))), RangeError);
});
