/**
 * What a decision tells whoever counts: how long each extension point took, how often each rule was
 * asked, and for one decision of ten how long each rule took. Rules know nothing of it.
 *
 * The names are upstream's (`PreFilter`, `Filter`, `PreScore`, `Score`), since people read them in
 * its metrics; getting ready (`filter`, `score` of a rule) is what they call `Pre…`. Of the many
 * nodes of a decision only the first few are timed: reading the clock costs as much as a rule.
 */

export type PointStatus = 'Success' | 'Skip' | 'Unschedulable' | 'Error';

/** Who counts, and whose clock is read; times are in seconds. */
export interface CycleMeter {
  /** Milliseconds since some moment. */
  monotonic(): number;
  point(point: string, status: PointStatus, profile: string, seconds: number): void;
  plugin(plugin: string, point: string, status: PointStatus, seconds: number): void;
  evaluated(plugin: string, point: string, profile: string, times: number): void;
}

/** One decision in so many is looked at rule by rule. */
export const sampleEvery = 10;
/** Nodes of such a decision for which rules are timed. */
const nodesTimed = 10;

/** The meter for one decision. */
export class Metered {
  readonly #meter: CycleMeter;
  readonly #profile: string;
  readonly #sampled: boolean;
  #nodesLeft = nodesTimed;

  constructor(meter: CycleMeter, profile: string, { sampled }: { readonly sampled: boolean }) {
    this.#meter = meter;
    this.#profile = profile;
    this.#sampled = sampled;
  }

  get sampled(): boolean {
    return this.#sampled;
  }

  /** Whether rules are timed for the next node. */
  nextNode(): boolean {
    if (!this.#sampled || this.#nodesLeft === 0) return false;
    this.#nodesLeft -= 1;
    return true;
  }

  now(): number {
    return this.#meter.monotonic();
  }

  point(point: string, status: PointStatus, sinceMs: number): void {
    this.#meter.point(point, status, this.#profile, this.#secondsSince(sinceMs));
  }

  plugin(plugin: string, point: string, status: PointStatus, sinceMs: number): void {
    this.#meter.plugin(plugin, point, status, this.#secondsSince(sinceMs));
  }

  evaluated(plugin: string, point: string, times = 1): void {
    if (times > 0) this.#meter.evaluated(plugin, point, this.#profile, times);
  }

  #secondsSince(sinceMs: number): number {
    return (this.#meter.monotonic() - sinceMs) / 1000;
  }
}
