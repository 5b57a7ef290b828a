/**
 * Regular expressions in RE2's language, whose time grows only with the text: for patterns that
 * users write and servers run. The only file that imports `re2js`.
 *
 * It is loaded when the first pattern is compiled, synchronously, since patterns come up in the
 * middle of validations; programs that never compile one do not pay for it.
 */
import { createRequire } from 'node:module';
import type { RE2JS } from 're2js';

const require = createRequire(import.meta.url);

export interface Re2 {
  /** Whether it matches anywhere in the text. */
  test(text: string): boolean;
  /** Up to so many matches, from the left, none overlapping; all without a limit. */
  find(text: string, countMax?: number): readonly string[];
}

/** The compiled pattern, or what is wrong with it. */
export function compileRe2(pattern: string): Re2 | string {
  // The package's own declarations describe what is loaded here.
  const { RE2JS: engine } = require('re2js') as { readonly RE2JS: typeof RE2JS };
  let compiled: RE2JS;
  try {
    compiled = engine.compile(pattern);
  } catch (error) {
    if (error instanceof Error && error.name.startsWith('RE2JS')) return error.message;
    throw error;
  }
  return {
    test: (text) => compiled.matcher(text).find(),
    find: (text, countMax = Number.POSITIVE_INFINITY) => {
      const matches: string[] = [];
      const matcher = compiled.matcher(text);
      while (matches.length < countMax && matcher.find()) matches.push(matcher.group() ?? '');
      return matches;
    },
  };
}
