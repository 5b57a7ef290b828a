/**
 * Reads the manifests of static pods: a folder of files (or one file), and an address. What cannot
 * be read or is no valid pod is said in the log and left out; a source that cannot be reached at
 * all leaves its pods as they are.
 *
 * Files whose names begin with a dot are ignored. Called by `static-pods.ts`, again and again.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { apiReference, type Source, staticPodOf } from './static-pod.ts';

export interface ManifestSources {
  /** Folder of manifests, or a single one. */
  readonly path?: string | undefined;
  readonly url?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface ReadOptions {
  readonly nodeName: string;
  readonly nowMs: number;
}

const limits = { manifestBytesMax: 10 * 1024 * 1024, requestMs: 10_000 } as const;

interface Manifest {
  readonly origin: string;
  readonly text: string;
}

/** Undefined where the source could not be read. */
export async function readFiles(
  log: Logger,
  path: string,
  options: ReadOptions,
): Promise<readonly Pod[] | undefined> {
  if (!existsSync(path)) return [];
  try {
    const names = statSync(path).isDirectory()
      ? readdirSync(path).filter((name) => !name.startsWith('.'))
      : [''];
    const files = names
      .toSorted()
      .map((name) => join(path, name))
      .filter((file) => statSync(file).isFile() && statSync(file).size < limits.manifestBytesMax);
    const manifests = files.map((file) => ({ origin: file, text: readFileSync(file, 'utf8') }));
    return await parseAll(log, 'file', manifests, options);
  } catch (error) {
    log.warn('cannot read the manifests of static pods', { path, error });
    return undefined;
  }
}

export async function readAddress(
  { log, clock }: { readonly log: Logger; readonly clock: Clock },
  { url = '', headers = {} }: ManifestSources,
  { signal, ...options }: ReadOptions & { readonly signal: AbortSignal },
): Promise<readonly Pod[] | undefined> {
  const late = new AbortController();
  const cancel = clock.after(limits.requestMs, () => late.abort(new Error('no answer in time')));
  try {
    const answer = await fetch(url, { headers, signal: AbortSignal.any([signal, late.signal]) });
    if (!answer.ok) throw new Error(`answered with ${answer.status}`);
    return await parseAll(log, 'http', [{ origin: url, text: await answer.text() }], options);
  } catch (error) {
    if (signal.aborted) throw error;
    log.warn('cannot read the manifests of static pods', { url, error });
    return undefined;
  } finally {
    cancel();
  }
}

async function parseAll(
  log: Logger,
  source: Source,
  manifests: readonly Manifest[],
  options: ReadOptions,
): Promise<readonly Pod[]> {
  const pods: Pod[] = [];
  for (const { origin, text } of manifests) {
    try {
      const values = await parseManifest(text);
      for (const value of values) pods.push(await podOf(value, { ...options, source, origin }));
    } catch (error) {
      log.warn('a manifest of a static pod is left out', { origin, error });
    }
  }
  return pods;
}

/** Only a node with manifests pays for reading YAML, and for the rules of pods. */
async function parseManifest(text: string): Promise<readonly unknown[]> {
  const { parseYaml } = await import('#kit/yaml.ts');
  const value = parseYaml(text);
  if (value === null || value === undefined) return [];
  // A list is what an address may answer with.
  const { kind, items } = value as { readonly kind?: unknown; readonly items?: unknown };
  return kind === 'PodList' && Array.isArray(items) ? items : [value];
}

async function podOf(
  value: unknown,
  options: ReadOptions & { readonly source: Source; readonly origin: string },
): Promise<Pod> {
  const { podResource } = await import('#resources/core/pod/pod.ts');
  const { setPodDefaults } = await import('#resources/core/pod/defaults.ts');
  // Validation below is what makes it a pod.
  const manifest = value as Pod;
  if (manifest?.kind !== 'Pod' || manifest.apiVersion !== 'v1') throw new Error('it is no v1 Pod');
  if (typeof manifest.metadata?.name !== 'string') throw new Error('the pod has no name');
  const pod = setPodDefaults(staticPodOf(manifest, options));
  const [problem] = podResource().validate(pod);
  if (problem !== undefined) throw new Error(`${problem.field}: ${problem.detail}`);
  const reference = apiReference(manifest);
  if (reference !== undefined) throw new Error(`static pods may not reference ${reference}`);
  return pod;
}
