/**
 * How values are kept, for those who have to know: which are not kept as they would be today, which
 * cannot be read, and how one looks where it lies.
 *
 * The transformer can be exchanged while the store is open. Each exchange is remembered with the
 * last revision that the former one may have written; so it is known of every value whether it is
 * stale, without looking at any. Example: keys A until revision 70, then B. A value of 64 is stale,
 * one of 71 is not; one of 64 is no longer once A is the first key again.
 */
import type { Log } from './log.ts';
import type { State } from './state.ts';
import type { AtRest, StoredValue, ValueTransformer } from './store.ts';
import type { TransformedLog } from './transformed-log.ts';

interface Exchange {
  /** Values up to this revision were written before it. */
  readonly through: number;
  readonly before: ValueTransformer;
}

/** Exchanges that are told apart; what is older than these counts as stale. */
const exchangesMax = 16;

export class LogAtRest implements AtRest {
  readonly #state: State;
  readonly #log: TransformedLog & Pick<Log, 'stored'>;
  /** The last revision given to a write, committed or not. */
  readonly #assigned: () => number;
  readonly #exchanges: Exchange[] = [];
  #forgottenThrough = 0;

  constructor(options: {
    readonly state: State;
    readonly log: TransformedLog;
    readonly assigned: () => number;
  }) {
    this.#state = options.state;
    this.#log = options.log;
    this.#assigned = options.assigned;
  }

  get unreadable(): readonly string[] {
    return this.#state.unreadable.keys();
  }

  why(key: string): string | undefined {
    return this.#state.unreadable.why(key);
  }

  checkReadable(prefix: string): void {
    const { unreadable } = this.#state;
    const keys = unreadable.keys().filter((key) => key.startsWith(prefix));
    unreadable.checkAll(keys.sort().map((key) => ({ key })));
  }

  isStale(key: string): boolean {
    const revision = this.#state.get(key)?.revision;
    if (revision === undefined) return false;
    if (this.#state.stale.has(key) || revision <= this.#forgottenThrough) return true;
    const exchange = this.#exchanges.find(({ through }) => revision <= through);
    const { transformer } = this.#log;
    return exchange !== undefined && exchange.before.formOf(key) !== transformer.formOf(key);
  }

  async stored(key: string): Promise<Uint8Array | undefined> {
    const entry = this.#state.get(key);
    return entry === undefined ? undefined : await this.#log.stored(entry.revision);
  }

  refusal(key: string): string | undefined {
    return this.#log.transformer.refusal?.(key);
  }

  async use(transformer: ValueTransformer): Promise<void> {
    const through = this.#assigned();
    // Where nothing was written with the former one, the one before that counts.
    if (through > (this.#exchanges.at(-1)?.through ?? 0)) {
      this.#exchanges.push({ through, before: this.#log.transformer });
    }
    if (this.#exchanges.length > exchangesMax) {
      this.#forgottenThrough = this.#exchanges.shift()?.through ?? 0;
    }
    this.#log.transformer = transformer;
    await this.retry();
  }

  async retry(): Promise<void> {
    const { transformer } = this.#log;
    await transformer.prepare?.(this.#unread());
    // Unless another has taken its place meanwhile.
    if (this.#log.transformer === transformer) this.#readAgain(transformer);
  }

  #unread(): readonly StoredValue[] {
    return this.#state.unreadable.keys().flatMap((key) => this.#state.get(key) ?? []);
  }

  /** What could not be read was left as it was kept, so it can be tried anew. */
  #readAgain(transformer: ValueTransformer): void {
    for (const { key, value } of this.#unread()) {
      const read = transformer.fromStorage(key, value);
      if (read.ok) this.#state.reveal(key, read);
      else this.#state.unreadable.note(key, read.why);
    }
  }
}
