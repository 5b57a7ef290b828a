/**
 * Our own containerd: one process per node, in its own session, below the data directory.
 *
 * `openContainerd` adopts the one that already runs (pid file, command line and an answering socket
 * must agree; one that never answers is ended) or starts one, and returns when its socket takes
 * connections. The process outlives us on purpose: pods go on while we restart, and are adopted.
 * `supervise` starts it again when it dies; `stop` ends it. After a reboot the state directory is
 * stale and is emptied first.
 *
 * Files, all in `<dataDir>/agent`:
 * `containerd/{config.toml,containerd.log,containerd.pid,root,state}`, `cni/{bin,conf}` (written
 * by the network agent), `registries/` (hosts.toml per registry, `registry-hosts.ts`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fchmodSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { delimiter, dirname, join, resolve } from 'node:path';
import { loadsAppArmor } from '#kit/apparmor.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { unmountBelow } from '#kit/mounts.ts';
import { runCommand } from '#kit/run-command.ts';
import { formatContainerdConfig, mayLowerScores } from './containerd-config.ts';
import { planHostFiles, type Registries, writeHostFiles } from './registry-hosts.ts';
import { endStrayShims } from './stray-shims.ts';

export interface ContainerdOptions {
  readonly dataDir: string;
  /** Short id of the cluster; part of every name made outside the data directory. */
  readonly clusterId: string;
  /** Mirrors, logins and certificates of registries. */
  readonly registries?: Registries | undefined;
  /** A folder of `hosts.toml` files that somebody else keeps. */
  readonly registryDir?: string | undefined;
  /** Containers' cgroups are made by systemd, not by runc itself. */
  readonly systemdCgroup?: boolean | undefined;
  /** Folders where its programs are looked for first, as `PATH` has them. */
  readonly searchPath?: string | undefined;
  readonly signal: AbortSignal;
}

export interface Containerd {
  readonly socketPath: string;
  readonly cniBinDir: string;
  readonly cniConfDir: string;
  /** As `1.6.20`. */
  readonly version: string;
  /** It ran before we came. */
  readonly adopted: boolean;
  readonly pid: number;
  /** Puts an OCI archive into the image store that CRI uses. */
  importImage(file: string, options: { readonly signal: AbortSignal }): Promise<void>;
  /** Starts it again whenever it has died, until the signal aborts. */
  supervise(options: { readonly signal: AbortSignal }): Promise<void>;
  /** TERM, then KILL after ten seconds. Containers go on. */
  stop(options: { readonly signal: AbortSignal }): Promise<void>;
}

interface Deps {
  readonly clock: Clock;
  readonly log: Logger;
}

interface Layout {
  readonly dir: string;
  readonly state: string;
  readonly configFile: string;
  readonly logFile: string;
  readonly pidFile: string;
  readonly socketPath: string;
  readonly cniBinDir: string;
  readonly cniConfDir: string;
  readonly registryDir: string;
}

/** The kernel takes 107 bytes for a socket's path, and containerd appends `.ttrpc`. */
const socketPathBytesMax = 100;
const readyTimeoutMs = 20_000;
const stopTimeoutMs = 10_000;
const superviseIntervalMs = 500;
const superviseIntervalMsMax = 30_000;
/** After a start; on a busy machine a shim may be long on its way. */
const lateShimsMs = [0, 2000, 10_000, 30_000] as const;
const shimsEveryMs = 600_000;
const defaultSearchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function containerdLayout(dataDir: string, clusterId: string): Layout {
  const agent = join(dataDir, 'agent');
  const dir = join(agent, 'containerd');
  const near = join(dir, 'containerd.sock');
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 8);
  const socketPath =
    Buffer.byteLength(near) <= socketPathBytesMax
      ? near
      : `/run/coracle-${clusterId}-${hash}/containerd.sock`;
  return {
    dir,
    state: join(dir, 'state'),
    configFile: join(dir, 'config.toml'),
    logFile: join(dir, 'containerd.log'),
    pidFile: join(dir, 'containerd.pid'),
    socketPath,
    cniBinDir: join(agent, 'cni', 'bin'),
    cniConfDir: join(agent, 'cni', 'conf'),
    registryDir: join(agent, 'registries'),
  };
}

