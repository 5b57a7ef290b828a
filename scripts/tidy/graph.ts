/**
 * Rules about the import graph as a whole: no cycles among the program's files (type-only imports
 * are erased and do not count), and no dead files, that is, none which nobody imports.
 */
import { codeFiles, isTest, type Problem, resolveImport, type Tree } from './tree.ts';

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

/** Tests beside code; whole-system tests in test/ count as users, and contracts are for tests. */
function isOwnTest(path: string, target: string): boolean {
  if (target.endsWith('.contract.ts')) return false;
  return isTest(path) && path.startsWith('src/') && target.startsWith('src/');
}
