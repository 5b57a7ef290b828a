/**
 * Kubeconfig files: the cluster's own (`<data-dir>/admin.kubeconfig`) and the user's, into which
 * `up` merges a context named `coracle` and from which `down` takes it out again.
 *
 * The user's file keeps everything else, comments included; it is written under a lock file, as
 * kubectl does, and becomes current only where no other context was.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Access, clusterEntry, userEntry } from '#client';
import type { EditableYaml } from '#kit/yaml.ts';

export { type Access, kubeconfigText } from '#client';

interface NamedEntry {
  readonly name: string;
  readonly [field: string]: unknown;
}

/** The file that new entries go to: the first existing one of `$KUBECONFIG`, else the first. */
export function userKubeconfigPath(kubeconfig: string | undefined, home: string): string {
  const files = (kubeconfig ?? '').split(':').filter((path) => path !== '');
  return files.find((path) => existsSync(path)) ?? files[0] ?? join(home, '.kube/config');
}

/** Adds or replaces the context. Returns whether it is the current one now. */
export async function mergeContext(path: string, name: string, access: Access): Promise<boolean> {
  return editKubeconfig(path, (config) => {
    replaceEntry(config, 'clusters', clusterEntry(name, access));
    replaceEntry(config, 'users', userEntry(name, access));
    replaceEntry(config, 'contexts', { name, context: { cluster: name, user: name } });
    const current = config.get('current-context');
    if (current === undefined || current === null || current === '') {
      config.set('current-context', name);
    }
    return config.get('current-context') === name;
  });
}

/** Takes the context out again; leaves a file that does not have it alone. */
export async function removeContext(path: string, name: string): Promise<void> {
  if (!existsSync(path)) return;
  await editKubeconfig(path, (config) => {
    for (const list of ['clusters', 'users', 'contexts']) removeEntry(config, list, name);
    if (config.get('current-context') === name) config.set('current-context', '');
    return false;
  });
}

async function editKubeconfig(
  path: string,
  edit: (config: EditableYaml) => boolean,
): Promise<boolean> {
  const { openYaml } = await import('#kit/yaml.ts');
  mkdirSync(dirname(path), { recursive: true });
  const lock = `${path}.lock`;
  const handle = openSync(lock, 'wx', 0o600);
  try {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : 'apiVersion: v1\nkind: Config\n';
    const document = openYaml(text);
    const result = edit(document);
    const temporary = `${path}.new`;
    writeFileSync(temporary, String(document), { mode: 0o600 });
    renameSync(temporary, path);
    return result;
  } finally {
    closeSync(handle);
    rmSync(lock, { force: true });
  }
}

function entries(config: EditableYaml, list: string): readonly NamedEntry[] {
  // A kubeconfig is the user's own file: anything but a list of named entries counts as empty.
  const value = (config.toJS() as Record<string, unknown>)[list];
  return Array.isArray(value) ? (value as readonly NamedEntry[]) : [];
}

function replaceEntry(config: EditableYaml, list: string, entry: NamedEntry): void {
  const others = entries(config, list).filter(({ name }) => name !== entry.name);
  config.set(list, [...others, entry]);
}

function removeEntry(config: EditableYaml, list: string, name: string): void {
  config.set(
    list,
    entries(config, list).filter((entry) => entry.name !== name),
  );
}
