/**
 * Runs another program to its end and gives back what it said. Every run has a time limit and a
 * signal; output is bounded. A non-zero exit is a value, not an exception: callers decide.
 *
 * Use it for short-lived tools (`ip`, `nft`, `apt-get`, `ctr`). A program that stays is spawned by
 * whoever owns it.
 */
import { execFile } from 'node:child_process';

export interface CommandOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Text for its standard input; closed at once when absent. */
  readonly input?: string | undefined;
  readonly cwd?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly outputBytesMax?: number | undefined;
}

export interface CommandResult {
  /** 0 for success; 127 when the program is missing; 124 when it ran into the time limit. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const outputBytesDefault = 16 * 1024 * 1024;

/** Rejects only with the signal's reason, or when the program could not be started at all. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const { signal, timeoutMs, input, cwd, env } = options;
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      {
        signal,
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: options.outputBytesMax ?? outputBytesDefault,
        encoding: 'utf8',
        ...(cwd === undefined ? {} : { cwd }),
        ...(env === undefined ? {} : { env }),
      },
      (error, stdout, stderr) => {
        if (error === null) resolve({ code: 0, stdout, stderr });
        else if (signal.aborted) reject(signal.reason);
        else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
        else if (error.code === 'ENOENT') resolve({ code: 127, stdout, stderr: error.message });
        else if (error.killed === true) {
          resolve({ code: 124, stdout, stderr: `${stderr}stopped after ${timeoutMs} ms` });
        } else reject(new Error(`cannot run ${command}`, { cause: error }));
      },
    );
    // A program that does not read its input closes the pipe early: its exit code tells the story.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });
}

/** As `runCommand`, but any exit other than 0 is an error that carries what the program said. */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<string> {
  const { code, stdout, stderr } = await runCommand(command, args, options);
  if (code === 0) return stdout;
  const said = (stderr.trim() || stdout.trim()).slice(0, 2000);
  throw new Error(`${command} ${args.slice(0, 6).join(' ')} exited with ${code}: ${said}`);
}
