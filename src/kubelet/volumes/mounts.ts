/**
 * What a container sees of the pod's volumes: CRI mounts, with sub-paths resolved.
 *
 * A sub-path is made when it is missing, and refused when it leads out of its volume, also by way
 * of symbolic links that a container has put there.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  mkdirSync,
  openSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, sep } from 'node:path';
import type { Sent } from '#cri';
import type { Container, Pod, VolumeMount } from '#resources/types/core-v1.ts';
import { ConfigError, expandVariables, variablesIn } from '../containers/env.ts';
import { isRecursiveReadOnly } from './recursive-read-only.ts';

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
}

const propagations: Readonly<Record<string, Sent<'Mount'>['propagation']>> = {
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
};

export function mountsOf(container: Container, options: MountOptions): readonly Sent<'Mount'>[] {
  const mounts = (container.volumeMounts ?? []).map((mount): Sent<'Mount'> => {
    const containerPath = absolute(mount.mountPath);
    const image = options.images?.get(mount.name);
    if (image !== undefined) {
      const imageSubPath = subPathOf(mount, options.environment);
      return { containerPath, readonly: true, image: { image }, imageSubPath };
    }
    return {
      containerPath,
      hostPath: hostPathOf(mount, container, options),
      readonly: mount.readOnly === true || options.readOnlyVolumes?.has(mount.name) === true,
      propagation: propagations[mount.mountPropagation ?? ''],
      recursiveReadOnly: isRecursiveReadOnly(mount, options.canRecursiveReadOnly === true),
    };
  });
  const own = new Set(mounts.map(({ containerPath }) => containerPath));
  const extra: Sent<'Mount'>[] = [];
  if (!own.has('/etc/hosts')) {
    extra.push({ containerPath: '/etc/hosts', hostPath: options.hostsFile });
  }
  const messagePath = container.terminationMessagePath ?? '/dev/termination-log';
  if (messagePath !== '') {
    mkdirSync(dirname(options.terminationFile), { recursive: true });
    writeFileSync(options.terminationFile, '', { mode: 0o666 });
    extra.push({ containerPath: messagePath, hostPath: options.terminationFile });
  }
  return [...mounts, ...extra];
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

function hostPathOf(mount: VolumeMount, { name }: Container, options: MountOptions): string {
  const volume = options.volumes.get(mount.name);
  if (volume === undefined) throw new ConfigError(`cannot find volume "${mount.name}" to mount`);
  const subPath = subPathOf(mount, options.environment);
  if (subPath === '') return volume;
  const of = `volumeMount "${mount.name}" of container "${name}"`;
  // What exactly is wrong would tell who wrote the pod about the node.
  try {
    makeSubPath(volume, subPath);
  } catch (cause) {
    throw new ConfigError(`failed to create subPath directory for ${of}`, { cause });
  }
  try {
    return resolveSubPath(volume, subPath);
  } catch (cause) {
    throw new ConfigError(`failed to prepare subPath for ${of}`, { cause });
  }
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

/** Makes what is missing of it, nowhere but in the volume. */
export function makeSubPath(volume: string, subPath: string): void {
  const wanted = join(volume, subPath);
  if (statSync(wanted, { throwIfNoEntry: false }) !== undefined) return;
  if (!isInside(volume, existingParent(wanted))) throw escapes(subPath);
  makeAlike(volume, wanted);
}

/** Where it is, links followed. */
export function resolveSubPath(volume: string, subPath: string): string {
  const real = realpathSync(join(volume, subPath));
  if (!isInside(volume, real)) throw escapes(subPath);
  return real;
}

/** Who may use the volume may use what is made in it. */
function makeAlike(volume: string, folder: string): void {
  const mode = statSync(volume).mode & 0o7777;
  mkdirSync(folder, { recursive: true, mode });
  // By its descriptor, since a container may put something else in its place meanwhile.
  const descriptor = openSync(folder, constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fchmodSync(descriptor, mode);
  } finally {
    closeSync(descriptor);
  }
}

function existingParent(path: string): string {
  const parent = dirname(path);
  if (statSync(parent, { throwIfNoEntry: false }) === undefined) return existingParent(parent);
  return realpathSync(parent);
}

function isInside(volume: string, path: string): boolean {
  const root = realpathSync(volume);
  return path === root || path.startsWith(root + sep);
}

function escapes(subPath: string): Error {
  return new Error(`subPath "${subPath}" leads out of its volume`);
}
