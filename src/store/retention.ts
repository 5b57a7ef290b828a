/**
 * How far back the log reaches: five minutes, and less when very much was replaced.
 *
 * Now and then a mark is set: at this revision it was that time, and so many bytes had been
 * replaced so far. What lies before a mark that is too old, or behind which more was replaced than
 * may be kept, can go. A few dozen marks describe all history.
 *
 * Example: marks at revision 10 (12:00), 80 (12:01), 95 (12:06); now it is 12:06:30 and the age
 * is 5 minutes. Revision 80 is the newest one older than that, so it becomes the oldest that can
 * still be shown.
 */
interface Mark {
  readonly revision: number;
  readonly atMs: number;
  readonly replacedBytes: number;
}

export interface RetentionOptions {
  readonly ageMs: number;
  readonly bytesMax: number;
}

export class Retention {
  readonly #options: RetentionOptions;
  readonly #marks: Mark[] = [];
  #replacedBytes = 0;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Notes that a write replaced this much. */
  replaced(bytes: number): void {
    this.#replacedBytes += bytes;
  }

  /** Whether the last mark is so far behind that another one is worth it. */
  isMarkDue(nowMs: number): boolean {
    const last = this.#marks.at(-1);
    if (last === undefined) return true;
    const { ageMs, bytesMax } = this.#options;
    return (
      nowMs - last.atMs >= ageMs / 10 || this.#replacedBytes - last.replacedBytes >= bytesMax / 16
    );
  }

  mark(at: { readonly revision: number; readonly atMs: number }): void {
    this.#marks.push({ ...at, replacedBytes: this.#replacedBytes });
  }

  /** The revision before which history can go now, if there is a new one. */
  takeExpired(nowMs: number): number | undefined {
    const { ageMs, bytesMax } = this.#options;
    const isOver = (mark: Mark): boolean =>
      nowMs - mark.atMs >= ageMs || this.#replacedBytes - mark.replacedBytes > bytesMax;
    const kept = this.#marks.findIndex((mark) => !isOver(mark));
    const expired = this.#marks.splice(0, kept === -1 ? this.#marks.length : kept);
    return expired.at(-1)?.revision;
  }
}
