/**
 * What a test run says at its end, as text: per part how many passed, failed and were skipped and
 * how long it took, then every failure and every skip with its reason, then one line that counts.
 *
 * Pure; `test.ts` prints it. That last line stands alone, `N passed, N failed`, for programs to
 * read.
 */
import type { TestResult } from './reporter.ts';

export interface PartReport {
  readonly name: string;
  readonly results: readonly TestResult[];
  readonly durationMs: number;
  /** Why nothing ran. */
  readonly note?: string;
}

/** Where nothing may be skipped, a skip is a failure with the reason as its text. */
export function forbidSkips(report: PartReport): PartReport {
  const results = report.results.map(
    (result): TestResult =>
      result.outcome === 'skipped'
        ? { ...result, outcome: 'failed', text: `skipped, which is a failure here: ${result.text}` }
        : result,
  );
  return { ...report, results };
}

export function formatSummary(reports: readonly PartReport[]): string {
  const header = row('part', ['passed', 'failed', 'skipped', 'seconds'], '');
  const rows = reports.map(({ name, results, durationMs, note = '' }) => {
    const numbers = [count(results, 'passed'), count(results, 'failed'), count(results, 'skipped')];
    return row(name, [...numbers, (durationMs / 1000).toFixed(1)], note);
  });
  const details = (['failed', 'skipped'] as const).flatMap((outcome) => list(reports, outcome));
  const all = reports.flatMap(({ results }) => results);
  return [header, ...rows, '', ...details, formatCount(all)].join('\n');
}

export function count(results: readonly TestResult[], outcome: TestResult['outcome']): number {
  return results.filter((result) => result.outcome === outcome).length;
}

export function formatCount(results: readonly TestResult[]): string {
  const skipped = count(results, 'skipped');
  const tail = skipped === 0 ? '' : `, ${skipped} skipped`;
  return `${count(results, 'passed')} passed, ${count(results, 'failed')} failed${tail}`;
}

function row(name: string, numbers: readonly (string | number)[], note: string): string {
  const columns = numbers.map((number) => String(number).padStart(9));
  return `${name.padEnd(12)}${columns.join('')}${note === '' ? '' : `   ${note}`}`;
}

function list(reports: readonly PartReport[], outcome: 'failed' | 'skipped'): readonly string[] {
  const lines = reports.flatMap(({ name: part, results }) =>
    results
      .filter((result) => result.outcome === outcome)
      .map(({ name, place, text }) => `  ${part}: ${name} (${place}) ${firstLine(text)}`),
  );
  return lines.length === 0 ? [] : [`${outcome}:`, ...lines, ''];
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
