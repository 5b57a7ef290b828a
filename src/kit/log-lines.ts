/**
 * Where the lines of a log go: to the end of a file, or to standard output or error.
 *
 * A line that cannot be written is lost, and never an error: on a disk that is full the store still
 * serves what it has and kubelets make room, and a pipe that nobody reads any more is no reason to
 * end either. A file says itself where lines are missing, once there is room again.
 *
 * Used where logs are opened: `main.ts`, `cluster-log.ts`, `node-agent.ts`.
 */
import { openSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';

export type WriteLine = (line: string) => void;

const gap = 'W lines are missing here: they could not be written\n';

export function linesInto(path: string): WriteLine {
  const file = openSync(path, 'a', 0o600);
  let isBroken = false;
  return (line) => {
    // The last one may have been cut.
    const bytes = Buffer.from(isBroken ? `\n${gap}${line}` : line);
    isBroken = !isWritten(file, bytes);
  };
}

function isWritten(file: number, bytes: Buffer): boolean {
  try {
    return writeSync(file, bytes) === bytes.length;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false;
    throw error;
  }
}

export function linesTo(stream: Writable): WriteLine {
  stream.on('error', () => {});
  return (line) => void stream.write(line);
}