export async function openContainerd(deps: Deps, options: ContainerdOptions): Promise<Containerd> {
  const layout = containerdLayout(options.dataDir, options.clusterId);
  const { dir, state, cniBinDir, cniConfDir, registryDir, socketPath } = layout;
  for (const each of [dir, cniBinDir, cniConfDir, registryDir])
    mkdirSync(each, { recursive: true });
  mkdirSync(join(socketPath, '..'), { recursive: true });
  mkdirSync(state, { recursive: true });
  letThrough(options.dataDir, state);
  const program = findProgram('containerd', options.searchPath);
  const version = await readVersion(dir, program, options.signal);
  const { mirrors = new Map(), access = new Map() } = options.registries ?? {};
  writeHostFiles(registryDir, planHostFiles({ mirrors, access }));
  const config = configText(layout, version, options);
  // It reads its configuration only when it starts; pods go on without it for a moment.
  if (readText(layout.configFile) !== config) await stop(deps, layout, options.signal);
  const adopted = await adopts(deps, layout, options.signal);
  let pid = readPid(layout);
  if (!adopted) {
    await emptyStaleState(layout, options.signal);
    mkdirSync(state, { recursive: true });
    // There may be logins in it.
    writeFileSync(layout.configFile, config, { mode: 0o600 });
    pid = start(deps, layout, program);
  }
  await waitReady(deps, layout, options.signal);
  deps.log.info('containerd ready', { pid, version, adopted, socketPath });
  return {
    socketPath,
    cniBinDir,
    cniConfDir,
    version,
    adopted,
    get pid() {
      return readPid(layout) ?? 0;
    },
    importImage: (file, { signal }) => importImage(layout, options, file, signal),
    supervise: ({ signal }) => supervise(deps, layout, { program, adopted, signal }),
    stop: ({ signal }) => stop(deps, layout, signal),
  };
}

/**
 * Who is root only in a pod with users of its own is anybody on this machine, and has to find the
 * way to the pod's file system, which is mounted below `state`.
 */
function letThrough(dataDir: string, state: string): void {
  const last = resolve(dataDir);
  for (let folder = resolve(state); folder.length >= last.length; folder = dirname(folder)) {
    const { mode } = statSync(folder);
    if ((mode & 0o011) !== 0o011) chmodSync(folder, (mode & 0o7777) | 0o011);
  }
}

/** One that was started a moment ago, by somebody who died, may need some time yet. */
async function adopts(deps: Deps, layout: Layout, signal: AbortSignal): Promise<boolean> {
  if (readPid(layout) === undefined) return false;
  try {
    await waitReady(deps, layout, signal);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    deps.log.warn('containerd is not taken over', { error });
    // Two of them would wait for each other.
    await stop(deps, layout, signal);
    return false;
  }
}

