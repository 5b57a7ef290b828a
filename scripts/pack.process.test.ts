/**
 * The packed tarball in somebody else's empty project: its examples run, its types check, its
 * command works, all without a registry, without node:sqlite and without a trace in the home.
 *
 * Our own npm dependencies are packed from node_modules, so that npm installs them offline.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '#test/free-port.ts';

const root = dirname(import.meta.dirname);
const folder = mkdtempSync(join(tmpdir(), 'coracle-pack-'));
const project = join(folder, 'project');
const home = join(folder, 'home');
/** A Node that has no node:sqlite: whatever loads it fails. */
const withoutSqlite = '--no-experimental-sqlite';
const run = promisify(execFile);
const npm = process.env['npm_execpath'];

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly dependencies?: Readonly<Record<string, string>> }>
  >;
}

function environment(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const path = [dirname(process.execPath), inherited['PATH']].join(delimiter);
  return { ...inherited, PATH: path, HOME: home, npm_config_cache: join(folder, 'npm') };
}

async function callNpm(args: readonly string[], cwd: string): Promise<string> {
  const [program, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm];
  const all = [...first, ...args];
  const { stdout } = await run(program ?? '', all, { cwd, env: environment() });
  return stdout;
}

/** Our dependencies and theirs, by the lock file. */
function dependencies(): readonly string[] {
  const text = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const { packages } = JSON.parse(text) as Lock;
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    const { dependencies = {} } = packages[`node_modules/${name}`] ?? {};
    for (const one of Object.keys(dependencies)) visit(one);
  };
  for (const name of Object.keys(packages['']?.dependencies ?? {})) visit(name);
  return [...found];
}

/** By a plain `npm pack`, in a copy of the tree, since it changes the tree while it runs. */
async function packOurs(): Promise<string> {
  const tree = join(folder, 'tree');
  const aside = new Set(['.git', '.cache', 'node_modules', 'dist']);
  cpSync(root, tree, {
    recursive: true,
    filter: (path) => dirname(path) !== root || !aside.has(basename(path)),
  });
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  const out = join(folder, 'ours');
  mkdirSync(out);
  await callNpm(['pack', '--silent', '--pack-destination', out], tree);
  const sources = (path: string): string => readFileSync(join(path, 'package.json'), 'utf8');
  assert.equal(sources(tree), sources(root), 'the tree is as it was');
  assert.equal(existsSync(join(tree, 'dist')), false);
  return join(out, readdirSync(out)[0] ?? '');
}

async function packTheirs(): Promise<readonly string[]> {
  const out = join(folder, 'theirs');
  mkdirSync(out);
  const folders = dependencies().map((name) => `./node_modules/${name}`);
  const fixed = ['pack', '--silent', '--ignore-scripts', '--pack-destination', out];
  await callNpm([...fixed, ...folders], root);
  return readdirSync(out).map((name) => join(out, name));
}

before(
  async () => {
    mkdirSync(project);
    mkdirSync(home);
    const [ours, theirs] = await Promise.all([packOurs(), packTheirs()]);
    writeFileSync(join(project, 'package.json'), '{"type":"module","private":true}');
    const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--silent'];
    await callNpm(['install', '--offline', ...quiet, ours, ...theirs], project);
  },
  { timeout: 300_000 },
);

after(() => rmSync(folder, { recursive: true, force: true }));

/** The examples of the page, by the file name in their first line. */
function examples(language: string): ReadonlyMap<string, string> {
  const page = readFileSync(join(root, 'docs/testing-operators.md'), 'utf8');
  const blocks = page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'));
  return new Map(
    [...blocks].map(([, text = '']) => [/^\/\/ ([\w.-]+)/.exec(text)?.[1] ?? '', text]),
  );
}

test('the examples of the page pass, and node:sqlite is not there at all', async () => {
  const names = [...examples('ts')].map(([name, text]) => {
    writeFileSync(join(project, name), text);
    return name;
  });
  assert.deepEqual(names, ['deployment.test.ts', 'node-death.test.ts', 'operator.test.ts']);
  const env = environment();
  const args = [withoutSqlite, '--test', '--test-isolation=none', '--test-reporter=tap', ...names];
  const { stdout } = await run(process.execPath, args, { cwd: project, env });
  assert.match(stdout, /^# pass 3$/m);
  const files = names.map((name) => join(project, name));
  const settings = {
    compilerOptions: {
      noEmit: true,
      strict: true,
      skipLibCheck: false,
      target: 'esnext',
      module: 'nodenext',
      types: ['node'],
    },
    files,
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(settings));
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [compiler, '-p', project], { cwd: project, env });
});

