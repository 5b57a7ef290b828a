/** Patches are applied where their lines are, and refused where they are not or are twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyHunks, type FilePatch, parsePatch } from './unified-diff.ts';

const patch = `Says what is broken.
Caught by: something
--- a/src/a.ts
+++ b/src/a.ts
@@ -1,3 +1,3 @@
 one
-two
+2
+II
 three
`;

function onlyFile(text: string): FilePatch {
  const [file] = parsePatch(text).files;
  assert.ok(file !== undefined);
  return file;
}

test('a patch has a heading and files with hunks', () => {
  const { heading, files } = parsePatch(patch);
  assert.equal(heading, 'Says what is broken.\nCaught by: something');
  assert.deepEqual(
    files.map(({ path }) => path),
    ['src/a.ts'],
  );
});

test('a hunk goes where its lines are, whatever the line numbers say', () => {
  const applied = applyHunks('zero\nzero\none\ntwo\nthree\n', onlyFile(patch));
  assert.deepEqual(applied, { ok: true, text: 'zero\nzero\none\n2\nII\nthree\n' });
});

test('a hunk whose lines have changed, or are there twice, is refused', () => {
  const file = onlyFile(patch);
  const gone = applyHunks('one\n2\nthree\n', file);
  assert.match(gone.ok ? '' : gone.problem, /src\/a\.ts, hunk 1: these lines are not there/);
  const twice = applyHunks('one\ntwo\nthree\none\ntwo\nthree\n', file);
  assert.match(twice.ok ? '' : twice.problem, /these lines are there 2 times/);
});
