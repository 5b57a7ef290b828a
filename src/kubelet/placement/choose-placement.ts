/**
 * How this kubelet gives processors, memory and devices to new pods: as the settings say
 * (`open-placement.ts`, loaded only then), or plainly: devices to whoever asks, all else to all.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { PlacementDeps } from './open-placement.ts';
import type { ContainerPlace, NodePlacement } from './placement.ts';
import { Placer } from './placer.ts';
import { stateFiles } from './state-file.ts';

/** Throws what an administrator has to mend. */
export async function openNodePlacement(deps: PlacementDeps): Promise<NodePlacement> {
  const { cpuManagerPolicy, memoryManagerPolicy, topologyManagerPolicy } = deps.settings;
  const isPlain = cpuManagerPolicy === 'none' && memoryManagerPolicy === 'None';
  // A policy that was taken back may still have given something.
  const isNew = Object.values(stateFiles).every((name) => !existsSync(join(deps.rootDir, name)));
  if (isPlain && topologyManagerPolicy === 'none' && isNew) return plainPlacement(deps);
  const { openPlacement } = await import('./open-placement.ts');
  return openPlacement(deps);
}

const everywhere: ContainerPlace = { isExclusive: false };

export function plainPlacement({
  clock,
  devices,
  turn,
}: Pick<PlacementDeps, 'clock' | 'devices' | 'turn'>): NodePlacement {
  const placer = new Placer({ clock, providers: [devices], turn }, undefined);
  return {
    admit: (pod, options) => placer.admit(pod, options),
    placeOf: () => everywhere,
    made: () => {},
    ended: () => {},
    hasOwnCpus: () => false,
    resizeProblem: () => undefined,
    cpusOf: () => [],
    memoryOf: () => [],
    allocatable: () => ({ cpus: [], memory: [] }),
    metrics: () => [],
  };
}
