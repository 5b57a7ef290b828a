/**
 * Manifests out of running text: whatever stands in a fenced block, is well-formed YAML or JSON,
 * and says its kind and version.
 *
 * Documents print them with shell around (`cat <<EOF`, prompts), several in a block, or as a List,
 * whose items count one by one. `scripts/manifests.ts` calls this.
 */
import { parseYaml } from '#kit/yaml.ts';

export interface Manifest {
  /** File and line of the block: `003:5838`, with `.2` for the second one in it. */
  readonly id: string;
  readonly object: Members;
}

export type Members = Readonly<Record<string, unknown>>;

interface Block {
  readonly line: number;
  readonly text: string;
}

export function extractManifests(source: string, text: string): readonly Manifest[] {
  const found: Manifest[] = [];
  for (const { line, text: block } of blocksOf(text)) {
    const objects = documentsOf(block).flatMap(objectsIn);
    for (const [index, object] of objects.entries()) {
      found.push({ id: `${source}:${line}${index === 0 ? '' : `.${index + 1}`}`, object });
    }
  }
  return found;
}

/** The first of those that are the same. */
export function distinct(manifests: readonly Manifest[]): readonly Manifest[] {
  const seen = new Map<string, Manifest>();
  for (const manifest of manifests) {
    const key = JSON.stringify(manifest.object);
    if (!seen.has(key)) seen.set(key, manifest);
  }
  return [...seen.values()];
}

/** What stands between fences, and the number of its first line. */
function blocksOf(text: string): readonly Block[] {
  const blocks: Block[] = [];
  let lines: string[] | undefined;
  let start = 0;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trimStart().startsWith('```')) {
      if (lines !== undefined) blocks.push({ line: start, text: lines.join('\n') });
      lines = lines === undefined ? [] : undefined;
      start = index + 2;
    } else lines?.push(line);
  }
  return blocks;
}

/** What is typed or printed around a document ends it, as its own marks do. */
const ends = /^(---|\.\.\.)\s*$|^\s*EOF\s*$|<<\s*['"]?EOF|^\s*\$ |^(kubectl|curl|cat) /;

/** Documents of a block, without a shell's words. */
function documentsOf(block: string): readonly string[] {
  const documents: string[][] = [[]];
  for (const line of block.split('\n')) {
    if (ends.test(line)) documents.push([]);
    else documents.at(-1)?.push(line);
  }
  return documents.map((lines) => lines.join('\n'));
}

const begins = /^\s*(apiVersion|kind|metadata|spec|"?\{)/;

function objectsIn(document: string): readonly Members[] {
  const lines = document.split('\n');
  const first = lines.findIndex((line) => begins.test(line));
  if (first < 0) return [];
  const text = lines.slice(first).join('\n');
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch {
    // Not well-formed: no manifest.
    return [];
  }
  return isManifest(value) ? expand(value) : [];
}

function expand(object: Members): readonly Members[] {
  const { kind, items } = object;
  if (kind !== 'List' || !Array.isArray(items)) return [object];
  return items.filter(isManifest);
}

function isManifest(value: unknown): value is Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { apiVersion, kind } = value as Members;
  return typeof apiVersion === 'string' && typeof kind === 'string';
}
