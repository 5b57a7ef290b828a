/**
 * The parts of `npm test`, cheapest first, each with its own time limit: house rules, unit tests in
 * one process, components against a real API server in-process, property tests, the simulator,
 * whole clusters on real containers, and the benchmarks at their smallest.
 *
 * `test.ts` runs them in this order and prints the summary; each part gives back what became of
 * each of its tests.
 */
import { globSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { type ChildOptions, runChild } from './child-process.ts';
import { newSince, readMachineState, removeStaleProcesses, staleClusters } from './leftovers.ts';
import { lockHeld, takeMachineLock } from './machine-lock.ts';
import type { TestResult } from './reporter.ts';
import { failure, runTestFiles } from './run-tests.ts';

export interface PartOptions {
  /** Only files whose path contains one of these; all when empty. */
  readonly only: readonly string[];
  readonly seed: number;
  /** What is left of the whole run's time. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

export interface Part {
  readonly name: string;
  /** Why it cannot run on this machine; undefined when it can. */
  readonly unable?: () => string | undefined;
  run(options: PartOptions): Promise<readonly TestResult[]>;
}

const minute = 60_000;
/** They end what hangs; a machine that is a few times slower than ours stays within them. */
const limits = {
  checkMs: 5 * minute,
  unitMs: 12 * minute,
  unitTestMs: 5 * minute,
  fuzzMs: 5 * minute,
  simulationMs: 12 * minute,
  lockMs: 5 * minute,
  endToEndMs: 10 * minute,
  endToEndTestMs: 8 * minute,
  benchMs: 5 * minute,
  settleMs: 30_000,
} as const;

export const parts: readonly Part[] = [
  { name: 'check', run: runCheck },
  { name: 'unit', run: (options) => runUnit('unit', unitFiles, options) },
  {
    name: 'component',
    run: (options) => runUnit('component', ['test/component/**/*.test.ts'], options),
  },
  { name: 'fuzz', run: runFuzz },
  { name: 'simulation', run: runSimulation },
  { name: 'e2e', unable: whyNoContainers, run: runEndToEnd },
  { name: 'bench', unable: whyNoContainers, run: runBench },
];

const unitFiles = ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'test/support/**/*.test.ts'];

/** Tests that start processes or write to the disk: a process per file keeps them apart. */
const apart = /\.(disk|process)\.test\.ts$/;

export function findFiles(
  patterns: string | readonly string[],
  only: readonly string[] = [],
): readonly string[] {
  const files = globSync(patterns, { exclude: ['**/node_modules/**'] }).sort();
  if (only.length === 0) return files;
  return files.filter((file) => only.some((text) => file.includes(text)));
}

async function runCheck(options: PartOptions): Promise<readonly TestResult[]> {
  const tools = {
    tsc: ['node_modules/typescript/bin/tsc', '-p', '.'],
    biome: ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings'],
    tidy: ['scripts/tidy.ts'],
  };
  return await Promise.all(
    Object.entries(tools).map(([name, args]) =>
      runProgram(name, args, { ...options, limitMs: limits.checkMs, quiet: true }),
    ),
  );
}

async function runUnit(
  name: string,
  patterns: readonly string[],
  options: PartOptions,
): Promise<readonly TestResult[]> {
  const files = findFiles(patterns, options.only);
  const limitMs = Math.min(limits.unitMs, options.limitMs);
  const run = { seed: options.seed, limitMs, testLimitMs: limits.unitTestMs };
  const together = files.filter((file) => !apart.test(file));
  const separate = files.filter((file) => apart.test(file));
  return [
    ...(await runTestFiles({ ...run, name, files: together, isolation: 'none' }, options)),
    ...(await runTestFiles(
      { ...run, name: `${name}-apart`, files: separate, isolation: 'process' },
      options,
    )),
  ];
}

async function runFuzz(options: PartOptions): Promise<readonly TestResult[]> {
  const files = findFiles(['src/**/*.fuzz.ts', 'test/**/*.fuzz.ts'], options.only);
  const limitMs = Math.min(limits.fuzzMs, options.limitMs);
  const env = { CORACLE_SEED: String(options.seed) };
  const run = { name: 'fuzz', files, limitMs, testLimitMs: limitMs, env };
  return await runTestFiles({ ...run, isolation: 'none' }, options);
}

