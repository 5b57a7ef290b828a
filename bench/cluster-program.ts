/**
 * A cluster as a program of its own for the controllers' benchmark: `coracle server` over SQLite on
 * the disk with every commit synced, and nodes by `coracle hollow` in another process, both spoken
 * to over HTTPS. What they used of processor and memory is read from /proc.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, openClient, openHttpTransport } from '#client';
import { systemClock } from '#kit/clock.ts';
import { freePort } from '#test/free-port.ts';
import { type ProcessUse, processUse } from '#test/process-use.ts';
import { readAccess } from '../src/cluster/credentials/kubeconfig-access.ts';

export const clock = systemClock();
const entry = join(import.meta.dirname, '..', 'bin', 'coracle.js');

export class Program implements AsyncDisposable {
  readonly client: Client;
  readonly #folder: string;
  readonly #server: ChildProcess;
  readonly #nodes: ChildProcess[] = [];
  readonly #transport: ReturnType<typeof openHttpTransport>;

  private constructor(folder: string, server: ChildProcess) {
    this.#folder = folder;
    this.#server = server;
    this.#transport = openHttpTransport(readAccess(this.kubeconfig, undefined));
    this.client = openClient({ transport: this.#transport, clock });
  }

  static async open(signal: AbortSignal): Promise<Program> {
    const folder = mkdtempSync(join(tmpdir(), 'coracle-bench-'));
    const dataDir = join(folder, 'data');
    const port = String(await freePort());
    const flags = ['--data-dir', dataDir, '--no-kubeconfig', '--backup-interval', '0'];
    const where = ['--api-port', port, '--bind-address', '127.0.0.1'];
    const server = spawn(process.execPath, [entry, 'server', ...flags, ...where], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    server.stdout.on('data', (chunk) => (said += chunk));
    while (!/^\+ cluster/m.test(said)) {
      if (server.exitCode !== null) throw new Error(`the server ended: ${said}`);
      await clock.sleep(20, { signal });
    }
    return new Program(folder, server);
  }

  get kubeconfig(): string {
    return join(this.#folder, 'data', 'admin.kubeconfig');
  }

  /** Starts a process with so many nodes, numbered from `first` on. */
  startNodes(count: number, { first = 0 }: { readonly first?: number } = {}): void {
    const args = ['hollow', '--kubeconfig', this.kubeconfig, '--nodes', String(count)];
    const child = spawn(process.execPath, [entry, ...args, '--first', String(first)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#nodes.push(child);
  }

  get use(): Use {
    return {
      server: processUse(this.#server.pid),
      nodes: this.#nodes.map(({ pid }) => processUse(pid)).reduce(sum, { cpuMs: 0, pssMiB: 0 }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#transport[Symbol.dispose]();
    for (const child of [...this.#nodes, this.#server]) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill('SIGTERM')) await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export interface Use {
  readonly server: ProcessUse;
  readonly nodes: ProcessUse;
}

function sum(a: ProcessUse, b: ProcessUse): ProcessUse {
  return { cpuMs: a.cpuMs + b.cpuMs, pssMiB: a.pssMiB + b.pssMiB };
}
