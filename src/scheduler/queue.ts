/**
 * Pods that wait for a node.
 *
 * `active`: to be tried next, by priority, then by age. `waiting`: no node fitted; woken by a
 * change that the rules which turned it away say could help, and after five minutes in any case.
 * A woken pod whose last try was too recent goes to `backoff` first: 1 s after the first try,
 * then 2, 4, 8, at most 10. Pods whose binding failed go to `backoff` at once.
 *
 * `scheduler.ts` fills it from the informers and takes pods out, one at a time.
 */
import type { Clock } from '#kit/clock.ts';
import { type ClusterChange, changeHelps, type PodFacts } from '#scheduling';

export const limits = {
  backoffMs: 1_000,
  backoffMsMax: 10_000,
  /** A pod is tried again after this time even if nothing seems to have changed. */
  waitingMsMax: 5 * 60_000,
} as const;

type State = 'active' | 'backoff' | 'waiting' | 'taken';

export interface QueuedPod {
  readonly facts: PodFacts;
  /** How often it has been taken, this time included. */
  readonly attempts: number;
}

interface Entry {
  facts: PodFacts;
  attempts: number;
  state: State;
  /** Before this moment it is not tried again. */
  backoffUntilMs: number;
  rejectedBy: ReadonlySet<string>;
  cancelTimer: (() => void) | undefined;
}

const nothing: ReadonlySet<string> = new Set();

export class SchedulingQueue {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  /** Priority → pods in order of arrival. */
  readonly #active = new Map<number, Set<Entry>>();
  readonly #waiting = new Set<Entry>();
  #taker: ((entry: Entry) => void) | undefined;

  constructor(deps: { readonly clock: Clock }) {
    this.#clock = deps.clock;
  }

  /** How many pods are in each state; `taken` ones are being tried or bound. */
  get counts(): Readonly<Record<State, number>> {
    const counts = { active: 0, backoff: 0, waiting: 0, taken: 0 };
    for (const { state } of this.#entries.values()) counts[state] += 1;
    return counts;
  }

  has(uid: string): boolean {
    return this.#entries.has(uid);
  }

  /** A pod that needs a node, new or changed. */
  put(facts: PodFacts): void {
    const entry = this.#entries.get(facts.uid);
    if (entry === undefined) {
      const fresh: Entry = {
        facts,
        attempts: 0,
        state: 'active',
        backoffUntilMs: 0,
        rejectedBy: nothing,
        cancelTimer: undefined,
      };
      this.#entries.set(facts.uid, fresh);
      this.#activate(fresh);
      return;
    }
    const changed = entry.state === 'waiting' && isDifferent(entry.facts, facts);
    if (entry.state === 'active' && entry.facts.priority !== facts.priority) {
      this.#leave(entry);
      entry.facts = facts;
      this.#activate(entry);
    }
    entry.facts = facts;
    if (changed && changeHelps({ what: 'podChanged' }, facts, entry.rejectedBy)) this.#wake(entry);
  }

  /** The pod is gone, has a node, or is no longer ours. */
  remove(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.#leave(entry);
    this.#entries.delete(uid);
  }

  /** The next pod to try. End with `remove`, `park` or `backOff`. */
  take({ signal }: { readonly signal: AbortSignal }): Promise<QueuedPod> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const next = this.#next();
    if (next !== undefined) return Promise.resolve(this.#hand(next));
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#taker = undefined;
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#taker = (entry) => {
        this.#taker = undefined;
        signal.removeEventListener('abort', onAbort);
        resolve(this.#hand(entry));
      };
    });
  }

  /** No node fitted; these rules turned it away. */
  park(uid: string, rejectedBy: ReadonlySet<string>): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.#leave(entry);
    entry.state = 'waiting';
    entry.rejectedBy = rejectedBy;
    entry.backoffUntilMs = this.#clock.monotonic() + backoffMs(entry.attempts);
    this.#waiting.add(entry);
    entry.cancelTimer = this.#clock.after(limits.waitingMsMax, () => this.#wake(entry));
  }

  /** Something went wrong that only time can mend; try again after the back-off. */
  backOff(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.#leave(entry);
    entry.backoffUntilMs = this.#clock.monotonic() + backoffMs(entry.attempts);
    this.#wake(entry);
  }

  /** Wakes the waiting pods that the change could help. */
  onChange(change: ClusterChange): void {
    for (const entry of this.#waiting) {
      if (changeHelps(change, entry.facts, entry.rejectedBy)) this.#wake(entry);
    }
  }

  [Symbol.dispose](): void {
    for (const entry of this.#entries.values()) entry.cancelTimer?.();
    this.#entries.clear();
    this.#active.clear();
    this.#waiting.clear();
  }

  #wake(entry: Entry): void {
    this.#leave(entry);
    const delayMs = entry.backoffUntilMs - this.#clock.monotonic();
    if (delayMs <= 0) {
      this.#activate(entry);
      return;
    }
    entry.state = 'backoff';
    entry.cancelTimer = this.#clock.after(delayMs, () => {
      this.#leave(entry);
      this.#activate(entry);
    });
  }

  #activate(entry: Entry): void {
    entry.state = 'active';
    if (this.#taker !== undefined) {
      this.#taker(entry);
      return;
    }
    const { priority } = entry.facts;
    const peers = this.#active.get(priority) ?? new Set();
    peers.add(entry);
    this.#active.set(priority, peers);
  }

  /** Takes the entry out of whatever holds it; it keeps its place in `#entries`. */
  #leave(entry: Entry): void {
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    this.#waiting.delete(entry);
    const peers = this.#active.get(entry.facts.priority);
    peers?.delete(entry);
    if (peers?.size === 0) this.#active.delete(entry.facts.priority);
  }

  #next(): Entry | undefined {
    if (this.#active.size === 0) return undefined;
    const highest = this.#active.get(Math.max(...this.#active.keys()));
    const { value } = (highest ?? new Set<Entry>()).values().next();
    return value;
  }

  #hand(entry: Entry): QueuedPod {
    this.#leave(entry);
    entry.state = 'taken';
    entry.attempts += 1;
    return { facts: entry.facts, attempts: entry.attempts };
  }
}

export function backoffMs(attempts: number): number {
  return Math.min(limits.backoffMs * 2 ** Math.max(0, attempts - 1), limits.backoffMsMax);
}

/** Whether anything but the status and bookkeeping of the pod has changed. */
function isDifferent(old: PodFacts, next: PodFacts): boolean {
  const relevant = ({ pod }: PodFacts): string =>
    JSON.stringify([pod.spec, pod.metadata.labels, pod.metadata.annotations]);
  return relevant(old) !== relevant(next);
}
