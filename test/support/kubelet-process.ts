/**
 * `coracle kubelet` in a process of its own, over the runtime of a test. `await using` ends it; its
 * containers are the runtime's business.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isRunning, lastLines, until } from './cluster-process.ts';
import { freePort } from './free-port.ts';
import type { OwnRuntime } from './own-runtime.ts';
import { endProcess } from './places.ts';
import { keepLog } from './test-log.ts';

const program = fileURLToPath(new URL('../../bin/coracle.js', import.meta.url));

/** Of the kernel, which a kubelet sets for the whole machine. */
const kernelFlags = ['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic']
  .concat('kernel/panic_on_oops', 'kernel/keys/root_maxkeys', 'kernel/keys/root_maxbytes')
  .map((flag) => `/proc/sys/${flag}`);

export class KubeletProcess implements AsyncDisposable {
  readonly rootDir: string;
  readonly certDir: string;
  readonly port: number;
  readonly healthzPort: number;
  readonly #runtime: OwnRuntime;
  readonly #log = keepLog(() => lastLines(this.#output));
  /** As the machine had them before. */
  readonly #kernelFlags = kernelFlags
    .filter((path) => existsSync(path))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }));
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(runtime: OwnRuntime, ports: readonly number[]) {
    const [port = 0, healthzPort = 0] = ports;
    this.rootDir = join(runtime.folder, 'kubelet');
    this.certDir = join(this.rootDir, 'pki');
    this.port = port;
    this.healthzPort = healthzPort;
    this.#runtime = runtime;
  }

  static async open(runtime: OwnRuntime): Promise<KubeletProcess> {
    return new KubeletProcess(runtime, [await freePort(), await freePort()]);
  }

  /** With lines of a KubeletConfiguration; resolves when `/healthz` says ok. */
  async start(fields: readonly string[], flags: readonly string[]): Promise<void> {
    const config = join(this.#runtime.folder, 'kubelet.yaml');
    const own = [
      'apiVersion: kubelet.config.k8s.io/v1beta1',
      'kind: KubeletConfiguration',
      `port: ${this.port}`,
      `healthzPort: ${this.healthzPort}`,
      `containerRuntimeEndpoint: unix://${this.#runtime.containerd.socketPath}`,
      `podLogsDir: ${this.#runtime.folder}/pod-logs`,
      `cgroupRoot: ${this.#runtime.cgroupRoot}`,
      'evictionHard: { memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1% }',
      'imageGCHighThresholdPercent: 100',
      // Whatever machine the test is on.
      'failSwapOn: false',
    ];
    writeFileSync(config, `${[...own, ...fields].join('\n')}\n`);
    const args = ['kubelet', '--config', config, '--root-dir', this.rootDir, ...flags];
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.#output += chunk;
      });
    }
    const closed = new Promise((resolve) => child.once('close', resolve));
    const isHealthy = async (): Promise<boolean> => {
      if (!isRunning(child)) {
        // What it said last may be on its way.
        await closed;
        assert.fail(`the kubelet ended early:\n${this.#output}`);
      }
      const url = `http://127.0.0.1:${this.healthzPort}/healthz`;
      const answer = await fetch(url).catch(() => undefined);
      return answer?.ok === true;
    };
    await until(isHealthy, { what: () => `the kubelet is up:\n${this.#output}`, limitMs: 120_000 });
  }

  get output(): string {
    return this.#output;
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await endProcess(this.#child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#log[Symbol.dispose]();
    await endProcess(this.#child);
    for (const { path, text } of this.#kernelFlags) {
      if (readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
    }
  }
}
