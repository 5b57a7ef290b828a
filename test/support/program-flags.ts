/**
 * What Node is told when it runs the program, for tests and benchmarks that start it themselves:
 * the list that every starter has (`scripts/bootstrap.js` says why it is what it is).
 */
import { readFileSync } from 'node:fs';

export function programFlags(): readonly string[] {
  const text = readFileSync(new URL('../../bin/flags.json', import.meta.url), 'utf8');
  // Parse boundary: the project's own file.
  return JSON.parse(text) as string[];
}
