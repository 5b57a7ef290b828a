/**
 * Puts together what keeps the disk and the memory of the node from running out: the removal of
 * unused images, which runs by itself, and the evictor, which asks it for help. Called once, by
 * `kubelet.ts`.
 */
import { quantityValue } from '#api/quantity.ts';
import type { Received } from '#cri';
import { ImageGC } from '../images/image-gc.ts';
import { type NodeCgroups, unreserved } from '../node/enforce-allocatable.ts';
import type { KubeletParts } from '../parts.ts';
import type { PodWorker } from '../pods/pod-worker.ts';
import { Evictor } from './eviction.ts';

const noFilesystems: Received<'ImageFsInfoResponse'> = {
  imageFilesystems: [],
  containerFilesystems: [],
};

export async function openEvictor(
  parts: KubeletParts,
  {
    workers,
    cgroups,
    removeDead,
    spawn,
    signal,
  }: {
    readonly removeDead: (signal: AbortSignal) => Promise<void>;
    readonly cgroups: NodeCgroups;
    readonly workers: () => readonly PodWorker[];
    readonly spawn: (task: (signal: AbortSignal) => Promise<void>) => void;
    readonly signal: AbortSignal;
  },
): Promise<Evictor> {
  const { runtime, machine, paths, settings, recorder, clock, log, node } = parts;
  const { imageFilesystems } = await runtime.imageFsInfo({ signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    log.warn('the disk of images is not known, that of pods counts', { error });
    return noFilesystems;
  });
  const imagesPath = imageFilesystems[0]?.fsId?.mountpoint ?? paths.root;
  const images = new ImageGC(
    {
      runtime,
      clock,
      log,
      disk: () => machine.diskSpace(imagesPath),
      onLook: (present, atMs) => parts.records.keepOnly(present, atMs),
      warn: (reason, message) =>
        recorder.record(node.object(), { type: 'Warning', reason, message }),
    },
    settings,
  );
  spawn((ending) => images.run(ending));
  const bytes = quantityValue(unreserved('memory', node.capacity, settings));
  const podMemory = () => {
    const { workingSetBytes } = cgroups;
    return workingSetBytes === undefined ? undefined : { bytes, workingSetBytes };
  };
  return new Evictor(
    { ...parts, images, removeDead },
    { settings, imagesPath: () => imagesPath, node: () => node.object(), workers, podMemory },
  );
}
