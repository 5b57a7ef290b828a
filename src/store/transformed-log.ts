/**
 * Encryption at rest: a log around a log, whose values are changed on the way down and back.
 *
 * Whatever lies below (the file, its history, every copy of it) only ever has values as the
 * transformer wrote them; memory above has them plain. How is none of the store's business: the
 * transformer is passed in. A value that it cannot read is handed up as it was kept, marked, so
 * that it stays in its place until somebody knows its key or removes it (`at-rest.ts`).
 *
 * Many values at a time are changed in slices, with other work in between. `sqlite.ts` opens it.
 */
import type { Clock } from '#kit/clock.ts';
import type { Batch, Copied, LoadSink, Log, LogReader, LogRow } from './log.ts';
import type { ValueTransformer } from './store.ts';

/** Bytes that are encrypted in one go; a value counts some more for what each costs. */
const sliceBytes = 128 * 1024;
const bytesPerValue = 1024;

export class TransformedLog implements Log {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #inner: Log;
  transformer: ValueTransformer;
  readonly reader: LogReader | undefined;
  readonly backup: ((to: string) => Promise<Copied>) | undefined;

  constructor(
    { clock }: { readonly clock: Pick<Clock, 'after'> },
    options: { readonly inner: Log; readonly transformer: ValueTransformer },
  ) {
    const { inner, transformer } = options;
    this.#clock = clock;
    this.#inner = inner;
    this.transformer = transformer;
    const { reader } = inner;
    this.reader = reader === undefined ? undefined : this.#reader(reader);
    this.backup = inner.backup?.bind(inner);
  }

  async load(sink: LoadSink): Promise<void> {
    // Who has to ask others for keys gets to see all that there is to read first.
    const waits = this.transformer.prepare !== undefined;
    const waiting: (readonly LogRow[])[] = [];
    const take = (rows: readonly LogRow[]): void =>
      sink.onRows(rows.map((row) => this.#fromStorage(row)));
    await this.#inner.load({
      onStart: (loaded) => sink.onStart(loaded),
      onRows: (rows) => {
        if (waits) waiting.push(rows);
        else take(rows);
      },
    });
    await this.#prepare(waiting.flat());
    for (const rows of waiting) take(rows);
  }

  async #prepare(rows: readonly LogRow[]): Promise<void> {
    const stored = rows.flatMap(({ key, value }) => (value === undefined ? [] : [{ key, value }]));
    await this.transformer.prepare?.(stored);
  }

  /** All of a batch by one transformer, also when another takes its place meanwhile. */
  append(batch: Batch): Promise<void> {
    const { transformer } = this;
    if (!transformer.encrypts) return this.#inner.append(batch);
    return this.#appendChanged(transformer, batch);
  }

  async #appendChanged(transformer: ValueTransformer, batch: Batch): Promise<void> {
    const rows: LogRow[] = [];
    let bytes = 0;
    for (const row of batch.rows) {
      const { key, value } = row;
      rows.push(value === undefined ? row : { ...row, value: transformer.toStorage(key, value) });
      bytes += (value?.byteLength ?? 0) + bytesPerValue;
      if (bytes < sliceBytes) continue;
      bytes = 0;
      await new Promise<void>((resolve) => this.#clock.after(0, resolve));
    }
    await this.#inner.append({ ...batch, rows });
  }

  compact(revision: number): Promise<void> {
    return this.#inner.compact(revision);
  }

  async stored(revision: number): Promise<Uint8Array | undefined> {
    const rows = await this.#inner.reader?.rows([revision]);
    return rows === undefined || rows === 'compacted' ? undefined : rows[0]?.value;
  }

  close(revision: number): Promise<void> {
    return this.#inner.close(revision);
  }

  #reader(inner: LogReader): LogReader {
    return {
      changesAfter: (range) => inner.changesAfter(range),
      rows: async (revisions) => {
        const rows = await inner.rows(revisions);
        if (rows === 'compacted') return rows;
        await this.#prepare(rows);
        const shown = rows.map((row) => this.#fromStorage(row));
        // What cannot be read any more is history that is gone.
        return shown.some(({ unreadable }) => unreadable !== undefined) ? 'compacted' : shown;
      },
    };
  }

  #fromStorage(row: LogRow): LogRow {
    if (row.value === undefined) return row;
    const read = this.transformer.fromStorage(row.key, row.value);
    if (!read.ok) return { ...row, unreadable: read.why };
    if (!read.stale && read.value === row.value) return row;
    // Memory of its own: what a cipher gives may be cut from something larger.
    return { ...row, value: new Uint8Array(read.value), stale: read.stale };
  }
}
