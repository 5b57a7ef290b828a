/** Aliases, other name servers and the cache, with bytes in and bytes out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import type { Service } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { AnswerCache } from './cache.ts';
import { parseUpstreams } from './forward.ts';
import type { RecordSource } from './records.ts';
import { type Elsewhere, resolve } from './resolver.ts';
import {
  type Answer,
  addressRecords,
  codes,
  formatAnswer,
  formatQuestion,
  parseAnswer,
  parseQuery,
  type Query,
  type Question,
  types,
} from './wire.ts';

const { signal } = new AbortController();
const zone = { domain: 'cluster.local', isPodAddress: () => false };

function alias(name: string, externalName: string): Service {
  const metadata = { namespace: 'default', name };
  const spec = { type: 'ExternalName', externalName };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec };
}

const web: Service = {
  ...alias('web', ''),
  spec: { clusterIP: '10.43.0.7', ports: [{ port: 80 }] },
};
const byName = new Map([
  ['web', web],
  ['near', alias('near', 'web.default.svc.cluster.local')],
  ['far', alias('far', 'www.example.org')],
  ['ring', alias('ring', 'ring.default.svc.cluster.local')],
]);
const source: RecordSource = {
  service: (namespace, name) => (namespace === 'default' ? byName.get(name) : undefined),
  slices: () => [],
  hasNamespace: () => true,
  serviceByAddress: () => undefined,
  slicesByAddress: () => [],
};

/** Other servers: `example.org` names have an address, everything else nobody answers. */
const elsewhere: Elsewhere = {
  isOwn: ({ id }) => id === 666,
  ask: async (question) => {
    if (!question.name.endsWith('example.org')) return undefined;
    return foreignAnswer(question);
  },
};

function foreignAnswer(question: Question, ttl = 60): Buffer {
  const record = { name: question.name, ttl, type: 'A', address: '93.184.216.34' } as const;
  const answer: Answer = { code: codes.ok, authoritative: false, answers: [record] };
  return formatAnswer(queryFor(question, 4711), answer, { bytesMax: 4096 });
}

function queryFor(question: Question, id = 99): Query {
  const query = parseQuery(formatQuestion(id, question));
  assert.ok(query);
  return query;
}

async function ask(name: string, type: number = types.A, id = 99) {
  const query = queryFor({ name, type, class: 1 }, id);
  const bytes = await resolve({ source, zone, forwarder: elsewhere }, query, {
    ...{ via: 'udp', signal },
  });
  const answer = parseAnswer(bytes);
  assert.ok(answer);
  assert.equal(answer.id, id);
  const records = addressRecords(bytes, answer.answers).map((record) => {
    if (record.type === 'A') return record.address;
    return record.type === 'CNAME' ? `-> ${record.target}` : 'other';
  });
  return { code: answer.code, records, sections: answer.records.map((record) => record.type) };
}

test('names of the cluster are answered here', async () => {
  const found = await ask('web.default.svc.cluster.local');
  assert.deepEqual(found, { code: codes.ok, records: ['10.43.0.7'], sections: [types.A] });
  const missing = await ask('x.default.svc.cluster.local');
  assert.deepEqual(missing, { code: codes.noName, records: [], sections: [types.SOA] });
  const nothing = await ask('web.default.svc.cluster.local', types.AAAA);
  assert.deepEqual(nothing, { code: codes.ok, records: [], sections: [types.SOA] });
});

test('aliases are followed to their end, here and elsewhere', async () => {
  const near = await ask('near.default.svc.cluster.local');
  assert.deepEqual(near.records, ['-> web.default.svc.cluster.local', '10.43.0.7']);
  const far = await ask('far.default.svc.cluster.local');
  assert.deepEqual(far.records, ['-> www.example.org', '93.184.216.34']);
  const only = await ask('far.default.svc.cluster.local', types.CNAME);
  assert.deepEqual(only.records, ['-> www.example.org']);
  assert.equal((await ask('ring.default.svc.cluster.local')).code, codes.failure);
  covers('DNS-010', 'SVC-023');
});

test('other names go elsewhere, under the id of the client', async () => {
  const found = await ask('example.org', types.A, 1234);
  assert.deepEqual(found, { code: codes.ok, records: ['93.184.216.34'], sections: [types.A] });
  assert.equal((await ask('nobody.test')).code, codes.failure);
  assert.equal((await ask('example.org', types.A, 666)).code, codes.failure, 'our own question');
  covers('DNS-038');
});

test('other classes and kinds of request are not known', async () => {
  const chaos = queryFor({ name: 'version.bind', type: types.TXT, class: 3 });
  const bytes = await resolve({ source, zone, forwarder: elsewhere }, chaos, {
    via: 'udp',
    signal,
  });
  assert.equal(parseAnswer(bytes)?.code, codes.notKnown);
});

test('answers of others are kept for their time, counted down', async () => {
  const clock = new VirtualClock();
  const cache = new AnswerCache({ clock });
  const question = { name: 'example.org', type: types.A, class: 1 };
  cache.put(question, foreignAnswer(question, 20));
  const ttlAfter = async (deltaMs: number) => {
    await clock.advance(deltaMs);
    const kept = cache.get(question);
    return kept === undefined ? undefined : parseAnswer(kept)?.answers[0]?.ttl;
  };
  assert.equal(await ttlAfter(0), 20);
  assert.equal(await ttlAfter(7_000), 13);
  assert.equal(await ttlAfter(13_000), undefined);
  cache.put(question, foreignAnswer(question, 3_600));
  assert.equal(await ttlAfter(29_000), 3_571);
  assert.equal(await ttlAfter(1_000), undefined, 'not for longer than half a minute');
  cache.put(question, foreignAnswer(question, 0));
  assert.equal(cache.get(question), undefined);
});

test('name servers come from the lines of resolv.conf', () => {
  const text = '# nameserver 1.1.1.1\nsearch x\nnameserver 192.0.2.53\n nameserver fd00::1 \n';
  assert.deepEqual(parseUpstreams(text), [
    { address: '192.0.2.53', port: 53 },
    { address: 'fd00::1', port: 53 },
  ]);
});
