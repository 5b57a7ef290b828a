/**
 * `npm test`, `npm run check` and `npm run e2e`: runs the parts of `parts.ts` one after another and
 * ends with a summary and, alone on the last line, `N passed, N failed`.
 *
 * `npm test -- unit e2e` runs these parts only; `npm test -- unit -- store` only files of theirs
 * whose path contains the word. As root on Linux nothing may be skipped. After a run of all parts
 * the results stay in `.cache/test/results.json`, which `coverage.ts` reads.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Part, type PartOptions, parts } from './testing/parts.ts';
import { failure, resultsFolder } from './testing/run-tests.ts';
import { count, forbidSkips, formatSummary, type PartReport } from './testing/summary.ts';

/** What a run of all parts leaves for `npm run coverage:spec`. */
export interface SavedRun {
  readonly finishedAtMs: number;
  readonly commit: string;
  readonly reports: readonly PartReport[];
}

export const savedRunPath = join(resultsFolder, 'results.json');

/** Under the 20 minutes that CI allows, with the summary and clean-up inside. */
const wholeLimitMs = 19 * 60_000;

if (import.meta.main) await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const divider = args.includes('--') ? args.indexOf('--') : args.length;
  const only = args.slice(divider + 1);
  const wanted = choose(args.slice(0, divider));
  const whole = wanted.length === parts.length && only.length === 0;
  if (whole) rmSync(savedRunPath, { force: true });
  const seed = Number(process.env.CORACLE_SEED ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`seed ${seed} (CORACLE_SEED repeats it)`);
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  }
  const deadline = performance.now() + wholeLimitMs;
  const reports: PartReport[] = [];
  for (const part of wanted) {
    if (stop.signal.aborted) break;
    const limitMs = Math.max(1, deadline - performance.now());
    reports.push(await runPart(part, { only, seed, limitMs, signal: stop.signal }));
  }
  const summary = formatSummary(reports);
  if (whole && !stop.signal.aborted) save(reports);
  console.log(`\n${summary}`);
  const failed = reports.some(({ results }) => count(results, 'failed') > 0);
  process.exitCode = failed || stop.signal.aborted ? 1 : 0;
}

function choose(names: readonly string[]): readonly Part[] {
  const unknown = names.find((name) => !parts.some((part) => part.name === name));
  if (unknown !== undefined) {
    const known = parts.map(({ name }) => name).join(', ');
    throw new Error(`no part is called ${unknown}; there are ${known}`);
  }
  return names.length === 0 ? parts : parts.filter(({ name }) => names.includes(name));
}

async function runPart(part: Part, options: PartOptions): Promise<PartReport> {
  const { name } = part;
  const started = performance.now();
  const unable = part.unable?.();
  console.log(`${name}${unable === undefined ? '' : `: skipped, ${unable}`}`);
  const report = async (): Promise<PartReport['results']> => {
    if (unable !== undefined) {
      return [{ ...failure(`all of ${name}`, unable), outcome: 'skipped' }];
    }
    return await part.run(options);
  };
  const results = await report().catch((error: unknown) => [failure(name, String(error))]);
  const note = results.length === 0 ? 'nothing to run' : '';
  const done = { name, results, durationMs: performance.now() - started, note };
  const strict = process.platform === 'linux' && process.getuid?.() === 0;
  return strict ? forbidSkips(done) : done;
}

function save(reports: readonly PartReport[]): void {
  // Empty outside a clone.
  const commit = spawnSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).stdout?.trim() ?? '';
  const saved: SavedRun = { finishedAtMs: Date.now(), commit, reports };
  mkdirSync(resultsFolder, { recursive: true });
  writeFileSync(savedRunPath, JSON.stringify(saved));
}
