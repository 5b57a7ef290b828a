/**
 * Volumes that are read-only with all that is mounted below them (`recursiveReadOnly`), and what a
 * container's status says of its mounts.
 *
 * Plainly read-only is only the mount itself: what somebody has mounted below it can be written.
 * Not every runtime can do more, and whether one can it says itself (`runtimeHandlers`). Pure;
 * `mounts.ts` and `pods/status.ts` use it. Behaviour: kubernetes.io, "Recursive read-only mounts".
 */
import type { Container, VolumeMount, VolumeMountStatus } from '#resources/types/core-v1.ts';
import { ConfigError } from '../containers/env.ts';

/** Whether the runtime has to be asked what it can do. */
export function asksRecursiveReadOnly({ volumeMounts = [] }: Container): boolean {
  return volumeMounts.some(
    ({ recursiveReadOnly: mode }) => mode !== undefined && mode !== 'Disabled',
  );
}

/** Throws, with upstream's words, where a mount wants what it cannot have. */
export function isRecursiveReadOnly(mount: VolumeMount, isSupported: boolean): boolean {
  const { name, readOnly, recursiveReadOnly: mode, mountPropagation } = mount;
  if (mode === undefined || mode === 'Disabled') return false;
  const begin = `volume ${JSON.stringify(name)} requested recursive read-only mode, but it is not`;
  if (readOnly !== true) throw new ConfigError(`${begin} read-only`);
  if (mountPropagation !== undefined && mountPropagation !== 'None') {
    const propagation = JSON.stringify(mountPropagation);
    throw new ConfigError(`${begin} compatible with propagation ${propagation}`);
  }
  if (mode === 'IfPossible') return isSupported;
  if (mode !== 'Enabled') {
    throw new ConfigError(`unknown recursive read-only mode ${JSON.stringify(mode)}`);
  }
  if (!isSupported) throw new ConfigError(`${begin} supported by the runtime`);
  return true;
}

/** `recursive`: paths in the container that the runtime has mounted so. */
export function mountStatuses(
  { volumeMounts = [] }: Container,
  recursive: readonly string[],
): readonly VolumeMountStatus[] {
  return volumeMounts.map(({ name, mountPath, readOnly }) => ({
    ...{ name, mountPath },
    ...(readOnly === true
      ? { readOnly, recursiveReadOnly: recursive.includes(mountPath) ? 'Enabled' : 'Disabled' }
      : {}),
  }));
}
