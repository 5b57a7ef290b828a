/**
 * Answers of other servers, kept for a short while. Bounded: the entry that was put in first goes
 * first. Names of the cluster never come here; they are looked up anew each time.
 */
import type { Clock } from '#kit/clock.ts';
import { type ForeignAnswer, parseAnswer, type Question } from './wire.ts';

interface Entry {
  readonly message: Buffer;
  readonly answer: ForeignAnswer;
  readonly storedMs: number;
  readonly untilMs: number;
}

const entriesMax = 2_000;
const keepMsMax = 30_000;

export class AnswerCache {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #entries = new Map<string, Entry>();

  constructor(deps: { readonly clock: Pick<Clock, 'monotonic'> }) {
    this.#clock = deps.clock;
  }

  /** A copy with the times to live counted down; its id is still that of our own question. */
  get(question: Question): Buffer | undefined {
    const key = keyOf(question);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const nowMs = this.#clock.monotonic();
    if (nowMs >= entry.untilMs) {
      this.#entries.delete(key);
      return undefined;
    }
    const copy = Buffer.from(entry.message);
    const ageS = Math.floor((nowMs - entry.storedMs) / 1000);
    for (const { ttl, ttlOffset } of entry.answer.records) {
      copy.writeUInt32BE(Math.max(0, ttl - ageS), ttlOffset);
    }
    return copy;
  }

  put(question: Question, message: Buffer): void {
    const answer = parseAnswer(message);
    if (answer === undefined || answer.truncated || answer.records.length === 0) return;
    // 0: no error; 3: no such name. Failures are not remembered.
    if (answer.code !== 0 && answer.code !== 3) return;
    const ttlMs = Math.min(...answer.records.map(({ ttl }) => ttl)) * 1000;
    if (ttlMs === 0) return;
    const storedMs = this.#clock.monotonic();
    const untilMs = storedMs + Math.min(ttlMs, keepMsMax);
    this.#entries.delete(keyOf(question));
    this.#entries.set(keyOf(question), { message, answer, storedMs, untilMs });
    if (this.#entries.size > entriesMax) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
  }
}

function keyOf({ name, type, class: kind }: Question): string {
  return `${name} ${type} ${kind}`;
}
