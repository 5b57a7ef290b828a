/**
 * A root file system from Debian packages, without root, chroot or maintainer scripts: the closure
 * of their dependencies is computed from one `apt-cache depends`, all archives come with one
 * `apt-get download`, and `dpkg -x` unpacks them.
 *
 * Of alternatives (`a | b`) the first is taken, of a virtual package the first provider. What only
 * helps to install (debconf, dpkg) and what nobody reads in a container (manuals, translations) is
 * left out. Called by `recipes.ts` and `images.ts`.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '#kit/log.ts';
import { mustRun, runCommand } from '#kit/run-command.ts';
import { Scope } from '#kit/scope.ts';

export interface RootfsOptions {
  readonly packages: readonly string[];
  /** Packages that are left out although something depends on them. */
  readonly omit?: readonly string[] | undefined;
  /** Where to unpack; made when missing. */
  readonly folder: string;
  /** Keeps downloaded archives for the next build. */
  readonly cacheFolder: string;
}

/** Package → for each dependency the names that would satisfy it, best first. */
export type DependencyGraph = ReadonlyMap<string, readonly (readonly string[])[]>;

const timeoutMs = 120_000;
/** Of apt-get, towards mirrors that are slow or fail once. */
const patient = ['-o', 'Acquire::Retries=3', '-o', 'Acquire::http::Timeout=30'];
const parallelUnpacksMax = 4;

const neverNeeded = [
  'adduser',
  'cdebconf',
  'debconf',
  'dpkg',
  'init-system-helpers',
  'install-info',
  'lsb-base',
  'passwd',
  'sysvinit-utils',
];

const unreadFolders = [
  'usr/share/bug',
  'usr/share/doc',
  'usr/share/i18n',
  'usr/share/info',
  'usr/share/lintian',
  'usr/share/locale',
  'usr/share/man',
  'etc/init.d',
  'lib/systemd',
];

/** Unpacks and answers the names of the packages, sorted. */
export async function debianRootfs(
  deps: { readonly log: Logger },
  options: RootfsOptions & { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { folder, cacheFolder, signal } = options;
  const omit = [...neverNeeded, ...(options.omit ?? [])];
  const graph = parseDepends(await readDepends(deps, options.packages, { signal }));
  const closure = packageClosure(graph, { roots: options.packages, omit });
  await mkdir(folder, { recursive: true });
  const archives = await download(deps, closure, { cacheFolder, signal });
  // Separate archives do not touch each other's files, so a few may unpack at a time.
  const queue = [...archives];
  await using scope = new Scope(signal);
  for (let i = 0; i < parallelUnpacksMax; i++) {
    scope.spawn(async (inner) => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        await mustRun('dpkg', ['-x', next, folder], { signal: inner, timeoutMs });
      }
    });
  }
  await scope.join();
  await dropUnread(folder);
  return closure;
}

/** Removes from an unpacked root file system what nobody reads in a container. */
export async function dropUnread(folder: string): Promise<void> {
  for (const unread of await foldersToDrop(folder)) {
    await rm(path.join(folder, unread), { recursive: true, force: true });
  }
}

/** Reads the text of `apt-cache depends --recurse`. */
export function parseDepends(text: string): DependencyGraph {
  const graph = new Map<string, (readonly string[])[]>();
  let current: (readonly string[])[] = [];
  let alternatives: string[] = [];
  let open = false;
  for (const line of text.split('\n')) {
    const name = line.match(/^(<?[a-z0-9][^\s]*?>?)(?::any)?$/)?.[1];
    const dependency = line.match(/^ ( |\|)(?:Pre)?Depends: (\S+)$/);
    const provider = line.match(/^ {4}(\S+)$/)?.[1];
    if (name !== undefined) {
      current = [];
      open = false;
      graph.set(name, current);
    } else if (dependency !== null) {
      if (!open) {
        alternatives = [];
        current.push(alternatives);
      }
      // "|Depends" says that the next line is another way to satisfy the same dependency.
      open = dependency[1] === '|';
      if (dependency[2] !== undefined && !isVirtual(dependency[2])) {
        alternatives.push(plainName(dependency[2]));
      }
    } else if (provider !== undefined) alternatives.push(plainName(provider));
  }
  return graph;
}

