/**
 * Who may import whom, as data, and the rules about module faces.
 *
 * The table is that of docs/style.md: imports point down, the components of layer 4 never know one
 * another and meet only through objects in the API. There are no exceptions inline; an exception is
 * a change of this table. It is as narrow as it can be: what a row allows, some file does.
 */
import {
  codeFiles,
  type Import,
  isTest,
  type Problem,
  resolveImport,
  type SourceFile,
  type Tree,
} from './tree.ts';

const objects = ['resources', 'api', 'kit'];
const component = ['client', ...objects];

/** Module → the modules that it may import; `everything` for the composition root. */
export const layers: Readonly<Record<string, readonly string[] | 'everything'>> = {
  kit: [],
  api: ['kit'],
  cel: ['api', 'kit'],
  resources: ['cel', 'api', 'kit'],
  http2: ['kit'],
  store: ['kit'],
  cri: ['kit'],
  network: ['kit'],
  images: ['kit'],
  scheduling: ['cel', ...objects],
  client: objects,
  apiserver: ['http2', 'store', 'scheduling', ...objects],
  controllers: ['scheduling', ...component],
  scheduler: ['scheduling', ...component],
  proxy: ['client', 'resources', 'kit'],
  dns: ['client', 'resources', 'kit'],
  kubelet: ['cri', 'network', 'scheduling', ...component],
  hollow: component,
  cluster: 'everything',
  testing: ['store', 'apiserver', 'controllers', 'scheduler', 'hollow', ...component],
  main: ['cluster', 'kit'],
};

/** Generated types may be used where only their names are needed, below the resources too. */
const generatedTypes = '#resources/types/';

/** Modules that are a collection of files to be imported one by one, without a face. */
const libraries = new Set(['kit', 'api', 'resources', 'main']);

/** An import makes all that a module offers, needed or not; of these that is much. */
const heavyModules: Readonly<Record<string, string>> = {
  'node:http': 'node:http costs a start 15 MiB: take what is needed from src/kit/http-request.ts',
  'node:process': 'node:process: use the global `process`, of which only what is used is made',
};

export function checkLayers(tree: Tree): readonly Problem[] {
  return codeFiles(tree).flatMap((file) =>
    file.imports.flatMap((one) => {
      const text = one.sort === 'started' ? undefined : refusal(tree, file, one);
      return text === undefined ? [] : [{ path: file.path, line: one.line, text }];
    }),
  );
}

/** A module that no longer needs another must not be free to need it again unseen. */
export function checkUnusedLayers(tree: Tree): readonly Problem[] {
  const used = new Set<string>();
  for (const { path, imports } of codeFiles(tree)) {
    for (const { from } of imports) {
      const target = resolveImport(tree, path, from);
      if (target !== undefined) used.add(`${moduleOf(path)} -> ${moduleOf(target)}`);
    }
  }
  return Object.entries(layers).flatMap(([name, allowed]) =>
    (allowed === 'everything' ? [] : allowed)
      .filter((other) => !used.has(`${name} -> ${other}`))
      .map((other) => ({
        path: 'scripts/tidy/layers.ts',
        line: 0,
        text: `${name} may import ${other}, and does not`,
      })),
  );
}

function refusal(tree: Tree, { path }: SourceFile, { from, sort }: Import): string | undefined {
  if (from.startsWith('node:')) {
    const isFree = sort === 'types' || isTest(path) || moduleOf(path) === undefined;
    return isFree ? undefined : heavyModules[from];
  }
  const inside = moduleOf(path);
  if (from.includes('../..')) return `${from}: never "../..", import across modules by #name`;
  const target = resolveImport(tree, path, from);
  if (from.startsWith('#') && target === undefined) return `${from} is not in package.json imports`;
  if (target === undefined || inside === undefined) return undefined;
  if (target.startsWith('test/')) {
    return isTest(path) ? undefined : `${from}: only tests may import from test/`;
  }
  const outside = moduleOf(target);
  if (outside === undefined) return `${from}: the program imports nothing outside src/`;
  if (inside === outside) return ownFace(from, inside);
  if (from.startsWith('.') && inside !== 'main')
    return `${from}: import another module by its #name`;
  if (sort === 'types' && from.startsWith(generatedTypes)) return undefined;
  const allowed = layers[inside];
  if (allowed === undefined) return `module ${inside} has no row in scripts/tidy/layers.ts`;
  if (allowed === 'everything' || allowed.includes(outside)) return undefined;
  return `${inside} must not import ${outside} (${from})`;
}

function ownFace(from: string, inside: string): string | undefined {
  const roundabout = from.startsWith('#') && !libraries.has(inside);
  return roundabout ? `${from}: inside its module a file imports by relative path` : undefined;
}

/** `src/store/log.ts` → `store`, `src/main.ts` → `main`, anything outside src → undefined. */
function moduleOf(path: string): string | undefined {
  const [top, second, third] = path.split('/');
  if (top !== 'src' || second === undefined) return undefined;
  return third === undefined ? second.replace(/\.ts$/, '') : second;
}

/** Every module has a face of its own name, and `imports` names them all. */
export function checkFaces(tree: Tree): readonly Problem[] {
  const modules = new Set(codeFiles(tree).map(({ path }) => moduleOf(path)));
  const problems: Problem[] = [];
  for (const name of modules) {
    if (name === undefined || libraries.has(name)) continue;
    const face = `src/${name}/${name}.ts`;
    if (!tree.files.has(face)) problems.push({ path: face, line: 0, text: 'the face is missing' });
    if (tree.imports[`#${name}`] !== `./${face}`) {
      problems.push({ path: 'package.json', line: 0, text: `imports must name #${name}` });
    }
  }
  for (const [name, target] of Object.entries(tree.imports)) {
    if (target.includes('*') || tree.exists(target.slice(2))) continue;
    problems.push({ path: 'package.json', line: 0, text: `${name} names ${target}, not there` });
  }
  return [...problems, ...checkBarrels(tree)];
}

function checkBarrels(tree: Tree): readonly Problem[] {
  return codeFiles(tree).flatMap(({ path, text }) => {
    const problems: Problem[] = [];
    if (/\/index\.[jt]s$/.test(path)) problems.push({ path, line: 0, text: 'no index files' });
    if (/^export \*/m.test(text)) problems.push({ path, line: 0, text: 'no "export *"' });
    return problems;
  });
}
