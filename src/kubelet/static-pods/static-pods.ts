/**
 * Static pods: what manifests on this node ask for runs, API or not, and shows in the API as mirror
 * pods.
 *
 * Two loops. One reads the manifests and tells the kubelet which pods there are to be; the other
 * compares mirrors with them: one that is missing is made, one that shows something else, or that
 * somebody deleted, is removed and made again. `static-pod.ts` decides what they look like.
 */
import { existsSync, mkdirSync, watch } from 'node:fs';
import { isReason } from '#api/errors.ts';
import type { Client, Informer } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { Scope } from '#kit/scope.ts';
import { Wake } from '#kit/wake.ts';
import { pods } from '#resources/kinds.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { type ManifestSources, readAddress, readFiles } from './manifests.ts';
import { annotations, isMirror, mirrorOf, mirrors } from './static-pod.ts';

export interface StaticPodsDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** The pods of this node in the API, mirrors among them. */
  readonly informer: Informer<Pod>;
}

export interface StaticPodsOptions {
  readonly nodeName: string;
  readonly sources: ManifestSources;
  /** Between two looks at either. */
  readonly fileCheckMs: number;
  readonly httpCheckMs: number;
  /** As registered; undefined until then. */
  readonly node: () => Node | undefined;
  /** All that there are to be, each time that they changed. */
  readonly onPods: (pods: readonly Pod[]) => void;
  /** A pod whose manifest is gone may still be ending; its mirror shows that. */
  readonly isEnding: (uid: string) => boolean;
}

export const limits = {
  /** Between two comparisons of mirrors when nothing is heard. */
  mirrorsCheckMs: 10_000,
} as const;

export class StaticPods {
  readonly #deps: StaticPodsDeps;
  readonly #options: StaticPodsOptions;
  /** By uid. */
  #wanted: ReadonlyMap<string, Pod> = new Map();
  #fromFiles: readonly Pod[] = [];
  #fromAddress: readonly Pod[] = [];
  #wakeMirrors: () => void = () => {};

  constructor(deps: StaticPodsDeps, options: StaticPodsOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Reads once, also for the time before `run`. */
  async read(signal: AbortSignal): Promise<void> {
    const { path, url } = this.#options.sources;
    if (path !== undefined && !existsSync(path)) mkdirSync(path, { recursive: true });
    if (path !== undefined) await this.#readFiles(path);
    if (url !== undefined) await this.#readAddress(signal);
    this.#compare();
  }

  async run(signal: AbortSignal): Promise<void> {
    const scope = new Scope(signal);
    const { path, url } = this.#options.sources;
    if (path !== undefined) scope.spawn((ending) => this.#filesForEver(path, ending));
    if (url !== undefined) scope.spawn((ending) => this.#addressForEver(ending));
    scope.spawn((ending) => this.#mirrorForEver(ending));
    await scope.join();
  }

  /** Something happened to a mirror, or a static pod has ended. */
  changed(): void {
    this.#wakeMirrors();
  }

  /** The static pod that a mirror shows. */
  shownBy(mirror: Pod): Pod | undefined {
    for (const pod of this.#wanted.values()) if (mirrors(mirror, pod)) return pod;
    return undefined;
  }

  async #filesForEver(path: string, signal: AbortSignal): Promise<void> {
    const wake = new Wake(this.#deps.clock);
    using _watcher = watchFolder(path, () => wake.now());
    for (;;) {
      await wake.sleep(this.#options.fileCheckMs, signal);
      await this.#readFiles(path);
      this.#compare();
    }
  }

  async #addressForEver(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#deps.clock.sleep(this.#options.httpCheckMs, { signal });
      await this.#readAddress(signal);
      this.#compare();
    }
  }

  async #readFiles(path: string): Promise<void> {
    const { log, clock } = this.#deps;
    const options = { nodeName: this.#options.nodeName, nowMs: clock.now() };
    this.#fromFiles = (await readFiles(log, path, options)) ?? this.#fromFiles;
  }

  async #readAddress(signal: AbortSignal): Promise<void> {
    const { sources, nodeName } = this.#options;
    const options = { nodeName, nowMs: this.#deps.clock.now(), signal };
    this.#fromAddress = (await readAddress(this.#deps, sources, options)) ?? this.#fromAddress;
  }

  #compare(): void {
    const { onPods } = this.#options;
    const found = new Map<string, Pod>();
    for (const pod of [...this.#fromFiles, ...this.#fromAddress]) {
      const { uid = '' } = pod.metadata;
      // What was seen before keeps the time at which it was seen first.
      found.set(uid, this.#wanted.get(uid) ?? pod);
    }
    const isSame =
      found.size === this.#wanted.size && [...found.keys()].every((uid) => this.#wanted.has(uid));
    if (isSame) return;
    this.#wanted = found;
    onPods([...found.values()]);
    this.changed();
  }

  async #mirrorForEver(signal: AbortSignal): Promise<void> {
    const { clock, log, informer } = this.#deps;
    const wake = new Wake(clock);
    this.#wakeMirrors = () => wake.now();
    for (;;) {
      try {
        if (informer.hasSynced) await this.#compareMirrors(signal);
      } catch (error) {
        if (signal.aborted) throw error;
        log.warn('cannot keep the mirrors of static pods', { error });
      }
      await wake.sleep(limits.mirrorsCheckMs, signal);
    }
  }

  async #compareMirrors(signal: AbortSignal): Promise<void> {
    const { client, informer } = this.#deps;
    const shown = new Set<string>();
    for (const mirror of [...informer.list()].filter(isMirror)) {
      const pod = this.shownBy(mirror);
      if (pod !== undefined) shown.add(pod.metadata.uid ?? '');
      else if (!this.#isStillNeeded(mirror)) await this.#remove(mirror, signal);
    }
    const node = this.#options.node();
    if (node === undefined) return;
    for (const [uid, pod] of this.#wanted) {
      const { namespace, name } = pod.metadata;
      if (shown.has(uid) || informer.get(`${namespace}/${name}`) !== undefined) continue;
      await client.create(pods, mirrorOf(pod, node), { signal }).catch((error: unknown) => {
        // The informer has not seen it yet.
        if (!isReason(error, 'AlreadyExists')) throw error;
      });
    }
  }

  #isStillNeeded({ metadata }: Pod): boolean {
    const uid = metadata.annotations?.[annotations.mirror] ?? '';
    return metadata.deletionTimestamp === undefined && this.#options.isEnding(uid);
  }

  async #remove({ metadata }: Pod, signal: AbortSignal): Promise<void> {
    const { namespace, name = '', uid = '' } = metadata;
    const options = { gracePeriodSeconds: 0, preconditions: { uid }, signal };
    await this.#deps.client.delete(pods, { namespace, name }, options).catch((error: unknown) => {
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    });
  }
}

function watchFolder(path: string, onChange: () => void): Disposable | undefined {
  try {
    const watcher = watch(path, { persistent: false }, onChange);
    watcher.on('error', () => watcher.close());
    return { [Symbol.dispose]: () => watcher.close() };
  } catch {
    // The folder is read every now and then anyway.
    return undefined;
  }
}
