/**
 * Pods that wait for a node.
 *
 * `active`: to be tried next, by priority, then by age. `gated`: not to be tried before the pod
 * itself is changed, or what it names is there. `waiting`: no node fitted; woken by a change that
 * the rules which turned it away say could help, and after five minutes in any case. A woken pod
 * whose last try was too recent goes to `backoff` first: 1 s after the first try, then 2, 4, 8, at
 * most 10; but rather than have nothing to do the scheduler takes it before its time. Pods whose
 * binding failed serve their back-off in full.
 *
 * `scheduler.ts` fills it from the informers and takes pods out, one at a time.
 */
import type { Clock } from '#kit/clock.ts';
import {
  type Cluster,
  type ClusterChange,
  changeHelps,
  type Hold,
  heldBack,
  type PodFacts,
  type Profile,
} from '#scheduling';
import { eventLabel } from './event-labels.ts';
import type { SchedulerMetrics } from './metrics.ts';

export interface QueueOptions {
  readonly backoffMs: number;
  readonly backoffMsMax: number;
}

export const queueDefaults: QueueOptions = { backoffMs: 1_000, backoffMsMax: 10_000 };

export const limits = {
  /** A pod is tried again after this time even if nothing seems to have changed. */
  waitingMsMax: 5 * 60_000,
} as const;

type State = 'active' | 'backoff' | 'waiting' | 'gated' | 'taken';

export interface QueuedPod {
  readonly facts: PodFacts;
  readonly profile: Profile;
  /** How often it has been taken, this time included. */
  readonly attempts: number;
  /** When it was seen first, by the monotonic clock. */
  readonly sinceMs: number;
  /** It is tried only because it has waited for so long. */
  readonly flushed: boolean;
}

interface Entry {
  facts: PodFacts;
  profile: Profile;
  attempts: number;
  state: State;
  readonly sinceMs: number;
  /** Before this moment it is not tried again. */
  backoffUntilMs: number;
  /** Its last try ended with an error: it serves its back-off in full. */
  failed: boolean;
  rejectedBy: ReadonlySet<string>;
  /** Changes seen while it was being tried over a longer time. */
  missed: ClusterChange[] | undefined;
  /** Why it is gated. */
  hold: Hold | undefined;
  /** Room is being made for it: it is not tried meanwhile, but may be wanted afterwards. */
  held: boolean;
  wanted: boolean;
  /** What would have woken it. */
  wantedBy: string | undefined;
  /** Woken by nothing but the time that it has waited. */
  flushed: boolean;
  cancelTimer: (() => void) | undefined;
}

const nothing: ReadonlySet<string> = new Set();

export interface QueueDeps {
  readonly clock: Clock;
  readonly cluster: Cluster;
  /** Whether the cluster has the facts that the pod needs; always, where nothing is said. */
  readonly knows?: (pod: PodFacts) => boolean;
  readonly metrics?: SchedulerMetrics | undefined;
}

export class SchedulingQueue {
  readonly #deps: QueueDeps;
  readonly #options: QueueOptions;
  readonly #entries = new Map<string, Entry>();
  /** Priority → pods in order of arrival. */
  readonly #active = new Map<number, Set<Entry>>();
  readonly #waiting = new Set<Entry>();
  readonly #gated = new Set<Entry>();
  readonly #backoff = new Set<Entry>();
  /** Being tried over a longer time. */
  readonly #watching = new Set<Entry>();
  #taker: ((entry: Entry) => void) | undefined;

  constructor(deps: QueueDeps, options: QueueOptions = queueDefaults) {
    this.#deps = deps;
    this.#options = options;
  }

  /** How many pods are in each state; `taken` ones are being tried or bound. */
  get counts(): Readonly<Record<State, number>> {
    const counts = { active: 0, backoff: 0, waiting: 0, gated: 0, taken: 0 };
    for (const { state } of this.#entries.values()) counts[state] += 1;
    return counts;
  }

  /** Rule and scheduler, once for each waiting pod that the rule turned away. */
  get turnedAway(): readonly (readonly [string, string])[] {
    return [...this.#entries.values()].flatMap(({ state, rejectedBy, profile, hold }) => {
      const { schedulerName } = profile;
      if (state === 'waiting') return [...rejectedBy].map((one) => [one, schedulerName] as const);
      return hold === undefined ? [] : [[hold.plugin.name, schedulerName] as const];
    });
  }

  has(uid: string): boolean {
    return this.#entries.has(uid);
  }

  /** Whether it is being tried or bound. */
  isTaken(uid: string): boolean {
    return this.#entries.get(uid)?.state === 'taken';
  }

