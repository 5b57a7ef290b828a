/**
 * A limit on everything that can hang: `withDeadline` runs a task under a signal of its own, which
 * aborts when the caller's does or when the time is over, and leaves nothing behind when it ends.
 *
 * The time comes from the clock that was passed in, so that a simulated request that gets no answer
 * ends at the same simulated moment in every run.
 */
import type { Clock } from '#kit/clock.ts';

/** Nobody answered in time. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
}

export interface DeadlineOptions {
  readonly limitMs: number;
  readonly signal: AbortSignal;
  /** For the message: what took too long. */
  readonly what: string;
}

export async function withDeadline<T>(
  deps: { readonly clock: Pick<Clock, 'after'> },
  options: DeadlineOptions,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { limitMs, signal, what } = options;
  signal.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const cancel = deps.clock.after(limitMs, () => {
    controller.abort(new DeadlineExceeded(`${what}: no answer within ${limitMs} ms`));
  });
  try {
    return await task(controller.signal);
  } finally {
    cancel();
    signal.removeEventListener('abort', onAbort);
  }
}
