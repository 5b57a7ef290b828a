/**
 * Reads a unified diff and applies it to texts. Line numbers do not matter: the lines that a hunk
 * takes away or keeps have to be found in the file exactly once, so a patch lives through changes
 * elsewhere in the file, and one that no longer fits is told, never bent. Pure; `canaries.ts` uses
 * it, and `patch` itself applies the same files.
 */
export interface Patch {
  /** What stands before the first file: prose. */
  readonly heading: string;
  readonly files: readonly FilePatch[];
}

export interface FilePatch {
  readonly path: string;
  readonly hunks: readonly Hunk[];
}

interface Hunk {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

export type Applied =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problem: string };

export function parsePatch(text: string): Patch {
  const heading: string[] = [];
  const files: { path: string; hunks: { before: string[]; after: string[] }[] }[] = [];
  for (const line of text.replace(/\n$/, '').split('\n')) {
    const file = files.at(-1);
    const hunk = file?.hunks.at(-1);
    if (line.startsWith('--- a/')) files.push({ path: line.slice('--- a/'.length), hunks: [] });
    else if (file === undefined) heading.push(line);
    else if (line.startsWith('+++ ')) continue;
    else if (line.startsWith('@@')) file.hunks.push({ before: [], after: [] });
    else if (line.startsWith('-')) hunk?.before.push(line.slice(1));
    else if (line.startsWith('+')) hunk?.after.push(line.slice(1));
    else {
      hunk?.before.push(line.slice(1));
      hunk?.after.push(line.slice(1));
    }
  }
  return { heading: heading.join('\n').trim(), files };
}

export function applyHunks(text: string, { path, hunks }: FilePatch): Applied {
  let lines = text.split('\n');
  for (const [index, { before, after }] of hunks.entries()) {
    const found = placesOf(before, lines);
    if (found.length !== 1) {
      const how = found.length === 0 ? 'are not there' : `are there ${found.length} times`;
      const problem = `${path}, hunk ${index + 1}: these lines ${how}:\n${before.join('\n')}`;
      return { ok: false, problem };
    }
    const [at = 0] = found;
    lines = [...lines.slice(0, at), ...after, ...lines.slice(at + before.length)];
  }
  return { ok: true, text: lines.join('\n') };
}

function placesOf(wanted: readonly string[], lines: readonly string[]): readonly number[] {
  const places: number[] = [];
  for (let at = 0; at + wanted.length <= lines.length; at++) {
    if (wanted.every((line, index) => lines[at + index] === line)) places.push(at);
  }
  return wanted.length === 0 ? [] : places;
}
