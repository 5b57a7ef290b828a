/**
 * The node's process, seen from the one that runs the cluster: started with its settings over an
 * IPC channel (keys never appear on a command line), restarted when it dies, stopped on request.
 * When we die, its channel closes and it ends as well; the pods go on.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '#kit/clock.ts';
import type { Level, Logger } from '#kit/log.ts';
import type { KeyPair } from '#kit/x509.ts';
import type { ImageSources } from '../settings/image-sources.ts';
import type { ClusterState } from '../state.ts';

export interface NodeSettings {
  readonly dataDir: string;
  readonly state: ClusterState;
  readonly nodeIP: string;
  /** Of IPv6, where it was named. */
  readonly secondNodeIP: string | undefined;
  readonly server: string;
  readonly caCert: string;
  /** Identity towards the API server. */
  readonly client: KeyPair;
  /** What the kubelet's server shows. */
  readonly serving: KeyPair;
  readonly imageDirs: readonly string[];
  readonly images: ImageSources;
  /** File with a `KubeletConfiguration`. */
  readonly kubeletConfig: string | undefined;
  readonly logLevel: Level;
  readonly logsRequests: boolean;
  /** What it says goes where its parent's words go, not to its file. */
  readonly logToStderr: boolean;
}

/** Certificates that take the place of those in the settings. */
export interface Renewal {
  readonly client?: KeyPair;
  readonly serving?: KeyPair;
}

/** To the node's process. */
export type NodeCommand =
  | { readonly do: 'start'; readonly settings: NodeSettings }
  | { readonly do: 'renew'; readonly renewal: Renewal }
  | { readonly do: 'stop'; readonly leavePods: boolean };

/** From the node's process. */
export type NodeReport =
  | {
      readonly ready: 'runtime' | 'images' | 'network' | 'proxy' | 'dns' | 'kubelet';
      readonly detail: string;
    }
  | { readonly failed: string };

const limits = { restartDelayMs: 500, restartDelayMsMax: 30_000, stopMs: 90_000 } as const;

/**
 * Little of what a node makes lives long: the young need no more room, and would keep it. The less
 * there is for the old, the sooner they are looked through: at half as many again as the last time
 * left, and at four times as many in the gigabytes that V8 takes. What is native hangs on them. No
 * other flags: the compile cache is kept for each set of those, and these do not count.
 */
export const nodeFlags = ['--max-semi-space-size=2', '--max-old-space-size=512'];

/**
 * By itself glibc raises both with the largest piece that is given back, up to 32 and 64 MiB, and
 * then keeps that much. Blocks of a log (256 KiB) are still taken from what is there.
 */
const nodeEnvironment = {
  MALLOC_MMAP_THRESHOLD_: String(1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(1024 * 1024),
} as const;

const entry = fileURLToPath(new URL('../../../bin/coracle.js', import.meta.url));

export class NodeProcess {
  readonly #deps: { readonly clock: Clock; readonly log: Logger };
  #settings: NodeSettings;
  readonly #onReport: (report: NodeReport) => void;
  #child: ChildProcess | undefined;
  #stopping = false;
  #delayMs: number = limits.restartDelayMs;
  #cancelRestart: () => void = () => {};

  constructor(
    deps: { readonly clock: Clock; readonly log: Logger },
    settings: NodeSettings,
    onReport: (report: NodeReport) => void,
  ) {
    this.#deps = deps;
    this.#settings = settings;
    this.#onReport = onReport;
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  #start(): void {
    const logs = join(this.#settings.dataDir, 'logs');
    mkdirSync(logs, { recursive: true });
    const { logToStderr } = this.#settings;
    const output = logToStderr ? undefined : openSync(join(logs, 'node.log'), 'a', 0o600);
    const child = spawn(process.execPath, [...nodeFlags, entry, 'node-agent'], {
      stdio: ['ignore', output ?? 2, output ?? 2, 'ipc'],
      env: { ...process.env, ...nodeEnvironment },
    });
    if (output !== undefined) closeSync(output);
    this.#child = child;
    child.send({ do: 'start', settings: this.#settings } satisfies NodeCommand);
    child.on('message', (report: NodeReport) => this.#onReport(report));
    child.once('error', (error) => this.#deps.log.error('node process not started', { error }));
    child.once('exit', (code, signal) => this.#restart(code, signal));
  }

  #restart(code: number | null, signal: string | null): void {
    this.#child = undefined;
    if (this.#stopping) return;
    this.#deps.log.error('node process ended, starting it again', { code, signal });
    const where = this.#settings.logToStderr ? '' : ', see logs/node.log';
    this.#onReport({ failed: `ended with ${signal ?? code}${where}` });
    this.#cancelRestart = this.#deps.clock.after(this.#delayMs, () => this.#start());
    this.#delayMs = Math.min(this.#delayMs * 2, limits.restartDelayMsMax);
  }

  /** Certificates for the process that runs, and for those that come after it. */
  renew(renewal: Renewal): void {
    this.#settings = { ...this.#settings, ...renewal };
    const child = this.#child;
    if (child?.connected) child.send({ do: 'renew', renewal } satisfies NodeCommand);
  }

  /** Resolves when the process has ended; after the limit it is killed (pods then stay). */
  async stop(options: { readonly leavePods: boolean }): Promise<void> {
    this.#stopping = true;
    this.#cancelRestart();
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.connected) child.send({ do: 'stop', ...options } satisfies NodeCommand);
    const cancel = this.#deps.clock.after(limits.stopMs, () => child.kill('SIGKILL'));
    await ended;
    cancel();
  }
}
