/**
 * Structured background work. A `Scope` owns tasks: the first one that fails aborts its siblings,
 * and leaving the block (`await using scope = new Scope(signal)`) waits until all have stopped.
 */
export class Scope {
  readonly #controller = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  readonly #parent: AbortSignal;
  readonly #onParentAbort = (): void => this.#controller.abort(this.#parent.reason);

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    if (parent.aborted) this.#controller.abort(parent.reason);
    else parent.addEventListener('abort', this.#onParentAbort, { once: true });
  }

  /** Aborts when the parent does, when a task fails, or when `abort` is called. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Starts a task. Its rejection counts as failure unless it is the abort's own reason. */
  spawn(task: (signal: AbortSignal) => Promise<void>): void {
    const running = task(this.signal)
      .catch((error: unknown) => {
        if (this.signal.aborted && error === this.signal.reason) return;
        this.fail(error);
      })
      .finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** As if a task had failed: aborts the others, and is thrown when they have ended. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#controller.abort(error);
  }

  /** Waits until every task has ended; throws the first failure. */
  async join(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new Error('the scope was left'));
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    this.#parent.removeEventListener('abort', this.#onParentAbort);
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
