/**
 * A node of a cluster as its user starts it: `coracle agent` in a process of its own, with a data
 * dir below a temporary folder. `await using` resets it, also when the test failed.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  behind,
  endGently,
  isRunning,
  killProcesses,
  lastLines,
  logsOf,
  processesOf,
  type RunningProcess,
  resetDataDir,
  until,
} from './cluster-process.ts';
import { keepLog } from './test-log.ts';

const program = fileURLToPath(new URL('../../bin/coracle.js', import.meta.url));

export interface AgentProcessOptions {
  /** In front of every program, as `nsenter --net=…`. */
  readonly launcher: readonly string[];
  /** Of `coracle agent`, besides the data dir and the token. */
  readonly flags: readonly string[];
}

export class AgentProcess implements AsyncDisposable {
  readonly dataDir: string;
  readonly #folder: string;
  readonly #options: AgentProcessOptions;
  readonly #log = keepLog(() => `${lastLines(this.#output)}\n${this.logs()}`);
  #child: ChildProcess | undefined;
  #output = '';

  constructor(options: AgentProcessOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), 'coracle-e2e-'));
    this.dataDir = join(this.#folder, 'data');
    this.#options = options;
  }

  /** Resolves when it says that the node is Ready. */
  async start(...flags: readonly string[]): Promise<void> {
    this.#output = '';
    const own = ['agent', '--data-dir', this.dataDir, ...this.#options.flags, ...flags];
    const [command, args] = behind(this.#options.launcher, process.execPath, [program, ...own]);
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.#output += chunk;
      });
    }
    const isReady = (): boolean => {
      assert.ok(isRunning(child), `the agent ended early:\n${this.#output}`);
      return /^\+ node /m.test(this.#output) && /^\+ images /m.test(this.#output);
    };
    const what = (): string => `the agent is ready; it said:\n${this.#output}\n${this.logs()}`;
    await until(isReady, { what, limitMs: 120_000 });
  }

  /** SIGTERM, as Ctrl-C or a service manager would. */
  stop(): Promise<void> {
    return endGently(this.#child);
  }

  /** SIGKILL to our own processes; containerd and containers stay. */
  kill(): Promise<void> {
    return killProcesses(this.dataDir, { containerd: false });
  }

  processes(): Promise<readonly RunningProcess[]> {
    return processesOf(this.dataDir);
  }

  logs(): string {
    return logsOf(this.dataDir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#log[Symbol.dispose]();
    await resetDataDir(this.dataDir, this.#options.launcher);
    this.#child?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
