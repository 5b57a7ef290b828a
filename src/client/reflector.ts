/**
 * Keeps an `IndexedCopy` true: list, watch from there, and begin again where the watch was lost.
 *
 * A watch that ends or breaks is taken up at the last revision seen (an event's or a bookmark's),
 * so nothing is missed or repeated. Only when that revision has expired (410), or the server knows
 * nothing so new (it was restored), is everything listed again, after a delay that grows; what is
 * missing from the new list is told as deleted. Called by `informer.ts`.
 */
import { ApiError, isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import { type KubeObject, objectKey } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { Client } from './client.ts';
import type { IndexedCopy } from './indexed-copy.ts';
import type { InformerOptions } from './informer.ts';

export interface ReflectorDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export const reflectorLimits = {
  pageLength: 500,
  /** The server ends a watch after this long, up to twice as long, chosen by chance. */
  watchSeconds: 300,
  /** A watch on which nothing at all was heard this long after its end is given up. */
  watchGraceMs: 30_000,
  /** First delay; doubles with each failure in a row. */
  retryMs: 50,
  retryMsMax: 10_000,
  /** Failures in a row before they are told. */
  quietFailures: 3,
  /** A watch that held this long was a good one: the next failure starts with a short delay. */
  goodWatchMs: 5_000,
} as const;

export class Reflector<T extends KubeObject> {
  readonly #deps: ReflectorDeps;
  readonly #kind: KindOf<T>;
  readonly #options: InformerOptions;
  readonly #copy: IndexedCopy<T>;
  readonly #shrink: (object: T) => T;
  #resourceVersion: string | undefined;
  #handlerFailed = false;

  constructor(
    deps: ReflectorDeps,
    kind: KindOf<T>,
    options: InformerOptions,
    into: { readonly copy: IndexedCopy<T>; readonly shrink: (object: T) => T },
  ) {
    this.#deps = deps;
    this.#kind = kind;
    this.#options = options;
    this.#copy = into.copy;
    this.#shrink = into.shrink;
  }

  /** Runs until the signal aborts, then rejects with its reason. */
  async run(signal: AbortSignal): Promise<never> {
    let failures = 0;
    for (;;) {
      const begunMs = this.#deps.clock.monotonic();
      try {
        this.#resourceVersion ??= await this.#listAll(signal);
        await this.#watch(this.#resourceVersion, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (this.#handlerFailed) throw error;
        if (losesPlace(error)) this.#resourceVersion = undefined;
        // A watch breaks now and then; only one that does not come back is worth a line.
        const level = failures < reflectorLimits.quietFailures ? 'debug' : 'warn';
        this.#deps.log[level]('watch was lost', { kind: this.#kind.kind, error });
      }
      if (this.#deps.clock.monotonic() - begunMs >= reflectorLimits.goodWatchMs) failures = 0;
      await this.#pause(failures, signal);
      failures += 1;
    }
  }

  async #pause(failures: number, signal: AbortSignal): Promise<void> {
    const { retryMs, retryMsMax } = reflectorLimits;
    const delayMs = Math.min(retryMs * 2 ** failures, retryMsMax);
    await this.#deps.clock.sleep(delayMs * (1 + this.#deps.random.fraction()), { signal });
  }

  async #listAll(signal: AbortSignal): Promise<string> {
    const { metadataOnly, ...selection } = this.#options;
    const ask = (limit: number | undefined, next: string | undefined) =>
      this.#deps.client.list(this.#kind, {
        ...selection,
        metadataOnly,
        limit,
        continue: next,
        signal,
      });
    const objects: T[] = [];
    let page = await ask(reflectorLimits.pageLength, undefined);
    for (const item of page.items) objects.push(this.#shrink(item));
    while (page.continue !== undefined) {
      try {
        page = await ask(reflectorLimits.pageLength, page.continue);
      } catch (error) {
        if (!isReason(error, 'Expired')) throw error;
        // The revision of the first page was compacted away: take everything in one piece.
        objects.length = 0;
        page = await ask(undefined, undefined);
      }
      for (const item of page.items) objects.push(this.#shrink(item));
    }
    this.#tell(() => this.#copy.replaceAll(objects));
    return page.resourceVersion;
  }

  /** Whatever a handler throws is a fault of this program: it ends the run, without a retry. */
  #tell(change: () => void): void {
    this.#handlerFailed = true;
    change();
    this.#handlerFailed = false;
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    const { watchSeconds, watchGraceMs } = reflectorLimits;
    const timeoutSeconds = watchSeconds + random.integer(watchSeconds);
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const cancel = clock.after(timeoutSeconds * 1000 + watchGraceMs, () => {
      controller.abort(new Error('the server did not end the watch in time'));
    });
    try {
      const events = this.#deps.client.watch(this.#kind, {
        ...this.#options,
        resourceVersion,
        bookmarks: true,
        timeoutSeconds,
        signal: controller.signal,
      });
      for await (const event of events) {
        if (event.type === 'BOOKMARK') {
          this.#resourceVersion = event.resourceVersion;
          continue;
        }
        const object = this.#shrink(event.object);
        if (event.type === 'DELETED') this.#tell(() => this.#copy.drop(objectKey(object), object));
        else this.#tell(() => this.#copy.put(object));
        this.#resourceVersion = object.metadata.resourceVersion;
      }
    } finally {
      cancel();
      signal.removeEventListener('abort', onAbort);
    }
  }
}

/** Whether the watch cannot go on from the revision last seen. */
function losesPlace(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  // The server is busy or starting: it will know the revision when it is asked again.
  return ![429, 500, 502, 503].includes(error.status.code);
}
