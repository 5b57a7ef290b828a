/**
 * How much is logged, and how: `-v N` and `--logging-format`, with upstream's numbers as far as
 * they mean something here. 2: what is told as Events, and what is about to be done; 4: each round
 * of a loop, and each request that a server answers; 6: each request that a component sends.
 */
import type { Level, LogFormat } from '#kit/log.ts';
import { ConfigError } from './config-error.ts';

export interface Verbosity {
  readonly logLevel: Level;
  readonly logsRequests: boolean;
}

/** `-v 2`, and `-v=2` too: the library leaves the sign there. */
export function verbosityOf(v: string | true | number | undefined): Verbosity {
  const number = Number(String(v ?? 0).replace(/^=/, ''));
  const logLevel = number >= 4 ? 'trace' : number >= 2 ? 'debug' : 'info';
  return { logLevel, logsRequests: number >= 6 };
}

export function logFormatOf(text: string | undefined): LogFormat {
  if (text === undefined || text === '' || text === 'text') return 'text';
  if (text === 'json') return 'json';
  throw new ConfigError(`format: Invalid value: "${text}": Unsupported log format`);
}
