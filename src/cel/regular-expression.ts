/**
 * Regular expressions of CEL: RE2's, which need time in proportion to the text whatever they say.
 *
 * Compiled ones are kept, a bounded number of them. Next: `src/kit/re2.ts`.
 */
import { compileRe2, type Re2 } from '#kit/re2.ts';

const keptMax = 256;

/** Compiling has no effect but its result, which is the same for everybody. */
const kept = new Map<string, Re2 | string>();

/** What is wrong with the pattern, or the pattern ready for use. */
export function compileRegExp(pattern: string): Re2 | string {
  const known = kept.get(pattern);
  if (known !== undefined) return known;
  const compiled = compileRe2(pattern);
  if (kept.size >= keptMax) kept.clear();
  kept.set(pattern, compiled);
  return compiled;
}
