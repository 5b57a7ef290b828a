/**
 * Whoever lists and then watches sees what is there: for random writes, random selections and
 * watches begun at random moments, the state rebuilt from the events equals a list. The canary
 * loses one event in fifty and must be caught.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import { openTestServer, type TestServer, type TestWatch } from '#test/fixtures.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 8);
const stepsPerRound = 60;

const selections = [
  '',
  'labelSelector=color%3Dred',
  'labelSelector=color%21%3Dred',
  'fieldSelector=metadata.name%3Dc1',
  'fieldSelector=metadata.name%21%3Dc1',
];
const paths = ['/api/v1/configmaps', '/api/v1/namespaces/default/configmaps'];

interface Reader {
  readonly path: string;
  readonly query: string;
  readonly watch: TestWatch;
  readonly state: Map<string, string>;
}

interface Named {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly resourceVersion: string;
  };
}

function keyOf({ metadata }: Named): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** One write; most succeed, some meet an object that is or is not there. */
async function write(server: TestServer, random: Random): Promise<void> {
  const space = random.integer(2) === 0 ? 'default' : 'kube-system';
  const name = `c${random.integer(5)}`;
  const color = random.integer(2) === 0 ? 'red' : 'blue';
  const base = `/api/v1/namespaces/${space}/configmaps`;
  const metadata = { name, labels: { color } };
  switch (random.integer(3)) {
    case 0:
      await server.request('POST', base, { metadata });
      return;
    case 1:
      await server.request('PATCH', `${base}/${name}`, {
        metadata,
        data: { n: String(random.integer(100)) },
      });
      return;
    default:
      await server.request('DELETE', `${base}/${name}`);
  }
}

/** Lists now, and watches from a revision that lies some writes back where there is history. */
async function join(server: TestServer, random: Random): Promise<Reader> {
  const path = paths[random.integer(paths.length)] ?? '';
  const query = selections[random.integer(selections.length)] ?? '';
  const state = new Map<string, string>();
  if (random.integer(3) === 0) {
    const watch = await server.watch(`${path}?watch=1&${query}`);
    return { path, query, watch, state };
  }
  const { body } = await server.request('GET', `${path}?${query}`);
  for (const item of body.items) state.set(keyOf(item), item.metadata.resourceVersion);
  // Writes between list and watch are what the watch must replay.
  for (let count = random.integer(4); count > 0; count--) await write(server, random);
  const { resourceVersion } = body.metadata;
  const watch = await server.watch(`${path}?watch=1&${query}&resourceVersion=${resourceVersion}`);
  return { path, query, watch, state };
}

/** Reads everything up to now: a watch that has nothing more to say is ended by its server. */
async function drain({ watch, state }: Reader, lose: () => boolean): Promise<void> {
  for (;;) {
    const event = await watch.next();
    if (event === undefined) return;
    if (lose()) continue;
    const { metadata }: Named = event.object;
    if (event.type === 'DELETED') state.delete(keyOf(event.object));
    else state.set(keyOf(event.object), metadata.resourceVersion);
  }
}

async function round(random: Random, lose: () => boolean): Promise<void> {
  await using server = await openTestServer({ random });
  const readers: Reader[] = [];
  for (let step = 0; step < stepsPerRound; step++) {
    if (random.integer(6) === 0) readers.push(await join(server, random));
    await write(server, random);
  }
  const expected: [Reader, string[]][] = [];
  for (const reader of readers) {
    const { body } = await server.request('GET', `${reader.path}?${reader.query}`);
    const items = body.items.map(
      (item: Named) => `${keyOf(item)} ${item.metadata.resourceVersion}`,
    );
    expected.push([reader, items]);
  }
  // Closing ends the watches; what was buffered is still delivered.
  await server[Symbol.asyncDispose]();
  for (const [reader, items] of expected) {
    await drain(reader, lose);
    const seen = [...reader.state].map(([key, revision]) => `${key} ${revision}`).sort();
    assert.deepEqual(seen, items.sort(), `${reader.path}?${reader.query}`);
  }
}

test(`lists and watches agree (seed ${seed})`, async () => {
  const random = seededRandom(seed);
  for (let count = 0; count < rounds; count++) await round(random, () => false);
});

test('canary: a watch that loses events is caught', async () => {
  const random = seededRandom(7);
  const chance = seededRandom(8);
  const attempts = async (): Promise<void> => {
    for (let count = 0; count < 5; count++) await round(random, () => chance.integer(50) === 0);
  };
  await assert.rejects(attempts, assert.AssertionError);
});
