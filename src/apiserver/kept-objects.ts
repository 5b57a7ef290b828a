/**
 * Makes again what every cluster has from the start (`bootstrap.ts`) when somebody has deleted it:
 * the Service `kubernetes` with its endpoints, namespaces of the system, the range of Services.
 *
 * Upstream's server looks every ten seconds; this one looks ten seconds after one of them has gone,
 * so that a cluster at rest stays at rest. Called by `apiserver.ts`.
 */
import { ApiError } from '#api/errors.ts';
import { StoreUnavailable, ValueUnreadable, ValueUnwritable } from '#store';
import { bootstrap, keptKeys } from './bootstrap.ts';
import type { Parts } from './parts.ts';

const lookAgainMs = 10_000;

export async function keepObjects(
  parts: Parts,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const { clock, hub, log } = parts;
  const kept = keptKeys(parts);
  let gone = Promise.withResolvers<void>();
  hub.observe(({ source }) => {
    if (source.type === 'delete' && kept.has(source.key)) gone.resolve();
  });
  signal.addEventListener('abort', () => gone.resolve(), { once: true });
  for (;;) {
    await gone.promise;
    gone = Promise.withResolvers();
    await clock.sleep(lookAgainMs, { signal });
    try {
      await bootstrap(parts);
    } catch (error) {
      // A full disk, or somebody who took the address meanwhile: both may pass.
      if (!mayPass(error)) throw error;
      log.warn('an object of the cluster cannot be made again yet', { error });
      gone.resolve();
    }
  }
}

function mayPass(error: unknown): boolean {
  return (
    error instanceof ApiError ||
    error instanceof StoreUnavailable ||
    error instanceof ValueUnreadable ||
    error instanceof ValueUnwritable
  );
}
