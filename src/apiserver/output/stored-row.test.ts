/** Rows of a list say what the row of each object alone says, however its metadata looks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { present } from '#kit/assert.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openCatalog } from '#resources/resources.ts';
import { openTestServer } from '#test/fixtures.ts';
import { KeptRows } from './stored-row.ts';

const space = '/api/v1/namespaces/default/configmaps';
const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
const nasty = '"managedFields":[{"a":"\\"}]},{"metadata":{';

test('rows of a list are those of the objects alone', async () => {
  // Ages are in the rows, and no second may pass between two of them.
  await using server = await openTestServer({ clock: new VirtualClock() });
  for (const metadata of [
    { name: 'plain' },
    { name: 'nasty', annotations: { x: nasty, managedFields: nasty, backslash: 'ü"\\' } },
    { name: 'owned', ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' }] },
  ]) {
    // Once with what the server writes about managers, once without.
    const { name } = metadata;
    const map = { metadata, data: { text: nasty } };
    assert.equal((await server.request('POST', space, map)).status, 201);
    const bare = { ...map, metadata: { ...metadata, name: `${name}-bare` } };
    assert.equal((await server.request('POST', space, bare)).status, 201);
    const none = { metadata: { managedFields: [{}] } };
    assert.equal((await server.request('PATCH', `${space}/${name}-bare`, none)).status, 200);
  }
  for (const includeObject of ['Metadata', 'None', 'Object']) {
    const query = `includeObject=${includeObject}`;
    const { body } = await server.request('GET', `${space}?${query}`, undefined, {
      headers: { accept },
    });
    assert.equal(body.rows.length, 6);
    for (const row of body.rows) {
      const [name] = row.cells;
      const alone = await server.request('GET', `${space}/${name}?${query}`, undefined, {
        headers: { accept },
      });
      assert.deepEqual(row, alone.body.rows[0]);
    }
  }
});

test('what is kept of a row grows older with its object, and goes when that changes', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const secrets = '/api/v1/namespaces/default/secrets';
  const write = { metadata: { name: 'one' }, stringData: { a: 'x' } };
  assert.equal((await server.request('POST', secrets, write)).status, 201);
  const shown = async (): Promise<string> => {
    const { body } = await server.request('GET', secrets, undefined, { headers: { accept } });
    const [row] = body.rows;
    return `${row.cells.join(' ')} at ${row.object.metadata.resourceVersion}`;
  };
  const first = await shown();
  assert.match(first, /^one Opaque 1 \d+s at \d+$/);
  await clock.advance(300_000);
  const later = await shown();
  assert.match(later, /^one Opaque 1 5m\d*s? at \d+$/);
  assert.equal(later.split(' at ')[1], first.split(' at ')[1]);
  const more = { stringData: { b: 'y' } };
  assert.equal((await server.request('PATCH', `${secrets}/one`, more)).status, 200);
  assert.match(await shown(), /^one Opaque 2 5m\d*s? at \d+$/);
});

test('only so many rows are kept', () => {
  const pods = present(openCatalog().findPlural({ group: '', version: 'v1' }, 'pods'), 'pods');
  const metadata = { name: 'a', creationTimestamp: '2026-01-01T00:00:00Z' };
  const value = Buffer.from(
    JSON.stringify({ kind: 'Pod', apiVersion: 'v1', metadata, spec: { containers: [] } }),
  );
  const kept = new KeptRows({ rowsMax: 2 });
  const read = kept.reader(pods.resource);
  const [a, b, c] = [1, 2, 3].map((n) => ({ key: '', value, revision: n, createRevision: n }));
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const first = read(a);
  read(b);
  assert.equal(read(a), first);
  read(c);
  assert.notEqual(read(a), first);
});
