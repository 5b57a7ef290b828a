/**
 * The project's files as the house rules see them: path, text and imports.
 *
 * `tidy.ts` reads the tree once; each rule in this folder is a pure function from it to problems.
 * Tests build small trees by hand with `makeTree`.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface SourceFile {
  /** From the project's root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

export interface Import {
  readonly from: string;
  readonly line: number;
  /**
   * `types` are erased at run time, so they close no cycle; a file that is `started` by its URL (a
   * worker, another process) is a world of its own.
   */
  readonly sort: 'values' | 'types' | 'started';
}

export interface Tree {
  readonly files: ReadonlyMap<string, SourceFile>;
  /** Every path that exists, files and folders, also those whose text nobody needs. */
  readonly exists: (path: string) => boolean;
  readonly imports: Readonly<Record<string, string>>;
  /** What other packages may import, once packed. */
  readonly exports: readonly string[];
  readonly dependencies: readonly string[];
}

export interface Problem {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

export type Rule = (tree: Tree) => readonly Problem[];

interface Manifest {
  readonly imports?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Written by `scripts/generate.ts` or the like: no rules for them. */
const generated = /^src\/resources\/(openapi|types)\/|^test\/support\/rows\.json$/;
const folders = ['src', 'test', 'bench', 'scripts', 'bin', 'docs', 'examples'];
const readable = /\.(ts|js|md|json|ya?ml)$/;

export function readTree(root: string): Tree {
  const texts = new Map<string, string>();
  const take = (path: string): void => void texts.set(path, readFileSync(join(root, path), 'utf8'));
  for (const folder of folders) {
    if (!existsSync(join(root, folder))) continue;
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      const path = `${folder}/${name}`;
      if (readable.test(path) && !generated.test(path)) take(path);
    }
  }
  const top = readdirSync(root).filter((name) => statSync(join(root, name)).isFile());
  for (const name of top.filter((path) => readable.test(path))) take(name);
  return makeTree(texts, (path) => existsSync(join(root, path)));
}

export function makeTree(
  texts: ReadonlyMap<string, string>,
  exists: (path: string) => boolean = (path) => texts.has(path),
): Tree {
  const files = new Map<string, SourceFile>();
  for (const [path, text] of texts) {
    files.set(path, { path, text, imports: isCode(path) ? parseImports(text) : [] });
  }
  // Parse boundary: the project's own package.json.
  const manifest = JSON.parse(texts.get('package.json') ?? '{}') as Manifest;
  const { imports = {}, exports = {}, dependencies = {} } = manifest;
  return {
    files,
    exists,
    imports,
    exports: Object.values(exports).map((target) => target.replace('./', '')),
    dependencies: Object.keys(dependencies),
  };
}

function isCode(path: string): boolean {
  return /\.(ts|js)$/.test(path);
}

export function isTest(path: string): boolean {
  return /\.(test|contract|fuzz|e2e|bench)\.ts$/.test(path) || /^(test|bench)\//.test(path);
}

export function codeFiles(tree: Tree): readonly SourceFile[] {
  return [...tree.files.values()].filter(({ path }) => isCode(path));
}

export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1))
    line++;
  return line;
}

const staticImport = /^(?:import|export)\s+(type\s)?([^'";]*?)\s*from\s+'([^']+)'/gm;
const otherImport = /(?:^import\s+|\b(?:import|require)\(\s*)'([^']+)'/gm;
const startedFile = /\bnew URL\(\s*'([^']+\.[jt]s)'/g;

function parseImports(text: string): readonly Import[] {
  const found: Import[] = [];
  for (const match of text.matchAll(staticImport)) {
    const [, type, names = '', from = ''] = match;
    const sort = type !== undefined || allTypes(names) ? 'types' : 'values';
    found.push({ from, line: lineAt(text, match.index), sort });
  }
  for (const match of text.matchAll(otherImport)) {
    found.push({ from: match[1] ?? '', line: lineAt(text, match.index), sort: 'values' });
  }
  for (const match of text.matchAll(startedFile)) {
    const from = `./${match[1] ?? ''}`;
    found.push({ from, line: lineAt(text, match.index), sort: 'started' });
  }
  return found;
}

/** `{ type A, type B }`, which is erased as a whole. */
function allTypes(names: string): boolean {
  const inner = /^\{([^}]*)\}$/.exec(names.trim())?.[1];
  if (inner === undefined) return false;
  const parts = inner.split(',').map((part) => part.trim());
  return parts.every((part) => part === '' || part.startsWith('type '));
}

/** What an import names, as a path of the tree; undefined for packages and `node:`. */
export function resolveImport(tree: Tree, file: string, from: string): string | undefined {
  if (from.startsWith('.')) return normalize(`${file.slice(0, file.lastIndexOf('/') + 1)}${from}`);
  if (!from.startsWith('#')) return undefined;
  const exact = tree.imports[from];
  if (exact !== undefined) return normalize(exact);
  for (const [pattern, target] of Object.entries(tree.imports)) {
    const [head = '', tail] = pattern.split('*');
    if (tail === undefined || !from.startsWith(head) || !from.endsWith(tail)) continue;
    const middle = from.slice(head.length, from.length - tail.length);
    return normalize(target.replace('*', middle));
  }
  return undefined;
}

function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.' && part !== '') parts.push(part);
  }
  return parts.join('/');
}
