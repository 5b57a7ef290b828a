/** Variables out of files: their format, and that no path leads out of the volume. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { exchangeLinks } from '#test/exchanged-links.ts';
import { ConfigError } from './env.ts';
import { limits, parseEnvFile, readEnvFile, readFileKey } from './env-file.ts';

test('a value is what stands between single quotes, on one line or several', () => {
  const text = [
    '# made by a program',
    '',
    "  A='one' # the first",
    'B=\'$A "and" \\n\'',
    "C='two\r",
    " lines'",
    "EMPTY= 'x'",
    "NONE=''",
    "A='again'",
  ].join('\n');
  const read = (key: string) => parseEnvFile(text, key);
  assert.deepEqual(['A', 'B', 'C', 'EMPTY', 'NONE', 'X'].map(read), [
    ...['one', '$A "and" \\n', 'two\n lines', '', '', ''],
  ]);
});

test('what is not in that form is told by its line', () => {
  const problem = (text: string): string => {
    try {
      return parseEnvFile(`# first\n${text}`, 'K');
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  const before = 'invalid environment variable format';
  assert.equal(problem('K'), `${before} at line 2: missing '='`);
  assert.equal(problem("='x'"), `${before} at line 2: empty variable name`);
  assert.equal(problem("K ='x'"), `${before} at line 2: whitespace before '=' is not allowed`);
  const quotes = `${before} at line 2: value must be enclosed in single quotes`;
  for (const text of ['K=x', 'K="x"', 'K=']) assert.equal(problem(text), quotes);
  assert.equal(problem("K='x\ny"), `${before} starting at line 2: unclosed single quote`);
  const content = `${before} at line 3: unexpected content after closing quote`;
  assert.equal(problem("K='x\ny'z"), content);
  // What stands behind the key is not looked at.
  assert.equal(problem("K='x'\n?"), 'x');
});

test('links of the volume stay in it, and only plain files are read', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-env-file-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const volume = join(folder, 'volume');
  mkdirSync(join(volume, 'etc/deep'), { recursive: true });
  writeFileSync(join(folder, 'secret'), "K='outside'");
  writeFileSync(join(volume, 'secret'), "K='inside'");
  writeFileSync(join(volume, 'etc/file'), "K='here'");
  symlinkSync('/etc/file', join(volume, 'absolute'));
  symlinkSync('../../../secret', join(volume, 'etc/deep/up'));
  symlinkSync('loop', join(volume, 'loop'));
  symlinkSync('/etc/deep', join(volume, 'folder'));
  const read = (path: string) => readEnvFile(volume, path, 'K');
  assert.equal(await read('etc/file'), 'here');
  assert.equal(await read('absolute'), 'here');
  assert.equal(await read('etc/deep/up'), 'inside');
  assert.equal(await read('folder/up'), 'inside');
  for (const path of ['loop', 'nothing', 'etc']) await assert.rejects(read(path), path);
  const volumes = new Map([['v', volume]]);
  const ask = (key: string, more: object = {}) =>
    readFileKey(volumes, { volumeName: 'v', path: 'absolute', key, ...more });
  assert.equal(await ask('K'), 'here');
  assert.equal(await ask('X', { optional: true }), undefined);
  const file = join(volume, 'absolute');
  const missing = `environment variable key "X" not found in file "${file}"`;
  await assert.rejects(ask('X'), new ConfigError(missing));
  const unread = new ConfigError("couldn't parse env file");
  await assert.rejects(ask('K', { path: 'nothing', optional: true }), unread);
  const nowhere = new ConfigError('cannot find the volume "w" referenced by FileKeyRef');
  await assert.rejects(ask('K', { volumeName: 'w' }), nowhere);
  execFileSync('mkfifo', [join(volume, 'pipe')]);
  await assert.rejects(read('pipe'), /no plain file/);
  truncateSync(join(volume, 'secret'), limits.fileBytesMax + 1);
  await assert.rejects(read('secret'), /too large/);
});

test('whatever a container exchanges meanwhile, no file from outside is read', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-env-file-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const [volume, outside] = [join(folder, 'volume'), join(folder, 'outside')];
  for (const [place, text] of [
    [join(volume, 'own'), "K='inside'"],
    [outside, "K='outside'"],
  ] as const) {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'file'), text);
  }
  {
    await using _exchange = await exchangeLinks({ volume, own: 'own', outside });
    for (let round = 0; round < 2000; round++) {
      const value = await readEnvFile(volume, 'a/file', 'K').catch(() => '');
      assert.notEqual(value, 'outside');
    }
  }
});
