/**
 * The simulator's command line.
 *
 *   npm run sim -- 123              one seed: prints the trace and, last, its hash
 *   npm run sim -- 123 --verbose    also what the components log
 *   npm run sim -- --seeds 50       seeds 1 to 50: one line each; with `--from N` others
 *   npm run sim -- --seeds 50 --twice   each twice, the second time under load; hashes must agree
 *   npm run sim -- --check          the same, 50 seeds: what a release has to pass
 *
 * Ends with 1 when an invariant was violated or two hashes differ, and says how to see it again.
 * The second runs are made in a worker thread, with another one that does nothing but keep a
 * processor busy, so that everything that depends on real time or on threads has its chance to.
 */
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { type SimulationResult, simulate } from '../test/simulation/simulation.ts';

const checkSeeds = 50;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    verbose: { type: 'boolean', default: false },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    twice: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
});

const [only] = positionals;
if (values.check) await runMany(checkSeeds, { twice: true });
else if (values.seeds !== undefined) await runMany(whole(values.seeds), { twice: values.twice });
else await runOne(whole(only ?? '1'));

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`not a whole number: ${text}`);
  return Number(text);
}

async function runOne(seed: number): Promise<void> {
  const result = await simulate(seed, {
    print: (line) => {
      // What components log is set in; only the trace itself is hashed.
      if (values.verbose || !/^ *[\d.]+ {3}\[/.test(line)) console.log(line);
    },
  });
  console.log(summary(result));
  console.log(result.hash);
  if (result.violation !== undefined) process.exitCode = 1;
}

async function runMany(count: number, { twice }: { readonly twice: boolean }): Promise<void> {
  const from = whole(values.from);
  const seeds = Array.from({ length: count }, (_, index) => from + index);
  const again = twice ? underLoad(seeds) : undefined;
  const bad = new Set<number>();
  const judged = new Map<string, number>();
  for (const seed of seeds) {
    const result = await simulate(seed);
    for (const [name, count] of Object.entries(result.judged)) {
      judged.set(name, (judged.get(name) ?? 0) + count);
    }
    console.log(summary(result));
    if (result.violation !== undefined) bad.add(seed);
    const other = await again?.hashOf(seed);
    if (other === undefined || other === result.hash) continue;
    console.log(`seed ${seed}: two runs differ: ${result.hash} and ${other}`);
    bad.add(seed);
  }
  await again?.end();
  for (const seed of bad) console.log(`see it again: npm run sim -- ${seed} --verbose`);
  const runs = twice ? `${count} seeds, each twice, once under load` : `${count} seeds`;
  console.log(`${runs}: ${bad.size} failed`);
  for (const [name, count] of judged) console.log(`  ${name}: judged ${count} times`);
  if (bad.size > 0) process.exitCode = 1;
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
