/**
 * `npm run bench [-- name …]`: runs `bench/<name>.bench.ts`, all when none is named, one after
 * another. Each exports `default run({ small })`, measures, prints its figures, and throws where a
 * goal is missed; `--small` is what `npm test` uses. As root it takes the machine lock, since
 * benchmarks run clusters and measure best alone.
 */
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { takeMachineLock } from './testing/machine-lock.ts';
import { findFiles } from './testing/parts.ts';

interface Bench {
  readonly default: (options: { readonly small: boolean }) => Promise<void>;
}

const args = process.argv.slice(2);
// Flags with a value, which benchmarks read for themselves: it is not the name of one.
const value = { type: 'string' } as const;
const flags = {
  'upstream-apiserver': value,
  'upstream-scheduler': value,
  etcd: value,
  rounds: value,
  only: value,
  json: value,
  'patch-seconds': value,
};
const { positionals: wanted } = parseArgs({
  strict: false,
  allowPositionals: true,
  options: flags,
});
const nameOf = (file: string): string => basename(file, '.bench.ts');
const files = findFiles('bench/**/*.bench.ts');
const chosen = files.filter((file) => wanted.length === 0 || wanted.includes(nameOf(file)));
if (chosen.length === 0) {
  throw new Error(`no such benchmark; there are ${files.map(nameOf).join(', ')}`);
}
// What it has started ends with it (`process.on('exit')`), whoever sets it a limit.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(1));
}
const lockLimitMs = 10 * 60_000;
const { signal } = new AbortController();
const root = process.platform === 'linux' && process.getuid?.() === 0;
await using _lock = root ? await takeMachineLock({ limitMs: lockLimitMs, signal }) : undefined;
for (const file of chosen) {
  console.log(`${nameOf(file)}:`);
  // Parse boundary: every file in bench/ has this shape.
  const bench = (await import(pathToFileURL(resolve(file)).href)) as Bench;
  await bench.default({ small: args.includes('--small') });
}