  /** A pod that needs a node, new or changed. */
  put(facts: PodFacts, profile: Profile): void {
    const entry = this.#entries.get(facts.uid);
    if (entry === undefined) {
      this.#add(facts, profile);
      return;
    }
    const { state, facts: old } = entry;
    if (state === 'active' && old.priority !== facts.priority) {
      this.#leave(entry);
      entry.facts = facts;
      this.#activate(entry, 'UnschedulablePodUpdate');
      return;
    }
    entry.facts = facts;
    const change = { what: 'podChanged', old } as const;
    if (state === 'gated') {
      this.#release(entry, eventLabel(change, facts));
      return;
    }
    if ((state !== 'waiting' && entry.missed === undefined) || !isDifferent(old, facts)) return;
    entry.missed?.push(change);
    if (state !== 'waiting') return;
    if (this.#helps(change, entry)) this.#wake(entry, eventLabel(change, facts));
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

  /** A taken pod as it is now: it may have changed while something else was waited for. */
  renewed(queued: QueuedPod): QueuedPod {
    const { facts = queued.facts } = this.#entries.get(queued.facts.uid) ?? {};
    return facts === queued.facts ? queued : { ...queued, facts };
  }

  /** From now on changes are noted for a taken pod, since its try takes longer than a moment. */
  watch(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    entry.missed = [];
    this.#watching.add(entry);
  }

  /** True: a taken pod must not be tried after all, and is put aside. */
  gate(uid: string): boolean {
    const entry = this.#entries.get(uid);
    const hold = entry === undefined ? undefined : this.#holdOf(entry);
    if (entry === undefined || hold === undefined) return false;
    entry.attempts -= 1;
    this.#gate(entry, hold);
    return true;
  }

  /** No node fitted; these rules turned it away. */
  park(uid: string, rejectedBy: ReadonlySet<string>): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    const missed = entry.missed ?? [];
    this.#leave(entry);
    entry.state = 'waiting';
    entry.rejectedBy = rejectedBy;
    entry.failed = false;
    entry.backoffUntilMs = this.#deps.clock.monotonic() + this.#backoffMs(entry);
    this.#waiting.add(entry);
    this.#deps.metrics?.queueIncoming('unschedulable', 'ScheduleAttemptFailure');
    entry.flushed = false;
    entry.cancelTimer = this.#deps.clock.after(limits.waitingMsMax, () => {
      entry.flushed = true;
      this.#wake(entry, 'UnschedulableTimeout');
    });
    const helpful = missed.find((change) => this.#helps(change, entry));
    if (helpful !== undefined) this.#wake(entry, eventLabel(helpful, entry.facts));
  }

  /** Something went wrong that only time can mend; try again after the back-off. */
  backOff(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.#leave(entry);
    entry.failed = true;
    entry.backoffUntilMs = this.#deps.clock.monotonic() + this.#backoffMs(entry);
    this.#wake(entry, 'ScheduleAttemptFailure');
  }

  /** What was to help a pod that waits has failed: try again, after a back-off in full. */
  retry(uid: string): void {
    if (this.#entries.get(uid)?.state === 'waiting') this.backOff(uid);
  }

  /** Room is being made for it: it stays where it is until `release`. */
  hold(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    entry.held = true;
    entry.wanted = false;
    entry.wantedBy = undefined;
  }

  /** `retry`: making room failed, so try again whatever has changed. */
  release(uid: string, { retry }: { readonly retry: boolean }): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    entry.held = false;
    if ((entry.wanted || retry) && entry.state === 'waiting') {
      this.#wake(entry, entry.wantedBy ?? 'ForceActivate');
    }
  }

