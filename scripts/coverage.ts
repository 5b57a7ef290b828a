/**
 * `npm run coverage:spec`: which numbered rows of the specification are proven by tests that passed
 * in the last whole run of `npm test`, by area; which today's Kubernetes has superseded; and which
 * are out, as docs/compatibility.md lists them with the reason.
 *
 * Tests name their rows with `covers` and `superseded` (`test/support/covers.ts`). The last line is
 * `proven N / M`. `--rows` lists the rows and the tests that name them.
 */
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import areas from '../test/support/rows.json' with { type: 'json' };
import { type SavedRun, savedRunPath } from './test.ts';

export interface Coverage {
  /** Row → the tests that prove it. */
  readonly proven: ReadonlyMap<string, readonly string[]>;
  readonly superseded: ReadonlyMap<string, readonly string[]>;
  readonly out: ReadonlySet<string>;
}

type Rows = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Only what passed counts: a row is proven by the test that names it, not by naming it. */
export function gatherCoverage(run: SavedRun, compatibility: string): Coverage {
  const proven = new Map<string, string[]>();
  const superseded = new Map<string, string[]>();
  const results = run.reports.flatMap((report) => report.results);
  for (const { outcome, claims, place, name } of results) {
    if (outcome !== 'passed') continue;
    for (const claim of claims) {
      const ids = claim.state === 'proven' ? claim.ids : [claim.id];
      const target = claim.state === 'proven' ? proven : superseded;
      for (const id of ids) target.set(id, [...(target.get(id) ?? []), `${name} (${place})`]);
    }
  }
  return { proven, superseded, out: rowsOut(compatibility) };
}

/** Table rows of docs/compatibility.md that begin with an id. */
function rowsOut(compatibility: string): ReadonlySet<string> {
  return new Set([...compatibility.matchAll(/^\| ([A-Z]+-\d+) \|/gm)].map(([, id]) => id ?? ''));
}

export function formatCoverage(coverage: Coverage, rows: Rows): string {
  const count = (ids: readonly string[], set: { has(id: string): boolean }): number =>
    ids.filter((id) => set.has(id)).length;
  const line = (name: string, numbers: readonly (number | string)[]): string =>
    name.padEnd(16) + numbers.map((number) => String(number).padStart(11)).join('');
  const lines = Object.entries(rows).map(([area, titles]) => {
    const ids = Object.keys(titles);
    const { proven, superseded, out } = coverage;
    return line(area, [count(ids, proven), count(ids, superseded), count(ids, out), ids.length]);
  });
  const all = Object.values(rows).flatMap((titles) => Object.keys(titles));
  const header = line('area', ['proven', 'superseded', 'out', 'rows']);
  const total = `proven ${count(all, coverage.proven)} / ${all.length}`;
  return [header, ...lines, total].join('\n');
}

/** Every row that a test names, with the tests. */
export function formatRows(coverage: Coverage, rows: Rows): string {
  const titles: Readonly<Record<string, string>> = Object.assign({}, ...Object.values(rows));
  const part = (state: string, found: ReadonlyMap<string, readonly string[]>): string[] =>
    [...found].map(([id, tests]) => `${id} ${state}: ${titles[id]}\n  ${tests.join('\n  ')}`);
  const lines = [...part('proven', coverage.proven), ...part('superseded', coverage.superseded)];
  return lines.sort().join('\n');
}

/** Said before the figures when they may not be those of the tree as it is. */
export function staleness(finishedAtMs: number, newestChangeMs: number): string {
  if (newestChangeMs <= finishedAtMs) return '';
  return 'These figures are older than the newest change: run `npm test` again.\n';
}

function newestChangeMs(): number {
  const files = globSync(['src/**/*.ts', 'test/**/*.ts', 'bin/*.js']);
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

function main(): void {
  if (!existsSync(savedRunPath)) {
    throw new Error('no results of a whole test run are here: run `npm test` first');
  }
  // Parse boundary: `test.ts` wrote this file.
  const run = JSON.parse(readFileSync(savedRunPath, 'utf8')) as SavedRun;
  const coverage = gatherCoverage(run, readFileSync('docs/compatibility.md', 'utf8'));
  process.stdout.write(staleness(run.finishedAtMs, newestChangeMs()));
  if (process.argv.includes('--rows')) console.log(formatRows(coverage, areas));
  console.log(formatCoverage(coverage, areas));
}

if (import.meta.main) main();
