/**
 * What the components of a test log: nothing that anybody sees, until the test fails. Then its last
 * lines are printed, because a failure on another machine has to be understood from its output.
 *
 * `openTestLog` is the `log` of what tests start in their own process. The records stay as they
 * came and are formatted only for a failure; those of one test are forgotten before the next. What
 * programs of a test have written is found by `keepLog`.
 */
import { afterEach } from 'node:test';
import type { Clock } from '#kit/clock.ts';
import { type Fields, type Level, type Logger, openLog } from '#kit/log.ts';

interface Entry {
  readonly atMs: number;
  readonly level: Level;
  readonly message: string;
  readonly fields: Fields;
}

/** Of debug level many: enough for the last seconds of a small cluster. */
const entriesMax = 120;

const entries: Entry[] = [];

/** Of programs that run, and of those that this test has ended. */
const open = new Set<() => string>();
const ended: string[] = [];

// A benchmark has no tests, and must not become one.
const isTest =
  process.env['NODE_TEST_CONTEXT'] !== undefined || process.execArgv.includes('--test');
if (isTest) {
  afterEach((context) => {
    if ('passed' in context && !context.passed) print();
    entries.length = 0;
    ended.length = 0;
  });
}

export function openTestLog({ clock }: { readonly clock: Pick<Clock, 'now'> }): Logger {
  const child = (base: Fields): Logger => {
    const at =
      (level: Level) =>
      (message: string, fields: Fields = {}): void => {
        entries.push({ atMs: clock.now(), level, message, fields: { ...base, ...fields } });
        if (entries.length > 2 * entriesMax) entries.splice(0, entriesMax);
      };
    return {
      // So many that they would drive out all else.
      trace: () => {},
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => child({ ...base, ...fields }),
    };
  };
  return child({});
}

/** Reads the log when a test fails, or when this is disposed of: then it may go. */
export function keepLog(read: () => string): Disposable {
  open.add(read);
  const end = (): void => {
    if (open.delete(read)) ended.push(read());
  };
  return { [Symbol.dispose]: end };
}

function print(): void {
  for (const text of [...ended, ...[...open].map((read) => read())]) {
    if (text !== '') process.stderr.write(`--- what a program said last\n${text}\n---\n`);
  }
  if (entries.length === 0) return;
  const lines = ['--- what the components logged last\n'];
  for (const { atMs, level, message, fields } of entries.slice(-entriesMax)) {
    const write = (line: string): void => void lines.push(line.slice(0, 400).trimEnd(), '\n');
    openLog({ clock: { now: () => atMs }, level, format: 'text', write })[level](message, fields);
  }
  process.stderr.write(`${lines.join('')}---\n`);
}