  /** Wakes the waiting pods that the change could help. */
  onChange(change: ClusterChange): void {
    for (const entry of this.#watching) entry.missed?.push(change);
    for (const entry of this.#waiting) {
      if (this.#helps(change, entry)) this.#wake(entry, eventLabel(change, entry.facts));
    }
    if (change.what !== 'fact') return;
    for (const entry of this.#gated) {
      const helps = entry.hold?.plugin.helps(change, entry.facts, this.#deps.cluster);
      if (helps) this.#release(entry, eventLabel(change, entry.facts));
    }
  }

  [Symbol.dispose](): void {
    for (const entry of this.#entries.values()) entry.cancelTimer?.();
    this.#entries.clear();
    this.#active.clear();
    this.#waiting.clear();
    this.#gated.clear();
    this.#backoff.clear();
    this.#watching.clear();
  }

  #add(facts: PodFacts, profile: Profile): void {
    const entry: Entry = {
      facts,
      profile,
      attempts: 0,
      state: 'gated',
      sinceMs: this.#deps.clock.monotonic(),
      backoffUntilMs: 0,
      failed: false,
      rejectedBy: nothing,
      missed: undefined,
      hold: undefined,
      held: false,
      wanted: false,
      wantedBy: undefined,
      flushed: false,
      cancelTimer: undefined,
    };
    this.#entries.set(facts.uid, entry);
    const sinceMs = this.#deps.clock.monotonic();
    const hold = this.#holdOf(entry);
    const status = hold === undefined ? 'Success' : 'UnschedulableAndUnresolvable';
    const seconds = (this.#deps.clock.monotonic() - sinceMs) / 1000;
    const { metrics } = this.#deps;
    metrics?.extensionPoint('PreEnqueue', status, profile.schedulerName, seconds);
    if (hold === undefined) {
      this.#activate(entry, 'UnschedulablePodAdd');
      return;
    }
    this.#gate(entry, hold);
    metrics?.queueIncoming('unschedulable', 'UnschedulablePodAdd');
  }

  #holdOf({ facts, profile }: Entry): Hold | undefined {
    const { cluster, knows } = this.#deps;
    return heldBack(profile, facts, knows?.(facts) === false ? undefined : cluster);
  }

  #gate(entry: Entry, hold: Hold): void {
    this.#leave(entry);
    entry.state = 'gated';
    entry.hold = hold;
    this.#gated.add(entry);
  }

  /** If nothing holds it any more. */
  #release(entry: Entry, event: string): void {
    entry.hold = this.#holdOf(entry);
    if (entry.hold === undefined) this.#wake(entry, event);
  }

  #helps(change: ClusterChange, { facts, profile, rejectedBy }: Entry): boolean {
    // A fault outside the rules, of an extender: any change may mend it.
    if (rejectedBy.has('Extender')) return true;
    const { cluster } = this.#deps;
    return changeHelps(profile, change, { pod: facts, cluster, rejectedBy });
  }

  #wake(entry: Entry, event: string): void {
    if (entry.held) {
      entry.wanted = true;
      entry.wantedBy ??= event;
      return;
    }
    this.#leave(entry);
    const delayMs = entry.backoffUntilMs - this.#deps.clock.monotonic();
    if (delayMs <= 0 || (!entry.failed && this.#taker !== undefined)) {
      this.#activate(entry, event);
      return;
    }
    entry.state = 'backoff';
    this.#backoff.add(entry);
    this.#deps.metrics?.queueIncoming('backoff', event);
    entry.cancelTimer = this.#deps.clock.after(delayMs, () => {
      this.#leave(entry);
      this.#activate(entry, 'BackoffComplete');
    });
  }

  #activate(entry: Entry, event: string): void {
    entry.state = 'active';
    this.#deps.metrics?.queueIncoming('active', event);
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
    entry.missed = undefined;
    this.#waiting.delete(entry);
    this.#gated.delete(entry);
    entry.hold = undefined;
    this.#backoff.delete(entry);
    this.#watching.delete(entry);
    const peers = this.#active.get(entry.facts.priority);
    peers?.delete(entry);
    if (peers?.size === 0) this.#active.delete(entry.facts.priority);
  }

  #next(): Entry | undefined {
    if (this.#active.size === 0) return this.#nextOfBackoff();
    const highest = this.#active.get(Math.max(...this.#active.keys()));
    const { value } = (highest ?? new Set<Entry>()).values().next();
    return value;
  }

  #nextOfBackoff(): Entry | undefined {
    let first: Entry | undefined;
    for (const entry of this.#backoff) {
      if (entry.failed) continue;
      if (first === undefined || entry.backoffUntilMs < first.backoffUntilMs) first = entry;
    }
    if (first !== undefined) this.#deps.metrics?.queueIncoming('active', 'PopFromBackoffQ');
    return first;
  }

  #hand(entry: Entry): QueuedPod {
    this.#leave(entry);
    entry.state = 'taken';
    entry.attempts += 1;
    const { facts, profile, attempts, sinceMs, flushed } = entry;
    return { facts, profile, attempts, sinceMs, flushed };
  }

  #backoffMs({ attempts }: Entry): number {
    return backoffMs(attempts, this.#options);
  }
}

export function backoffMs(attempts: number, options: QueueOptions = queueDefaults): number {
  return Math.min(options.backoffMs * 2 ** Math.max(0, attempts - 1), options.backoffMsMax);
}

/** Whether anything but the status and bookkeeping of the pod has changed. */
function isDifferent(old: PodFacts, next: PodFacts): boolean {
  const relevant = ({ pod }: PodFacts): string =>
    JSON.stringify([pod.spec, pod.metadata.labels, pod.metadata.annotations]);
  return relevant(old) !== relevant(next);
}
