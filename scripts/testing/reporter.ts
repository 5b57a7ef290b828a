/**
 * How test runs report here: one JSON line per finished test into the file that CORACLE_RESULTS
 * names, and to the terminal only what a reader wants: failures, and with CORACLE_REPORT=each every
 * test with its time (end-to-end steps take long). What a test file in a process of its own has
 * printed is kept, and its last lines are shown under what failed there.
 *
 * `node --test` loads it; `run-tests.ts` reads the file. A test's diagnostics follow its verdict in
 * the stream, which is how the rows that it claims (`test/support/covers.ts`) find it.
 */
import { appendFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import type { EventData } from 'node:test';
import type { TestEvent } from 'node:test/reporters';
import { type Claim, parseClaim } from '#test/covers.ts';

export interface TestResult {
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Names from the outermost suite on, joined by ` > `. */
  readonly name: string;
  /** Relative to the working folder, with the line. */
  readonly place: string;
  readonly durationMs: number;
  /** The error of a failed test, the reason of a skipped one. */
  readonly text: string;
  readonly claims: readonly Claim[];
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const path = process.env.CORACLE_RESULTS;
  const each = process.env.CORACLE_REPORT === 'each';
  for await (const result of results(source)) {
    if (path !== undefined) appendFileSync(path, `${JSON.stringify(result)}\n`);
    if (result.outcome === 'failed' || each) yield describe(result);
  }
}

const outputLinesMax = 120;

/** What files have printed, which only files in processes of their own tell us. */
class Outputs {
  readonly #lines = new Map<string, string[]>();

  add(file: string | undefined, text: string): void {
    const path = resolve(file ?? '');
    const lines = this.#lines.get(path) ?? [];
    // Pieces need not end with a line; what looks wrong for that is still readable.
    lines.push(...text.trimEnd().split('\n'));
    if (lines.length > outputLinesMax) lines.splice(0, lines.length - outputLinesMax);
    this.#lines.set(path, lines);
  }

  /** What was not taken before. */
  take(file: string | undefined): string {
    const path = resolve(file ?? '');
    const lines = this.#lines.get(path) ?? [];
    this.#lines.delete(path);
    return lines.length === 0 ? '' : `\n--- it had printed\n${lines.join('\n')}`;
  }
}

/** The finished tests of a stream, in order. Suites count only where they fail by themselves. */
export async function* results(source: AsyncIterable<TestEvent>): AsyncGenerator<TestResult> {
  const names: string[] = [];
  const outputs = new Outputs();
  let last: TestResult | undefined;
  for await (const event of source) {
    if (event.type === 'test:stderr' || event.type === 'test:stdout') {
      outputs.add(event.data.file, event.data.message);
      continue;
    }
    if (event.type === 'test:diagnostic') {
      const claim = last === undefined ? undefined : parseClaim(event.data.message);
      if (claim !== undefined && last !== undefined) {
        last = { ...last, claims: [...last.claims, claim] };
      }
      continue;
    }
    if (last !== undefined) yield last;
    last = undefined;
    if (event.type === 'test:start') names[event.data.nesting] = event.data.name;
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    names.length = event.data.nesting;
    last = toResult(event, [...names, event.data.name].join(' > '));
    if (last?.outcome !== 'failed') continue;
    last = { ...last, text: last.text + outputs.take(event.data.file) };
  }
  if (last !== undefined) yield last;
}

function toResult(
  event: Extract<TestEvent, { type: 'test:pass' | 'test:fail' }>,
  name: string,
): TestResult | undefined {
  const { data } = event;
  const failed = event.type === 'test:fail';
  if (!failed && data.details.type === 'suite') return undefined;
  // A file without a test counts as one that passed; not here.
  if (!failed && data.file?.endsWith(data.name)) return undefined;
  // Its parts have been reported already.
  if (failed && failureType(event.data) === 'subtestsFailed') return undefined;
  const skip = data.skip ?? data.todo;
  const skipped = skip !== undefined && skip !== false;
  return {
    outcome: skipped ? 'skipped' : failed ? 'failed' : 'passed',
    name,
    place: `${relative(process.cwd(), data.file ?? '')}:${data.line ?? 0}`,
    durationMs: Math.round(data.details.duration_ms),
    text: skipped ? reason(skip) : failed ? errorText(event.data) : '',
    claims: [],
  };
}

function failureType(data: EventData.TestFail): unknown {
  return 'failureType' in data.details.error ? data.details.error.failureType : undefined;
}

function reason(skip: string | boolean): string {
  return typeof skip === 'string' && skip !== '' ? skip : 'no reason given';
}

/** The test's own error with its stack, without the runner's wrapper around it. */
function errorText(data: EventData.TestFail): string {
  const { error } = data.details;
  const inner = error.cause instanceof Error ? error.cause : error;
  const stack = inner.stack ?? String(inner.message);
  const lines = stack.split('\n').filter((line) => !/^\s+at .*\(?node:/.test(line));
  const cause = inner.cause === undefined ? '' : `\ncaused by ${String(inner.cause)}`;
  return lines.join('\n') + cause;
}

function describe({ outcome, name, place, durationMs, text }: TestResult): string {
  const mark = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[outcome];
  const detail = text === '' ? '' : `\n${text.replaceAll(/^/gm, '       ')}`;
  return `  ${mark} ${name} (${place}, ${durationMs} ms)${detail}\n`;
}
