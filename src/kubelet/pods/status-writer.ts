/**
 * Sends pod statuses to the API: per pod one request at a time, always the newest, only what
 * changed.
 *
 * The worker sets a status and goes on; a slow API server never holds up containers. What differs
 * from the object last seen is sent as a merge patch of the status sub-resource, with the uid, so
 * that a pod of the same name that came later is never touched. `settled` waits until the server
 * has the newest; the worker asks for that before the final delete. A status that will soon be
 * followed by the next (a pod that is being started) is held back for a moment: mostly one write
 * then says both. While many pods start, each takes longer, and so are theirs held back for longer.
 */
import { isDeepStrictEqual } from 'node:util';
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { pods } from '#resources/kinds.ts';
import type { Pod, PodStatus } from '#resources/types/core-v1.ts';
import { isStatic } from '../static-pods/static-pod.ts';
import { withForeign } from './conditions.ts';
import type { PodCounts } from './pod-counts.ts';

interface Entry {
  pod: Pod;
  wanted: PodStatus;
  /** What the server is known to have. */
  sent: PodStatus;
  /** Its last or present sending; whether it goes on is said apart, since that ends at once. */
  running: Promise<void> | undefined;
  isSending: boolean;
  /** The status of now is soon followed by another. */
  isPassing: boolean;
  /** Ends the wait for that. */
  go: (() => void) | undefined;
}

const limits = {
  retryMs: 1000,
  /** How long a status is held back; and at most, while those of more pods than `crowd` are. */
  passingMs: 1000,
  passingMsMax: 10_000,
  crowd: 16,
} as const;

export class StatusWriter {
  readonly #client: Pick<Client, 'patchUnread'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #counts: Pick<PodCounts, 'statusChanged'> | undefined;
  readonly #signal: AbortSignal;
  readonly #spawn: (task: () => Promise<void>) => void;
  readonly #entries = new Map<string, Entry>();
  /** Statuses that are held back now. */
  #held = 0;
  /** By uid of a static pod: the mirror that its status is written to. */
  readonly #mirrors = new Map<string, Pod>();

  constructor(
    deps: {
      readonly client: Pick<Client, 'patchUnread'>;
      readonly clock: Clock;
      readonly log: Logger;
      readonly counts?: Pick<PodCounts, 'statusChanged'> | undefined;
    },
    options: {
      readonly signal: AbortSignal;
      readonly spawn: (task: () => Promise<void>) => void;
    },
  ) {
    this.#client = deps.client;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#counts = deps.counts;
    this.#signal = options.signal;
    this.#spawn = options.spawn;
  }

  /** One that is soon followed by another is held back, but not for long. */
  set(
    pod: Pod,
    status: PodStatus,
    { isPassing = false }: { readonly isPassing?: boolean } = {},
  ): void {
    const { uid = '' } = pod.metadata;
    let entry = this.#entries.get(uid);
    if (entry === undefined) {
      const sent = pod.status ?? {};
      entry = {
        ...{ pod, wanted: sent, sent, isPassing },
        ...{ running: undefined, isSending: false, go: undefined },
      };
      this.#entries.set(uid, entry);
    }
    entry.pod = pod;
    this.#counts?.statusChanged(entry.wanted, status);
    entry.wanted = status;
    entry.isPassing = isPassing;
    if (!isPassing) entry.go?.();
    this.#startIfNeeded(entry);
  }

  /** A static pod's mirror came, changed or went; from now on its status counts as sent. */
  mirrored(uid: string, mirror: Pod | undefined): void {
    if (mirror === undefined) this.#mirrors.delete(uid);
    else this.#mirrors.set(uid, mirror);
    const entry = this.#entries.get(uid);
    if (entry === undefined || mirror === undefined || entry.isSending) return;
    entry.sent = mirror.status ?? {};
    this.#startIfNeeded(entry);
  }

  #startIfNeeded(entry: Entry): void {
    if (entry.isSending || this.#targetOf(entry.pod) === undefined) return;
    if (statusPatch(entry.sent, entry.wanted) !== undefined) this.#start(entry);
  }

