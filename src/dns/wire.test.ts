/** DNS messages there and back, what does not fit, and what is not one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Answer,
  addressRecords,
  codes,
  formatAnswer,
  formatQuestion,
  parseAnswer,
  parseQuery,
  type Record,
  types,
  udpLimit,
  withoutOption,
} from './wire.ts';

const question = { name: 'web.default.svc.cluster.local', type: types.A, class: 1 };

/** A query as clients send it; `edns` is the size they offer. */
function query(name = question.name, options: { readonly edns?: number } = {}) {
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  const option =
    options.edns === undefined
      ? []
      : [0, 0, 41, options.edns >> 8, options.edns & 255, 0, 0, 0, 0, 0, 0];
  const extra = option.length > 0 ? 1 : 0;
  const head = [0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, extra];
  return Buffer.from([...head, ...Buffer.concat(labels), 0, 0, 1, 0, 1, ...option]);
}

function parsed(bytes: Uint8Array) {
  const result = parseQuery(bytes);
  assert.ok(result, 'the query parses');
  return result;
}

test('a query is read, its name in lower case', () => {
  const result = parsed(query('Web.Default.svc.cluster.local', { edns: 4096 }));
  assert.deepEqual(result.question, question);
  assert.equal(result.id, 0x1234);
  assert.equal(result.recursionDesired, true);
  assert.equal(udpLimit(result), 1232, 'never more than fits a packet');
  assert.equal(udpLimit(parsed(query())), 512);
});

test('an answer repeats the question as it was spelt and shortens names', () => {
  const asked = parsed(query('WEB.default.svc.cluster.local'));
  const records: Record[] = [1, 2].map((last) => ({
    ...{ name: question.name, ttl: 5, type: 'A', address: `10.42.0.${last}` },
  }));
  const answer: Answer = { code: codes.ok, authoritative: true, answers: records };
  const bytes = formatAnswer(asked, answer, { bytesMax: 512 });
  assert.ok(bytes.includes('\u0003WEB'));
  assert.equal(bytes.length, 12 + asked.questionBytes.length + 2 * 16);
  assert.equal(bytes.readUInt16BE(2), 0x8580, 'an authoritative answer with recursion');
  const back = parseAnswer(bytes);
  assert.deepEqual(addressRecords(bytes, back?.answers ?? []), records);
});

test('every type of record survives the way there', () => {
  const asked = parsed(query());
  const at = { name: 'a.example', ttl: 30 };
  const records: Record[] = [
    { ...at, type: 'CNAME', target: 'b.example' },
    { name: 'b.example', ttl: 7, type: 'AAAA', bytes: new Uint8Array(16).fill(9) },
    { ...at, type: 'TXT', text: '1.1.0' },
    { ...at, type: 'SRV', priority: 0, weight: 50, port: 80, target: 'b.example' },
    { ...at, type: 'PTR', target: 'c.b.example' },
    { ...at, type: 'SOA', server: 'ns.example', mailbox: 'm.example', serial: 1, negativeTtl: 5 },
  ];
  const answer: Answer = { code: codes.ok, authoritative: false, answers: records };
  const bytes = formatAnswer(asked, answer, { bytesMax: 4096 });
  const back = parseAnswer(bytes);
  assert.deepEqual(
    back?.answers.map(({ name, type, ttl }) => [name, type, ttl]),
    records.map(({ name, type, ttl }) => [name, types[type], ttl]),
  );
  const told = addressRecords(bytes, back?.answers ?? []);
  assert.deepEqual(told, [records[0], { ...records[1], bytes: Buffer.alloc(16, 9) }]);
});

test('what is too long is cut to its head, which says so', () => {
  const asked = parsed(query());
  const answers = Array.from(
    { length: 60 },
    (_, i): Record => ({
      ...{ name: question.name, ttl: 5, type: 'A', address: `10.42.0.${i}` },
    }),
  );
  const answer: Answer = { code: codes.ok, authoritative: true, answers };
  const short = formatAnswer(asked, answer, { bytesMax: udpLimit(asked) });
  const back = parseAnswer(short);
  assert.deepEqual([back?.truncated, back?.answers.length], [true, 0]);
  assert.equal(parseAnswer(formatAnswer(asked, answer, { bytesMax: 65_535 }))?.truncated, false);
});

test('EDNS is answered where it was offered, and taken out where it was not', () => {
  const empty: Answer = { code: codes.noName, authoritative: true, answers: [] };
  const plain = formatAnswer(parsed(query()), empty, { bytesMax: 512 });
  const extended = formatAnswer(parsed(query(undefined, { edns: 1232 })), empty, { bytesMax: 512 });
  assert.equal(parseAnswer(plain)?.optionOffset, undefined);
  assert.ok(parseAnswer(extended)?.optionOffset);
  assert.deepEqual(withoutOption(extended), plain);
  assert.equal(withoutOption(plain), plain);
});

test('our own questions parse', () => {
  const asked = parsed(formatQuestion(7, question));
  assert.deepEqual([asked.id, asked.question, asked.udpBytesMax], [7, question, 1232]);
});

test('nonsense is undefined, never an exception', () => {
  const good = query();
  assert.equal(parseQuery(Buffer.alloc(0)), undefined);
  assert.equal(parseQuery(good.subarray(0, 20)), undefined);
  const twoQuestions = Buffer.from(good);
  twoQuestions[5] = 2;
  assert.equal(parseQuery(twoQuestions), undefined);
  const isAnswer = Buffer.from(good);
  isAnswer[2] = 0x80;
  assert.equal(parseQuery(isAnswer), undefined);
  const ring = Buffer.from([...good.subarray(0, 12), 0xc0, 12, 0, 1, 0, 1]);
  assert.equal(parseQuery(ring), undefined, 'a pointer to itself');
  const longName = Buffer.from([
    ...good.subarray(0, 12),
    ...Array.from({ length: 5 }, () => [63, ...new Array<number>(63).fill(97)]).flat(),
    ...[0, 0, 1, 0, 1],
  ]);
  assert.equal(parseQuery(longName), undefined);
});
