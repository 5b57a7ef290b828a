/**
 * The logger that components of a simulated cluster get. What hollow nodes log about the pods that
 * they run is an event of the world; the rest is only printed, when somebody looks.
 */
import type { Fields, Level, Logger } from '#kit/log.ts';
import { formatSeconds, type WorldEvent } from './trace.ts';

export interface WorldLogOptions {
  readonly world: {
    readonly clock: { monotonic(): number };
    observe(event: WorldEvent): void;
  };
  readonly component: string;
  readonly print: ((line: string) => void) | undefined;
}

export function worldLog(options: WorldLogOptions): Logger {
  const at =
    (level: Level) =>
    (message: string, fields: Fields = {}) => {
      if (message === 'pod started' || message === 'pod stopped')
        observePod(options, message, fields);
      if (options.print === undefined || level === 'debug') return;
      const text = Object.entries(fields).map(([key, value]) => `${key}=${textOf(value)}`);
      const time = formatSeconds(options.world.clock.monotonic());
      options.print(`${time}   [${options.component}] ${message} ${text.join(' ')}`);
    };
  const log: Logger = {
    trace: () => {},
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  };
  return log;
}

function observePod({ world }: WorldLogOptions, message: string, { uid, node }: Fields): void {
  if (typeof uid !== 'string' || typeof node !== 'string') return;
  world.observe({ what: message === 'pod started' ? 'podStarted' : 'podStopped', uid, node });
}

function textOf(value: unknown): string {
  return value instanceof Error ? (value.stack ?? value.message) : JSON.stringify(value);
}
