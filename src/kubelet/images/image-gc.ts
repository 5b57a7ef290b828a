/**
 * Images that no container uses go when the disk they are on is filling up, or when they have not
 * been used for a long time; the longest unused first.
 *
 * `planImageGC` decides (pure), `ImageGC` remembers when each image was used last, looks every five
 * minutes and removes. The eviction of pods asks it first (`freeUnused`). Events and numbers:
 * kubernetes.io, Garbage Collection of images.
 */
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { KubeletSettings } from '../settings.ts';

export interface ImageUse {
  readonly id: string;
  readonly sizeBytes: number;
  /** The runtime needs it, or it came from no registry and so could not come again. */
  readonly isKept: boolean;
  readonly isUsed: boolean;
  readonly firstSeenMs: number;
  readonly lastUsedMs: number;
}

export const limits = { imagesCheckMs: 300_000 } as const;

/** The images to remove, in order; at least `neededBytes` of them if there are so many. */
export function planImageGC(
  images: readonly ImageUse[],
  { neededBytes, minimumAgeMs }: { readonly neededBytes: number; readonly minimumAgeMs: number },
  nowMs: number,
): readonly ImageUse[] {
  const unused = images
    .filter(({ isUsed, isKept, firstSeenMs }) => {
      return !isUsed && !isKept && nowMs - firstSeenMs >= minimumAgeMs;
    })
    .toSorted((a, b) => a.lastUsedMs - b.lastUsedMs || a.firstSeenMs - b.firstSeenMs);
  const chosen: ImageUse[] = [];
  let freed = 0;
  for (const image of unused) {
    if (freed >= neededBytes) break;
    chosen.push(image);
    freed += image.sizeBytes;
  }
  return chosen;
}

export interface ImageGCDeps {
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of the file system that images are on. */
  readonly disk: () => { readonly bytes: number; readonly freeBytes: number };
  /** Called with the ids of all images, as they were at that time. */
  readonly onLook?: (present: ReadonlySet<string>, atMs: number) => void;
  /** Says something about the node. */
  readonly warn: (reason: string, message: string) => void;
}

type Settings = Pick<
  KubeletSettings,
  | 'imageGCHighThresholdPercent'
  | 'imageGCLowThresholdPercent'
  | 'imageMinimumGCAgeMs'
  | 'imageMaximumGCAgeMs'
>;

export class ImageGC {
  readonly #deps: ImageGCDeps;
  readonly #settings: Settings;
  readonly #seen = new Map<string, { readonly firstSeenMs: number; lastUsedMs: number }>();

  constructor(deps: ImageGCDeps, settings: Settings) {
    this.#deps = deps;
    this.#settings = settings;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    for (;;) {
      try {
        await this.collect(signal);
      } catch (error) {
        if (signal.aborted) throw error;
        log.warn('cannot look for unused images', { error });
      }
      await clock.sleep(limits.imagesCheckMs, { signal });
    }
  }

  /** One look: what is too old goes, then what must go for the disk's sake. */
  async collect(signal: AbortSignal): Promise<void> {
    const { imageGCHighThresholdPercent: high, imageGCLowThresholdPercent: low } = this.#settings;
    const images = await this.#look(signal);
    await this.#removeOld(images, signal);
    const { bytes, freeBytes } = this.#deps.disk();
    if (bytes === 0 || (1 - freeBytes / bytes) * 100 < high) return;
    const neededBytes = Math.ceil((bytes * (100 - low)) / 100) - freeBytes;
    const minimumAgeMs = this.#settings.imageMinimumGCAgeMs;
    const chosen = planImageGC(images, { neededBytes, minimumAgeMs }, this.#deps.clock.now());
    const freed = await this.#remove(chosen, signal);
    if (freed >= neededBytes) return;
    this.#deps.warn(
      'FreeDiskSpaceFailed',
      'Failed to garbage collect required amount of images. ' +
        `Attempted to free ${neededBytes} bytes, but only found ${freed} bytes eligible to free.`,
    );
  }

  /** All that nothing uses, whatever its age: the node is short of disk. Returns the bytes. */
  async freeUnused(signal: AbortSignal): Promise<number> {
    const options = { neededBytes: Number.POSITIVE_INFINITY, minimumAgeMs: 0 };
    const images = await this.#look(signal);
    return this.#remove(planImageGC(images, options, this.#deps.clock.now()), signal);
  }

  async #removeOld(images: readonly ImageUse[], signal: AbortSignal): Promise<void> {
    const { imageMaximumGCAgeMs } = this.#settings;
    if (imageMaximumGCAgeMs === 0) return;
    const nowMs = this.#deps.clock.now();
    const old = images.filter(({ isUsed, isKept, firstSeenMs, lastUsedMs }) => {
      return !isUsed && !isKept && nowMs - Math.max(firstSeenMs, lastUsedMs) > imageMaximumGCAgeMs;
    });
    await this.#remove(old, signal);
  }

  async #look(signal: AbortSignal): Promise<readonly ImageUse[]> {
    const { runtime, clock } = this.#deps;
    const nowMs = clock.now();
    const [images, containers] = await Promise.all([
      runtime.listImages({ signal }),
      runtime.listContainers({}, { signal }),
    ]);
    const used = new Set(containers.flatMap(({ imageRef, image }) => [imageRef, image?.image]));
    const present = new Set(images.map(({ id }) => id));
    this.#deps.onLook?.(present, nowMs);
    for (const id of this.#seen.keys()) if (!present.has(id)) this.#seen.delete(id);
    return images.map(({ id, size, pinned, repoTags, repoDigests }) => {
      const isUsed = [id, ...repoTags, ...repoDigests].some((name) => used.has(name));
      const seen = this.#seen.get(id) ?? { firstSeenMs: nowMs, lastUsedMs: 0 };
      if (isUsed) seen.lastUsedMs = nowMs;
      this.#seen.set(id, seen);
      const isKept = pinned || repoDigests.length === 0;
      return { id, sizeBytes: size, isKept, isUsed, ...seen };
    });
  }

  async #remove(images: readonly ImageUse[], signal: AbortSignal): Promise<number> {
    const { runtime, log } = this.#deps;
    let freed = 0;
    for (const { id, sizeBytes } of images) {
      try {
        await runtime.removeImage(id, { signal });
        freed += sizeBytes;
        log.info('image removed', { image: id, bytes: sizeBytes });
      } catch (error) {
        if (signal.aborted) throw error;
        log.warn('cannot remove an image', { image: id, error });
      }
    }
    return freed;
  }
}
