/**
 * Which lines ran, from the engine's own counters: no dependency, and no other program.
 *
 * `startCoverage` asks the inspector of this very process to count what is loaded from then on;
 * `lineCoverage` says for each folder how many of its lines of code ran. Types are blanked, not
 * removed, when a file is loaded, so the engine's offsets are those of the source. A line runs when
 * any of its code does.
 */
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** As the engine tells it: ranges from outside to inside, with how often each ran. */
export interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly ranges: readonly {
      readonly startOffset: number;
      readonly endOffset: number;
      readonly count: number;
    }[];
  }[];
}

export interface Counting {
  stop(): Promise<readonly ScriptCoverage[]>;
}

export async function startCoverage(): Promise<Counting> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return {
    stop: async () => {
      const { result } = await session.post('Profiler.takePreciseCoverage');
      session.disconnect();
      return result;
    },
  };
}

/** A line for each folder and, below it, its files from the least covered on. */
export function lineCoverage(
  scripts: readonly ScriptCoverage[],
  folders: readonly string[],
): readonly string[] {
  const files = scripts.flatMap((script) => {
    if (!script.url.startsWith('file:')) return [];
    const path = relative(process.cwd(), fileURLToPath(script.url));
    if (!folders.some((folder) => path.startsWith(folder))) return [];
    return [{ path, ...linesOf(readFileSync(fileURLToPath(script.url), 'utf8'), script) }];
  });
  return folders.flatMap((folder) => {
    const within = files.filter(({ path }) => path.startsWith(folder));
    const ran = within.reduce((sum, file) => sum + file.ran, 0);
    const all = within.reduce((sum, file) => sum + file.all, 0);
    const least = within.toSorted((a, b) => a.ran / a.all - b.ran / b.all).slice(0, 10);
    return [
      `${folder} ${percent(ran, all)} of ${all} lines`,
      ...least.map((file) => `  ${percent(file.ran, file.all)} ${file.path}`),
    ];
  });
}

export function linesOf(
  text: string,
  { functions }: ScriptCoverage,
): { readonly all: number; readonly ran: number } {
  // What the engine says nothing about did not run.
  const idle = new Uint8Array(text.length).fill(1);
  const ranges = functions.flatMap((one) => one.ranges);
  // Outer ranges first: what is inside has the last word.
  const ordered = ranges.toSorted(
    (a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset,
  );
  for (const { startOffset, endOffset, count } of ordered) {
    idle.fill(count === 0 ? 1 : 0, startOffset, endOffset);
  }
  let [all, ran, offset] = [0, 0, 0];
  for (const line of text.split('\n')) {
    const first = offset + line.length - line.trimStart().length;
    offset += line.length + 1;
    if (!isCode(line)) continue;
    all += 1;
    if (idle.subarray(first, offset - 1).includes(0)) ran += 1;
  }
  return { all, ran };
}

/** Comments, imports, types and lone brackets are not code that runs. */
function isCode(line: string): boolean {
  const text = line.trim();
  if (/^(\/\*|\*|\/\/|import |export (type|interface)|interface |type |readonly )/.test(text)) {
    return false;
  }
  return /[\w'"]/.test(text);
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`;
}
