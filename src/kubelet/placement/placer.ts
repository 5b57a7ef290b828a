/**
 * Asks those who give something of the node (`provider.ts`) for all that a new pod needs, one pod
 * after the other, so that everything comes from the same NUMA nodes as far as the policy demands.
 *
 * Scope `container`: each container has its own nodes; scope `pod`: all have the same. Without a
 * policy everybody gives as he likes. What is refused fails the pod, with upstream's reason.
 */
import type { Clock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import type { Slots } from '#kit/slots.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { Refusal } from '../node/admission.ts';
import { startOrder } from '../pods/pod-facts.ts';
import { Histogram } from '../server/histogram.ts';
import type { Hint, Merged, MergeOptions } from './hints.ts';
import { anywhere, type Provider } from './provider.ts';

export type TopologyScope = 'container' | 'pod';

/** Undefined without a policy. */
export type Alignment =
  | (MergeOptions & {
      readonly scope: TopologyScope;
      readonly merge: (
        given: readonly ReturnType<Provider['hints']>[],
        options: MergeOptions,
      ) => Merged;
    })
  | undefined;

export interface PlacerDeps {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly providers: readonly Provider[];
  /** One pod after the other, and nothing else is given meanwhile. */
  readonly turn: Slots;
}

/** In milliseconds; upstream's: 0.05, doubled 14 times. */
const durationBounds = Array.from({ length: 15 }, (_, power) => 0.05 * 2 ** power);

export class Placer {
  readonly #deps: PlacerDeps;
  readonly #alignment: Alignment;
  readonly counts = { requests: 0, errors: 0, aligned: 0, misaligned: 0 };
  readonly durationsMs = new Histogram(durationBounds);

  constructor(deps: PlacerDeps, alignment: Alignment) {
    this.#deps = deps;
    this.#alignment = alignment;
  }

  get scope(): TopologyScope | undefined {
    return this.#alignment?.scope;
  }

  /** Undefined: the pod has all that it needs. */
  admit(pod: Pod, options: { readonly signal: AbortSignal }): Promise<Refusal | undefined> {
    return this.#deps.turn.use(async () => {
      const startedMs = this.#deps.clock.monotonic();
      this.counts.requests += 1;
      const refusal = await this.#admit(pod, options.signal);
      if (refusal !== undefined) this.counts.errors += 1;
      this.durationsMs.observe(this.#deps.clock.monotonic() - startedMs);
      return refusal;
    }, options);
  }

  async #admit(pod: Pod, signal: AbortSignal): Promise<Refusal | undefined> {
    const alignment = this.#alignment;
    const isWhole = alignment?.scope === 'pod';
    const whole = isWhole ? this.#agree(pod, undefined, alignment) : undefined;
    if (whole !== undefined && !whole.isAdmitted) return this.#misplaced();
    for (const container of startOrder(pod)) {
      const own =
        alignment === undefined || isWhole ? whole : this.#agree(pod, container, alignment);
      if (own !== undefined && !own.isAdmitted) return this.#misplaced();
      const refusal = await this.#allocate(pod, container, own?.hint ?? anywhere, signal);
      if (refusal !== undefined) return refusal;
      if (!isWhole) this.#countAligned();
    }
    if (isWhole) this.#countAligned();
    return undefined;
  }

  #agree(pod: Pod, container: Container | undefined, alignment: NonNullable<Alignment>): Merged {
    const nodes = alignment.nodes.map(({ id }) => id);
    const given = this.#deps.providers.map((each) => each.hints(pod, container, { nodes }));
    return alignment.merge(given, alignment);
  }

  async #allocate(
    pod: Pod,
    container: Container,
    hint: Hint,
    signal: AbortSignal,
  ): Promise<Refusal | undefined> {
    try {
      for (const provider of this.#deps.providers) {
        const refusal = await provider.allocate(pod, container, { hint, signal });
        if (refusal !== undefined) return refusal;
      }
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      // What was given could not be written down, say: this pod fails, and the node goes on.
      const message = `Allocate failed due to ${messageOf(error)}, which is unexpected`;
      return { reason: 'UnexpectedAdmissionError', message };
    }
  }

  #misplaced(): Refusal {
    if (this.#alignment?.policy === 'single-numa-node') this.counts.misaligned += 1;
    const message = 'Resources cannot be allocated with Topology locality';
    return { reason: 'TopologyAffinityError', message };
  }

  #countAligned(): void {
    if (this.#alignment?.policy === 'single-numa-node') this.counts.aligned += 1;
  }
}