/** One that does not start is tried again, ever more seldom; pods go on meanwhile. */
async function supervise(
  deps: Deps,
  layout: Layout,
  options: { readonly program: string; readonly adopted: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const { clock, log } = deps;
  const { program, adopted, signal } = options;
  // Of the one before: it may have died as well.
  let looks = adopted ? [] : looksFrom(clock);
  let pauseMs: number = superviseIntervalMs;
  for (;;) {
    await clock.sleep(pauseMs, { signal });
    try {
      if (readPid(layout) === undefined) {
        log.warn('containerd has died, starting it again');
        start(deps, layout, program);
        await waitReady(deps, layout, signal);
        looks = looksFrom(clock);
      }
      pauseMs = superviseIntervalMs;
    } catch (error) {
      signal.throwIfAborted();
      pauseMs = Math.min(pauseMs * 2, superviseIntervalMsMax);
      log.error('containerd does not start', { error, pauseMs });
    }
    const due = looks.filter((atMs) => atMs <= clock.monotonic());
    looks = looks.slice(due.length);
    if (looks.length === 0) looks = [clock.monotonic() + shimsEveryMs];
    const { socketPath, state } = layout;
    const containerd = readPid(layout) ?? 0;
    if (due.length > 0) await endStrayShims(deps, { socketPath, state, containerd });
  }
}

/** When stray shims are looked for: at once, and when those on their way have come. */
function looksFrom(clock: Clock): readonly number[] {
  return lateShimsMs.map((afterMs) => clock.monotonic() + afterMs);
}

function configText(layout: Layout, version: string, options: ContainerdOptions): string {
  return formatContainerdConfig({
    majorVersion: Number.parseInt(version, 10),
    root: join(layout.dir, 'root'),
    state: layout.state,
    socketPath: layout.socketPath,
    mayLowerScores: mayLowerScores(readFileSync('/proc/self/status', 'utf8')),
    appArmor: loadsAppArmor(),
    cniBinDir: layout.cniBinDir,
    cniConfDir: layout.cniConfDir,
    registryDirs: [
      layout.registryDir,
      ...(options.registryDir === undefined ? [] : [options.registryDir]),
    ],
    registries: options.registries,
    runc: findProgram('runc', options.searchPath),
    pauseImage: 'localhost/pause:1',
    systemdCgroup: options.systemdCgroup ?? false,
  });
}

function findProgram(name: string, searchPath: string | undefined): string {
  const folders = [...(searchPath ?? '').split(delimiter), ...defaultSearchPath.split(delimiter)];
  for (const folder of folders) {
    if (folder === '') continue;
    const file = join(folder, name);
    if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  }
  throw new Error(`${name} is not installed: looked in ${folders.filter(Boolean).join(', ')}`);
}

/** Asking costs a process start, so the answer is kept with the program's size and date. */
async function readVersion(dir: string, program: string, signal: AbortSignal): Promise<string> {
  const { size, mtimeMs } = statSync(program);
  const identity = `${program} ${size} ${mtimeMs}`;
  const file = join(dir, 'version');
  const [known, version] = readText(file).split('\n');
  if (known === identity && version !== undefined && version !== '') return version;
  const result = await runCommand(program, ['--version'], { signal, timeoutMs: 10_000 });
  const found = /\bv?(\d+\.\d+\.\d+)/.exec(result.stdout)?.[1];
  if (found === undefined) throw new Error(`${program} does not say its version: ${result.stderr}`);
  writeFileSync(file, `${identity}\n${found}\n`);
  return found;
}

function readText(file: string): string {
  return statSync(file, { throwIfNoEntry: false }) === undefined ? '' : readFileSync(file, 'utf8');
}

/** After a reboot what the state directory says about processes and mounts is no longer so. */
async function emptyStaleState(layout: Layout, signal: AbortSignal): Promise<void> {
  const file = join(layout.dir, 'boot-id');
  const bootId = readText('/proc/sys/kernel/random/boot_id').trim();
  const before = readText(file);
  if (before !== '' && before !== bootId) {
    await unmountBelow(layout.state, { signal });
    rmSync(layout.state, { recursive: true, force: true });
  }
  writeFileSync(file, bootId);
}

function start({ log }: Deps, layout: Layout, program: string): number {
  const args = ['--config', layout.configFile];
  const output = openSync(layout.logFile, 'a');
  fchmodSync(output, 0o600);
  rmSync(layout.socketPath, { force: true });
  let child: ChildProcess;
  try {
    // `detached` gives it a session of its own, so that signals to our group do not reach it.
    child = spawn(program, args, { detached: true, stdio: ['ignore', output, output] });
  } finally {
    closeSync(output);
  }
  child.on('error', (error) => log.error('containerd could not be started', { error }));
  child.unref();
  if (child.pid === undefined) throw new Error(`cannot start ${program}`);
  writeFileSync(layout.pidFile, `${child.pid}\n`);
  return child.pid;
}

/** The process of the pid file, if it lives and is a containerd with our configuration. */
function readPid(layout: Layout): number | undefined {
  const pid = Number.parseInt(readText(layout.pidFile), 10);
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  const command = readProcess(pid, 'cmdline').split('\0');
  if (!command.includes(layout.configFile)) return undefined;
  const state = readProcess(pid, 'stat').split(') ').at(-1)?.[0];
  return state === 'Z' || state === 'X' ? undefined : pid;
}

function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    // It may end between any two looks at it: no such file, or no such process.
    if (error instanceof Error) return '';
    throw error;
  }
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function waitReady({ clock }: Deps, layout: Layout, signal: AbortSignal): Promise<void> {
  const deadline = clock.monotonic() + readyTimeoutMs;
  while (!(await accepts(layout.socketPath))) {
    if (readPid(layout) === undefined) throw failedStart(layout, 'containerd ended at once');
    if (clock.monotonic() > deadline) throw failedStart(layout, 'containerd does not answer');
    await clock.sleep(10, { signal });
  }
}

function failedStart(layout: Layout, text: string): Error {
  const tail = readText(layout.logFile).split('\n').slice(-6).join('\n');
  return new Error(`${text}; the end of ${layout.logFile}:\n${tail}`);
}

async function importImage(
  layout: Layout,
  options: ContainerdOptions,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const ctr = findProgram('ctr', options.searchPath);
  const args = ['--address', layout.socketPath, '--namespace', 'k8s.io', 'images', 'import', file];
  const result = await runCommand(ctr, args, { signal, timeoutMs: 120_000 });
  if (result.code !== 0) throw new Error(`cannot import ${file}: ${result.stderr.trim()}`);
}

async function stop({ clock }: Deps, layout: Layout, signal: AbortSignal): Promise<void> {
  const started = clock.monotonic();
  let killed = false;
  for (let pid = readPid(layout); pid !== undefined; pid = readPid(layout)) {
    const late = clock.monotonic() - started > stopTimeoutMs;
    if (!killed) process.kill(pid, late ? 'SIGKILL' : 'SIGTERM');
    killed ||= late;
    await clock.sleep(20, { signal });
  }
  rmSync(layout.pidFile, { force: true });
}
