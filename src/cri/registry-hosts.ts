/**
 * What the runtime is told of registries: a `hosts.toml` for each that has mirrors or wants more
 * than the usual, in the folders that containerd reads at every pull (`<folder>/<registry>/`,
 * `_default` for all others), and logins for its own configuration, which it reads when it starts.
 *
 * `planHostFiles` is pure; `writeHostFiles` makes the folder so, and leaves files alone that
 * somebody else has put there. Format: containerd, docs/hosts.md.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

export interface RegistryAccess {
  readonly login:
    | {
        readonly username: string;
        readonly password: string;
        /** Both of them, as clients write them: base64 of `name:password`. */
        readonly auth: string;
        readonly identityToken: string;
      }
    | undefined;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly skipsVerification: boolean;
}

export interface Registries {
  /** Registry, or `*`, → where its images are asked for first, in this order. */
  readonly mirrors: ReadonlyMap<string, readonly string[]>;
  /** By host and port of an endpoint or of a registry itself. */
  readonly access: ReadonlyMap<string, RegistryAccess>;
}

const ownLine = '# Written by coracle at each start, from registries.yaml.';
const fileName = 'hosts.toml';

/** Text by folder. */
export function planHostFiles({ mirrors, access }: Registries): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const registry of new Set([...mirrors.keys(), ...access.keys()])) {
    const own = registry === '*' ? undefined : serverOf(registry, access.get(registry));
    const endpoints = mirrors.get(registry) ?? [];
    // A host that only serves as a mirror is named there.
    const isOnlyMirror = endpoints.length === 0 && !isSpecial(access.get(registry));
    if (isOnlyMirror) continue;
    const lines = [ownLine];
    // The registry itself is asked last.
    if (own !== undefined) {
      lines.push(`server = ${quote(own)}`, ...accessLines(access.get(registry)));
    }
    for (const endpoint of new Set(endpoints)) {
      lines.push('', ...hostLines(endpoint, access.get(new URL(endpoint).host)));
    }
    // A file without any host is none for containerd (seen with 1.6): not even its server counts.
    if (own !== undefined && endpoints.length === 0) {
      lines.push('', ...hostLines(own, access.get(registry)));
    }
    files.set(folderOf(registry), `${lines.join('\n')}\n`);
  }
  return files;
}

/** Whether it wants more than a login, which is not said here. */
function isSpecial(access: RegistryAccess | undefined): boolean {
  if (access === undefined) return false;
  const { caFile, certFile, skipsVerification } = access;
  return caFile !== undefined || certFile !== undefined || skipsVerification;
}

function serverOf(registry: string, access: RegistryAccess | undefined): string {
  if (registry === 'docker.io') return 'https://registry-1.docker.io';
  const isHere = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(registry);
  return `${isHere && !isSpecial(access) ? 'http' : 'https'}://${registry}`;
}

function hostLines(endpoint: string, access: RegistryAccess | undefined): readonly string[] {
  const { pathname } = new URL(endpoint);
  const hasPath = pathname !== '/' && pathname !== '';
  return [
    `[host.${quote(hasPath ? endpoint : endpoint.replace(/\/$/, ''))}]`,
    ...(hasPath ? ['override_path = true'] : []),
    ...accessLines(access),
  ];
}

function accessLines(access: RegistryAccess | undefined): readonly string[] {
  const lines = ['capabilities = ["pull", "resolve"]'];
  const { caFile, certFile, keyFile, skipsVerification = false } = access ?? {};
  if (caFile !== undefined) lines.push(`ca = ${quote(caFile)}`);
  if (certFile !== undefined) {
    const pair = [certFile, ...(keyFile === undefined ? [] : [keyFile])].map(quote).join(', ');
    lines.push(`client = [[${pair}]]`);
  }
  if (skipsVerification) lines.push('skip_verify = true');
  return lines;
}

function folderOf(registry: string): string {
  return registry === '*' ? '_default' : registry;
}

/** Lines for the runtime's configuration, below the table of its registries. */
export function loginLines(table: string, { access }: Registries): readonly string[] {
  return [...access].flatMap(([host, { login }]) => {
    if (login === undefined) return [];
    const fields = {
      username: login.username,
      password: login.password,
      auth: login.auth,
      identitytoken: login.identityToken,
    };
    const lines = Object.entries(fields).flatMap(([name, value]) =>
      value === '' ? [] : [`  ${name} = ${quote(value)}`],
    );
    return [`[${table}.configs.${quote(host)}.auth]`, ...lines];
  });
}

export function writeHostFiles(folder: string, files: ReadonlyMap<string, string>): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name, fileName);
    if (files.has(name) || !existsSync(path)) continue;
    if (readFileSync(path, 'utf8').startsWith(ownLine))
      rmSync(join(folder, name), { recursive: true });
  }
  for (const [name, content] of files) {
    const path = join(folder, name, fileName);
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(`${path}.new`, content);
    renameSync(`${path}.new`, path);
  }
}

/** A TOML basic string: what JSON escapes is escaped the same way there. */
export function quote(value: string): string {
  return JSON.stringify(value).replaceAll('\u007f', '\\u007f');
}
