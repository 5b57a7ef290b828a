/** Test files in processes of their own: what is reported of them, also when they crash or hang. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { TestResult } from './reporter.ts';
import { runTestFiles, type TestRun } from './run-tests.ts';

const covers = new URL('../../test/support/covers.ts', import.meta.url).href;
const { signal } = new AbortController();

async function run(
  t: TestContext,
  text: string,
  { limitMs = 60_000, isolation = 'none' as TestRun['isolation'] } = {},
): Promise<readonly TestResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-run-tests-'));
  const file = join(folder, 'sample.test.mjs');
  const name = `sample-${folder.slice(-6)}`;
  t.after(() => {
    rmSync(folder, { recursive: true });
    rmSync(`.cache/test/${name}.jsonl`, { force: true });
  });
  writeFileSync(file, `import { describe, test } from 'node:test';\n${text}`);
  const options = {
    name,
    files: [file],
    isolation,
    limitMs,
    testLimitMs: limitMs,
  };
  return await runTestFiles({ ...options, quiet: true }, { signal });
}

const brief = (results: readonly TestResult[]): readonly (readonly string[])[] =>
  results.map(({ outcome, name, text }) => [outcome, name, text.split('\n')[0] ?? '']);

test('outcomes, reasons, nested names and claims', async (t) => {
  const results = await run(
    t,
    `import { covers } from '${covers}';
     describe('outer', () => {
       test('good', async () => { await null; covers('API-001'); });
       test('bad', () => { covers('API-002'); throw new Error('as it should'); });
     });
     test('part', async (t) => { await t.test('inner', () => { throw new Error('deep'); }); });
     test('later', { skip: 'not on this machine' }, () => {});`,
  );
  assert.deepEqual(brief(results), [
    ['passed', 'outer > good', ''],
    ['failed', 'outer > bad', 'Error: as it should'],
    ['failed', 'part > inner', 'Error: deep'],
    ['skipped', 'later', 'not on this machine'],
  ]);
  assert.deepEqual(results[0]?.claims, [{ state: 'proven', ids: ['API-001'] }]);
});

test('a process that dies is a failure', async (t) => {
  const results = await run(t, "test('good', () => {});\ntest('exit', () => process.exit(3));");
  assert.deepEqual(brief(results).at(-1)?.slice(0, 1), ['failed']);
  assert.match(results.at(-1)?.text ?? '', /exit code 3/);
});

test('a process that hangs is a failure after its limit', async (t) => {
  const results = await run(t, "test('good', () => { setInterval(() => {}, 1000); });", {
    limitMs: 1_500,
  });
  assert.match(results.at(-1)?.text ?? '', /did not end within 1\.5 s/);
});

test('a file without tests is a failure', async (t) => {
  assert.deepEqual(
    (await run(t, '')).map(({ outcome }) => outcome),
    ['failed'],
  );
});

test('what failed in a process of its own is told with what was printed there', async (t) => {
  const text = `test('good', () => console.log('of the good one'));
    test('bad', () => { console.error('what led to it'); throw new Error('as it should'); });`;
  const results = await run(t, text, { isolation: 'process' });
  assert.deepEqual(brief(results), [
    ['passed', 'good', ''],
    ['failed', 'bad', 'Error: as it should'],
  ]);
  assert.match(results[1]?.text ?? '', /--- it had printed\nof the good one\nwhat led to it$/);
});
