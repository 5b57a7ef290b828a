/**
 * Which claims a pod uses: those that it names, and those made for its ephemeral volumes. Pure.
 *
 * Shared by the controllers of volumes; as an index of the pods it finds the users of a claim.
 */
import type { Pod, Volume } from '#resources/types/core-v1.ts';

export const podsByClaim = 'claims';

/** The claim of one volume, by name; undefined where it has none. */
export function claimNameOf(pod: Pod, volume: Volume): string | undefined {
  if (volume.ephemeral !== undefined) return `${pod.metadata.name}-${volume.name}`;
  return volume.persistentVolumeClaim?.claimName;
}

/** By namespace and name. */
export function claimKeysOf(pod: Pod): readonly string[] {
  const keys: string[] = [];
  for (const volume of pod.spec?.volumes ?? []) {
    const name = claimNameOf(pod, volume);
    if (name !== undefined) keys.push(`${pod.metadata.namespace}/${name}`);
  }
  return keys;
}
