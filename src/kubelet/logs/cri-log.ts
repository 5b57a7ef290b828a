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

/** Where the parts of a record are in the bytes that it was found in. */
export interface RecordPlace {
  readonly stream: LogRecord['stream'];
  readonly isPartial: boolean;
  /** The time is before it; a space follows. */
  readonly timeEnd: number;
  readonly contentStart: number;
}

const space = 0x20;
const colon = 0x3a;
/** What a time in UTC ends with. */
const zulu = 0x5a;
/** The longest word of both streams' names, and its end. */
const nameLength = 'stdout'.length;
/** Of a time with nanoseconds in UTC, as runtimes write it. */
const usualTimeLength = 30;

/** `line` is without its line break. Undefined for what is no record. */
export function parseLogLine(line: Buffer): LogRecord | undefined {
  const place = findRecord(line, 0, line.length);
  if (place === undefined) return undefined;
  const { stream, isPartial, timeEnd, contentStart } = place;
  const time = line.toString('latin1', 0, timeEnd);
  return { time, stream, isPartial, content: line.subarray(contentStart) };
}

/** Without making strings or buffers: logs are long. The line break is at `end`. */
export function findRecord(bytes: Buffer, start: number, end: number): RecordPlace | undefined {
  const usual = start + usualTimeLength;
  // Zeros at the end are left out of a time: then another space may be in that place.
  const isUsual = bytes[usual] === space && bytes[usual - 1] === zulu;
  const timeEnd = isUsual ? usual : bytes.indexOf(space, start);
  const nameEnd = timeEnd + 1 + nameLength;
  if (timeEnd < 0 || nameEnd >= end || bytes[nameEnd] !== space) return undefined;
  const stream = streamAt(bytes, timeEnd + 1);
  if (stream === undefined) return undefined;
  let tagEnd = nameEnd + 1;
  while (tagEnd < end && bytes[tagEnd] !== space) tagEnd += 1;
  const isPartial =
    bytes[nameEnd + 1] === partial && (tagEnd === nameEnd + 2 || bytes[nameEnd + 2] === colon);
  return { stream, isPartial, timeEnd, contentStart: Math.min(tagEnd + 1, end) };
}

const partial = 0x50;
const names = { stdout: Buffer.from('stdout'), stderr: Buffer.from('stderr') } as const;

function streamAt(bytes: Buffer, start: number): LogRecord['stream'] | undefined {
  if (isAt(bytes, start, names.stdout)) return 'stdout';
  return isAt(bytes, start, names.stderr) ? 'stderr' : undefined;
}

function isAt(bytes: Buffer, start: number, wanted: Buffer): boolean {
  for (let index = 0; index < nameLength; index++) {
    if (bytes[start + index] !== wanted[index]) return false;
  }
  return true;
}
