/**
 * Our server gives the recorded answers of upstream's: every request of `test/parity/recorded/`
 * goes to a server in this process, a test for each kind. How many answers of a kind may differ,
 * and why, stands in `test/parity/differences.json`; the number only falls.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { compare, differingAspects } from '../parity/compare.ts';
import { normalize } from '../parity/normalize.ts';
import { openParityServer } from '../parity/own-server.ts';
import { play } from '../parity/play.ts';
import { readRecords, recordedKinds, scenariosOf } from '../parity/records.ts';

interface Known {
  /** Share of answers that are equal, at least. */
  readonly equalAtLeast: number;
  readonly kinds: Readonly<Record<string, { readonly differing: number; readonly why: string }>>;
}

const folder = new URL('../parity/', import.meta.url);
// Our own file.
const known = JSON.parse(readFileSync(new URL('differences.json', folder), 'utf8')) as Known;

const server = openParityServer();

after(async () => {
  await (await server)[Symbol.asyncDispose]();
});

for (const kind of recordedKinds()) {
  test(`${kind} as upstream`, async ({ signal }) => {
    const records = readRecords(kind);
    const { transport } = await server;
    const got = await play({ transport }, scenariosOf(records), { atOnce: 1, signal });
    const { differing = 0 } = known.kinds[records[0]?.kind ?? kind] ?? {};
    const { differences } = compare(records, got);
    const [first] = differences;
    const example = first && `${first.wanted.scenario}: ${first.wanted.request.id}`;
    assert.ok(
      differences.length <= differing,
      `${differences.length} answers differ, ${differing} are known; one is ${example}`,
    );
  });
}

test('the known differences leave the share that has been reached', () => {
  const all = recordedKinds().flatMap(readRecords);
  const total = all.filter(({ request }) => request.setup !== true).length;
  const differing = Object.values(known.kinds).reduce((sum, one) => sum + one.differing, 0);
  assert.ok(total >= 5_000, `${total} requests are enough`);
  assert.ok(1 - differing / total >= known.equalAtLeast, `${differing} of ${total} differ`);
});

test('answers that differ are seen, and what no two servers share is not', () => {
  const answer = (body: unknown) => ({ code: 200, warnings: [], body: normalize(body, '') });
  const pod = (uid: string, image: string) => ({ metadata: { uid, name: 'a' }, spec: { image } });
  assert.deepEqual(differingAspects(answer(pod('1', 'x')), answer(pod('2', 'x'))), []);
  assert.deepEqual(differingAspects(answer(pod('1', 'x')), answer(pod('1', 'y'))), ['object']);
  const status = (message: string) => ({ kind: 'Status', reason: 'Invalid', message });
  assert.deepEqual(differingAspects(answer(status('a')), answer(status('b'))), ['message']);
  const value = (text: string) => answer(status(`a: Invalid value: ${text}: no`));
  assert.deepEqual(differingAspects(value('{"B":1,"A":null}'), value('{"b":1}')), []);
});
