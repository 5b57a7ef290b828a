/**
 * `coracle server` in a process of its own, and requests to it over HTTPS as its administrator.
 *
 * For what only a real process shows: signals, the control socket, a disk that fills up. Everything
 * lives below a temporary folder; `await using` ends the process by its id and resets the cluster,
 * also when the test failed.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '#kit/clock.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import { lastLines, logsOf } from './cluster-process.ts';
import { freePort } from './free-port.ts';
import { keepLog } from './test-log.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'bin/coracle.js');
const clock = systemClock();
const never = new AbortController().signal;

export interface ServerAnswer {
  readonly status: number;
  readonly text: string;
}

export class ServerProcess {
  readonly folder = mkdtempSync(join(tmpdir(), 'coracle-server-'));
  readonly dataDir = join(this.folder, 'data');
  readonly port: number;
  readonly #flags: readonly string[];
  readonly #log = keepLog(() => `${lastLines(this.#output)}\n${logsOf(this.dataDir)}`);
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(port: number, flags: readonly string[]) {
    this.port = port;
    this.#flags = flags;
  }

  static async open(flags: readonly string[] = []): Promise<ServerProcess> {
    return new ServerProcess(await freePort(), flags);
  }

  /** Starts it, this time with more flags, and waits until it is ready. */
  async start(
    more: readonly string[] = [],
    /** A file that its output goes to, as a shell sends it there. */
    options: { readonly output?: string } = {},
  ): Promise<void> {
    const own = ['--data-dir', this.dataDir, '--api-port', String(this.port), '--no-kubeconfig'];
    const file = options.output === undefined ? undefined : openSync(options.output, 'a');
    const child = spawn(process.execPath, [program, 'server', ...own, ...this.#flags, ...more], {
      cwd: root,
      stdio: file === undefined ? ['ignore', 'pipe', 'pipe'] : ['ignore', file, file],
    });
    if (file !== undefined) closeSync(file);
    this.#child = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        this.#output += chunk;
      });
    }
    await this.until(async () => {
      assert.equal(child.exitCode, null, `the server ended early:\n${this.#output}`);
      if (!existsSync(join(this.dataDir, 'admin.kubeconfig'))) return false;
      return (await this.tryRequest('GET', '/readyz'))?.status === 200;
    }, 'the server is ready');
  }

  /** What it has written since it was started last. */
  get output(): string {
    return this.#output;
  }

  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    this.#child?.kill(name);
  }

  /** Resolves with the exit code once the process has ended. */
  async ended(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    await this.until(() => child.exitCode !== null || child.signalCode !== null, 'it has ended');
    return child.exitCode;
  }

  /** Runs a command of the program on this data dir to its end. */
  coracle(...args: readonly string[]): Promise<CommandResult> {
    return runCommand(process.execPath, [program, ...args, '--data-dir', this.dataDir], {
      signal: never,
      timeoutMs: 60_000,
      cwd: root,
    });
  }

  async request(method: string, path: string, body?: unknown): Promise<ServerAnswer> {
    const response = await this.send(method, path, body);
    response.setEncoding('utf8');
    let text = '';
    for await (const part of response) text += part;
    return { status: response.statusCode ?? 0, text };
  }

  /** Undefined where nobody answers. */
  async tryRequest(method: string, path: string): Promise<ServerAnswer | undefined> {
    return await this.request(method, path).catch(() => undefined);
  }

  /** One request on a connection of its own; resolves with the head of the answer. */
  send(method: string, path: string, body?: unknown): Promise<IncomingMessage> {
    const kubeconfig = readFileSync(join(this.dataDir, 'admin.kubeconfig'), 'utf8');
    const pem = (name: string): string => {
      const [, value = ''] = new RegExp(`${name}"?: "?([A-Za-z0-9+/=]+)`).exec(kubeconfig) ?? [];
      return Buffer.from(value, 'base64').toString('utf8');
    };
    const options = {
      host: '127.0.0.1',
      port: this.port,
      ca: pem('certificate-authority-data'),
      cert: pem('client-certificate-data'),
      key: pem('client-key-data'),
      method,
      path,
      agent: false,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    } as const;
    return new Promise((resolve, reject) => {
      const sent = request(options, resolve);
      sent.once('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async until(
    condition: () => boolean | Promise<boolean>,
    what: string | (() => string),
  ): Promise<void> {
    const deadlineMs = clock.monotonic() + 60_000;
    while (!(await condition())) {
      assert.ok(
        clock.monotonic() < deadlineMs,
        `still not: ${typeof what === 'string' ? what : what()}\n${this.#output}`,
      );
      await clock.sleep(20, { signal: never });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#log[Symbol.dispose]();
    this.signal('SIGKILL');
    if (this.#child !== undefined) await this.ended();
    if (existsSync(join(this.dataDir, 'cluster.json'))) await this.coracle('reset', '--yes');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A ConfigMap with so many bytes in it. */
export function configMap(name: string, bytes: number): object {
  const data = { text: name.padEnd(bytes, 'x') };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
}
