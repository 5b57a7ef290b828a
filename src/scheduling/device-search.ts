/**
 * Chooses devices for claims, one by one, and goes back where a choice leads nowhere: over all
 * claims of a pod, since what the first one takes may be what the second one needs.
 *
 * Where a request lists alternatives the first that can be had is taken. `All` takes every device
 * that the selectors accept, or none. A claim has 32 devices at most. The search gives up, with an
 * error, after a number of choices.
 *
 * `device-allocator.ts` says what is wanted and makes allocations of what is chosen.
 */
import type {
  CapacityRequirements,
  DeviceConstraint,
  DeviceToleration,
} from '#resources/types/resource-v1.ts';
import { AllocationError } from './allocation-error.ts';
import type { Amounts, Consumed } from './device-capacity.ts';
import type { Candidate, Counters } from './device-pools.ts';
import { toleratesDevice } from './tolerations.ts';

/** Devices that one claim may have. */
export const resultsMax = 32;

export interface Want {
  /** Which of the claims it is for, by number. */
  readonly claim: number;
  /** `request` or `request/alternative` */
  readonly request: string;
  /** The last part of that, as errors have it. */
  readonly said: string;
  readonly count: number;
  /** All devices that fit; undefined where a number of them is wanted. */
  readonly all: readonly Candidate[] | undefined;
  readonly adminAccess: boolean;
  readonly capacity: CapacityRequirements['requests'];
  readonly tolerations: readonly DeviceToleration[];
  readonly accepts: (candidate: Candidate) => boolean;
}

export interface ClaimWants {
  /** `namespace/name` */
  readonly key: string;
  /** For each request its alternatives, the best first. */
  readonly ways: readonly (readonly Want[])[];
  readonly constraints: readonly DeviceConstraint[];
}

export interface Choice {
  readonly want: Want;
  readonly candidate: Candidate;
  readonly consumption: Amounts;
}

export interface Used {
  readonly taken: ReadonlySet<string>;
  readonly consumed: Consumed;
  readonly counters: Counters;
}

export class DeviceSearch {
  readonly #claims: readonly ClaimWants[];
  readonly #candidates: readonly Candidate[];
  readonly #taken: ReadonlySet<string>;
  readonly #consumed: Consumed;
  readonly #counters: Counters;
  readonly #choicesMax: number;
  readonly #choices: Choice[] = [];
  #tried = 0;

  constructor(
    claims: readonly ClaimWants[],
    candidates: readonly Candidate[],
    options: Used & { readonly choicesMax: number },
  ) {
    this.#claims = claims;
    this.#candidates = candidates;
    this.#taken = options.taken;
    this.#consumed = options.consumed;
    this.#counters = options.counters;
    this.#choicesMax = options.choicesMax;
  }

  /** For each claim what was chosen, or undefined. */
  run(): readonly (readonly Choice[])[] | undefined {
    if (!this.#fill(0, 0)) return undefined;
    return this.#claims.map((_, index) => this.#of(index));
  }

  #of(claim: number): readonly Choice[] {
    return this.#choices.filter(({ want }) => want.claim === claim);
  }

  #fill(claim: number, request: number): boolean {
    const wants = this.#claims[claim];
    if (wants === undefined) return true;
    const alternatives = wants.ways[request];
    if (alternatives === undefined) return this.#fill(claim + 1, 0);
    const next = (): boolean => this.#fill(claim, request + 1);
    return alternatives.some((want) => {
      const { all, count } = want;
      if (this.#of(claim).length + (all?.length ?? count) > resultsMax) return false;
      if (all === undefined) return this.#take(want, count, 0, next);
      return all.length > 0 && this.#takeThese(want, all, 0, next);
    });
  }

