/**
 * The simulator's command line.
 *
 *   npm run sim -- 123              one seed: prints the trace and, last, its hash
 *   npm run sim -- 123 --verbose    also what the components log
 *   npm run sim -- --seeds 50       seeds 1 to 50, one line each; `--from N`: others
 *   npm run sim -- --seeds 50 --twice   each twice, the second time under load; hashes must agree
 *   npm run sim -- --check          the same, 50 seeds, and a deluge of Events: for a release
 *   npm run sim -- --hours 1        seeds until the time is over; `--for 20m` the same
 *   npm run sim -- --seeds 50 --coverage   and which lines of controllers and scheduler they ran
 *   npm run sim -- 123 --actors jobs,drains   with these things happening, whatever the seed says
 *   npm run sim -- --canaries       every planted bug has to be noticed; with names only those
 *   npm run sim -- --kills          controllers and scheduler are killed at each write in turn
 *
 * Ends with 1 when an invariant was violated or two hashes differ. The second runs are made in a
 * worker thread, beside one that keeps a processor busy: what depends on threads or time shows.
 */
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { parseDuration } from '#kit/duration.ts';
import { findCanary, readCanaries } from '../test/simulation/canaries.ts';
import type { SimulationResult } from '../test/simulation/simulation.ts';
import { lineCoverage, startCoverage } from './testing/line-coverage.ts';

const checkSeeds = 50;
const covered = ['src/controllers/', 'src/scheduler/', 'src/scheduling/'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    verbose: { type: 'boolean', default: false },
    seeds: { type: 'string' },
    hours: { type: 'string' },
    for: { type: 'string' },
    from: { type: 'string', default: '1' },
    twice: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    coverage: { type: 'boolean', default: false },
    canaries: { type: 'boolean', default: false },
    kills: { type: 'boolean', default: false },
    /** What happens besides Deployments, instead of what the seed chooses. */
    actors: { type: 'string' },
    /** Stop at the first violation; with `expect`, at the first one by such a checker. */
    first: { type: 'boolean', default: false },
    expect: { type: 'string', multiple: true, default: [] },
  },
});

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`not a whole number: ${text}`);
  return Number(text);
}

function actors(): readonly string[] | undefined {
  return values.actors?.split(',').filter((name) => name !== '');
}

function timeOf({ hours, for: time }: { hours?: string; for?: string }): number | undefined {
  if (hours !== undefined) return Number(hours) * 3_600_000;
  if (time === undefined) return undefined;
  const ms = parseDuration(time);
  if (ms === undefined) throw new Error(`not a duration: ${time}`);
  return ms;
}

function* firstSeeds(count: number): Generator<number> {
  const from = whole(values.from);
  for (let seed = from; seed < from + count; seed++) yield seed;
}

function* seedsFor(ms: number): Generator<number> {
  const end = performance.now() + ms;
  for (let seed = whole(values.from); performance.now() < end; seed++) yield seed;
}

