/** What a power cut leaves of the runtime's notes about connections. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { removeCachedResults } from './cached-results.ts';

test('what a power cut left empty goes, so that its pod can be disconnected', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-results-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const texts = { 'coracle-abc-1-eth0': '', 'coracle-abc-2-eth0': '{"kind":', 'other-3-eth0': '' };
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
  writeFileSync(join(folder, 'coracle-abc-4-eth0'), '{"kind":"cniCacheV1"}');
  const gone = removeCachedResults('abc', { which: 'spoilt', folder });
  assert.deepEqual([...gone].sort(), ['coracle-abc-1-eth0', 'coracle-abc-2-eth0']);
  assert.deepEqual(readdirSync(folder).sort(), ['coracle-abc-4-eth0', 'other-3-eth0']);
  removeCachedResults('abc', { which: 'all', folder });
  assert.deepEqual(readdirSync(folder), ['other-3-eth0']);
  assert.deepEqual(removeCachedResults('abc', { which: 'all', folder: join(folder, 'none') }), []);
});
