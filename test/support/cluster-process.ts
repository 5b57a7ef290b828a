/**
 * A cluster as a user runs it: `npm run up` in a process of its own, and the real kubectl beside
 * it.
 *
 * Everything lives below a temporary folder, HOME included, so nothing of the user's is touched.
 * `await using` resets the cluster, also when the test failed; processes are ended by their id.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '#kit/clock.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const clock = systemClock();
const never = new AbortController().signal;

export interface ClusterProcessOptions {
  /** Further flags of `coracle up`. */
  readonly flags?: readonly string[];
}

export class ClusterProcess {
  readonly folder: string;
  readonly dataDir: string;
  readonly apiPort: number;
  readonly #flags: readonly string[];
  #up: ChildProcess | undefined;
  #output = '';

  private constructor(apiPort: number, options: ClusterProcessOptions) {
    this.folder = mkdtempSync(join(tmpdir(), 'coracle-e2e-'));
    this.dataDir = join(this.folder, 'data');
    this.apiPort = apiPort;
    this.#flags = options.flags ?? [];
  }

  static async open(options: ClusterProcessOptions = {}): Promise<ClusterProcess> {
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
    return { ...process.env, HOME: this.folder, KUBECONFIG: join(this.folder, 'kubeconfig') };
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
    const child = spawn('node', this.#upArguments, {
      cwd: root,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#up = child;
    const append = (chunk: Buffer): void => {
      this.#output += chunk.toString('utf8');
    };
    child.stdout.on('data', append);
    child.stderr.on('data', append);
    await this.until(
      () => {
        assert.ok(isRunning(child), `up ended early:\n${this.#output}`);
        return /^\+ cluster .*ready$/m.test(this.#output);
      },
      { what: () => `up is ready; it said:\n${this.#output}`, limitMs: options.limitMs ?? 30_000 },
    );
    return (clock.monotonic() - startMs) / 1000;
  }

  /** Runs `up` once more to its end, as somebody who does not know that it runs. */
  upAgain(): Promise<CommandResult> {
    return runCommand('node', this.#upArguments, {
      signal: never,
      timeoutMs: 30_000,
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
      timeoutMs: 10_000,
      env: this.#environment,
    });
    return result.stdout.trim();
  }

  kubectlWith(
    options: { readonly input?: string; readonly timeoutMs?: number },
    ...args: readonly string[]
  ): Promise<CommandResult> {
    return runCommand('kubectl', ['--kubeconfig', this.kubeconfig, ...args], {
      signal: never,
      timeoutMs: options.timeoutMs ?? 60_000,
      cwd: root,
      env: this.#environment,
      input: options.input,
    });
  }

  /** A kubectl that stays: `port-forward`, `get -w`, `logs -f`. End it with `kill()`. */
  spawnKubectl(...args: readonly string[]): ChildProcess & { text(): string } {
    const child = spawn('kubectl', ['--kubeconfig', this.kubeconfig, ...args], {
      cwd: root,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
      });
    }
    return Object.assign(child, { text: () => text });
  }

  /** SIGKILL to our own processes, and to containerd where asked; shims and containers stay. */
  async kill(options: { readonly containerd: boolean }): Promise<void> {
    const processes = await this.processes();
    const isOurs = (command: string): boolean => /bin\/coracle\.js|bootstrap\.js/.test(command);
    const isContainerd = (command: string): boolean =>
      /containerd(\s|$).*config\.toml/.test(command);
    const ids = processes
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
    await this.until(async () => (await this.processes()).every(({ pid }) => !ids.includes(pid)), {
      what: () => `processes ${ids.join(', ')} have ended`,
      limitMs: 10_000,
    });
  }

  /** Ours, found through the data dir on their command line, and the children of `up`. */
  async processes(): Promise<readonly { readonly pid: number; readonly command: string }[]> {
    const result = await runCommand('ps', ['-eo', 'pid=,ppid=,stat=,args='], {
      signal: never,
      timeoutMs: 10_000,
    });
    const all = result.stdout.split('\n').flatMap((line) => {
      const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line);
      if (match === null || match[3]?.startsWith('Z')) return [];
      return [{ pid: Number(match[1]), parent: Number(match[2]), command: match[4] ?? '' }];
    });
    const family = new Set(
      all.filter(({ command }) => command.includes(this.dataDir)).map(({ pid }) => pid),
    );
    for (let grown = true; grown; ) {
      const children = all.filter(({ pid, parent }) => family.has(parent) && !family.has(pid));
      for (const { pid } of children) family.add(pid);
      grown = children.length > 0;
    }
    return all.filter(({ pid }) => family.has(pid));
  }

  /** Polls until the condition holds; fails with a message that says what was waited for. */
  async until(
    condition: () => boolean | Promise<boolean>,
    options: { readonly what: string | (() => string); readonly limitMs: number },
  ): Promise<void> {
    const deadlineMs = clock.monotonic() + options.limitMs;
    while (!(await condition())) {
      const what = typeof options.what === 'string' ? options.what : options.what();
      assert.ok(clock.monotonic() < deadlineMs, `after ${options.limitMs} ms still not: ${what}`);
      await clock.sleep(50, { signal: never });
    }
  }

  /** SIGTERM to `up`, as Ctrl-C or a service manager would. */
  async stop(): Promise<void> {
    const child = this.#up;
    if (child === undefined || !isRunning(child)) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  /** `coracle reset --yes`: whatever state the cluster is in, nothing of it is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (existsSync(join(this.dataDir, 'cluster.json'))) {
      const result = await runCommand(
        process.execPath,
        [join(root, 'bin/coracle.js'), 'reset', '--yes', '--data-dir', this.dataDir],
        { signal: never, timeoutMs: 120_000, cwd: root },
      );
      assert.equal(result.code, 0, `reset failed: ${result.stderr}`);
    }
    this.#up?.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The logs of the cluster, for the message of a failed test. */
  logs(): string {
    return ['coracle.log', 'node.log']
      .map((name) => join(this.dataDir, 'logs', name))
      .filter((path) => existsSync(path))
      .map((path) => `--- ${path}\n${readFileSync(path, 'utf8').split('\n').slice(-60).join('\n')}`)
      .join('\n');
  }
}

/** A process that a signal ended has no exit code. */
function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
