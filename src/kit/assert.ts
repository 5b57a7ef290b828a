/**
 * Assertions stay on in production: a broken invariant is a programmer's error and must not be
 * carried on with. Callers outside `assert` never catch `AssertionError` except the request
 * lifecycle, the controller loop and `main.ts` (docs/style.md, rule 10).
 */
import { AssertionError } from 'node:assert';

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError({ message, stackStartFn: assert });
}

/** Narrows away null and undefined where the caller knows that a value is there. */
export function present<T>(value: T | null | undefined, message: string): T {
  if (value === null || value === undefined) {
    throw new AssertionError({ message, stackStartFn: present });
  }
  return value;
}
