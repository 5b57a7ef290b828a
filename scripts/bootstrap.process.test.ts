/** The first program of every command: what it installs, what it starts, and how both end. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { nodeFlags } from '../src/cluster/node/node-process.ts';

const bootstrap = new URL('./bootstrap.js', import.meta.url);
const lock = JSON.stringify({ packages: { '': {}, 'node_modules/x': { version: '1.0.0' } } });

/** A small project around a copy of the real file; its program prints its pid and arguments. */
function makeProject(t: TestContext, program: string): string {
  const root = mkdtempSync(join(tmpdir(), 'coracle-bootstrap-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const files = {
    'package.json': '{"type":"module"}',
    'package-lock.json': lock,
    'node_modules/.package-lock.json': lock,
    'bin/coracle.js': `${program}\nconsole.log(process.pid, process.argv.slice(2).join(' '));`,
    'bin/flags.json': '["--stack-trace-limit=77"]',
    'npm.js': `const fs = require('node:fs');
      fs.mkdirSync('node_modules', { recursive: true });
      fs.copyFileSync('package-lock.json', 'node_modules/.package-lock.json');
      console.log('npm', process.argv.slice(2).join(' '));`,
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  mkdirSync(join(root, 'scripts'));
  cpSync(bootstrap, join(root, 'scripts/bootstrap.js'));
  writeFileSync(join(root, 'npm.js'), files['npm.js'].replaceAll('\n', ''));
  return root;
}

interface Running {
  readonly child: ChildProcess;
  /** What it has printed once the program's first line is there. */
  readonly started: Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
}

/** `withoutExec` stands for a Node that cannot replace itself, as Node 20. */
function start(root: string, args: readonly string[], withoutExec: boolean): Running {
  const none = join(root, 'no-execve.cjs');
  writeFileSync(none, 'process.execve = undefined;');
  const options = withoutExec ? ['--require', none] : [];
  const child = spawn(process.execPath, [...options, join(root, 'scripts/bootstrap.js'), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      npm_execpath: join(root, 'npm.cjs'),
      CORACLE_COMPILE_CACHE: join(root, 'node_modules'),
    },
  });
  cpSync(join(root, 'npm.js'), join(root, 'npm.cjs'));
  let output = '';
  const started = new Promise<string>((resolve) => {
    const take = (chunk: Buffer): void => {
      output += chunk;
      if (/^\d+ /m.test(output)) resolve(output);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
  });
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, output }));
  });
  return { child, started, ended };
}

const waits = "process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000);";

const ends = { timeout: 300_000 };

for (const withoutExec of [false, true]) {
  const how = withoutExec ? 'in front of the program' : 'replaced by the program';

  test(`${how}: arguments and exit code pass through`, async (t) => {
    const root = makeProject(t, 'process.exitCode = 5;');
    const { code, output } = await start(root, ['status', '-v', '3'], withoutExec).ended;
    assert.match(output, /^\d+ status -v 3\n$/);
    assert.equal(code, 5);
  });

  test(`${how}: a signal reaches the program`, async (t) => {
    const { child, started, ended } = start(makeProject(t, waits), ['status'], withoutExec);
    await started;
    child.kill('SIGTERM');
    assert.equal((await ended).code, 7);
  });

  test(`${how}: killed without a word, it takes the program along`, ends, async (t) => {
    const { child, started, ended } = start(makeProject(t, waits), ['status'], withoutExec);
    await started;
    child.kill('SIGKILL');
    // Ends when nobody holds the output any more: the program waits for ever by itself.
    assert.equal((await ended).code, null);
  });
}

test('Node is told what is written for every starter', async (t) => {
  const root = makeProject(t, "console.log(process.execArgv.join(' '));");
  assert.match((await start(root, ['status'], false).ended).output, /^--stack-trace-limit=77$/m);
});

test('all that processes are started with is compiled before the first start', async (t) => {
  const root = makeProject(t, '');
  const note = "appendFileSync('warmed.txt', process.execArgv.join(' ') + ';');";
  writeFileSync(
    join(root, 'scripts/warm.ts'),
    `import { appendFileSync } from 'node:fs';\n${note}`,
  );
  rmSync(join(root, 'node_modules'), { recursive: true });
  await start(root, ['status'], false).ended;
  const warmed = readFileSync(join(root, 'warmed.txt'), 'utf8').split(';').sort();
  assert.deepEqual(warmed, ['', '', '--stack-trace-limit=77']);
});

test('flags of a node do not make a compile cache of their own', (t) => {
  const cache = mkdtempSync(join(tmpdir(), 'coracle-bootstrap-'));
  t.after(() => rmSync(cache, { recursive: true, force: true }));
  const print = `const m = process.getBuiltinModule('module'); m.enableCompileCache('${cache}'); console.log(m.getCompileCacheDir())`;
  const folderOf = (flags: readonly string[]): string =>
    execFileSync(process.execPath, [...flags, '-e', print], { encoding: 'utf8' });
  assert.equal(folderOf(nodeFlags), folderOf([]));
  assert.notEqual(folderOf([]), folderOf(['--initial-old-space-size=64']));
});

test('missing npm packages are installed first, and it says so', async (t) => {
  const root = makeProject(t, '');
  rmSync(join(root, 'node_modules'), { recursive: true });
  const { code, output } = await start(root, ['status'], false).ended;
  assert.match(output, /installing the npm packages/);
  assert.match(output, /npm ci --ignore-scripts/);
  assert.match(output, /^\d+ status$/m);
  assert.equal(code, 0);
});

test('another version is installed; a package of another platform is not missed', async (t) => {
  const root = makeProject(t, '');
  const packages = { 'node_modules/x': { version: '1.0.0' } };
  const other = { ...packages, 'node_modules/y': { version: '1.0.0', optional: true } };
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: other }));
  assert.doesNotMatch((await start(root, ['status'], false).ended).output, /installing/);
  const newer = { 'node_modules/x': { version: '1.0.1' } };
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: newer }));
  assert.match((await start(root, ['status'], false).ended).output, /installing/);
});