/** Everything that the roots need, following the first alternative each time. */
export function packageClosure(
  graph: DependencyGraph,
  options: { readonly roots: readonly string[]; readonly omit: readonly string[] },
): readonly string[] {
  const wanted = new Set<string>();
  const visit = (name: string): void => {
    if (wanted.has(name) || options.omit.includes(name) || /^gcc-\d+-base$/.test(name)) return;
    wanted.add(name);
    for (const alternatives of graph.get(name) ?? []) {
      if (alternatives.some((candidate) => wanted.has(candidate))) continue;
      const first = alternatives[0];
      if (first !== undefined) visit(first);
    }
  };
  for (const root of options.roots) visit(root);
  return [...wanted].sort();
}

function isVirtual(name: string): boolean {
  return name.startsWith('<');
}

function plainName(name: string): string {
  return name.replace(/:any$/, '');
}

async function readDepends(
  deps: { readonly log: Logger },
  packages: readonly string[],
  { signal }: { readonly signal: AbortSignal },
): Promise<string> {
  const unwanted = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'];
  const flags = ['--recurse', ...unwanted.map((relation) => `--no-${relation}`)];
  const ask = () =>
    runCommand('apt-cache', ['depends', ...flags, ...packages], { signal, timeoutMs });
  const first = await ask();
  if (first.code === 0) return first.stdout;
  deps.log.info('package lists are missing: reading them', { packages });
  await mustRun('apt-get', [...patient, 'update', '-qq'], { signal, timeoutMs });
  const second = await ask();
  if (second.code === 0) return second.stdout;
  throw new Error(`these packages are unknown: ${packages.join(', ')}: ${second.stderr.trim()}`);
}

/** Paths of the archives, one per package. */
async function download(
  deps: { readonly log: Logger },
  packages: readonly string[],
  options: { readonly cacheFolder: string; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { cacheFolder, signal } = options;
  await mkdir(cacheFolder, { recursive: true });
  const missing = absent(packages, await readdir(cacheFolder));
  if (missing.length > 0) {
    deps.log.info('downloading packages', { packages: missing });
    // Into a folder beside the cache first, so that a killed download leaves no half archive there.
    const partial = path.join(cacheFolder, `partial-${process.pid}`);
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial);
    const get = () =>
      runCommand('apt-get', [...patient, 'download', '-qq', ...missing], {
        ...{ cwd: partial, signal, timeoutMs },
      });
    const first = await get();
    if (first.code !== 0) {
      // Old lists name archives that the mirror no longer has.
      await mustRun('apt-get', [...patient, 'update', '-qq'], { signal, timeoutMs });
      const second = await get();
      if (second.code !== 0) throw new Error(`cannot download packages: ${second.stderr.trim()}`);
    }
    for (const name of await readdir(partial)) {
      await rename(path.join(partial, name), path.join(cacheFolder, name));
    }
    await rm(partial, { recursive: true, force: true });
  }
  const present = await readdir(cacheFolder);
  const still = absent(packages, present);
  if (still.length > 0) throw new Error(`no archive for ${still.join(', ')}`);
  return packages.map((name) => {
    const newest = present
      .filter((file) => file.startsWith(`${name}_`))
      .sort()
      .at(-1);
    return path.join(cacheFolder, newest ?? name);
  });
}

function absent(packages: readonly string[], files: readonly string[]): readonly string[] {
  return packages.filter((name) => !files.some((file) => file.startsWith(`${name}_`)));
}

async function foldersToDrop(folder: string): Promise<readonly string[]> {
  const withTypes = { withFileTypes: true } as const;
  const libraries = await readdir(path.join(folder, 'usr/lib'), withTypes).catch(() => []);
  // Files lie beside the folders of the architectures: base-files brings usr/lib/os-release.
  const folders = libraries.filter((entry) => entry.isDirectory());
  return [...unreadFolders, ...folders.map(({ name }) => `usr/lib/${name}/gconv`)];
}