  #targetOf(pod: Pod): Pod | undefined {
    return isStatic(pod) ? this.#mirrors.get(pod.metadata.uid ?? '') : pod;
  }

  /**
   * The server's view of the pod changed: compare with that from now on. A status that is held back
   * leaves in place what others have said meanwhile.
   */
  seen(pod: Pod): void {
    const entry = this.#entries.get(pod.metadata.uid ?? '');
    if (entry === undefined) return;
    const isHeld = entry.isPassing && entry.go !== undefined;
    if (!entry.isSending || isHeld) entry.sent = pod.status ?? {};
    if (!isHeld) return;
    const conditions = withForeign(entry.wanted.conditions, pod.status?.conditions);
    entry.wanted = { ...entry.wanted, conditions };
  }

  async settled(uid: string): Promise<void> {
    const entry = this.#entries.get(uid);
    entry?.go?.();
    await entry?.running;
  }

  /** Nothing is sent for this pod any more, also not what was being tried again. */
  forget(uid: string): void {
    this.#entries.get(uid)?.go?.();
    this.#entries.delete(uid);
    this.#mirrors.delete(uid);
  }

  #start(entry: Entry): void {
    entry.isSending = true;
    const running = this.#send(entry);
    entry.running = running;
    this.#spawn(() => running);
  }

  async #send(entry: Entry): Promise<void> {
    try {
      for (;;) {
        if (entry.isPassing) await this.#hold(entry);
        if (this.#entries.get(entry.pod.metadata.uid ?? '') !== entry) return;
        const { pod, wanted, sent } = entry;
        const patch = statusPatch(sent, wanted);
        const target = this.#targetOf(pod);
        if (patch === undefined || target === undefined) return;
        const outcome = await this.#write(target, patch);
        if (outcome === 'gone') return;
        if (outcome === 'written') entry.sent = wanted;
        else await this.#clock.sleep(limits.retryMs, { signal: this.#signal });
      }
    } finally {
      // In the same stretch as the last comparison: what is set from now on begins anew.
      entry.isSending = false;
    }
  }

  async #write(
    target: Pod,
    patch: Readonly<Record<string, unknown>>,
  ): Promise<'written' | 'gone' | 'failed'> {
    const { namespace, name = '', uid } = target.metadata;
    const body = { metadata: { uid }, status: patch };
    const options = { type: 'merge', subresource: 'status', signal: this.#signal } as const;
    try {
      await this.#client.patchUnread(pods, { namespace, name }, body, options);
      return 'written';
    } catch (error) {
      if (this.#signal.aborted) return 'gone';
      // Gone, or another pod of the same name: there is nothing to tell any more.
      if (isReason(error, 'NotFound') || isReason(error, 'Conflict')) return 'gone';
      this.#log.warn('cannot write the status of a pod', { pod: name, namespace, error });
      return 'failed';
    }
  }

  /** Until another status has come that stays, or time is up. */
  async #hold(entry: Entry): Promise<void> {
    const signal = this.#signal;
    this.#held += 1;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        cancel();
        signal.removeEventListener('abort', go);
        resolve();
      };
      let heldMs = 0;
      const look = (): void => {
        heldMs += limits.passingMs;
        if (this.#held <= limits.crowd || heldMs >= limits.passingMsMax) go();
        else cancel = this.#clock.after(limits.passingMs, look);
      };
      let cancel = this.#clock.after(limits.passingMs, look);
      entry.go = go;
      if (signal.aborted) go();
      else signal.addEventListener('abort', go);
    });
    this.#held -= 1;
    entry.go = undefined;
    entry.isPassing = false;
  }
}

/** A merge patch from one status to another; undefined when they are alike. */
export function statusPatch(
  from: PodStatus,
  to: PodStatus,
): Readonly<Record<string, unknown>> | undefined {
  const before: Readonly<Record<string, unknown>> = { ...from };
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(to)) {
    const old = before[key];
    if (old === value) continue;
    if (old === undefined || !isDeepStrictEqual(plain(old), plain(value))) patch[key] = value;
  }
  for (const key of owned) {
    if (before[key] !== undefined && !(key in to)) patch[key] = null;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** Fields that the kubelet also takes away. */
const owned = ['message', 'reason', 'podIP', 'podIPs', 'initContainerStatuses'];

/** As it looks on the wire: no undefined fields, no empty `lastState`. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
