/**
 * Keeps a node's certificate good while it runs: asks for one where there is none, and for another
 * before it ends; again and again until somebody signs. One that has ended all the same opens no
 * door any more: then it asks as it did at first, where it still may. What is done with a new one
 * is the caller's business: `agent.ts`, `kubelet-command.ts`.
 */
import { X509Certificate } from 'node:crypto';
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { KeyPair } from '#kit/x509.ts';
import { type Asked, renewalMs, requestCertificate } from './node-certificates.ts';

const limits = {
  renewRetryMs: 10_000,
  /** Timers cannot wait for longer than 24 days; the clock is looked at daily. */
  renewLookMs: 24 * 3600 * 1000,
} as const;

interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly client: Client;
}

export async function keepRenewed(
  deps: Deps,
  options: {
    readonly asked: Asked;
    /** What there is already. */
    readonly first: KeyPair | undefined;
    /** How it got its first one, which needs no certificate. */
    readonly anew?: ((options: { readonly signal: AbortSignal }) => Promise<KeyPair>) | undefined;
    readonly use: (pair: KeyPair) => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { clock, random, log } = deps;
  const { asked, first, anew, use, signal } = options;
  let endsAtMs = first === undefined ? Number.POSITIVE_INFINITY : endMs(first);
  let atMs = first === undefined ? 0 : renewalMs(first.cert, random.fraction());
  for (;;) {
    const waitMs = atMs - clock.now();
    if (waitMs > 0) {
      await clock.sleep(Math.min(waitMs, limits.renewLookMs), { signal });
      continue;
    }
    try {
      const pair =
        anew !== undefined && clock.now() >= endsAtMs
          ? await anew({ signal })
          : await requestCertificate(deps, asked, { signal });
      use(pair);
      endsAtMs = endMs(pair);
      log.info('certificate is new', { sort: asked.sort });
      atMs = renewalMs(pair.cert, random.fraction());
    } catch (error) {
      signal.throwIfAborted();
      log.warn('certificate not renewed yet', { sort: asked.sort, error });
      atMs = clock.now() + limits.renewRetryMs;
    }
  }
}

export function endMs({ cert }: Pick<KeyPair, 'cert'>): number {
  return new X509Certificate(cert).validToDate.getTime();
}
