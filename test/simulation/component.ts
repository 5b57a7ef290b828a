/**
 * A component that can crash and come back. Crashing is aborting its signal: everything in flight
 * is dropped where it stands, and what it remembered is gone. It must then end by itself without
 * any time passing; one that lingers, or that ends with an error of its own, has failed.
 */
export class Component {
  readonly name: string;
  readonly #run: (signal: AbortSignal) => Promise<void>;
  readonly #onFailure: (text: string) => void;
  #life: { readonly controller: AbortController; readonly ended: Promise<void> } | undefined;
  #running = 0;

  constructor(
    name: string,
    options: {
      readonly run: (signal: AbortSignal) => Promise<void>;
      readonly onFailure: (text: string) => void;
    },
  ) {
    this.name = name;
    this.#run = options.run;
    this.#onFailure = options.onFailure;
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  start(): void {
    if (this.#life !== undefined) return;
    if (this.#running > 0) this.#onFailure(`${this.name} has not stopped since it crashed`);
    const controller = new AbortController();
    this.#running += 1;
    const ended = this.#run(controller.signal)
      .then(() => {
        if (!controller.signal.aborted) this.#onFailure(`${this.name} ended by itself`);
      })
      .catch((error: unknown) => {
        if (controller.signal.aborted && error === controller.signal.reason) return;
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.#onFailure(`${this.name} failed: ${text}`);
      })
      .finally(() => {
        this.#running -= 1;
      });
    this.#life = { controller, ended };
  }

  /** Resolves when it has ended. */
  async crash(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    life.controller.abort(new Error(`${this.name} crashes`));
    await life.ended;
  }
}
