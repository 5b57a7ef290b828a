/**
 * A cluster as a user runs it: `npm run up` in a process of its own, and the real kubectl beside
 * it.
 *
 * Everything lives below a temporary folder, HOME included, so nothing of the user's is touched.
 * `await using` resets the cluster, also when the test failed; processes are ended by their id.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '#kit/clock.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import { freePort } from './free-port.ts';
import { keepLog } from './test-log.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const clock = systemClock();
const never = new AbortController().signal;
/** Of a command that is to end by itself; some wait for a minute or two. */
const commandMs = 240_000;

export interface ClusterProcessOptions {
  /** YAML, for `--kubelet-config`. */
  readonly kubeletConfiguration?: string;
  /** Further flags of `coracle up`. */
  readonly flags?: readonly string[];
  /** Instead of the folder with all example images: the fewer, the sooner it is ready. */
  readonly imagesFolder?: string;
  /** Further variables of `coracle up`. */
  readonly environment?: Readonly<Record<string, string>>;
  /** In front of every program, as `nsenter --net=…`. */
  readonly launcher?: readonly string[];
}

export class ClusterProcess {
  readonly folder: string;
  readonly dataDir: string;
  readonly apiPort: number;
  readonly #flags: readonly string[];
  readonly #launcher: readonly string[];
  readonly #imagesFolder: string | undefined;
  readonly #more: Readonly<Record<string, string>>;
  readonly #log = keepLog(() => `${lastLines(this.#output)}\n${this.logs()}`);
  #up: ChildProcess | undefined;
  #output = '';

  private constructor(apiPort: number, options: ClusterProcessOptions) {
    this.folder = mkdtempSync(join(tmpdir(), 'coracle-e2e-'));
    this.dataDir = join(this.folder, 'data');
    this.apiPort = apiPort;
    const kubelet = join(this.folder, 'kubelet.yaml');
    const { flags = [], kubeletConfiguration: text } = options;
    if (text !== undefined) writeFileSync(kubelet, text);
    this.#flags = text === undefined ? flags : [...flags, '--kubelet-config', kubelet];
    this.#launcher = options.launcher ?? [];
    this.#imagesFolder = options.imagesFolder;
    this.#more = options.environment ?? {};
  }

  static async open(options: ClusterProcessOptions = {}): Promise<ClusterProcess> {
    // What a test makes is for pods to read, whoever runs it.
    process.umask(0o022);
    return new ClusterProcess(await freePort(), options);
  }

  /** What `up` has printed since it was started last. */
  get output(): string {
    return this.#output;
  }

  get kubeconfig(): string {
    return join(this.dataDir, 'admin.kubeconfig');
  }

  get #environment(): NodeJS.ProcessEnv {
    const images = this.#imagesFolder;
    const own = { HOME: this.folder, KUBECONFIG: join(this.folder, 'kubeconfig') };
    return { ...process.env, ...own, ...(images === undefined ? {} : { CORACLE_IMAGES: images }) };
  }

  get #upArguments(): readonly string[] {
    // The examples name a port of the usual range, whatever else runs on this machine.
    const ports = ['--api-port', String(this.apiPort), '--service-node-port-range', '30000-32767'];
    const own = ['--data-dir', this.dataDir, ...ports];
    return [join(root, 'scripts/bootstrap.js'), 'up', ...own, ...this.#flags];
  }

  /** Starts `up` and resolves with the seconds until it said that the cluster is ready. */
  async up(options: { readonly limitMs?: number } = {}): Promise<number> {
    const startMs = clock.monotonic();
    this.#output = '';
    const [command, args] = behind(this.#launcher, 'node', this.#upArguments);
    // Of a user who lets nobody read what is made: pods of others than root read it all the same.
    const umask = process.umask(0o077);
    const child = spawn(command, args, {
      cwd: root,
      env: { ...this.#environment, ...this.#more },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    process.umask(umask);
    this.#up = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.#output += chunk;
      });
    }
    await this.until(
      () => {
        assert.ok(isRunning(child), `up ended early:\n${this.#output}`);
        return /^\+ cluster .*ready$/m.test(this.#output);
      },
      { what: () => `up is ready; it said:\n${this.#output}`, limitMs: options.limitMs ?? 120_000 },
    );
    return (clock.monotonic() - startMs) / 1000;
  }

  /** Runs `up` once more to its end, as somebody who does not know that it runs. */
  upAgain(): Promise<CommandResult> {
    return runCommand(...behind(this.#launcher, 'node', this.#upArguments), {
      signal: never,
      timeoutMs: 60_000,
      cwd: root,
      env: this.#environment,
    });
  }

  async kubectl(...args: readonly string[]): Promise<string> {
    const result = await this.tryKubectl(...args);
    assert.equal(result.code, 0, `kubectl ${args.join(' ')}: ${result.stderr}${result.stdout}`);
    return result.stdout;
  }

  tryKubectl(...args: readonly string[]): Promise<CommandResult> {
    return this.kubectlWith({}, ...args);
  }

  /** The current context of the kubeconfig that `up` merges into; empty when there is none. */
  async userContext(): Promise<string> {
    const result = await runCommand('kubectl', ['config', 'current-context'], {
      signal: never,
      timeoutMs: 60_000,
      env: this.#environment,
    });
    return result.stdout.trim();
  }

  kubectlWith(
    options: { readonly input?: string; readonly timeoutMs?: number },
    ...args: readonly string[]
  ): Promise<CommandResult> {
    const all = ['--kubeconfig', this.kubeconfig, ...args];
    return runCommand(...behind(this.#launcher, 'kubectl', all), {
      signal: never,
      timeoutMs: options.timeoutMs ?? commandMs,
      cwd: root,
      env: this.#environment,
      input: options.input,
    });
  }

  /** A kubectl that stays: `port-forward`, `get -w`, `logs -f`. End it with `kill()`. */
  spawnKubectl(...args: readonly string[]): ChildProcess & { text(): string } {
    const all = ['--kubeconfig', this.kubeconfig, ...args];
    const child = spawn(...behind(this.#launcher, 'kubectl', all), {
      cwd: root,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
    }
    return Object.assign(child, { text: () => text });
  }

  /** SIGKILL to our own processes, and to containerd where asked; shims and containers stay. */
  kill(options: { readonly containerd: boolean }): Promise<void> {
    return killProcesses(this.dataDir, options);
  }

  /** Ours, found through the data dir on their command line, and the children of `up`. */
  processes(): Promise<readonly RunningProcess[]> {
    return processesOf(this.dataDir);
  }

  /** Polls until the condition holds; fails with a message that says what was waited for. */
  until(condition: () => boolean | Promise<boolean>, options: UntilOptions): Promise<void> {
    return until(condition, options);
  }

  /** SIGTERM to `up`, as Ctrl-C or a service manager would. */
  async stop(): Promise<void> {
    await endGently(this.#up);
  }

  /** `coracle reset --yes`: whatever state the cluster is in, nothing of it is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#log[Symbol.dispose]();
    await resetDataDir(this.dataDir, this.#launcher);
    this.#up?.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The logs of the cluster, for the message of a failed test. */
  logs(): string {
    return logsOf(this.dataDir);
  }
}

export interface RunningProcess {
  readonly pid: number;
  readonly command: string;
}

/** Those that name a folder on their command line, and their descendants. */
export async function processesOf(dataDir: string): Promise<readonly RunningProcess[]> {
  const result = await runCommand('ps', ['-eo', 'pid=,ppid=,stat=,args='], {
    signal: never,
    timeoutMs: 60_000,
  });
  const all = result.stdout.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line);
    if (match === null || match[3]?.startsWith('Z')) return [];
    return [{ pid: Number(match[1]), parent: Number(match[2]), command: match[4] ?? '' }];
  });
  const family = new Set(
    all.filter(({ command }) => command.includes(dataDir)).map(({ pid }) => pid),
  );
  for (let grown = true; grown; ) {
    const children = all.filter(({ pid, parent }) => family.has(parent) && !family.has(pid));
    for (const { pid } of children) family.add(pid);
    grown = children.length > 0;
  }
  return all.filter(({ pid }) => family.has(pid));
}

