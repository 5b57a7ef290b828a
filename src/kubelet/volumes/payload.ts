/**
 * The files of ConfigMap, Secret, downward API and projected volumes, computed from objects.
 *
 * Looking objects up and issuing tokens is the caller's (`sources`); everything else is pure. An
 * object or key that is missing and not optional is a `VolumeError`: the pod waits and tries again.
 */
import type {
  ConfigMap,
  DownwardAPIVolumeFile,
  KeyToPath,
  Pod,
  Secret,
  ServiceAccountTokenProjection,
  Volume,
  VolumeProjection,
} from '#resources/types/core-v1.ts';
import { type Addresses, podFieldValue, resourceFieldValue } from '../containers/downward-api.ts';
import { startOrder, usedVolumesOf } from '../pods/pod-facts.ts';
import type { PayloadFile } from './atomic-files.ts';

export interface PayloadSources {
  readonly configMap: (name: string) => Promise<ConfigMap | undefined>;
  readonly secret: (name: string) => Promise<Secret | undefined>;
  readonly token: (projection: ServiceAccountTokenProjection) => Promise<string>;
  readonly addresses: Addresses;
  readonly allocatable: Readonly<Record<string, string>>;
}

export class VolumeError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'VolumeError';
  }
}

type Files = Map<string, PayloadFile>;

const defaultModeOfFiles = 0o644;

/** Undefined when the volume is of another sort. */
export async function payloadOf(
  pod: Pod,
  volume: Volume,
  sources: PayloadSources,
): Promise<Files | undefined> {
  const files: Files = new Map();
  const { configMap, secret, downwardAPI, projected } = volume;
  if (configMap !== undefined) {
    const { defaultMode } = configMap;
    await addConfigMap(files, configMap, defaultMode ?? defaultModeOfFiles, sources);
  } else if (secret !== undefined) {
    const { defaultMode, secretName, ...rest } = secret;
    const reference = { ...rest, name: secretName };
    await addSecret(files, reference, defaultMode ?? defaultModeOfFiles, sources);
  } else if (downwardAPI !== undefined) {
    const { items = [], defaultMode } = downwardAPI;
    addDownward(files, pod, items, defaultMode ?? defaultModeOfFiles, sources);
  } else if (projected !== undefined) {
    const mode = projected.defaultMode ?? defaultModeOfFiles;
    const parts = await inOrder(projected.sources ?? [], async (source) => {
      const part: Files = new Map();
      await addProjection(part, pod, source, mode, sources);
      return part;
    });
    for (const part of parts) for (const [path, file] of part) files.set(path, file);
  } else {
    return undefined;
  }
  return files;
}

/**
 * Whether nothing but the issuing of tokens can hold up or refuse a pod's volumes, as where it has
 * only what every pod is given.
 */
export function needsOnlyTokens(
  pod: Pod,
  known: (configMap: string) => ConfigMap | undefined,
): boolean {
  const isThere = ({ name = '', items = [] }: Reference): boolean => {
    const { data, binaryData } = known(name) ?? {};
    const keys = new Set([...Object.keys(data ?? {}), ...Object.keys(binaryData ?? {})]);
    return known(name) !== undefined && items.every(({ key }) => keys.has(key));
  };
  return usedVolumesOf(pod).every(({ emptyDir, projected }) => {
    if (emptyDir !== undefined) return (emptyDir.medium ?? '') === '';
    return projected?.sources?.every(
      ({ serviceAccountToken, downwardAPI, configMap }) =>
        (serviceAccountToken ?? downwardAPI) !== undefined ||
        (configMap !== undefined && isThere(configMap)),
    );
  });
}

/** All at once; of several that fail the first one counts, whichever failed sooner. */
export async function inOrder<T, Result>(
  items: readonly T[],
  work: (item: T) => Promise<Result>,
): Promise<readonly Result[]> {
  const settled = await Promise.allSettled(items.map(work));
  return settled.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
}

