/**
 * Time, passed in. Nothing outside this file reads the machine's clock or sets a timer, so that a
 * whole cluster can run under a clock that a test moves by hand.
 *
 * `systemClock()` is the machine's; `VirtualClock` stands still until somebody advances it, then
 * fires what is due in order of time, and in order of creation for equal times.
 */
export interface Clock {
  /** Milliseconds since 1970, as users see them; may jump. */
  now(): number;
  /** Milliseconds since some fixed moment; never goes back. Use it for durations. */
  monotonic(): number;
  /**
   * Calls back once after `delayMs` (at once, but never synchronously, for 0). Returns a function
   * that cancels.
   */
  after(delayMs: number, callback: () => void): () => void;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, options: { readonly signal: AbortSignal }): Promise<void>;
}

/** Largest delay that the machine's timers take; longer ones are rounded down to it. */
const timerDelayMsMax = 2 ** 31 - 1;

export function systemClock(): Clock {
  const after = (delayMs: number, callback: () => void): (() => void) => {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), timerDelayMsMax));
    return () => clearTimeout(timer);
  };
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after,
    sleep: (delayMs, { signal }) => sleepWith(after, delayMs, signal),
  };
}

export function sleepWith(
  after: Clock['after'],
  delayMs: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(signal.reason);
    };
    const cancel = after(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** The last text of `formatTime`: most writes are of the same second as the one before. */
const formatted = { second: Number.NaN, text: '' };

/** RFC 3339 with whole seconds, as Kubernetes writes `metav1.Time`. */
export function formatTime(nowMs: number): string {
  const second = Math.floor(nowMs / 1000);
  if (second !== formatted.second) {
    formatted.text = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
    formatted.second = second;
  }
  return formatted.text;
}

/** RFC 3339 with six decimals, as Kubernetes writes `metav1.MicroTime`. */
export function formatMicroTime(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 23)}000Z`;
}
