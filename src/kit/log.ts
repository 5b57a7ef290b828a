/**
 * Logs are data: a constant lower-case message and fields. `writeLog` decides how a record looks
 * (klog-like text or JSON lines) and where it goes; components only see `Logger`.
 *
 * Never put a secret into a field: tokens, keys and the content of Secrets have no business here.
 */
import type { Clock } from './clock.ts';

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'text' | 'json';
export type Fields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** What happens many times a second; a function makes the fields only where they are written. */
  trace(message: string, fields?: Fields | (() => Fields)): void;
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** The same sink, with these fields on every record. */
  child(fields: Fields): Logger;
}

export interface LogOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly level: Level;
  readonly format: LogFormat;
  readonly write: (line: string) => void;
}

const rank: Readonly<Record<Level, number>> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 };

export function openLog(options: LogOptions, base: Fields = {}): Logger {
  const at = (level: Level) => (message: string, fields?: Fields | (() => Fields)) => {
    if (rank[level] < rank[options.level]) return;
    const all = { ...base, ...(typeof fields === 'function' ? fields() : fields) };
    options.write(`${format(options, level, message, all)}\n`);
  };
  return {
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => openLog(options, { ...base, ...fields }),
  };
}

/** A logger that says nothing, for tests that do not look at it. */
export const silentLog: Logger = {
  trace: () => {},
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};

function format(options: LogOptions, level: Level, message: string, fields: Fields): string {
  const time = new Date(options.clock.now()).toISOString();
  const plain = Object.entries(fields).map(([key, value]) => [key, plainValue(value)] as const);
  if (options.format === 'json') {
    return JSON.stringify({ ts: time, level, msg: message, ...Object.fromEntries(plain) });
  }
  const tail = plain.map(([key, value]) => ` ${key}=${JSON.stringify(value)}`).join('');
  return `${level[0]?.toUpperCase()} ${time} ${message}${tail}`;
}

function plainValue(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const cause = value.cause === undefined ? '' : `: ${plainValue(value.cause)}`;
  return `${value.message}${cause}`;
}
