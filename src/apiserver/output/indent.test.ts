/** Who gets indented JSON: people, and whoever asks for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer } from '#test/fixtures.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';

test('curl and browsers get indented JSON, programs do not, and the query decides', async () => {
  await using server = await openTestServer();
  await server.request('POST', configMaps, { metadata: { name: 'a' }, data: { k: 'v' } });
  const isIndented = async (path: string, agent: string): Promise<boolean> => {
    const headers = { 'user-agent': agent };
    const { text } = await server.request('GET', path, undefined, { headers });
    return text.startsWith('{\n  "');
  };
  assert.equal(await isIndented(`${configMaps}/a`, 'curl/8.0'), true);
  assert.equal(await isIndented(configMaps, 'Mozilla/5.0 (X11)'), true);
  assert.equal(await isIndented(`${configMaps}/none`, 'Wget/1.21'), true);
  assert.equal(await isIndented('/apis', 'curl/8.0'), true);
  assert.equal(await isIndented(`${configMaps}/a`, 'kubectl/v1.36.0'), false);
  assert.equal(await isIndented(`${configMaps}/a?pretty=true`, 'kubectl/v1.36.0'), true);
  assert.equal(await isIndented(`${configMaps}/a?pretty=false`, 'curl/8.0'), false);
});
