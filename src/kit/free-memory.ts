/**
 * Gives memory back to the machine that the C library keeps although nobody uses it.
 *
 * What Node keeps outside the heap of JavaScript (stored values, messages between threads) comes
 * from `malloc`. glibc gives back only what is free at the very end of its memory; one small piece
 * that lives behind a hundred freed MiB holds them all. `malloc_trim` gives back every free page
 * of all threads. Node has no call for it, so it is called through Node's foreign functions, as of
 * 26.10 (docs/decisions/0018-malloc-trim.md). Without them, or without glibc, nothing happens.
 *
 * `give-back.ts` calls it, after a collection, and the API server when its rehearsal is over.
 */
import type { dlopen } from 'node:ffi';

/** Undefined until it was asked for; null where there is none. */
export class FreeMemory {
  #trim: ((keepBytes: bigint) => number) | null | undefined;

  /** Whether anything was given back. */
  trim(): boolean {
    if (this.#trim === undefined) this.#trim = findTrim();
    return this.#trim !== null && this.#trim(0n) === 1;
  }
}

function findTrim(): ((keepBytes: bigint) => number) | null {
  const open = findOpen();
  if (open === undefined) return null;
  try {
    // null: what is already loaded, the C library too.
    const { functions } = open(null, { malloc_trim: { arguments: ['u64'], return: 'i32' } });
    return functions.malloc_trim;
  } catch (error) {
    // Another C library has none, and may need none.
    if (error instanceof Error) return null;
    throw error;
  }
}

function findOpen(): typeof dlopen | undefined {
  const { emitWarning } = process;
  // That they are experimental is no news to who runs a cluster.
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule('node:ffi')?.dlopen;
  } finally {
    process.emitWarning = emitWarning;
  }
}
