/**
 * What a container sees of the pod's volumes: CRI mounts.
 *
 * A sub-path is made when it is missing, and refused when it leads out of its volume, also by way
 * of symbolic links that a container has put there (`sub-paths.ts`).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Sent } from '#cri';
import type { Container, Pod, VolumeMount } from '#resources/types/core-v1.ts';
import { ConfigError, expandVariables, variablesIn } from '../containers/env.ts';
import { inOrder } from './payload.ts';
import { isRecursiveReadOnly } from './recursive-read-only.ts';
import { type Binder, bindSubPath, makeSubPath } from './sub-paths.ts';

export interface MountOptions {
  /** Where each volume is on the node. */
  readonly volumes: ReadonlyMap<string, string>;
  readonly environment: ReadonlyMap<string, string>;
  readonly hostsFile: string;
  readonly terminationFile: string;
  /** Volumes that are images, by what the runtime calls them. */
  readonly images?: ReadonlyMap<string, string> | undefined;
  /** The runtime can keep what is mounted below a volume from being written too. */
  readonly canRecursiveReadOnly?: boolean | undefined;
  /** Volumes that nobody may write to, whatever a mount says. */
  readonly readOnlyVolumes?: ReadonlySet<string> | undefined;
  /**
   * Volumes of which the files are to have the pod's label (SELinux): what is the host's keeps its
   * own. Undefined: the machine has no labels.
   */
  readonly labelled?: ReadonlySet<string> | undefined;
  readonly binder: Binder;
  /** Of the pod: where its sub-paths are bound. */
  readonly subPaths: string;
  readonly signal: AbortSignal;
}

const propagations: Readonly<Record<string, Sent<'Mount'>['propagation']>> = {
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
};

export async function mountsOf(
  container: Container,
  options: MountOptions,
): Promise<readonly Sent<'Mount'>[]> {
  const asked = [...(container.volumeMounts ?? []).entries()];
  const mounts = await inOrder(asked, ([index, mount]) =>
    mountOf(mount, index, container, options),
  );
  const own = new Set(mounts.map(({ containerPath }) => containerPath));
  const extra: Sent<'Mount'>[] = [];
  const selinuxRelabel = options.labelled !== undefined;
  if (!own.has('/etc/hosts')) {
    extra.push({ containerPath: '/etc/hosts', hostPath: options.hostsFile, selinuxRelabel });
  }
  const messagePath = container.terminationMessagePath ?? '/dev/termination-log';
  if (messagePath !== '') {
    mkdirSync(dirname(options.terminationFile), { recursive: true });
    writeFileSync(options.terminationFile, '', { mode: 0o666 });
    const hostPath = options.terminationFile;
    extra.push({ containerPath: messagePath, hostPath, selinuxRelabel });
  }
  return [...mounts, ...extra];
}

async function mountOf(
  mount: VolumeMount,
  index: number,
  container: Container,
  options: MountOptions,
): Promise<Sent<'Mount'>> {
  const containerPath = absolute(mount.mountPath);
  const image = options.images?.get(mount.name);
  if (image !== undefined) {
    const imageSubPath = subPathOf(mount, options.environment);
    return { containerPath, readonly: true, image: { image }, imageSubPath };
  }
  return {
    containerPath,
    hostPath: await hostPathOf(mount, index, container, options),
    readonly: mount.readOnly === true || options.readOnlyVolumes?.has(mount.name) === true,
    propagation: propagations[mount.mountPropagation ?? ''],
    recursiveReadOnly: isRecursiveReadOnly(mount, options.canRecursiveReadOnly === true),
    selinuxRelabel: options.labelled?.has(mount.name) === true,
  };
}

function absolute(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

/** Volumes that are no folder but a device: the container gets the device itself. */
export function blockDevicesOf(
  pod: Pod,
  { volumeDevices }: Container,
  volumes: ReadonlyMap<string, string>,
): readonly Sent<'Device'>[] {
  return (volumeDevices ?? []).map(({ name, devicePath }) => {
    const hostPath = volumes.get(name);
    if (hostPath === undefined) throw new ConfigError(`cannot find volume "${name}" to map`);
    const volume = pod.spec?.volumes?.find((each) => each.name === name);
    const isReadOnly = volume?.persistentVolumeClaim?.readOnly === true;
    return { containerPath: devicePath, hostPath, permissions: isReadOnly ? 'r' : 'mrw' };
  });
}

async function hostPathOf(
  mount: VolumeMount,
  index: number,
  { name }: Container,
  { volumes, environment, binder, subPaths, signal }: MountOptions,
): Promise<string> {
  const volume = volumes.get(mount.name);
  if (volume === undefined) {
    throw new ConfigError(`cannot find volume "${mount.name}" to mount into container "${name}"`);
  }
  const subPath = subPathOf(mount, environment);
  if (subPath === '') return volume;
  const of = `volumeMount "${mount.name}" of container "${name}"`;
  // What exactly is wrong would tell who wrote the pod about the node.
  try {
    makeSubPath(volume, subPath);
  } catch (cause) {
    throw new ConfigError(`failed to create subPath directory for ${of}`, { cause });
  }
  const target = join(subPaths, mount.name, name, String(index));
  try {
    await bindSubPath(binder, { volume, subPath, target }, { signal });
  } catch (cause) {
    signal.throwIfAborted();
    throw new ConfigError(`failed to prepare subPath for ${of}`, { cause });
  }
  return target;
}

/** Of the mount, with its variables' values; empty without one. */
function subPathOf(
  { subPath = '', subPathExpr = '' }: VolumeMount,
  environment: ReadonlyMap<string, string>,
): string {
  const path = subPathExpr === '' ? subPath : expanded(subPathExpr, environment);
  if (path.startsWith('/')) {
    throw new ConfigError(`error SubPath \`${path}\` must not be an absolute path`);
  }
  if (path.split('/').includes('..')) {
    throw new ConfigError(`unable to provision SubPath \`${path}\`: must not contain '..'`);
  }
  return path;
}

/** A folder is not called by a variable that has no value. */
function expanded(expression: string, environment: ReadonlyMap<string, string>): string {
  const missing = variablesIn(expression).filter((name) => (environment.get(name) ?? '') === '');
  if (missing.length === 0) return expandVariables(expression, environment);
  throw new ConfigError(`missing value for ${[...new Set(missing)].sort().join(', ')}`);
}
