/** Rows of a list say what the row of each object alone says, however its metadata looks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default/configmaps';
const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
const nasty = '"managedFields":[{"a":"\\"}]},{"metadata":{';

test('rows of a list are those of the objects alone', async () => {
  await using server = await openTestServer();
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
