/**
 * Runs one program of the test run: its output goes straight to ours, it has a time limit, and it
 * leads a process group of its own, so that nothing of it outlives the limit or our own end.
 *
 * `run-tests.ts` and `parts.ts` call it.
 */
import { spawn } from 'node:child_process';

export interface ChildOptions {
  readonly limitMs: number;
  readonly signal: AbortSignal;
  /** Added to our own; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Keep what it says and give it back, instead of showing it. */
  readonly quiet?: boolean;
}

export interface ChildResult {
  readonly code: number;
  /** Why it did not end well; empty when it did. */
  readonly problem: string;
  readonly output: string;
}

export function runChild(
  program: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<ChildResult> {
  const { limitMs, signal, quiet = false } = options;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const stdio = quiet ? 'pipe' : 'inherit';
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', stdio, stdio],
      env: { ...process.env, ...options.env },
    });
    let output = '';
    child.stdout?.on('data', (chunk) => (output += chunk));
    child.stderr?.on('data', (chunk) => (output += chunk));
    let late = false;
    const end = (): void => killGroup(child.pid);
    const limit = setTimeout(() => {
      late = true;
      end();
    }, limitMs);
    signal.addEventListener('abort', end, { once: true });
    child.once('error', reject);
    child.once('close', (code, killedBy) => {
      clearTimeout(limit);
      signal.removeEventListener('abort', end);
      end();
      const problem = late
        ? `did not end within ${limitMs / 1000} s`
        : code === 0
          ? ''
          : `ended with ${killedBy ?? `exit code ${code}`}`;
      resolve({ code: code ?? 1, problem, output });
    });
  });
}

/** The whole group, also what a program that has ended left behind in it. */
function killGroup(pid: number | undefined): void {
  if (pid !== undefined) killIfThere(-pid);
}

/** A process, or a group by its negative number; one that is gone already is as good as killed. */
export function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
