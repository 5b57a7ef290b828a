/**
 * `npm run fuzz [-- --iterations N] [--seed N] [name …]`: runs the property tests (`*.fuzz.ts`) for
 * as long as one likes. They read CORACLE_FUZZ_ITERATIONS and CORACLE_SEED; a failure prints the
 * seed that repeats it. `npm test` runs the same files with their own small numbers.
 */
import { parseArgs } from 'node:util';
import { findFiles } from './testing/parts.ts';
import { runTestFiles } from './testing/run-tests.ts';
import { count, formatCount } from './testing/summary.ts';

const { values, positionals } = parseArgs({
  options: {
    iterations: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
  },
  allowPositionals: true,
});
const limitMs = 24 * 3_600_000;
console.log(`seed ${values.seed}, ${values.iterations} iterations`);
const results = await runTestFiles(
  {
    name: 'fuzz-long',
    files: findFiles(['src/**/*.fuzz.ts', 'test/**/*.fuzz.ts'], positionals),
    isolation: 'none',
    limitMs,
    testLimitMs: limitMs,
    each: true,
    env: { CORACLE_FUZZ_ITERATIONS: values.iterations, CORACLE_SEED: values.seed },
  },
  { signal: new AbortController().signal },
);
console.log(formatCount(results));
process.exitCode = count(results, 'failed') > 0 || results.length === 0 ? 1 : 0;
