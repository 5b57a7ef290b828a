/**
 * Images of this node: present or pulled, with a back-off for those that cannot be had.
 *
 * Answers the id to create a container from, or a failure that becomes the container's waiting
 * reason. An image seen once is remembered for a while, so that starting the tenth pod of a kind
 * does not ask the runtime again. An image that is here is given to those who may have it
 * (`pull-records.ts`); others have to pull it with what they can show. Two pods that need the same
 * image and show the same share one pull; how many run at a time, and how often a registry is
 * asked, are settings. Reasons and messages: kubernetes.io, "Images".
 */
import type { Received, Runtime } from '#cri';
import { GrpcError } from '#cri';
import { unlessAborted } from '#kit/aborted.ts';
import type { Clock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import type { Logger } from '#kit/log.ts';
import { Rate } from '#kit/rate.ts';
import { Slots } from '#kit/slots.ts';
import type { ContainerStateWaiting } from '#resources/types/core-v1.ts';
import { type Backoff, nextBackoff } from '../pods/backoff.ts';
import type { KubeletSettings } from '../settings.ts';
import { parseImageName } from './image-name.ts';
import {
  credentialsOf,
  mustPull,
  needsLogins,
  type PullRecords,
  type VerificationFacts,
} from './pull-records.ts';
import type { TrackedLogin } from './registry-logins.ts';

export type Image = Received<'Image'>;

export type ImageResult =
  | { readonly ok: true; readonly image: Image; readonly pulled?: PullTimes }
  | { readonly ok: false; readonly waiting: ContainerStateWaiting; readonly untilMs: number };

/** How long a pull took, and how long with the wait for its turn. */
export interface PullTimes {
  readonly pullMs: number;
  readonly totalMs: number;
}

interface Wanted {
  readonly image: string;
  readonly policy: string;
  /** Whose back-off counts: the pod's uid. */
  readonly owner: string;
  /** What registries may be shown; asked only when it matters, and once. */
  readonly logins?: () => Promise<readonly TrackedLogin[]>;
}

export type PullSettings = Pick<
  KubeletSettings,
  | 'serializeImagePulls'
  | 'maxParallelImagePulls'
  | 'registryPullQPS'
  | 'registryBurst'
  | 'imagePullCredentialsVerificationPolicy'
  | 'preloadedImagesVerificationAllowlist'
>;

interface Deps {
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Logger;
  readonly records: PullRecords;
  /** Over when archives of images that were put beside the node are loaded. */
  readonly loaded?: Promise<unknown> | undefined;
}

interface Pulled {
  readonly image: Image;
  readonly pullMs: number;
}

/** How long "it is there" is believed without asking. */
const knownMs = 10_000;
const neverRetryMs = 10_000;
/** What a runtime says first when it means more than "it failed". */
const toldReasons = [
  ['RegistryUnavailable', 'the registry is unavailable'],
  ['SignatureValidationFailed', 'the signature validation failed'],
] as const;

export class Images {
  readonly #deps: Deps;
  readonly #settings: PullSettings;
  readonly #known = new Map<string, { readonly image: Image; readonly untilMs: number }>();
  /** What is being pulled, by name and logins. */
  readonly #pulls = new Map<string, { readonly full: string; readonly pull: Promise<Pulled> }>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #slots: Slots;
  readonly #rate: Rate;
  readonly #signal: AbortSignal;
  #adopted: Promise<void> | undefined;

  constructor(
    deps: Deps,
    options: { readonly settings: PullSettings; readonly signal: AbortSignal },
  ) {
    const { settings, signal } = options;
    this.#deps = deps;
    this.#settings = settings;
    this.#signal = signal;
    const atOnce = settings.serializeImagePulls ? 1 : (settings.maxParallelImagePulls ?? 0);
    this.#slots = new Slots(atOnce < 1 ? Number.POSITIVE_INFINITY : atOnce);
    this.#rate = new Rate(deps.clock, {
      perSecond: settings.registryPullQPS,
      burst: settings.registryBurst,
    });
  }

  /** `onPull` is called when a pull begins. */
  async ensure(
    wanted: Wanted,
    options: { readonly signal: AbortSignal; readonly onPull: () => void },
  ): Promise<ImageResult> {
    const { image, policy } = wanted;
    const name = parseImageName(image);
    if (typeof name === 'string') {
      const text = `couldn't parse image name "${image}": ${name}`;
      return this.#later(
        'InvalidImageName',
        `Failed to apply default image tag "${image}": ${text}`,
      );
    }
    await this.#adopt();
    const logins = once(wanted.logins ?? (() => Promise.resolve([])));
    const full = name.tag === '' && name.digest === '' ? `${image}:latest` : image;
    const present = policy === 'Always' ? undefined : await this.#findLoaded(full, options);
    if (present !== undefined && (await this.#mayHave({ image, full, present, logins }, options))) {
      return { ok: true, image: present };
    }
    if (policy === 'Never') {
      // The same words for one that is here and not theirs: nobody is told what others have.
      const message = `Container image "${image}" is not present with pull policy of Never`;
      return this.#later('ErrImageNeverPull', message);
    }
    return this.#pull({ ...wanted, full, logins }, options);
  }

  /** Forgets the back-offs of a pod that is gone. */
  release(owner: string): void {
    for (const key of this.#backoffs.keys()) {
      if (key.startsWith(`${owner}/`)) this.#backoffs.delete(key);
    }
  }

  #later(reason: string, message: string): ImageResult {
    const untilMs = this.#deps.clock.now() + neverRetryMs;
    return { ok: false, waiting: { reason, message }, untilMs };
  }

  /** Pulls of an earlier process that came to their end without us: ours, for nobody known. */
  #adopt(): Promise<void> {
    const { records } = this.#deps;
    const unfinished = records.unfinished();
    if (unfinished.length > 0) {
      this.#adopted ??= this.#adoptImages(new Set(unfinished)).catch((error: unknown) => {
        // A runtime that does not answer yet is asked again.
        this.#adopted = undefined;
        throw error;
      });
    }
    return this.#adopted ?? Promise.resolve();
  }

  async #adoptImages(unfinished: ReadonlySet<string>): Promise<void> {
    const { runtime, records, clock } = this.#deps;
    const images = await runtime.listImages({ signal: this.#signal });
    for (const { id, repoTags, repoDigests } of images) {
      for (const image of [...repoTags, ...repoDigests].filter((each) => unfinished.has(each))) {
        records.pulled({ image, imageRef: id, nowMs: clock.now() }, undefined);
        records.end(image);
      }
    }
  }

  /** While others pull the image nobody knows whose it is: how that ends decides. */
  async #mayHave(
    wanted: {
      readonly image: string;
      readonly full: string;
      readonly present: Image;
      readonly logins: () => Promise<readonly TrackedLogin[]>;
    },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<boolean> {
    const { image, full, present, logins } = wanted;
    const { records, clock } = this.#deps;
    const look = (): VerificationFacts => ({
      image,
      record: records.recordOf(present.id),
      isPulling: records.isPulling(image),
    });
    if (!needsLogins(look(), this.#settings)) return true;
    const underWay = [...this.#pulls.values()].filter((other) => other.full === full);
    await unlessAborted(Promise.allSettled(underWay.map(({ pull }) => pull)), signal);
    const facts = look();
    if (!needsLogins(facts, this.#settings)) return true;
    const verdict = mustPull(facts, await logins());
    if ('learn' in verdict) {
      records.pulled({ image, imageRef: present.id, nowMs: clock.now() }, verdict.learn);
    }
    return !verdict.pull;
  }

  /** What is not here may come with the archives of images that are still being loaded. */
  async #findLoaded(
    name: string,
    options: { readonly signal: AbortSignal },
  ): Promise<Image | undefined> {
    const found = await this.#find(name, options);
    const { loaded } = this.#deps;
    if (found !== undefined || loaded === undefined) return found;
    await unlessAborted(loaded, options.signal);
    return this.#find(name, options);
  }

  async #find(
    name: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Image | undefined> {
    const { runtime, clock } = this.#deps;
    const known = this.#known.get(name);
    if (known !== undefined && known.untilMs > clock.now()) return known.image;
    const image = await runtime.imageStatus(name, { signal });
    if (image === undefined) this.#known.delete(name);
    else this.#known.set(name, { image, untilMs: clock.now() + knownMs });
    return image;
  }

  async #pull(
    { image, full, owner, logins }: Required<Wanted> & { readonly full: string },
    { signal, onPull }: { readonly signal: AbortSignal; readonly onPull: () => void },
  ): Promise<ImageResult> {
    const { clock } = this.#deps;
    const key = `${owner}/${image}`;
    const startedMs = clock.monotonic();
    onPull();
    try {
      const pulled = await unlessAborted(this.#pullShared(image, full, await logins()), signal);
      this.#backoffs.delete(key);
      const totalMs = clock.monotonic() - startedMs;
      return { ok: true, image: pulled.image, pulled: { pullMs: pulled.pullMs, totalMs } };
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) throw error;
      const backoff = nextBackoff(this.#backoffs.get(key), clock.now());
      this.#backoffs.set(key, backoff);
      return { ok: false, waiting: failure(image, error), untilMs: clock.now() + backoff.delayMs };
    }
  }

  /** Goes on when one of those who wait for it gives up. */
  #pullShared(image: string, full: string, logins: readonly TrackedLogin[]): Promise<Pulled> {
    // Those who may show different things do not share.
    const key = JSON.stringify([full, logins]);
    const running = this.#pulls.get(key);
    if (running !== undefined) return running.pull;
    const pull = this.#pullRecorded(image, full, logins).finally(() => this.#pulls.delete(key));
    this.#pulls.set(key, { full, pull });
    return pull;
  }

  async #pullRecorded(
    image: string,
    full: string,
    logins: readonly TrackedLogin[],
  ): Promise<Pulled> {
    const { records, clock } = this.#deps;
    try {
      records.begin(image);
    } catch (cause) {
      const text = messageOf(cause);
      const what = `Failed to record image pull intent for container image "${image}"`;
      throw new Error(`${what}: ${text}`, { cause });
    }
    try {
      const options = { signal: this.#signal };
      const pulled = await this.#slots.use(() => this.#pullWith(full, logins), options);
      this.#known.delete(full);
      const { reference, login, pullMs } = pulled;
      const found = (await this.#find(full, options)) ?? (await this.#find(reference, options));
      if (found === undefined) throw new Error(`image ${image} was pulled and is not there`);
      records.pulled({ image, imageRef: found.id, nowMs: clock.now() }, credentialsOf(login));
      return { image: found, pullMs };
    } finally {
      records.end(image);
    }
  }

  /** With each login in turn, until one is good; all refusals are told. */
  async #pullWith(
    image: string,
    logins: readonly TrackedLogin[],
  ): Promise<{
    readonly reference: string;
    readonly login: TrackedLogin | undefined;
    readonly pullMs: number;
  }> {
    const { runtime, clock } = this.#deps;
    const startedMs = clock.monotonic();
    const refusals: GrpcError[] = [];
    for (const tracked of logins.length === 0 ? [undefined] : logins) {
      if (!this.#rate.take()) throw new Error('pull QPS exceeded');
      const auth = tracked === undefined ? {} : { auth: tracked.login };
      try {
        const request = { image: { image }, ...auth };
        const reference = await runtime.pullImage(request, { signal: this.#signal });
        return { reference, login: tracked, pullMs: clock.monotonic() - startedMs };
      } catch (error) {
        if (this.#signal.aborted || !(error instanceof GrpcError)) throw error;
        refusals.push(error);
      }
    }
    const texts = [...new Set(refusals.map(toldBy))];
    const [only = ''] = texts;
    throw new PullError(texts.length === 1 ? only : `[${texts.join(', ')}]`, refusals);
  }
}

/** What several tries came to. */
class PullError extends Error {
  readonly refusals: readonly GrpcError[];

  constructor(message: string, refusals: readonly GrpcError[]) {
    super(message);
    this.name = 'PullError';
    this.refusals = refusals;
  }
}

function failure(image: string, error: Error): ContainerStateWaiting {
  const detail = error instanceof PullError ? (error.refusals.at(-1)?.message ?? '') : '';
  for (const [reason, words] of toldReasons) {
    if (!detail.startsWith(reason)) continue;
    const more = detail.slice(reason.length);
    return { reason, message: `image pull failed for ${image} because ${words}${more}` };
  }
  return { reason: 'ErrImagePull', message: error.message };
}

/** As upstream's library prints the error of a call: `rpc error: code = NotFound desc = …`. */
function toldBy({ code, message }: GrpcError): string {
  const camel = code
    .toLowerCase()
    .replaceAll(/(?:^|_)([a-z])/g, (_all, letter: string) => letter.toUpperCase());
  return `rpc error: code = ${camel} desc = ${message}`;
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | undefined;
  return () => {
    begun ??= work();
    return begun;
  };
}
