/**
 * Rules about the import graph as a whole: no cycles among the program's files (type-only imports
 * are erased and do not count), no dead files, that is, none which nobody imports, and nothing
 * shown to other files that none of them takes.
 */
import {
  codeFiles,
  isTest,
  lineAt,
  type Problem,
  resolveImport,
  type SourceFile,
  type Tree,
} from './tree.ts';

/** Files that are started, not imported. */
const entries =
  /^bin\/|\.worker\.js$|^scripts\/[^/]+\.(ts|js)$|^(test|bench)\/.*\.(e2e|bench)\.ts$/;

export function checkCycles(tree: Tree): readonly Problem[] {
  const edges = new Map<string, readonly string[]>();
  for (const file of codeFiles(tree)) {
    const targets = file.imports
      .filter(({ sort }) => sort === 'values')
      .map(({ from }) => resolveImport(tree, file.path, from))
      .filter((target): target is string => target !== undefined && tree.files.has(target));
    edges.set(file.path, targets);
  }
  return findCycles(edges).map((cycle) => ({
    path: cycle[0] ?? '',
    line: 0,
    text: `import cycle: ${cycle.join(' -> ')}`,
  }));
}

/** One cycle for each edge that goes back to a file on the path from the root. */
function findCycles(edges: ReadonlyMap<string, readonly string[]>): readonly string[][] {
  const done = new Set<string>();
  const path: string[] = [];
  const cycles: string[][] = [];
  const visit = (file: string): void => {
    const back = path.indexOf(file);
    if (back !== -1) cycles.push([...path.slice(back), file]);
    if (back !== -1 || done.has(file)) return;
    path.push(file);
    for (const target of edges.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of edges.keys()) visit(file);
  return cycles;
}

/** A file that only its own tests import is as dead as one that nobody does; exported ones live. */
export function checkDeadFiles(tree: Tree): readonly Problem[] {
  const used = new Set<string>(tree.exports);
  for (const { path, imports } of codeFiles(tree)) {
    for (const { from } of imports) {
      const target = resolveImport(tree, path, from);
      if (target !== undefined && !isOwnTest(path, target)) used.add(target);
    }
  }
  return codeFiles(tree)
    .map(({ path }) => path)
    .filter((path) => !used.has(path) && !entries.test(path) && !/\.(test|fuzz)\.ts$/.test(path))
    .filter((path) => path !== 'src/main.ts')
    .map((path) => ({ path, line: 0, text: 'nothing imports this file' }));
}

const shown = /^export (?:async )?(?:function\*?|const|let|class) (\w+)/gm;

/**
 * A function, constant or class is exported for some other file that imports its file and names it;
 * a test beside it will do, and files that are started by their URL are left alone. Types stay out,
 * since they belong to the signatures that have them, and so do limits, which are shown to people
 * (docs/operating.md).
 */
export function checkDeadExports(tree: Tree): readonly Problem[] {
  const importers = new Map<string, SourceFile[]>();
  const faces = new Set(tree.exports);
  for (const file of codeFiles(tree)) {
    for (const { from, sort } of file.imports) {
      const target = resolveImport(tree, file.path, from) ?? '';
      if (sort === 'started') faces.add(target);
      importers.set(target, [...(importers.get(target) ?? []), file]);
    }
  }
  return codeFiles(tree)
    .filter(({ path }) => !faces.has(path))
    .flatMap(({ path, text }) => {
      const others = (importers.get(path) ?? []).map((file) => file.text).join('\n');
      return [...text.matchAll(shown)]
        .filter(
          ([, name = '']) => !/limits$/i.test(name) && !new RegExp(`\\b${name}\\b`).test(others),
        )
        .map((match) => ({
          path,
          line: lineAt(text, match.index),
          text: `no other file takes ${match[1]}: export it no longer`,
        }));
    });
}

/** Tests beside code; whole-system tests in test/ count as users, and contracts are for tests. */
function isOwnTest(path: string, target: string): boolean {
  if (target.endsWith('.contract.ts')) return false;
  return isTest(path) && path.startsWith('src/') && target.startsWith('src/');
}
