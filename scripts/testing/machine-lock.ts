/**
 * The lock that everything on this machine takes before it touches containers, network namespaces,
 * nft tables or mounts in earnest: two such runs at once would see each other's things.
 *
 * It is flock(2) on one file, so that the kernel lets go of it whatever becomes of the holder. A
 * small `flock` process holds it for us while we keep its input open.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';

const machineLockPath = '/run/coracle-e2e.lock';

/** Tells programs below us that we hold the lock for them. */
export const lockHeld = { CORACLE_MACHINE_LOCK: 'held' } as const;

/** Waits for the lock. Disposing of the result gives it back. */
export async function takeMachineLock(options: {
  readonly path?: string;
  readonly limitMs: number;
  readonly signal: AbortSignal;
}): Promise<AsyncDisposable> {
  const { path = machineLockPath, limitMs, signal } = options;
  const held = path === machineLockPath && process.env.CORACLE_MACHINE_LOCK === 'held';
  if (held || isInherited(path)) return { [Symbol.asyncDispose]: async () => {} };
  const seconds = String(Math.ceil(limitMs / 1000));
  const args = ['--timeout', seconds, path, 'sh', '-c', 'echo taken; exec cat >/dev/null'];
  const holder = spawn('flock', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()));
  const end = (): void => {
    holder.stdin.end();
    holder.kill();
  };
  signal.addEventListener('abort', end, { once: true });
  const taken = await new Promise<boolean>((resolve, reject) => {
    holder.once('error', reject);
    holder.stdout.once('data', () => resolve(true));
    holder.once('close', () => resolve(false));
  });
  if (!taken) throw new Error(`another run holds ${path}; gave up after ${seconds} s`);
  return {
    [Symbol.asyncDispose]: async () => {
      signal.removeEventListener('abort', end);
      end();
      await ended;
    },
  };
}

/** True under `flock FILE npm run e2e`: the lock's open file came down to us. */
function isInherited(path: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false; // Closed between the two calls: the folder's own handle.
    }
  });
}
