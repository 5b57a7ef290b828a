/**
 * Waiting for an abort, for what runs until it is told to stop.
 *
 * Resolves when the signal aborts, at once when it has; the reason is the signal's to tell.
 */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
