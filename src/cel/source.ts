/**
 * What is wrong with an expression and where, and how that is shown: the line with a mark below.
 *
 * The form is that of the reference implementation, since users and tools see it in the answers of
 * the API: `ERROR: <input>:1:3: …`, the line after ` | `, then dots and a caret. Places are counted
 * in characters; a character wider than one byte is marked by a wide dot.
 */

export interface Problem {
  /** Offset in characters. */
  readonly at: number;
  readonly text: string;
}

/** Problems shown at most. */
const shownMax = 100;

/** All problems, in the order of their places. */
export function formatProblems(source: string, problems: readonly Problem[]): string {
  // What is empty has no line to show, and no first column.
  if (source === '') return problems.map(({ text }) => `ERROR: <input>:1:0: ${text}`).join('\n');
  const lines = source.split('\n');
  const sorted = [...problems].sort((left, right) => left.at - right.at);
  const shown = sorted.slice(0, shownMax).map((one) => formatProblem(lines, one));
  const more = sorted.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more errors were truncated`] : [])].join('\n');
}

function formatProblem(lines: readonly string[], { at, text }: Problem): string {
  const { line, column } = place(lines, at);
  const snippet = (lines[line] ?? '').replaceAll('\t', ' ');
  const characters = [...snippet];
  const before = characters.slice(0, column).map((one) => (isWide(one) ? '\uff0e' : '.'));
  const mark = isWide(characters[column] ?? '') ? '\uff3e' : '^';
  const head = `ERROR: <input>:${line + 1}:${column + 1}: ${text}`;
  return `${head}\n | ${snippet}\n | ${before.join('')}${mark}`;
}

function place(lines: readonly string[], at: number) {
  let left = at;
  for (const [line, text] of lines.entries()) {
    const length = [...text].length;
    if (left <= length) return { line, column: left };
    left -= length + 1;
  }
  return { line: Math.max(0, lines.length - 1), column: left };
}

function isWide(character: string): boolean {
  return (character.codePointAt(0) ?? 0) > 0x7f;
}
