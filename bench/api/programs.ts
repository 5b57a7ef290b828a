/**
 * The servers that are measured, each as processes of its own: ours (API server and SQLite store in
 * one), and, where their programs are given, upstream's kube-apiserver on etcd. Both have TLS with
 * the same certificates and a data folder of their own that goes with them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { freePort } from '#test/free-port.ts';
import { processorMs, pssMiB } from '#test/process-use.ts';
import { programFlags } from '#test/program-flags.ts';
import { Connection, type Target } from './connection.ts';
import type { ServerSettings } from './server.ts';

const clock = systemClock();
const random = systemRandom();
const never = new AbortController().signal;
const readyLimitMs = 120_000;

export interface Program extends AsyncDisposable {
  readonly name: 'ours' | 'upstream';
  readonly target: Target;
  readonly startMs: number;
  /** Resolves when it has been ready for so long. */
  aged(seconds: number): Promise<void>;
  /** Proportional memory of all its processes, in MiB. */
  memoryMiB(): number;
  /** Processor time that they have used so far. */
  processorMs(): number;
  /** Sends a signal to the server. */
  tell(signal: NodeJS.Signals): void;
}

export interface Upstream {
  readonly apiServer: string;
  readonly etcd: string;
}

interface Certificates {
  readonly ca: KeyPair;
  readonly serving: KeyPair;
  readonly client: KeyPair;
}

/** `module` serves what it is told on the command line, as `server.ts` does. */
export async function startOurs(
  cache: string,
  module = new URL('./server.ts', import.meta.url),
): Promise<Program> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-bench-api-'));
  const { ca, serving, client } = issueAll();
  const port = await freePort();
  const settings: ServerSettings = {
    file: join(folder, 'store.db'),
    port,
    ca: ca.cert,
    ...serving,
  };
  // Plain JavaScript first, as `bin/coracle.js` does: the cache holds what types cost.
  const entry = `
    import { enableCompileCache } from 'node:module';
    enableCompileCache(${JSON.stringify(cache)});
    const { serve } = await import(${JSON.stringify(module.href)});
    await serve(JSON.parse(process.argv[1]));
  `;
  const startedMs = clock.monotonic();
  const args = [...programFlags(), '--input-type=module', '-e', entry, JSON.stringify(settings)];
  const processes = [spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })];
  const target = { port, ca: ca.cert, ...client };
  return await started('ours', { folder, processes, target, startedMs });
}

export async function startUpstream({ apiServer, etcd }: Upstream): Promise<Program> {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-bench-upstream-'));
  const { ca, serving, client } = issueAll();
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const [port, etcdPort, peerPort] = [await freePort(), await freePort(), await freePort()];
  const etcdURL = `http://127.0.0.1:${etcdPort}`;
  const peerURL = `http://127.0.0.1:${peerPort}`;
  const [cert, key] = [file('tls.crt', serving.cert), file('tls.key', serving.key)];
  const startedMs = clock.monotonic();
  const store = spawn(
    etcd,
    [
      ...['--data-dir', join(folder, 'etcd'), '--log-level', 'error', '--name', 'one'],
      ...['--listen-client-urls', etcdURL, '--advertise-client-urls', etcdURL],
      ...['--listen-peer-urls', peerURL, '--initial-advertise-peer-urls', peerURL],
      ...['--initial-cluster', `one=${peerURL}`, '--quota-backend-bytes', String(2 ** 32)],
    ],
    { stdio: 'ignore' },
  );
  const server = spawn(
    apiServer,
    [
      ...['--etcd-servers', etcdURL, '--secure-port', String(port)],
      ...['--bind-address', '127.0.0.1', '--service-cluster-ip-range', '10.43.0.0/16'],
      ...['--client-ca-file', file('ca.crt', ca.cert)],
      ...['--tls-cert-file', cert, '--tls-private-key-file', key],
      ...['--service-account-key-file', cert, '--service-account-signing-key-file', key],
      ...['--service-account-issuer', 'https://kubernetes.default.svc'],
      ...['--authorization-mode', 'Node,RBAC', '--cert-dir', folder],
    ],
    { stdio: 'ignore' },
  );
  const target = { port, ca: ca.cert, ...client };
  return await started('upstream', { folder, processes: [server, store], target, startedMs });
}

async function started(
  name: Program['name'],
  {
    folder,
    processes,
    target,
    startedMs,
  }: {
    readonly folder: string;
    readonly processes: readonly ChildProcess[];
    readonly target: Target;
    readonly startedMs: number;
  },
): Promise<Program> {
  // A bench that is stopped leaves nothing: asked politely, upstream waits for its watches.
  const endAtOnce = (): void => {
    for (const one of processes) one.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', endAtOnce);
  const end = async (): Promise<void> => {
    for (const one of processes) await stop(one);
    process.removeListener('exit', endAtOnce);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    while (!(await isReady(target))) {
      const ended = processes.find(({ exitCode }) => exitCode !== null);
      if (ended !== undefined) throw new Error(`${ended.spawnfile} ended: ${ended.exitCode}`);
      if (clock.monotonic() - startedMs > readyLimitMs) throw new Error(`${name}: never ready`);
      await clock.sleep(5, { signal: never });
    }
  } catch (error) {
    await end();
    throw error;
  }
  const readyAtMs = clock.monotonic();
  return {
    name,
    target,
    startMs: readyAtMs - startedMs,
    aged: (seconds) => {
      const leftMs = readyAtMs + seconds * 1000 - clock.monotonic();
      return clock.sleep(Math.max(0, leftMs), { signal: never });
    },
    memoryMiB: () => processes.reduce((sum, { pid }) => sum + pssMiB(pid), 0),
    processorMs: () => processes.reduce((sum, { pid }) => sum + processorMs(pid), 0),
    tell: (signal) => processes[0]?.kill(signal),
    [Symbol.asyncDispose]: end,
  };
}

async function isReady(target: Target): Promise<boolean> {
  try {
    const connection = await Connection.open(target);
    const { status } = await connection.send({ method: 'GET', path: '/readyz' });
    connection.close();
    return status === 200;
  } catch {
    // Not listening yet.
    return false;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const cancel = clock.after(5_000, () => child.kill('SIGKILL'));
  await ended;
  cancel();
}

function issueAll(): Certificates {
  const nowMs = clock.now();
  const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 86_400_000 };
  const ca = issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...validity });
  const issue = (commonName: string, role: 'server' | 'client'): KeyPair =>
    issueCertificate(
      { random },
      {
        commonName,
        role,
        organizations: role === 'client' ? ['system:masters'] : [],
        ipAddresses: role === 'server' ? ['127.0.0.1'] : [],
        issuer: ca,
        ...validity,
      },
    );
  return { ca, serving: issue('server', 'server'), client: issue('bench', 'client') };
}
