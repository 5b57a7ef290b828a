/**
 * How a service starts the program: as every starter does, by the list in `bin/flags.json`, and
 * with whatever else Node was told when it was installed. `main.ts` asks for `coracle install`.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The program and its first arguments; `folder` has the entry and the list. */
export function installedProgram(
  { execPath, execArgv }: Pick<NodeJS.Process, 'execPath' | 'execArgv'>,
  folder: URL,
): readonly string[] {
  // Parse boundary: the program's own file.
  const flags = JSON.parse(readFileSync(new URL('flags.json', folder), 'utf8')) as string[];
  const entry = fileURLToPath(new URL('coracle.js', folder));
  return [execPath, ...new Set([...flags, ...execArgv]), entry];
}
