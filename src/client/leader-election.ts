/**
 * One of several copies of a component leads; the others wait. The Lease says who.
 *
 * A copy takes the Lease when nobody holds it, or when its holder has not renewed it for its whole
 * duration, measured by this copy's own clock from the moment when it saw the last renewal: clocks
 * of machines need not agree. A leader that cannot renew stops leading before anybody else may
 * begin, and waits until its work has really ended before it tries again.
 *
 * Example, with the defaults: renewed every 2 s, given up after 10 s without success, free for
 * others after 15 s. So there are 5 s in which nobody leads, and no moment in which two do.
 */
import { isReason } from '#api/errors.ts';
import { type Clock, formatMicroTime } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { leases } from '#resources/kinds.ts';
import type { Lease } from '#resources/types/coordination-v1.ts';
import type { Client } from './client.ts';
import { withDeadline } from './deadline.ts';

export interface LeaderDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface LeaderOptions {
  readonly namespace: string;
  readonly name: string;
  /** Tells this copy from the others. */
  readonly identity: string;
  readonly leaseMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryMs?: number;
  readonly signal: AbortSignal;
}

const leaderDefaults = {
  leaseMs: 15_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
} as const;

/** Why a leader was told to stop: it could not renew in time. */
export class LeadershipLost extends Error {
  override readonly name = 'LeadershipLost';
}

/**
 * Runs `lead` whenever this copy leads. Its signal aborts when the lead is lost or the caller's
 * signal aborts; a failure of it is thrown. The Lease is given back at the end.
 */
export async function runAsLeader(
  deps: LeaderDeps,
  options: LeaderOptions,
  lead: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const elector = new Elector(deps, options);
  const { signal } = options;
  try {
    for (;;) {
      await elector.acquire(signal);
      deps.log.info('leading', { lease: options.name, identity: options.identity });
      await elector.hold(lead, signal);
      deps.log.warn('no longer leading', { lease: options.name, identity: options.identity });
    }
  } finally {
    await elector.release();
  }
}

class Elector {
  readonly #deps: LeaderDeps;
  readonly #options: Required<LeaderOptions>;
  /** The Lease as last seen, and when it was seen to change, on the monotonic clock. */
  #seen: { readonly resourceVersion: string | undefined; readonly atMs: number } | undefined;
  #held: Lease | undefined;

  constructor(deps: LeaderDeps, options: LeaderOptions) {
    this.#deps = deps;
    this.#options = { ...leaderDefaults, ...options };
  }

  async acquire(signal: AbortSignal): Promise<void> {
    while (!(await this.#attempt(signal))) {
      const delayMs = this.#options.retryMs * (1 + 0.2 * this.#deps.random.fraction());
      await this.#deps.clock.sleep(delayMs, { signal });
    }
  }

  /** Leads and renews. Returns when the lead was lost and the work has ended. */
  async hold(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const renewing = this.#renew(controller);
    try {
      await lead(controller.signal);
      // Work that ends by itself ends everything.
      controller.abort(new Error('the work has ended'));
    } catch (error) {
      if (!controller.signal.aborted) {
        controller.abort(error);
        throw error;
      }
      if (error !== controller.signal.reason) throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      await renewing;
    }
    signal.throwIfAborted();
    if (!(controller.signal.reason instanceof LeadershipLost)) throw controller.signal.reason;
  }

  /** Renews until the signal aborts; aborts it itself when that did not work for too long. */
  async #renew(controller: AbortController): Promise<void> {
    const { clock } = this.#deps;
    const { renewDeadlineMs, retryMs } = this.#options;
    let renewedMs = clock.monotonic();
    const { signal } = controller;
    while (!signal.aborted) {
      await clock.sleep(retryMs, { signal }).catch(() => {});
      if (signal.aborted) return;
      const startedMs = clock.monotonic();
      const leftMs = renewedMs + renewDeadlineMs - startedMs;
      const what = 'renewing the lease';
      const isRenewed = await withDeadline(
        this.#deps,
        { limitMs: Math.max(leftMs, 1), signal, what },
        (limited) => this.#attempt(limited),
      ).catch(() => false);
      if (isRenewed) renewedMs = startedMs;
      else if (clock.monotonic() - renewedMs >= renewDeadlineMs - retryMs || !this.#held) {
        controller.abort(new LeadershipLost(`could not renew ${this.#options.name}`));
      }
    }
  }

  /** Takes or renews the Lease; false where another copy holds it or the server is away. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    const { client, clock, log } = this.#deps;
    const { namespace, name, identity, leaseMs } = this.#options;
    try {
      const found = await client
        .get(leases, { namespace, name }, { signal })
        .catch((error: unknown) => {
          if (!isReason(error, 'NotFound')) throw error;
        });
      const now = formatMicroTime(clock.now());
      const leaseDurationSeconds = Math.ceil(leaseMs / 1000);
      const spec = { holderIdentity: identity, leaseDurationSeconds, renewTime: now };
      if (found === undefined) {
        const metadata = { namespace, name };
        const first = { ...spec, acquireTime: now, leaseTransitions: 0 };
        const lease = {
          apiVersion: 'coordination.k8s.io/v1',
          kind: 'Lease',
          metadata,
          spec: first,
        };
        this.#held = await client.create(leases, lease, { signal });
        return true;
      }
      const { holderIdentity = '', acquireTime, leaseTransitions = 0 } = found.spec ?? {};
      const isOurs = holderIdentity === identity;
      if (!isOurs && this.#isHeld(found)) {
        this.#held = undefined;
        return false;
      }
      const taken = isOurs
        ? { ...spec, acquireTime, leaseTransitions }
        : { ...spec, acquireTime: now, leaseTransitions: leaseTransitions + 1 };
      const next = { ...found, spec: { ...found.spec, ...taken } };
      this.#held = await client.update(leases, next, { signal });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      log.debug('lease was not taken', { lease: name, error });
      return false;
    }
  }

  /** Somebody else holds it, and has renewed it recently enough as far as we could see. */
  #isHeld({ metadata, spec }: Lease): boolean {
    if (!spec?.holderIdentity) return false;
    const now = this.#deps.clock.monotonic();
    if (this.#seen?.resourceVersion !== metadata.resourceVersion || this.#seen === undefined) {
      this.#seen = { resourceVersion: metadata.resourceVersion, atMs: now };
    }
    const seconds = spec.leaseDurationSeconds ?? 0;
    return this.#seen.atMs + seconds * 1000 > now;
  }

  /** Lets the next copy begin at once. Best effort: otherwise the Lease runs out. */
  async release(): Promise<void> {
    const held = this.#held;
    if (held?.spec === undefined) return;
    this.#held = undefined;
    const renewTime = formatMicroTime(this.#deps.clock.now());
    const { holderIdentity: _, ...kept } = held.spec;
    const spec = { ...kept, leaseDurationSeconds: 1, renewTime };
    const { signal } = new AbortController();
    const limit = { limitMs: this.#options.retryMs, signal, what: 'releasing the lease' };
    await withDeadline(this.#deps, limit, (limited) =>
      this.#deps.client.update(leases, { ...held, spec }, { signal: limited }),
    ).catch((error: unknown) => {
      this.#deps.log.debug('lease was not released', { lease: this.#options.name, error });
    });
  }
}
