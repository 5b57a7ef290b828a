/**
 * Rules about a single file: its header comment, its size and columns, its name, and words and
 * globals that do not belong in it.
 */
import { codeOnly } from './code-only.ts';
import { codeFiles, isTest, lineAt, type Problem, type SourceFile, type Tree } from './tree.ts';

export const limits = {
  fileLines: 500,
  testLines: 1_000,
  columns: 100,
  functionLines: 70,
  /** With the lines that open and close the comment; a test's may be one line. */
  headerLinesMin: 3,
  headerLinesMax: 17,
} as const;

export function checkSizes(tree: Tree): readonly Problem[] {
  return codeFiles(tree).flatMap(({ path, text }) => {
    const lines = text.trimEnd().split('\n');
    const linesMax = isTest(path) ? limits.testLines : limits.fileLines;
    const tooLong = lines.flatMap((line, i) =>
      [...line].length > limits.columns && !isUnbreakable(line)
        ? [{ path, line: i + 1, text: `more than ${limits.columns} columns` }]
        : [],
    );
    if (lines.length <= linesMax) return tooLong;
    return [
      { path, line: linesMax, text: `${lines.length} lines, at most ${linesMax}` },
      ...tooLong,
    ];
  });
}

const functionStart = /^(?:export )?(?:async )?function\*? (\w+)/;
const methodStart = /^ {2}(?:(?:static|async|override|get|set) |\*)*(#?\w+)(?:<.*>)?\((?!.*;$)/;
const statement = /^ {2}(?:if|for|while|switch|return|await|super)\b/;

/** Functions of a file and methods of its classes, from the first line to the last brace. */
export function checkFunctions(tree: Tree): readonly Problem[] {
  const files = codeFiles(tree).filter(({ path }) => !/\.(test|contract|e2e)\.ts$/.test(path));
  return files.flatMap(({ path, text }) => {
    const lines = text.split('\n');
    return lines.flatMap((line, at) => {
      const [, own] = functionStart.exec(line) ?? [];
      const [, method] = (!statement.test(line) && methodStart.exec(line)) || [];
      const name = own ?? method;
      if (name === undefined) return [];
      const length = linesToEnd(lines.slice(at), own === undefined ? '  ' : '');
      if (length <= limits.functionLines) return [];
      const problem = `${name} has ${length} lines, at most ${limits.functionLines}`;
      return [{ path, line: at + 1, text: problem }];
    });
  });
}

/** 0 where it has no body. */
function linesToEnd([, ...lines]: readonly string[], indent: string): number {
  const after = lines.findIndex(
    (line) => line.startsWith(indent) && /^[^ )\]]/.test(line.slice(indent.length)),
  );
  return lines[after] === `${indent}}` ? after + 2 : 0;
}

/** One word or a long string, which the formatter cannot break; prose in comments can be. */
function isUnbreakable(line: string): boolean {
  if (/^\s*(\/\/|\*|\/\*)/.test(line)) return /^\s*\S+ \S{80,}$/.test(line);
  return /^\s*\S{80,}$|(['"`]).{50,}\1|^import\b/.test(line);
}

/** What a file is, the idea, who calls it, what comes next: before anything else. */
export function checkHeaders(tree: Tree): readonly Problem[] {
  return codeFiles(tree).flatMap(({ path, text }) => {
    const start = text.replace(/^#!.*\n/, '');
    const lines = /^\/\*\*[\s\S]*?\*\//.exec(start)?.[0].split('\n').length ?? 0;
    const comment = path.endsWith('.js') && start.startsWith('// ');
    const linesMin = isTest(path) ? 1 : limits.headerLinesMin;
    if (comment || (lines >= linesMin && lines <= limits.headerLinesMax)) return [];
    const problem = lines === 0 ? 'no header comment' : `a header comment of ${lines} lines`;
    return [{ path, line: 1, text: problem }];
  });
}

const drawers = /^(utils?|helpers?|commons?|misc|types|shared|lib)$/;

export function checkNames(tree: Tree): readonly Problem[] {
  return codeFiles(tree).flatMap(({ path }) => {
    const problems: Problem[] = [];
    for (const part of path.split('/')) {
      const name = part.replace(/\..*$/, '');
      if (drawers.test(name)) problems.push({ path, line: 0, text: `"${name}" says nothing` });
      if (!/^[a-z0-9]+([.-][a-z0-9]+)*(\.[a-z0-9]+)*$/.test(part)) {
        problems.push({ path, line: 0, text: `"${part}" is not kebab-case` });
      }
    }
    return problems;
  });
}

interface Banned {
  readonly pattern: RegExp;
  readonly text: string;
}

const words: readonly Banned[] = [
  { pattern: /\bFIXME\b|\bXXX\b/g, text: 'repair it or describe it as it is' },
  { pattern: /\bTODO\b(?!\(#\d+\))/g, text: 'TODO needs an issue: TODO(#12)' },
];

/** The rules' own texts and samples name what they forbid. */
const aboutWords = /^scripts\/tidy[./]|^docs\/style\.md$/;

export function checkWords(tree: Tree): readonly Problem[] {
  return [...tree.files.values()]
    .filter(({ path }) => !aboutWords.test(path))
    .flatMap((file) => findAll(file, file.text, words));
}

const impure: readonly Banned[] = [
  { pattern: /\bDate\.now\b|\bnew Date\(\)/g, text: 'time comes in through deps.clock' },
  { pattern: /\bMath\.random\b/g, text: 'chance comes in through deps.random' },
  { pattern: /\brandomUUID\b/g, text: 'use deps.random.uuid()' },
  { pattern: /\bAbortSignal\.timeout\b/g, text: 'use deps.clock with an AbortController' },
];
const timerModules = /^(node:)?timers(\/promises)?$/;

/** The only files that touch the machine's clock and chance. */
const sources = new Set(['src/kit/clock.ts', 'src/kit/random.ts', 'src/main.ts']);

/** Timers by name are Biome's to refuse (biome.json); members of globals are looked for here. */
export function checkPurity(tree: Tree): readonly Problem[] {
  const files = codeFiles(tree).filter(
    ({ path }) => path.startsWith('src/') && !sources.has(path) && !isTest(path),
  );
  return files.flatMap((file) => {
    const timers = file.imports
      .filter(({ from }) => timerModules.test(from))
      .map(({ line }) => ({ path: file.path, line, text: 'time comes in through deps.clock' }));
    return [...timers, ...findAll(file, codeOnly(file.text), impure)];
  });
}

const surroundings: readonly Banned[] = [
  { pattern: /\bprocess\.(env|argv)\b/g, text: 'settings are read in main.ts and cluster/' },
  {
    pattern: /\bprocess\.(exit|exitCode|on|once)\b/g,
    text: 'signals and the exit are for main.ts',
  },
];
const composition = /^src\/(main\.ts$|cluster\/|testing\/)|\.worker\.js$/;

export function checkSurroundings(tree: Tree): readonly Problem[] {
  const files = codeFiles(tree).filter(
    ({ path }) => path.startsWith('src/') && !composition.test(path) && !isTest(path),
  );
  return files.flatMap((file) => findAll(file, codeOnly(file.text), surroundings));
}

function findAll(
  { path }: SourceFile,
  text: string,
  banned: readonly Banned[],
): readonly Problem[] {
  return banned.flatMap(({ pattern, text: why }) =>
    [...text.matchAll(pattern)].map((match) => ({
      path,
      line: lineAt(text, match.index),
      text: `${match[0]}: ${why}`,
    })),
  );
}
