/**
 * Rules about the documents: every link leads somewhere, every file that they name exists, every
 * limit is listed, and each npm dependency has its one importing file and its decision record.
 */
import { codeFiles, lineAt, type Problem, type SourceFile, type Tree } from './tree.ts';

/** Dependency → the one file that imports it, and why it is there at all. */
export const dependencies: Readonly<
  Record<string, { readonly file: string; readonly record: string }>
> = {
  '@noble/ciphers': {
    file: 'src/kit/secretbox.ts',
    record: 'docs/decisions/0017-noble-ciphers.md',
  },
  '@grpc/grpc-js': { file: 'src/kit/grpc.ts', record: 'docs/decisions/0004-grpc-js.md' },
  commander: { file: 'src/kit/command-line.ts', record: 'docs/decisions/0005-commander.md' },
  re2js: { file: 'src/kit/re2.ts', record: 'docs/decisions/0016-own-cel.md' },
  ws: { file: 'test/e2e/cri.e2e.ts', record: 'docs/decisions/0012-ws.md' },
  '@kubernetes/client-node': {
    file: 'test/component/client-node.process.test.ts',
    record: 'docs/decisions/0015-client-node.md',
  },
  yaml: { file: 'src/kit/yaml.ts', record: 'docs/decisions/0003-yaml.md' },
};

export function checkLinks(tree: Tree): readonly Problem[] {
  const documents = [...tree.files.values()].filter(({ path }) => path.endsWith('.md'));
  return documents.flatMap((file) => [...deadLinks(tree, file), ...deadNames(tree, file)]);
}

/** `store.ts` or `verbs/create.ts` between backticks, in a comment: the end of some file's path. */
export function checkNamedFiles(tree: Tree): readonly Problem[] {
  const ends = new Set<string>();
  for (const path of tree.files.keys()) {
    const parts = path.split('/');
    for (const at of parts.keys()) ends.add(parts.slice(at).join('/'));
  }
  return codeFiles(tree)
    .filter(({ path }) => !path.startsWith('scripts/tidy'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/`(?:\.{1,2}\/)*(\w[\w./-]*\.[tj]s)`/g)]
        .filter(([, name = '']) => !ends.has(name))
        .map((match) => ({
          path,
          line: lineAt(text, match.index),
          text: `names ${match[1]}, which is not there`,
        })),
    );
}

function deadLinks(tree: Tree, { path, text }: SourceFile): readonly Problem[] {
  const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/') + 1) : '';
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
    const target = (match[1] ?? '').replace(/#.*$/, '');
    if (target === '' || /^[a-z]+:/.test(target)) return [];
    const full = new URL(folder + target, 'file:///').pathname.slice(1);
    if (tree.exists(full.replace(/\/$/, ''))) return [];
    return [{ path, line: lineAt(text, match.index), text: `dead link ${target}` }];
  });
}

/** `src/store/store.ts` between backticks, also with a line or a function behind it. */
function deadNames(tree: Tree, { path, text }: SourceFile): readonly Problem[] {
  const named = /`((?:src|test|scripts|bench|bin|docs|examples)\/[\w./-]+?)(?:[:#][^`]*)?`/g;
  return [...text.matchAll(named)].flatMap((match) => {
    const target = (match[1] ?? '').replace(/\/$/, '');
    if (tree.exists(target)) return [];
    return [{ path, line: lineAt(text, match.index), text: `names ${target}, which is not there` }];
  });
}

export function checkDependencies(tree: Tree): readonly Problem[] {
  const problems: Problem[] = [];
  const complain = (path: string, line: number, text: string): void =>
    void problems.push({ path, line, text });
  const used = new Set<string>();
  for (const { path, imports } of codeFiles(tree)) {
    if (path.startsWith('scripts/tidy')) continue;
    for (const { from, line } of imports) {
      if (/^[.#]|^node:/.test(from)) continue;
      const name = from.startsWith('@') ? from.split('/', 2).join('/') : (from.split('/')[0] ?? '');
      used.add(name);
      const entry = dependencies[name];
      if (entry === undefined) complain(path, line, `${name} is not on the list of dependencies`);
      else if (entry.file !== path) complain(path, line, `only ${entry.file} imports ${name}`);
    }
  }
  for (const name of tree.dependencies) {
    if (!used.has(name)) complain('package.json', 0, `nothing imports ${name}`);
    const record = dependencies[name]?.record;
    if (record === undefined || !tree.files.has(record)) {
      complain('package.json', 0, `${name} has no decision record`);
    }
  }
  return problems;
}

/** "Decision 0012" in a comment or document is a record that exists. */
export function checkDecisions(tree: Tree): readonly Problem[] {
  const paths = [...tree.files.keys()];
  const files = [...tree.files.values()].filter(({ path }) => !path.startsWith('scripts/tidy'));
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(/\bdecision (\d{4})\b/gi)]
      .filter(([, number]) => !paths.some((one) => one.startsWith(`docs/decisions/${number}-`)))
      .map((match) => ({
        path,
        line: lineAt(text, match.index),
        text: `there is no ${match[0].toLowerCase()}`,
      })),
  );
}

interface Lock {
  readonly packages?: Readonly<
    Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>
  >;
}

/** npm leaves out other platforms' packages that a registry lacks; npm ci refuses such a file. */
export function checkLockFile(tree: Tree): readonly Problem[] {
  const path = 'package-lock.json';
  // Parse boundary: npm's own file.
  const { packages = {} } = JSON.parse(tree.files.get(path)?.text ?? '{}') as Lock;
  const wanted = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
    Object.keys(optionalDependencies),
  );
  return wanted
    .filter((name) => packages[`node_modules/${name}`] === undefined)
    .map((name) => ({ path, line: 0, text: `${name} is missing: npm ci would refuse the file` }));
}

/** Every `limits` constant that a file shows (`bodyLimits` too) is in the operator's list. */
export function checkLimits(tree: Tree): readonly Problem[] {
  const list = tree.files.get('docs/operating.md')?.text ?? '';
  const shownLimits = /^export const (?:limits|\w+Limits) = \{([\s\S]*?)\} as const/gm;
  return codeFiles(tree)
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(shownLimits)]
        .flatMap(([, body = '']) => namesIn(body))
        .filter((name) => !list.includes(`\`${name}\``))
        .map((name) => ({ path, line: 0, text: `docs/operating.md does not list \`${name}\`` })),
    );
}

/** Of the members of an object, as it is written. */
function namesIn(body: string): readonly string[] {
  const code = body.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
  return [...code.matchAll(/(?:^|[,{\n])\s*(\w+):/g)].map(([, name = '']) => name);
}
