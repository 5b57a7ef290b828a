/**
 * Objects that the cluster keeps of itself: made, or brought to what they shall be, when it starts.
 * Fields that others have added stay.
 */
import { isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';

const retryDelayMs = 1_000;

export async function ensureObject<T extends KubeObject>(
  client: Client,
  kind: KindOf<T>,
  wanted: T,
  signal: AbortSignal,
): Promise<void> {
  const { metadata, kind: _kind, apiVersion: _version, ...content } = wanted;
  const { namespace, name = '' } = metadata;
  try {
    await client.patch(kind, { namespace, name }, content, { type: 'merge', signal });
  } catch (error) {
    if (!isReason(error, 'NotFound')) throw error;
    await client.create(kind, wanted, { signal });
  }
}

/** Again and again until it has worked. */
export async function insist(
  deps: { readonly clock: Clock; readonly log: Logger },
  what: string,
  attempt: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      signal.throwIfAborted();
      deps.log.warn('not written yet', { what, error });
      await deps.clock.sleep(retryDelayMs, { signal });
    }
  }
}
