/**
 * Images of this node: present or pulled, with a back-off for those that cannot be had.
 *
 * Answers the id to create a container from, or a `PullFailure` that becomes the container's
 * waiting reason. An image seen once is remembered for a while, so that starting the tenth pod of
 * a kind does not ask the runtime again. Two pods that need the same image share one pull.
 */
import type { Received, Runtime } from '#cri';
import { GrpcError, isGrpcCode } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { ContainerStateWaiting } from '#resources/types/core-v1.ts';
import { type Backoff, nextBackoff } from '../pods/backoff.ts';
import { referenceProblem } from './reference.ts';
import type { RegistryLogin } from './registry-logins.ts';

export type Image = Received<'Image'>;

export type ImageResult =
  | { readonly ok: true; readonly image: Image; readonly pulled?: { readonly ms: number } }
  | { readonly ok: false; readonly waiting: ContainerStateWaiting; readonly untilMs: number };

interface Wanted {
  readonly image: string;
  readonly policy: string;
  /** Whose back-off counts: the pod's uid. */
  readonly owner: string;
  /** What registries may be shown; asked only when there is something to pull. */
  readonly logins?: () => Promise<readonly RegistryLogin[]>;
}

/** How long "it is there" is believed without asking. */
const knownMs = 10_000;
const neverRetryMs = 10_000;

export class Images {
  readonly #runtime: Runtime;
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly image: Image; readonly untilMs: number }>();
  readonly #pulls = new Map<string, Promise<string>>();
  readonly #backoffs = new Map<string, Backoff>();

  readonly #signal: AbortSignal;

  constructor(
    deps: { readonly runtime: Runtime; readonly clock: Clock },
    { signal }: { readonly signal: AbortSignal },
  ) {
    this.#runtime = deps.runtime;
    this.#clock = deps.clock;
    this.#signal = signal;
  }

  /** `onPull` is called when a pull begins. */
  async ensure(
    wanted: Wanted,
    options: { readonly signal: AbortSignal; readonly onPull: () => void },
  ): Promise<ImageResult> {
    const problem = referenceProblem(wanted.image);
    if (problem !== undefined) {
      const text = `couldn't parse image name "${wanted.image}": ${problem}`;
      const message = `Failed to apply default image tag "${wanted.image}": ${text}`;
      const waiting = { reason: 'InvalidImageName', message };
      return { ok: false, waiting, untilMs: this.#clock.now() + neverRetryMs };
    }
    const present =
      wanted.policy === 'Always' ? undefined : await this.#find(wanted.image, options);
    if (present !== undefined) return { ok: true, image: present };
    if (wanted.policy === 'Never') {
      const message = `Container image "${wanted.image}" is not present with pull policy of Never`;
      const waiting = { reason: 'ErrImageNeverPull', message };
      return { ok: false, waiting, untilMs: this.#clock.now() + neverRetryMs };
    }
    return this.#pull(wanted, options);
  }

  /** Forgets the back-offs of a pod that is gone. */
  release(owner: string): void {
    for (const key of this.#backoffs.keys()) {
      if (key.startsWith(`${owner}/`)) this.#backoffs.delete(key);
    }
  }

  async #find(
    name: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Image | undefined> {
    const known = this.#known.get(name);
    if (known !== undefined && known.untilMs > this.#clock.now()) return known.image;
    const image = await this.#runtime.imageStatus(name, { signal });
    if (image === undefined) this.#known.delete(name);
    else this.#known.set(name, { image, untilMs: this.#clock.now() + knownMs });
    return image;
  }

  async #pull(
    { image, owner, logins }: Wanted,
    { signal, onPull }: { readonly signal: AbortSignal; readonly onPull: () => void },
  ): Promise<ImageResult> {
    const key = `${owner}/${image}`;
    const startedMs = this.#clock.monotonic();
    onPull();
    try {
      const known = (await logins?.()) ?? [];
      const reference = await unlessAborted(this.#pullShared(image, known), signal);
      this.#known.delete(image);
      const found =
        (await this.#find(image, { signal })) ?? (await this.#find(reference, { signal }));
      if (found === undefined) throw new Error(`image ${image} was pulled and is not there`);
      this.#backoffs.delete(key);
      return { ok: true, image: found, pulled: { ms: this.#clock.monotonic() - startedMs } };
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) throw error;
      const backoff = nextBackoff(this.#backoffs.get(key), this.#clock.now());
      this.#backoffs.set(key, backoff);
      const reason = isGrpcCode(error, 'UNAVAILABLE') ? 'RegistryUnavailable' : 'ErrImagePull';
      const waiting = { reason, message: error.message };
      return { ok: false, waiting, untilMs: this.#clock.now() + backoff.delayMs };
    }
  }

  /** Goes on when one of those who wait for it gives up. */
  #pullShared(image: string, logins: readonly RegistryLogin[]): Promise<string> {
    // Those who may show different things do not share.
    const key = JSON.stringify([image, logins]);
    const running = this.#pulls.get(key);
    if (running !== undefined) return running;
    const pull = this.#pullWith(image, logins).finally(() => this.#pulls.delete(key));
    this.#pulls.set(key, pull);
    return pull;
  }

  /** With each login in turn, until one is good; the last refusal counts. */
  async #pullWith(image: string, logins: readonly RegistryLogin[]): Promise<string> {
    const options = { signal: this.#signal };
    for (const auth of logins.slice(0, -1)) {
      try {
        return await this.#runtime.pullImage({ image: { image }, auth }, options);
      } catch (error) {
        if (this.#signal.aborted || !(error instanceof GrpcError)) throw error;
      }
    }
    const auth = logins.at(-1);
    const request = auth === undefined ? { image: { image } } : { image: { image }, auth };
    return this.#runtime.pullImage(request, options);
  }
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