async function runOne(seed: number): Promise<void> {
  const result = await simulate(seed, {
    actors: actors(),
    print: (line) => {
      // What components log is set in; only the trace itself is hashed.
      if (values.verbose || !/^ *[\d.]+ {3}\[/.test(line)) console.log(line);
    },
  });
  console.log(summary(result));
  console.log(result.hash);
  if (result.violation !== undefined) process.exitCode = 1;
}

async function runMany(
  seeds: Iterable<number>,
  { twice, only = actors() }: { readonly twice: boolean; readonly only?: readonly string[] },
): Promise<void> {
  const all = twice ? [...seeds] : seeds;
  const again = twice ? underLoad([...all]) : undefined;
  const bad = new Set<number>();
  const sums = new Sums();
  for (const seed of all) {
    const result = await simulate(seed, { actors: only });
    sums.add(result);
    console.log(summary(result));
    if (result.violation !== undefined) {
      if (isAwaited(result.violation)) {
        console.log(`caught: seed ${seed}: ${result.violation}`);
        await again?.end();
        return;
      }
      bad.add(seed);
    }
    const other = await again?.hashOf(seed);
    if (other === undefined || other === result.hash) continue;
    console.log(`seed ${seed}: two runs differ: ${result.hash} and ${other}`);
    bad.add(seed);
  }
  await again?.end();
  for (const seed of bad) console.log(`see it again: npm run sim -- ${seed} --verbose`);
  sums.print();
  console.log(`${twice ? 'each seed twice, once under load; ' : ''}${bad.size} failed`);
  if (bad.size > 0) process.exitCode = 1;
}

function isAwaited(violation: string): boolean {
  if (!values.first) return false;
  return values.expect.length === 0 || values.expect.some((name) => violation.startsWith(name));
}

class Sums {
  readonly #judged = new Map<string, number>();
  readonly #faults = new Map<string, number>();
  #seeds = 0;
  #virtualMs = 0;

  add({ judged, faults, virtualMs }: SimulationResult): void {
    this.#seeds += 1;
    this.#virtualMs += virtualMs;
    for (const [into, from] of [
      [this.#judged, judged],
      [this.#faults, faults],
    ] as const) {
      for (const [name, count] of Object.entries(from))
        into.set(name, (into.get(name) ?? 0) + count);
    }
  }

  print(): void {
    const hours = (this.#virtualMs / 3_600_000).toFixed(1);
    console.log(`${this.#seeds} seeds, ${hours} simulated hours`);
    console.log(`faults: ${textOf(this.#faults)}`);
    console.log(`judged: ${textOf(this.#judged)}`);
  }
}

function textOf(counts: ReadonlyMap<string, number>): string {
  return Array.from(counts, ([name, count]) => `${name} ${count}`).join(', ');
}

async function runCanaries(names: readonly string[]): Promise<void> {
  const { signal } = new AbortController();
  const seeds = values.seeds === undefined ? undefined : whole(values.seeds);
  let missed = 0;
  for (const canary of readCanaries()) {
    if (names.length > 0 && !names.includes(canary.name)) continue;
    const found = await findCanary(canary, { signal, seeds, from: whole(values.from) });
    if (found.ok) console.log(`${canary.name}: seed ${found.seed}: ${found.violation}`);
    else console.log(`${canary.name}: MISSED: ${found.problem}`);
    if (!found.ok) missed += 1;
  }
  console.log(missed === 0 ? 'every canary was noticed' : `${missed} canaries were missed`);
  if (missed > 0) process.exitCode = 1;
}

async function runKills(): Promise<void> {
  const { allKills, killText, tell } = await import('../test/simulation/killed-at-any-write.ts');
  const kills = await allKills();
  let bad = 0;
  for (const [index, kill] of kills.entries()) {
    if (index + 1 < whole(values.from)) continue;
    const problem = await tell(kill).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    console.log(`${index + 1} of ${kills.length}: ${killText(kill)}: ${problem ?? 'ok'}`);
    if (problem !== undefined) bad += 1;
  }
  console.log(`${bad} failed`);
  if (bad > 0) process.exitCode = 1;
}

function summary(result: SimulationResult): string {
  const { seed, lines, virtualMs, violation, hash } = result;
  const facts = `${lines} lines, ${Math.round(virtualMs / 1000)} s`;
  return `seed ${seed}: ${violation ?? 'ok'} (${facts}) ${hash.slice(0, 16)}`;
}

/** The same seeds in another thread, beside one that keeps a processor busy. */
function underLoad(seeds: readonly number[]): {
  hashOf(seed: number): Promise<string>;
  end(): Promise<void>;
} {
  const folder = new URL('../test/simulation/', import.meta.url);
  const busy = new Worker(new URL('busy.worker.js', folder));
  const runner = new Worker(new URL('again.worker.js', folder), { workerData: seeds });
  const hashes = new Map(seeds.map((seed) => [seed, Promise.withResolvers<string>()]));
  runner.on('message', ({ seed, hash }: SimulationResult) => hashes.get(seed)?.resolve(hash));
  runner.on('error', (error) => {
    for (const { reject } of hashes.values()) reject(error);
  });
  for (const { promise } of hashes.values()) promise.catch(() => {});
  return {
    hashOf: (seed) => hashes.get(seed)?.promise ?? Promise.reject(new Error(`no seed ${seed}`)),
    end: async () => {
      await Promise.all([busy.terminate(), runner.terminate()]);
    },
  };
}

const [only] = positionals;
const timeMs = timeOf(values);
const coverage = values.coverage ? await startCoverage() : undefined;
// Loaded only now: the engine counts what is loaded after it was told to.
const { simulate } = await import('../test/simulation/simulation.ts');
if (values.canaries) await runCanaries(positionals);
else if (values.kills) await runKills();
else if (values.check) {
  await runMany(firstSeeds(checkSeeds), { twice: true });
  await runMany(firstSeeds(1), { twice: false, only: ['deluge'] });
} else if (timeMs !== undefined) await runMany(seedsFor(timeMs), { twice: false });
else if (values.seeds !== undefined) {
  await runMany(firstSeeds(whole(values.seeds)), { twice: values.twice });
} else await runOne(whole(only ?? '1'));
if (coverage !== undefined) {
  for (const line of lineCoverage(await coverage.stop(), covered)) console.log(line);
}
