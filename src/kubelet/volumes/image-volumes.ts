/**
 * Volumes that are images: the runtime mounts what is in the image, for reading. Pure.
 *
 * `start-container.ts` pulls them as it pulls the container's own image, and gives the runtime
 * their names; a runtime that does not know such mounts would silently mount nothing, so it is
 * asked for its version first.
 */
import type { Container, Pod } from '#resources/types/core-v1.ts';

export interface ImageVolume {
  readonly name: string;
  readonly image: string;
  readonly policy: string;
}

/** Those that a container mounts. */
export function imageVolumesOf(pod: Pod, { volumeMounts }: Container): readonly ImageVolume[] {
  const used = new Set((volumeMounts ?? []).map(({ name }) => name));
  return (pod.spec?.volumes ?? []).flatMap(({ name, image }): ImageVolume[] => {
    if (image === undefined || !used.has(name)) return [];
    const { reference = '', pullPolicy = 'IfNotPresent' } = image;
    return [{ name, image: reference, policy: pullPolicy }];
  });
}

/** Undefined: the runtime knows them. */
export function imageVolumeProblem(runtime: {
  readonly runtimeName: string;
  readonly runtimeVersion: string;
}): string | undefined {
  const { runtimeName, runtimeVersion } = runtime;
  const numbers = /^v?(\d+)\.(\d+)/.exec(runtimeVersion) ?? [];
  const [major, minor] = [Number(numbers[1] ?? 0), Number(numbers[2] ?? 0)];
  const needed: Readonly<Record<string, readonly [number, number]>> = {
    containerd: [2, 1],
    'cri-o': [1, 31],
  };
  const least = needed[runtimeName];
  if (least === undefined) return undefined;
  if (major > least[0] || (major === least[0] && minor >= least[1])) return undefined;
  const version = runtimeVersion.replace(/~.*/, '');
  return `container runtime ${runtimeName} ${version} does not support image volumes`;
}
