/**
 * The compile cache of a program that is installed: everything in it, as `npm run` leaves it when
 * it is first used (`scripts/warm.ts`). What is not in it is compiled at the start, and each
 * process that did so keeps the compiler: 15 to 20 MiB.
 *
 * Called by benchmarks that measure memory or a warm start, before they start anything.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { programFlags } from '#test/program-flags.ts';

const warm = fileURLToPath(new URL('../scripts/warm.ts', import.meta.url));

/** `folder`: where it is, if not where this process has been told. */
export function fillCompileCache(folder?: string): void {
  const named = folder === undefined ? {} : { CORACLE_COMPILE_CACHE: folder };
  const env = { ...process.env, ...named };
  for (const flags of [programFlags(), []]) {
    execFileSync(process.execPath, [...flags, warm], { stdio: 'ignore', env });
  }
}