test('types are checked, not left out', async () => {
  const wrong = `import { startCluster } from 'coracle/testing';
    import { nodes } from 'coracle/kinds';
    const { client, signal } = await startCluster();
    const node = await client.get(nodes, { name: 'a' }, { signal });
    export const name: number = node.metadata.name;`;
  const file = join(project, 'wrong.ts');
  writeFileSync(file, wrong);
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'esnext'];
  const args = [join(root, 'node_modules/typescript/bin/tsc'), '--ignoreConfig', ...flags];
  await assert.rejects(
    run(process.execPath, [...args, '--types', 'node', file], { cwd: project }),
    ({ stdout }: { readonly stdout: string }) => {
      assert.match(stdout.trim(), /^\S*wrong\.ts\(5,\d+\): error TS2322: .*number/);
      assert.equal(stdout.match(/error TS/g)?.length, 1, stdout);
      return true;
    },
  );
});

test('a stack trace in the packed program has the line numbers of the source', () => {
  const at = (path: string): number =>
    readFileSync(path, 'utf8')
      .split('\n')
      .findIndex((line) => line.includes('throw new Error("advance needs'));
  const packed = at(join(project, 'node_modules/coracle/dist/testing/testing.js'));
  assert.ok(packed > 0);
  assert.equal(packed, at(join(root, 'src/testing/testing.ts')));
});

test('nothing of our tests is in the package', () => {
  const names = readdirSync(join(project, 'node_modules/coracle'), { recursive: true }).map(String);
  assert.deepEqual(
    names.filter((name) => /\.(test|fuzz|contract)\.|(?<!\.d)\.ts$/.test(name)),
    [],
  );
});

async function up(store: string, dataDir: string): Promise<ChildProcess> {
  const port = String(await freePort());
  const flags = ['--store', store, '--node', 'hollow', '--no-kubeconfig', '--data-dir', dataDir];
  const address = ['--api-port', port, '--bind-address', '127.0.0.1'];
  const command = join(project, 'node_modules/.bin/coracle');
  const env = { ...environment(), NODE_OPTIONS: withoutSqlite };
  return spawn(command, ['up', ...flags, ...address], {
    cwd: project,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('close', (code) => resolve(code)));
}

async function nodesOf(kubeconfig: string): Promise<string> {
  const text = readFileSync(kubeconfig, 'utf8');
  const field = (name: string): string => new RegExp(`${name}: (\\S+)`).exec(text)?.[1] ?? '';
  const bytes = (name: string): Buffer => Buffer.from(field(name), 'base64');
  const server = field('server');
  const options = {
    ca: bytes('certificate-authority-data'),
    cert: bytes('client-certificate-data'),
    key: bytes('client-key-data'),
    agent: false,
  };
  return await new Promise((resolve, reject) => {
    request(`${server}/api/v1/nodes`, options, (answer) => {
      let text = '';
      answer.on('data', (part: Buffer) => {
        text += part.toString();
      });
      answer.once('end', () => resolve(text));
    })
      .once('error', reject)
      .end();
  });
}

test('the command runs a cluster in memory without node:sqlite, and leaves the home alone', async () => {
  const dataDir = join(folder, 'memory');
  const child = await up('memory', dataDir);
  const end = ended(child);
  try {
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout ?? process.stdin })) {
      lines.push(line);
      if (line.startsWith('+ cluster')) break;
    }
    assert.match(lines.at(-1) ?? '', /^\+ cluster/, lines.join('\n'));
    assert.match(await nodesOf(join(dataDir, 'admin.kubeconfig')), /"name":"hollow-0"/);
  } finally {
    child.stdout?.resume();
    child.kill('SIGTERM');
  }
  assert.equal(await end, 0);
  assert.deepEqual(
    readdirSync(home).filter((name) => name !== '.npm'),
    [],
  );
});

test('the sqlite store does load node:sqlite, so its absence above was no accident', async () => {
  const child = await up('sqlite', join(folder, 'sqlite'));
  let said = '';
  child.stderr?.on('data', (part: Buffer) => {
    said += part.toString();
  });
  child.stdout?.resume();
  assert.equal(await ended(child), 1);
  assert.match(said, /node:sqlite/);
});