async function runSimulation(options: PartOptions): Promise<readonly TestResult[]> {
  const files = findFiles('test/simulation/**/*.test.ts', options.only);
  const limitMs = Math.min(limits.simulationMs, options.limitMs);
  // Other canaries with each seed of a run.
  const env = { CORACLE_SEED: String(options.seed) };
  const run = { name: 'simulation', files, limitMs, testLimitMs: limitMs, env };
  return await runTestFiles({ ...run, isolation: 'process' }, options);
}

/** One file after another, under the machine lock; what they leave behind is a failure. */
async function runEndToEnd(options: PartOptions): Promise<readonly TestResult[]> {
  const { signal } = options;
  await using _lock = await takeMachineLock({ limitMs: limits.lockMs, signal });
  const run = String(process.pid);
  await removeWhatAKilledRunLeft(run, options);
  const before = readMachineState();
  const results: TestResult[] = [];
  for (const file of findFiles('test/e2e/**/*.e2e.ts', options.only)) {
    const ran = await runTestFiles(
      {
        name: basename(file, '.ts'),
        files: [file],
        isolation: 'none',
        limitMs: Math.min(limits.endToEndMs, options.limitMs),
        testLimitMs: limits.endToEndTestMs,
        each: true,
        env: { CORACLE_TEST_RUN: run },
      },
      options,
    );
    results.push(...ran);
  }
  return [...results, await checkNothingLeft(before, options)];
}

async function removeWhatAKilledRunLeft(run: string, options: PartOptions): Promise<void> {
  for (const { dataDir, registerPath, exists } of staleClusters()) {
    if (exists) {
      console.log(`  removing the cluster that an earlier run left in ${dataDir}`);
      const args = ['bin/coracle.js', 'reset', '--yes', '--data-dir', dataDir];
      await runProgram('reset', args, { ...options, limitMs: 2 * minute, quiet: true });
      rmSync(dirname(dataDir), { recursive: true, force: true });
    }
    rmSync(registerPath, { force: true });
  }
  for (const line of removeStaleProcesses(run)) {
    console.log(`  ended a process of an earlier run: ${line}`);
  }
}

/** The kernel takes a moment to let go of the last mounts and namespaces. */
async function checkNothingLeft(
  before: ReturnType<typeof readMachineState>,
  { signal }: PartOptions,
): Promise<TestResult> {
  const name = 'nothing is left behind';
  const deadline = performance.now() + limits.settleMs;
  let left = newSince(before, readMachineState());
  while (left.length > 0 && performance.now() < deadline) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 250));
    left = newSince(before, readMachineState());
  }
  if (left.length > 0) return failure(name, left.join('\n'));
  return { ...failure(name, ''), outcome: 'passed' };
}

async function runBench(options: PartOptions): Promise<readonly TestResult[]> {
  await using _lock = await takeMachineLock({ limitMs: limits.lockMs, signal: options.signal });
  const results: TestResult[] = [];
  for (const file of findFiles('bench/**/*.bench.ts', options.only)) {
    const name = basename(file, '.bench.ts');
    const limitMs = Math.min(limits.benchMs, options.limitMs);
    results.push(
      await runProgram(name, ['scripts/bench.ts', '--small', name], {
        ...options,
        limitMs,
        env: lockHeld,
      }),
    );
  }
  return results;
}

/** A script under this Node, as one test: it passes when it ends with 0. */
async function runProgram(
  name: string,
  args: readonly string[],
  options: PartOptions & Pick<ChildOptions, 'quiet' | 'env'>,
): Promise<TestResult> {
  const started = performance.now();
  const { problem, output } = await runChild(process.execPath, args, options);
  if (problem !== '' && output !== '') console.log(output.trimEnd());
  return {
    ...failure(name, problem, args[0]),
    outcome: problem === '' ? 'passed' : 'failed',
    durationMs: Math.round(performance.now() - started),
  };
}

function whyNoContainers(): string | undefined {
  if (process.platform !== 'linux') return 'real containers need Linux';
  if (process.getuid?.() !== 0) return 'real containers need root';
  return undefined;
}