  #take(want: Want, count: number, from: number, next: () => boolean): boolean {
    if (count === 0) return next();
    for (let index = from; index < this.#candidates.length; index++) {
      const candidate = this.#candidates[index];
      if (candidate === undefined || this.#isBusy(want, candidate)) continue;
      if (!want.accepts(candidate) || this.#choose(want, candidate) !== 'chosen') continue;
      if (this.#take(want, count - 1, index + 1, next)) return true;
      this.#undo();
    }
    return false;
  }

  #takeThese(want: Want, all: readonly Candidate[], index: number, next: () => boolean): boolean {
    const candidate = all[index];
    if (candidate === undefined) return next();
    const outcome = this.#choose(want, candidate);
    if (outcome === 'against a constraint') {
      const key = this.#claims[want.claim]?.key;
      throw new AllocationError(
        `claim ${key}, request ${want.said}: cannot add device ${candidate.id} because a claim constraint would not be satisfied`,
      );
    }
    if (outcome !== 'chosen') return false;
    if (this.#takeThese(want, all, index + 1, next)) return true;
    this.#undo();
    return false;
  }

  #choose(want: Want, candidate: Candidate): 'chosen' | 'not free' | 'against a constraint' {
    this.#tried += 1;
    if (this.#tried > this.#choicesMax) {
      throw new AllocationError('timed out trying to allocate devices', { late: true });
    }
    if (!this.#isFree(want, candidate)) return 'not free';
    const consumption = this.#consumed.room(candidate, want.capacity);
    if (consumption === undefined) return 'not free';
    this.#choices.push({ want, candidate, consumption });
    const { constraints = [] } = this.#claims[want.claim] ?? {};
    if (!constraints.every((constraint) => this.#holds(constraint, want.claim))) {
      this.#choices.pop();
      return 'against a constraint';
    }
    // What a shared device takes of its counters it takes once.
    if (!this.#consumed.has(candidate.id)) this.#count(candidate, -1n);
    if (candidate.shared) this.#consumed.add(candidate.id, consumption);
    return 'chosen';
  }

  #isBusy(want: Want, { id, shared }: Candidate): boolean {
    const chosen = shared ? [] : this.#choices.filter((one) => one.candidate.id === id);
    // Who only looks after a device may have it besides others, but not twice.
    return want.adminAccess
      ? chosen.some((one) => one.want.claim === want.claim)
      : chosen.length > 0 || this.#taken.has(id);
  }

  #isFree(want: Want, candidate: Candidate): boolean {
    const { id, device, counters } = candidate;
    if (this.#isBusy(want, candidate)) return false;
    const barred = (device.taints ?? []).some(
      (taint) =>
        (taint.effect === 'NoSchedule' || taint.effect === 'NoExecute') &&
        !want.tolerations.some((one) => toleratesDevice(one, taint)),
    );
    if (barred) return false;
    if (this.#consumed.has(id)) return true;
    return counters.every(([key, amount]) => (this.#counters.get(key) ?? 0n) >= amount);
  }

  #undo(): void {
    const choice = this.#choices.pop();
    if (choice === undefined) return;
    const { candidate, consumption } = choice;
    if (candidate.shared) this.#consumed.remove(candidate.id, consumption);
    if (!this.#consumed.has(candidate.id)) this.#count(candidate, 1n);
  }

  #count({ counters }: Candidate, times: 1n | -1n): void {
    for (const [key, amount] of counters) {
      this.#counters.set(key, (this.#counters.get(key) ?? 0n) + times * amount);
    }
  }

  #holds(
    { requests = [], matchAttribute, distinctAttribute }: DeviceConstraint,
    claim: number,
  ): boolean {
    const concerned = this.#of(claim).filter(({ want: { request } }) => {
      const parent = request.split('/')[0] ?? '';
      return requests.length === 0 || requests.includes(request) || requests.includes(parent);
    });
    const name = matchAttribute ?? distinctAttribute ?? '';
    const values = concerned.map(({ candidate }) => attributeText(candidate, name));
    if (values.includes(undefined)) return false;
    const different = new Set(values).size;
    return matchAttribute !== undefined ? different <= 1 : different === values.length;
  }
}

/** Names without a domain belong to the driver's. */
function attributeText({ driver, device }: Candidate, name: string): string | undefined {
  const attributes = device.attributes ?? {};
  const short = name.startsWith(`${driver}/`) ? name.slice(driver.length + 1) : name;
  const value = attributes[name] ?? attributes[short];
  return value === undefined ? undefined : JSON.stringify(value);
}
