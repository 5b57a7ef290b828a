/**
 * The recorded answers of upstream's server: `recorded/KIND.jsonl.gz`, one line for each request,
 * with the request, so that a comparison needs nothing else.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Recorded, Scenario } from './request.ts';

const folder = new URL('./recorded/', import.meta.url);

export function writeRecords(records: readonly Recorded[]): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const byKind = Map.groupBy(records, ({ kind }) => kind);
  for (const [kind, own] of byKind) {
    const lines = own.map((one) => `${JSON.stringify(one)}\n`).join('');
    const name = `${kind.replaceAll('/', '-')}.jsonl.gz`;
    writeFileSync(new URL(name, folder), gzipSync(lines, { level: 9 }));
  }
}

export function recordedKinds(): readonly string[] {
  return globSync('*.jsonl.gz', { cwd: folder })
    .map((file) => file.replace('.jsonl.gz', ''))
    .sort();
}

export function readRecords(kind: string): readonly Recorded[] {
  const text = gunzipSync(readFileSync(new URL(`${kind}.jsonl.gz`, folder))).toString('utf8');
  // Our own files: a line is what `writeRecords` wrote.
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Recorded);
}

/** The scenarios of records, in their order. */
export function scenariosOf(records: readonly Recorded[]): readonly Scenario[] {
  const groups = Map.groupBy(records, ({ kind, scenario }) => `${kind} ${scenario}`);
  return [...groups.values()].map((own) => ({
    kind: own[0]?.kind ?? '',
    name: own[0]?.scenario ?? '',
    requests: own.map(({ request }) => request),
  }));
}
