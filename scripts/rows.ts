/**
 * Writes `test/support/rows.json`: id and shortened title of every numbered row of the
 * specification's feature lists, by area, so that tests and `npm run coverage:spec` can name rows
 * without the lists at hand.
 *
 * Run once per new edition of the lists: `npm run rows -- FOLDER`, where FOLDER holds `<area>.md`
 * files with table rows `| ABC-123 | title | … |`. `--check` writes nothing and fails when the
 * file differs. `test/support/covers.ts` reads the result.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Area → row id → title. */
export type Rows = Readonly<Record<string, Readonly<Record<string, string>>>>;

const titleLengthMax = 100;
const target = new URL('../test/support/rows.json', import.meta.url);

/** Reads one area's list. Throws on an id that is there twice. */
export function parseRows(text: string): Record<string, string> {
  const rows: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^\|\s*([A-Z]+-\d+)\s*\|((?:[^|\\]|\\.)*)\|/.exec(line);
    const [, id, title] = match ?? [];
    if (id === undefined || title === undefined) continue;
    if (rows[id] !== undefined) throw new Error(`row ${id} is listed twice`);
    rows[id] = shorten(title.replaceAll('\\|', '|').trim());
  }
  return rows;
}

function shorten(title: string): string {
  if (title.length <= titleLengthMax) return title;
  const cut = title.slice(0, titleLengthMax - 1);
  return `${cut.slice(0, cut.lastIndexOf(' ')).replace(/[ ,;:(]+$/, '')}…`;
}

function readFolder(folder: string): Rows {
  const files = readdirSync(folder).filter((name) => name.endsWith('.md'));
  return Object.fromEntries(
    files
      .sort()
      .map((name) => [name.slice(0, -3), parseRows(readFileSync(join(folder, name), 'utf8'))]),
  );
}

function main(args: readonly string[]): void {
  const folder = args.find((arg) => !arg.startsWith('-'));
  if (folder === undefined) throw new Error('usage: npm run rows -- FOLDER [--check]');
  const text = `${JSON.stringify(readFolder(folder), null, 2)}\n`;
  if (!args.includes('--check')) writeFileSync(target, text);
  else if (readFileSync(target, 'utf8') !== text) throw new Error('rows.json is out of date');
}

if (import.meta.main) main(process.argv.slice(2));
