/**
 * Removes ResourceSlices of this node whose driver is not there: those of one driver that has gone,
 * or all when the kubelet starts (`claim-drivers.ts`, `open-devices.ts`).
 */
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { resourceSlices } from '#resources/kinds.ts';

export interface WipeDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
}

const limits = { retryMs: 1000, retryMsMax: 300_000 } as const;

/** However long it takes. */
export async function wipeSlices(
  { client, clock, log }: WipeDeps,
  { nodeName, driver }: { readonly nodeName: string; readonly driver?: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const ofNode = `spec.nodeName=${nodeName}`;
  const fieldSelector = driver === undefined ? ofNode : `${ofNode},spec.driver=${driver}`;
  for (let delayMs: number = limits.retryMs; ; ) {
    try {
      const { items } = await client.list(resourceSlices, { fieldSelector, signal });
      for (const { metadata } of items) {
        const preconditions = { uid: metadata.uid ?? '' };
        const at = { name: metadata.name ?? '' };
        await client.delete(resourceSlices, at, { preconditions, signal }).catch(unlessGone);
      }
      if (items.length > 0) log.info('removed ResourceSlices', { driver, count: items.length });
      return;
    } catch (error) {
      if (signal.aborted) throw error;
      // A cluster without this API has none.
      if (isReason(error, 'NotFound')) return;
      log.debug('cannot remove ResourceSlices, trying again', { driver, error, delayMs });
      await clock.sleep(delayMs, { signal });
      delayMs = Math.min(delayMs * 2, limits.retryMsMax);
    }
  }
}

function unlessGone(error: unknown): void {
  if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
}
