/**
 * `npm run release -- --out FOLDER [--arch x64,arm64]`: tarballs that need nothing but Linux: the
 * packed program, what it depends on, and the Node that it was tested with; and their checksums.
 *
 *     coracle-0.1.0-linux-x64/bin/coracle        a script that starts the two below
 *     coracle-0.1.0-linux-x64/lib/coracle/…      as `npm run pack` makes it, with node_modules
 *     coracle-0.1.0-linux-x64/lib/node/bin/node
 *
 * The same tree gives the same bytes. Prints the path of each file written.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly dependencies?: Readonly<Record<string, string>> }>
  >;
}

const root = dirname(import.meta.dirname);

/** Follows links, so that it may be linked to from a folder on the path. */
function starter(flags: readonly string[]): string {
  return `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/../lib/node/bin/node" ${flags.join(' ')} "$here/../lib/coracle/bin/coracle.js" "$@"
`;
}

main();

function main(): void {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: '.cache/release' },
      arch: { type: 'string', default: 'x64,arm64' },
    },
  });
  const out = resolve(values.out);
  mkdirSync(out, { recursive: true });
  // Parse boundary: the project's own file.
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const work = join(out, 'work');
  rmSync(work, { recursive: true, force: true });
  run(process.execPath, [join(root, 'scripts/pack.ts'), '--out', work]);
  const sums: string[] = [];
  for (const arch of values.arch.split(',')) {
    const name = `${manifest.name}-${manifest.version}-linux-${arch}`;
    const stage = join(work, name);
    assemble(stage, { arch, manifest, packed: join(work, 'package'), work });
    const path = join(out, `${name}.tar.gz`);
    archive(work, name, path);
    const sum = createHash('sha256').update(readFileSync(path)).digest('hex');
    sums.push(`${sum}  ${name}.tar.gz\n`);
    console.log(path);
  }
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''));
  rmSync(work, { recursive: true });
  console.log(join(out, 'SHA256SUMS'));
}

function assemble(
  stage: string,
  options: {
    readonly arch: string;
    readonly manifest: Manifest;
    readonly packed: string;
    readonly work: string;
  },
): void {
  const { arch, manifest, packed, work } = options;
  const program = join(stage, 'lib/coracle');
  cpSync(packed, program, { recursive: true });
  for (const name of dependencies(manifest)) {
    const from = join(root, 'node_modules', name);
    cpSync(from, join(program, 'node_modules', name), { recursive: true });
  }
  const node = join(stage, 'lib/node');
  const source = nodePackage(arch, manifest, work);
  for (const name of ['bin/node', 'LICENSE']) cpSync(join(source, name), join(node, name));
  mkdirSync(join(stage, 'bin'));
  // Parse boundary: the project's own file.
  const flags = JSON.parse(readFileSync(join(root, 'bin/flags.json'), 'utf8')) as string[];
  writeFileSync(join(stage, 'bin/coracle'), starter(flags), { mode: 0o755 });
  for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md']) {
    cpSync(join(root, name), join(stage, name));
  }
}

/** Our dependencies and theirs, by the lock file. */
function dependencies(manifest: Manifest): readonly string[] {
  // Parse boundary: npm's own file.
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
  const found = new Set<string>();
  const open = Object.keys(manifest.dependencies);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    open.push(...Object.keys(lock.packages[`node_modules/${name}`]?.dependencies ?? {}));
  }
  return [...found].toSorted();
}

/** The folder of the npm package that brings Node; fetched when it is not this machine's own. */
function nodePackage(arch: string, manifest: Manifest, work: string): string {
  const name = `node-linux-${arch}`;
  const version = manifest.optionalDependencies[name];
  if (version === undefined) throw new Error(`there is no Node for linux ${arch}`);
  const installed = join(root, 'node_modules', name);
  if (existsSync(join(installed, 'bin/node'))) return installed;
  const folder = join(work, name);
  mkdirSync(folder);
  const npm = process.env['npm_execpath'];
  const [command, first] = npm === undefined ? ['npm', []] : [process.execPath, [npm]];
  run(command, [...first, 'pack', '--silent', `${name}@${version}`], folder);
  run('tar', ['-xzf', `${name}-${version}.tgz`], folder);
  return join(folder, 'package');
}

function archive(folder: string, name: string, path: string): void {
  const tar = path.replace(/\.gz$/, '');
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  run('tar', [...same, '--mode=u=rwX,go=rX', '-cf', tar, name], folder);
  run('gzip', ['-n', '-f', tar], folder);
}

function run(command: string, args: readonly string[], cwd = root): void {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}
