/**
 * `npm run pack -- --out FOLDER`: the package that other projects install, as a tarball.
 *
 * Node strips no types below `node_modules`, so here Node's own stripper does it, file by file into
 * `dist/`, where every line keeps its number. Names stay what they are: `imports`, `exports` and
 * `bin` of the packed package.json point to `dist/` instead of `src/`. tsc adds the `.d.ts` of what
 * `exports` reaches. Tests and their support stay out. Prints the tarball's path last.
 *
 * A plain `npm pack`, and an installation from the repository, gives the same package: npm runs
 * this with `--here` before it packs, which puts the files into the tree itself, and with
 * `--restore` after it, which takes them out. After a cut in between, either mends the tree.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly type: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

const root = dirname(import.meta.dirname);
const notPacked = /\.(test|contract|fuzz)\.ts$|\.md$/;
/** What a package has in a form of its own, and where the tree's stay while it is packed here. */
const replaced = ['package.json', 'bin/coracle.js'];
const kept = join(root, '.cache/packing');

main();

function main(): void {
  // The stripper calls itself experimental; it is the one that runs this very file.
  process.removeAllListeners('warning');
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: '.cache/pack' },
      here: { type: 'boolean', default: false },
      restore: { type: 'boolean', default: false },
    },
  });
  if (values.here || values.restore) {
    restore();
    if (values.here) packHere();
    return;
  }
  const out = resolve(values.out);
  const stage = join(out, 'package');
  rmSync(stage, { recursive: true, force: true });
  const manifest = emitPackage(stage, out);
  for (const name of ['bin/flags.json', 'README.md', 'LICENSE', 'CHANGELOG.md']) {
    cpSync(join(root, name), join(stage, name));
  }
  run(npm(), ['pack', '--silent', '--ignore-scripts', '--pack-destination', out], stage);
  console.log(join(out, `${manifest.name}-${manifest.version}.tgz`));
}

function packHere(): void {
  for (const name of replaced) cpSync(join(root, name), join(kept, name));
  emitPackage(root, join(root, '.cache'));
}

function restore(): void {
  if (!existsSync(kept)) return;
  for (const name of replaced)
    if (existsSync(join(kept, name))) cpSync(join(kept, name), join(root, name));
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  rmSync(kept, { recursive: true });
}

/** All that is not a file of the tree as it is; settings of the compiler go to `work`. */
function emitPackage(stage: string, work: string): Manifest {
  // Parse boundary: the project's own file.
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  emitDeclarations(stage, work, manifest);
  emitProgram(stage);
  write(join(stage, 'package.json'), `${JSON.stringify(packedManifest(manifest), undefined, 2)}\n`);
  return manifest;
}

function packedManifest(manifest: Manifest) {
  const { name, version, description, license, type, bin, imports, dependencies } = manifest;
  const outOfTests = Object.entries(imports).filter(([, target]) => target.startsWith('./src/'));
  const exported = Object.entries(manifest.exports).map(([path, target]) => [
    path,
    { types: built(target, '.d.ts'), default: built(target, '.js') },
  ]);
  return {
    name,
    version,
    description,
    license,
    type,
    bin,
    engines: { node: '>=24' },
    files: ['bin', 'dist'],
    imports: Object.fromEntries(outOfTests.map(([key, target]) => [key, built(target, '.js')])),
    exports: { ...Object.fromEntries(exported), './package.json': './package.json' },
    dependencies,
  };
}

function built(target: string, ending: '.js' | '.d.ts'): string {
  return target.replace('./src/', './dist/').replace(/\.ts$/, ending);
}

/** Everything below src/ as JavaScript at the same place below dist/, and the command. */
function emitProgram(stage: string): void {
  for (const entry of globSync('src/**/*', { cwd: root, withFileTypes: true })) {
    if (!entry.isFile() || notPacked.test(entry.name)) continue;
    const from = join(entry.parentPath, entry.name);
    const to = join(stage, 'dist', from.slice(join(root, 'src').length));
    if (!/\.[jt]s$/.test(from)) {
      mkdirSync(dirname(to), { recursive: true });
      cpSync(from, to);
      continue;
    }
    const text = readFileSync(from, 'utf8');
    write(to.replace(/\.ts$/, '.js'), toJavaScript(text, { hasTypes: from.endsWith('.ts') }));
  }
  const command = readFileSync(join(root, 'bin/coracle.js'), 'utf8');
  write(join(stage, 'bin/coracle.js'), command.replace('../src/main.ts', '../dist/main.js'));
}

function toJavaScript(text: string, { hasTypes }: { readonly hasTypes: boolean }): string {
  const code = hasTypes ? stripTypeScriptTypes(text) : text;
  const bare = code.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/\/\/.*/g, '');
  return bare.trim() === '' ? 'export {};\n' : withBuiltNames(code);
}

/** Relative imports name the built files; those by `#name` go through package.json. */
function withBuiltNames(code: string): string {
  return code.replaceAll(
    /(\bfrom\s+|\b(?:import|require)\s*\(\s*|\bimport\s+)(['"])(\.{1,2}\/[^'"]+)\.ts\2/g,
    '$1$2$3.js$2',
  );
}

/** Types of what `exports` names, and of all that they are made of. */
function emitDeclarations(stage: string, work: string, { exports }: Manifest): void {
  const dist = join(stage, 'dist');
  const settings = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      rootDir: join(root, 'src'),
      outDir: dist,
      typeRoots: [join(root, 'node_modules/@types')],
    },
    include: [],
    files: Object.values(exports)
      .flatMap((target) => globSync(target, { cwd: root }))
      .map(inRoot),
  };
  const path = join(work, 'tsconfig.pack.json');
  write(path, JSON.stringify(settings));
  run([process.execPath, join(root, 'node_modules/typescript/bin/tsc')], ['-p', path], root);
  for (const name of globSync('**/*.d.ts', { cwd: dist })) {
    const file = join(dist, name);
    write(file, withBuiltNames(readFileSync(file, 'utf8')));
  }
}

function inRoot(path: string): string {
  return join(root, path);
}

/** The npm that started this script, else the one on the path. */
function npm(): readonly string[] {
  const script = process.env['npm_execpath'];
  return script === undefined ? ['npm'] : [process.execPath, script];
}

function run(program: readonly string[], args: readonly string[], cwd: string): void {
  const [file = '', ...first] = program;
  execFileSync(file, [...first, ...args], { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