/** SIGKILL to our own processes of a data dir, and to its containerd where asked. */
export async function killProcesses(
  dataDir: string,
  options: { readonly containerd: boolean },
): Promise<void> {
  const isOurs = (command: string): boolean => /bin\/coracle\.js|bootstrap\.js/.test(command);
  const isContainerd = (command: string): boolean => /containerd(\s|$).*config\.toml/.test(command);
  const ids = (await processesOf(dataDir))
    .filter(({ command }) => isOurs(command) || (options.containerd && isContainerd(command)))
    .map(({ pid }) => pid);
  assert.ok(ids.length >= 2, 'there is something to kill');
  for (const pid of ids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // A child may already have ended with its parent.
      assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
    }
  }
  const areGone = async (): Promise<boolean> =>
    (await processesOf(dataDir)).every(({ pid }) => !ids.includes(pid));
  const what = (): string => `processes ${ids.join(', ')} have ended`;
  await until(areGone, { what, limitMs: 60_000 });
}

export interface UntilOptions {
  readonly what: string | (() => string);
  readonly limitMs: number;
}

/** Polls until the condition holds; fails with a message that says what was waited for. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  options: UntilOptions,
): Promise<void> {
  const deadlineMs = clock.monotonic() + options.limitMs;
  while (!(await condition())) {
    const what = typeof options.what === 'string' ? options.what : options.what();
    assert.ok(clock.monotonic() < deadlineMs, `after ${options.limitMs} ms still not: ${what}`);
    await clock.sleep(50, { signal: never });
  }
}

/** SIGTERM, and waits. */
export async function endGently(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || !isRunning(child)) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

/** `coracle reset --yes`, where there is something to reset. */
export async function resetDataDir(dataDir: string, launcher: readonly string[]): Promise<void> {
  if (!existsSync(join(dataDir, 'cluster.json'))) return;
  const args = [join(root, 'bin/coracle.js'), 'reset', '--yes', '--data-dir', dataDir];
  const result = await runCommand(...behind(launcher, process.execPath, args), {
    signal: never,
    timeoutMs: 120_000,
    cwd: root,
  });
  assert.equal(result.code, 0, `reset failed: ${result.stderr}`);
}

/** The ends of the logs in a data dir. */
export function logsOf(dataDir: string): string {
  return ['coracle.log', 'node.log']
    .map((name) => join(dataDir, 'logs', name))
    .filter((path) => existsSync(path))
    .map((path) => `--- ${path}\n${lastLines(readFileSync(path, 'utf8'))}`)
    .join('\n');
}

export function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-60).join('\n');
}

/** Command and arguments with the launcher in front. */
export function behind(
  launcher: readonly string[],
  command: string,
  args: readonly string[],
): [string, readonly string[]] {
  const [first = command, ...rest] = [...launcher, command, ...args];
  return [first, rest];
}

/** A process that a signal ended has no exit code. */
export function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}
