/**
 * Runs test files under `node --test` with our reporter, and gives back what became of each test.
 *
 * Files that touch no disk, network or real time share one process, which is many times faster than
 * a process per file; order is shuffled from a printed seed. A process that dies, hangs or finds
 * nothing to run is a failure of its own. `parts.ts` and `fuzz.ts` call this.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runChild } from './child-process.ts';
import type { TestResult } from './reporter.ts';

export interface TestRun {
  /** Names the file with the results. */
  readonly name: string;
  readonly files: readonly string[];
  /** All files in one process, or one process for each. */
  readonly isolation: 'none' | 'process';
  /** Shuffles the order; absent where the order is the story that a file tells. */
  readonly seed?: number;
  readonly limitMs: number;
  readonly testLimitMs: number;
  /** Print every test, not only the failed ones. */
  readonly each?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Print nothing. */
  readonly quiet?: boolean;
}

export const resultsFolder = '.cache/test';

export async function runTestFiles(
  run: TestRun,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly TestResult[]> {
  if (run.files.length === 0) return [];
  const path = join(resultsFolder, `${run.name}.jsonl`);
  mkdirSync(resultsFolder, { recursive: true });
  rmSync(path, { force: true });
  const env = {
    ...run.env,
    // Under a test of this file Node would take the inner run for a part of the outer one.
    NODE_TEST_CONTEXT: undefined,
    CORACLE_RESULTS: path,
    CORACLE_REPORT: run.each ? 'each' : 'failures',
  };
  const { limitMs, quiet = false } = run;
  const options = { limitMs, signal, env, quiet };
  const { problem } = await runChild(process.execPath, testArguments(run), options);
  const results = readResults(path);
  const explained = results.some(({ outcome }) => outcome === 'failed');
  if (problem === '' || explained) {
    return results.length > 0 ? results : [failure(run.name, 'no test ran')];
  }
  return [...results, failure(run.name, `the test process ${problem}`)];
}

export function failure(name: string, text: string, place = ''): TestResult {
  return { outcome: 'failed', name, place, durationMs: 0, text, claims: [] };
}

function testArguments(run: TestRun): readonly string[] {
  const shuffle = ['--test-randomize', `--test-random-seed=${run.seed}`];
  return [
    '--test',
    `--test-isolation=${run.isolation}`,
    `--test-timeout=${run.testLimitMs}`,
    '--test-reporter=./scripts/testing/reporter.ts',
    '--test-reporter-destination=stdout',
    '--disable-warning=ExperimentalWarning',
    ...(run.seed === undefined ? [] : shuffle),
    ...run.files,
  ];
}

function readResults(path: string): readonly TestResult[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  // Parse boundary: `reporter.ts` wrote these lines.
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as TestResult);
}
