/**
 * The log format of CRI runtimes: `<time> <stdout|stderr> <F|P> <text>`, one line each.
 *
 * P marks a piece of a longer line: the text goes on in the next record of the same stream, without
 * a line break in between. Pure; `log-reader.ts` reads files with it.
 */
export interface LogRecord {
  /** RFC 3339 with nanoseconds, as it stands in the file. */
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  readonly isPartial: boolean;
  readonly content: Buffer;
}

const space = 0x20;

/** `line` is without its line break. Undefined for what is no record. */
export function parseLogLine(line: Buffer): LogRecord | undefined {
  const first = line.indexOf(space);
  const second = line.indexOf(space, first + 1);
  const third = line.indexOf(space, second + 1);
  if (first < 0 || second < 0) return undefined;
  const stream = line.toString('latin1', first + 1, second);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const end = third < 0 ? line.length : third;
  const [tag] = line.toString('latin1', second + 1, end).split(':');
  return {
    time: line.toString('latin1', 0, first),
    stream,
    isPartial: tag === 'P',
    content: third < 0 ? Buffer.alloc(0) : line.subarray(third + 1),
  };
}
