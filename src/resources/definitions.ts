/**
 * The published definitions of the API's types, read once and parsed one by one when asked for.
 *
 * The file holds one definition a line (`"name": {…}`), so that opening it only means finding the
 * lines: a server that never serves a kind never pays for its schema. `scripts/generate.ts` writes
 * the file; `legacy-definitions.ts` adds the types of group versions that are no longer published.
 * `wire-v1.36.json` adds what upstream's source says of empty fields (`WireFacts`); nothing that is
 * published says it, so no script writes that file: a test holds its names to the definitions.
 */
import { readFileSync } from 'node:fs';
import type { Definitions, Schema, WireFacts } from '#api/schema.ts';
import { legacyDefinitions } from './legacy-definitions.ts';

export function openDefinitions(): Definitions {
  const text = readFileSync(new URL('./openapi/v1.36.json', import.meta.url), 'latin1');
  const lines = indexLines(text);
  const facts = readFileSync(new URL('./openapi/wire-v1.36.json', import.meta.url), 'latin1');
  const factLines = indexLines(facts);
  const parsed = new Map<string, Schema>(Object.entries(legacyDefinitions));
  return {
    get(name) {
      const known = parsed.get(name);
      if (known !== undefined) return known;
      const line = lines.get(name);
      if (line === undefined) return undefined;
      // Our own generated file, checked by `npm run generate -- … --check`.
      const published = JSON.parse(text.slice(line.start, line.end)) as Schema;
      const said = factLines.get(name);
      // Our own file; its names are checked by a test.
      const wire = said && (JSON.parse(facts.slice(said.start, said.end)) as WireFacts);
      const schema = wire === undefined ? published : withWire(published, wire);
      parsed.set(name, schema);
      return schema;
    },
  };
}

function withWire(schema: Schema, wire: WireFacts): Schema {
  const { required = [], fields = {} } = schema;
  const { struct = [], zero = [], drop = [] } = wire;
  const lists = required.filter((key) => fields[key]?.items !== undefined);
  const filled = [...new Set([...lists, ...struct, ...zero])];
  return { ...schema, wire: { ...wire, filled: filled.filter((key) => !drop.includes(key)) } };
}

interface Line {
  readonly start: number;
  readonly end: number;
}

/** `  "name": {…},` on each line: where the value of each name starts and ends. */
function indexLines(text: string): ReadonlyMap<string, Line> {
  const lines = new Map<string, Line>();
  let position = text.indexOf('\n') + 1;
  while (text.startsWith('  "', position)) {
    const nameEnd = text.indexOf('"', position + 3);
    const lineEnd = text.indexOf('\n', nameEnd);
    const end = text[lineEnd - 1] === ',' ? lineEnd - 1 : lineEnd;
    lines.set(text.slice(position + 3, nameEnd), { start: nameEnd + 3, end });
    position = lineEnd + 1;
  }
  return lines;
}