async function addProjection(
  files: Files,
  pod: Pod,
  source: VolumeProjection,
  mode: number,
  sources: PayloadSources,
): Promise<void> {
  if (source.configMap !== undefined) {
    await addConfigMap(files, source.configMap, mode, sources);
  } else if (source.secret !== undefined) {
    await addSecret(files, source.secret, mode, sources);
  } else if (source.downwardAPI !== undefined) {
    addDownward(files, pod, source.downwardAPI.items ?? [], mode, sources);
  } else if (source.serviceAccountToken !== undefined) {
    const token = await sources.token(source.serviceAccountToken);
    const { path } = source.serviceAccountToken;
    put(files, path, Buffer.from(token), tokenMode(pod, mode));
    const uid = onlyUser(pod);
    for (const [name, file] of files) files.set(name, { ...file, uid });
  } else {
    throw new VolumeError('a projected source is of a sort that is not supported');
  }
}

/** Only for those who run in the pod, if it says who they are; its group may read it as well. */
function tokenMode(pod: Pod, mode: number): number {
  const isSaid = (pod.spec?.securityContext?.fsGroup ?? onlyUser(pod)) !== undefined;
  return isSaid ? 0o600 : mode;
}

/** The user that all containers run as, if they agree. */
function onlyUser(pod: Pod): number | undefined {
  const { runAsUser } = pod.spec?.securityContext ?? {};
  const users = new Set(
    startOrder(pod).map((each) => each.securityContext?.runAsUser ?? runAsUser),
  );
  return users.size === 1 ? [...users][0] : undefined;
}

interface Reference {
  readonly name?: string | undefined;
  readonly optional?: boolean | undefined;
  readonly items?: readonly KeyToPath[] | undefined;
}

async function addConfigMap(
  files: Files,
  reference: Reference,
  mode: number,
  sources: PayloadSources,
): Promise<void> {
  const { name = '', optional } = reference;
  const configMap = await sources.configMap(name);
  if (configMap === undefined && optional !== true) {
    throw new VolumeError(`configmap "${name}" not found`);
  }
  const data = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(configMap?.data ?? {}))
    data.set(key, Buffer.from(value));
  for (const [key, value] of Object.entries(configMap?.binaryData ?? {})) {
    data.set(key, Buffer.from(value, 'base64'));
  }
  addKeys(files, data, reference, mode, 'configmap');
}

async function addSecret(
  files: Files,
  reference: Reference,
  mode: number,
  sources: PayloadSources,
): Promise<void> {
  const { name = '', optional } = reference;
  const secret = await sources.secret(name);
  if (secret === undefined && optional !== true) {
    throw new VolumeError(`secret "${name}" not found`);
  }
  const data = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(secret?.data ?? {})) {
    data.set(key, Buffer.from(value, 'base64'));
  }
  addKeys(files, data, reference, mode, 'secret');
}

function addKeys(
  files: Files,
  data: ReadonlyMap<string, Uint8Array>,
  { items = [], optional }: Reference,
  defaultMode: number,
  sort: string,
): void {
  if (items.length === 0) {
    for (const [key, value] of data) put(files, key, value, defaultMode);
    return;
  }
  for (const { key, path, mode } of items) {
    const value = data.get(key);
    if (value !== undefined) put(files, path, value, mode ?? defaultMode);
    else if (optional !== true) {
      throw new VolumeError(
        sort === 'secret'
          ? `references non-existent secret key: ${key}`
          : `configmap references non-existent config key: ${key}`,
      );
    }
  }
}

function addDownward(
  files: Files,
  pod: Pod,
  items: readonly DownwardAPIVolumeFile[],
  defaultMode: number,
  { addresses, allocatable }: PayloadSources,
): void {
  for (const { path, mode, fieldRef, resourceFieldRef } of items) {
    const text =
      fieldRef !== undefined
        ? podFieldValue(pod, fieldRef.fieldPath, addresses)
        : resourceFieldRef === undefined
          ? ''
          : resourceFieldValue(pod, undefined, resourceFieldRef, allocatable);
    put(files, path, Buffer.from(text), mode ?? defaultMode);
  }
}

/** The API server has refused such paths already; the node does not rely on it. */
function put(files: Files, path: string, data: Uint8Array, mode: number): void {
  const parts = path.split('/');
  if (path.startsWith('/') || parts.some((part) => part === '..' || part === '')) {
    throw new VolumeError(`invalid path: ${path}`);
  }
  files.set(path, { data, mode });
}
