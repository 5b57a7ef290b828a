/**
 * Shutdowns as systemd-logind announces them on the system's bus.
 *
 * The lock is a file descriptor, which Node cannot receive; so `systemd-inhibit`, which comes
 * with logind, holds it: it runs a `cat` that ends when its input is closed, also when this
 * process dies. `busctl`, which comes with systemd as well, asks, and listens for
 * `PrepareForShutdown`.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runCommand } from '#kit/run-command.ts';
import type { ShutdownSource } from './shutdown.ts';

export interface LogindOptions {
  /** Programs, and the folder of logind's settings; default: those of the machine. */
  readonly busctl?: string | undefined;
  readonly inhibit?: string | undefined;
  readonly configDir?: string | undefined;
}

interface Cancel {
  readonly signal: AbortSignal;
}

const limits = { callMs: 10_000 } as const;
const manager = ['org.freedesktop.login1', '/org/freedesktop/login1'] as const;
const interfaceName = 'org.freedesktop.login1.Manager';
const heldWord = 'held';

export function openLogind({
  busctl = 'busctl',
  inhibit = 'systemd-inhibit',
  configDir = '/etc/systemd/logind.conf.d',
}: LogindOptions = {}): ShutdownSource {
  const call = async (args: readonly string[], { signal }: Cancel): Promise<string> => {
    const options = { signal, timeoutMs: limits.callMs };
    const { code, stdout, stderr } = await runCommand(busctl, args, options);
    if (code === 0) return stdout.trim();
    throw new Error(`${busctl} ${args[0]}: ${stderr.trim()}`);
  };
  return {
    delayMs: async (options) => {
      const property = [...manager, interfaceName, 'InhibitDelayMaxUSec'];
      const text = await call(['get-property', ...property], options);
      const [, microseconds] = /^t (\d+)$/.exec(text) ?? [];
      if (microseconds !== undefined) return Number(microseconds) / 1000;
      throw new Error(`InhibitDelayMaxUSec from logind is not a uint64 as expected: ${text}`);
    },
    setDelay: async (delayMs, options) => {
      mkdirSync(configDir, { recursive: true });
      const text = `# Of the kubelet\n[Login]\nInhibitDelayMaxSec=${Math.ceil(delayMs / 1000)}\n`;
      writeFileSync(join(configDir, '99-kubelet.conf'), text, { mode: 0o644 });
      const systemd = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1'];
      const kill = ['org.freedesktop.systemd1.Manager', 'KillUnit', 'ssi'];
      const hangUp = ['systemd-logind.service', 'all', '1'];
      await call(['call', ...systemd, ...kill, ...hangUp], options);
    },
    hold: (options) => hold(inhibit, options),
    events: (options) => events(busctl, options),
  };
}

function hold(inhibit: string, { signal }: Cancel): Promise<Disposable> {
  const args = [
    ...['--what=shutdown', '--who=kubelet', '--mode=delay'],
    '--why=Kubelet needs time to handle node shutdown',
    ...['sh', '-c', `echo ${heldWord}; exec cat`],
  ];
  const child = spawn(inhibit, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.on('error', () => {});
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      child.kill();
      reject(error);
    };
    signal.addEventListener('abort', () => child.stdin.end(), { once: true });
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`${inhibit} ended with ${code}`)));
    child.stdout.once('data', () => {
      resolve({ [Symbol.dispose]: () => child.stdin.end() });
    });
  });
}

async function* events(busctl: string, { signal }: Cancel): AsyncIterable<boolean> {
  // Anybody may send signals on the bus: those of logind count.
  const match =
    `type='signal',sender='${manager[0]}',interface='${interfaceName}',` +
    "member='PrepareForShutdown'";
  const child = spawn(busctl, ['monitor', '--json=short', `--match=${match}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    signal,
  });
  // Its end ends the lines below; that it could not be started shows in the same way.
  child.on('error', () => {});
  for await (const line of createInterface({ input: child.stdout })) {
    const isBeginning = parseEvent(line);
    if (isBeginning !== undefined) yield isBeginning;
  }
  signal.throwIfAborted();
}

/** A line of `busctl monitor --json=short`. */
export function parseEvent(line: string): boolean | undefined {
  try {
    const { member, payload } = JSON.parse(line);
    const [value] = member === 'PrepareForShutdown' ? (payload?.data ?? []) : [];
    return typeof value === 'boolean' ? value : undefined;
  } catch {
    // What is not a message of the bus is none of ours.
    return undefined;
  }
}
