/**
 * Bugs planted on purpose: each patch of `test/simulation/canaries/` breaks the program in one way,
 * and the simulator has to notice within so many seeds, by a checker that the patch names. A
 * simulator that lets one pass proves nothing by its silence.
 *
 * A patch is applied to a copy of the sources in a folder of its own, never to the tree itself, and
 * the seeds run there in a process of their own. `sim.ts` and the simulator's tests call this.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyHunks, parsePatch } from './unified-diff.ts';

const canaryLimits = {
  /** Seeds within which a canary has to be noticed. */
  seeds: 300,
  /** For all of them, on a machine that others keep busy. */
  runMs: 60 * 60_000,
} as const;

const root = join(import.meta.dirname, '..', '..');
const folder = join(root, 'test/simulation/canaries');
/** What the simulator needs of the tree. */
const copied = ['src', 'scripts', 'test/simulation', 'test/support', 'package.json'];

export interface Canary {
  readonly name: string;
  /** Names of checkers, of which one has to notice. */
  readonly caughtBy: readonly string[];
  /** What has to happen for the bug to show; undefined: whatever each seed chooses. */
  readonly actors: string | undefined;
  /** Sources as they are with the bug in them. */
  readonly files: ReadonlyMap<string, string>;
  /** Why the patch does not fit the tree any more. */
  readonly problem: string | undefined;
}

export type Found =
  | { readonly ok: true; readonly seed: number; readonly violation: string }
  | { readonly ok: false; readonly problem: string };

export function readCanaries(): readonly Canary[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.patch'));
  return names.sort().map((file) => readCanary(file.replace(/\.patch$/, '')));
}

function readCanary(name: string): Canary {
  const { heading, files } = parsePatch(readFileSync(join(folder, `${name}.patch`), 'utf8'));
  const caughtBy = /^Caught by: (.+)$/m.exec(heading)?.[1]?.split(', ') ?? [];
  const actors = /^Actors: (.+)$/m.exec(heading)?.[1];
  const texts = new Map<string, string>();
  let problem =
    caughtBy.length === 0 ? 'says nothing like "Caught by: deployment floor"' : undefined;
  if (files.length === 0) problem = 'changes nothing';
  for (const file of files) {
    const applied = applyHunks(readSource(file.path), file);
    if (applied.ok) texts.set(file.path, applied.text);
    else problem ??= `does not apply any more: ${applied.problem}`;
  }
  return { name, caughtBy, actors, files: texts, problem };
}

function readSource(path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return '';
  }
}

/** Runs seeds on a copy of the tree with the bug in it until one is violated. */
export async function findCanary(
  canary: Canary,
  options: {
    readonly signal: AbortSignal;
    readonly seeds?: number | undefined;
    readonly from?: number;
  },
): Promise<Found> {
  if (canary.problem !== undefined) return { ok: false, problem: canary.problem };
  const copy = mkdtempSync(join(tmpdir(), 'coracle-canary-'));
  try {
    for (const path of copied) cpSync(join(root, path), join(copy, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    for (const [path, text] of canary.files) writeFileSync(join(copy, path), text);
    const seeds = String(options.seeds ?? canaryLimits.seeds);
    const args = [
      join(copy, 'scripts/sim.ts'),
      '--seeds',
      seeds,
      '--from',
      String(options.from ?? 1),
      '--first',
      ...(canary.actors === undefined ? [] : ['--actors', canary.actors]),
      ...canary.caughtBy.flatMap((name) => ['--expect', name]),
    ];
    const { output, isCut } = await outputOf(args, options.signal);
    const [, seed, violation] = /^caught: seed (\d+): (.*)$/m.exec(output) ?? [];
    if (seed !== undefined && violation !== undefined) {
      return { ok: true, seed: Number(seed), violation };
    }
    const last = output.trimEnd().split('\n').slice(-3).join('\n');
    const count = output.match(/^seed \d+: /gm)?.length ?? 0;
    const within = isCut ? `cut off after ${count} of ${seeds} seeds` : `${seeds} seeds`;
    return { ok: false, problem: `not noticed within ${within}: ${last}` };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Everything that the run says, from which is seen how it ended, unless its time was over. */
function outputOf(
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly output: string; readonly isCut: boolean }> {
  const options = { timeout: canaryLimits.runMs, signal, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) =>
      resolve({ output: stdout + stderr, isCut: error?.killed === true }),
    );
  });
}
