/**
 * How many writes begin in one turn of the event loop.
 *
 * A burst comes in one piece: a hundred requests in the same two or three reads of a connection.
 * If all were begun before the loop goes on, the log's thread would have committed the first ones
 * long before anybody noticed, the next commit would begin only then, and the client would be told
 * of all of them at once, late. So only a few begin in each turn; the others wait, in order. In
 * between, commits that have ended are answered and the next ones begin, while the rest of the
 * burst is still being worked at.
 *
 * `http.ts` asks. What waits is bounded by what connections may have under way.
 */

/** With 8, thousands of nodes that register at once waited for turns more than for the log. */
const startsPerTurn = 32;

export class Starts {
  readonly #waiting: (() => void)[] = [];
  #begun = 0;
  #isScheduled = false;

  /** Calls back at once, or in one of the next turns. */
  begin(start: () => void): void {
    this.#schedule();
    if (this.#begun >= startsPerTurn) {
      this.#waiting.push(start);
      return;
    }
    this.#begun += 1;
    start();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#isScheduled = false;
    const due = this.#waiting.splice(0, startsPerTurn);
    this.#begun = due.length;
    if (due.length > 0) this.#schedule();
    for (const start of due) start();
  }
}
