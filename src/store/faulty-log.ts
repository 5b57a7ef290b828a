/**
 * A disk that misbehaves by seed: for the store's own tests and for the simulator.
 *
 * `connect` gives the log that one run of a process has; `crash` ends it, as the loss of power
 * would: the commit under way is there or is lost, chance decides, and its writer never hears of
 * it. The next `connect` finds what was durable. In between, commits are slow, and some fail; of
 * those, some are on the disk nevertheless, until the next commit removes them, or come back after
 * a crash.
 *
 * Everything is decided by `random` and waited for on `clock`, so a seed gives one history.
 */
import { assert } from '#kit/assert.ts';
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import type { Batch, ChangePage, ChangeRange, LoadSink, Log, LogReader, LogRow } from './log.ts';

export interface FaultRates {
  /** A commit takes up to this long. */
  readonly delayMsMax: number;
  /** Share of commits that fail. */
  readonly failRate: number;
  /** Share of failed commits, and of those under way in a crash, that are on the disk anyway. */
  readonly lingerRate: number;
}

export class FaultyDisk {
  readonly clock: Clock;
  readonly random: Random;
  rates: FaultRates;
  /** In order of revision. */
  rows: LogRow[] = [];
  /** A failed batch that the disk has kept nevertheless. */
  lingering: Batch | undefined;
  reserved = 0;
  compacted = 0;
  /** Commits that begin now get no answer before the process ends. */
  isHanging = false;
  #connection: Connection | undefined;

  constructor(deps: { readonly clock: Clock; readonly random: Random }, rates: FaultRates) {
    this.clock = deps.clock;
    this.random = deps.random;
    this.rates = rates;
  }

  /** The log of a process that starts now. The one before has crashed or was closed. */
  connect(): Log {
    assert(this.#connection?.isOver !== false, 'one process has the disk at a time');
    this.#connection = new Connection(this);
    return this.#connection;
  }

  /** What was under way is settled by chance; the process that had the disk gets only errors. */
  crash(): void {
    this.settle(this.#connection?.end());
  }

  /** The next process finds one of two: a commit that came through, or what a failed one left. */
  settle(underWay: Batch | undefined): void {
    const { lingering } = this;
    this.lingering = undefined;
    // A commit that came through has removed what an earlier one had left.
    if (underWay !== undefined && this.happens(this.rates.lingerRate)) this.store(underWay);
    else if (lingering !== undefined && this.happens(0.5)) this.store(lingering);
  }

  store(batch: Batch): void {
    for (const row of batch.rows) {
      assert(row.revision > (this.rows.at(-1)?.revision ?? 0), 'rows come in order of revision');
      this.rows.push(row);
    }
    this.reserved = batch.reserve ?? this.reserved;
  }

  happens(rate: number): boolean {
    return this.random.fraction() < rate;
  }
}

class Connection implements Log {
  readonly #disk: FaultyDisk;
  #underWay: { readonly batch: Batch; readonly fail: (error: Error) => void } | undefined;
  isOver = false;

  constructor(disk: FaultyDisk) {
    this.#disk = disk;
  }

  async load(sink: LoadSink): Promise<void> {
    const { reserved, compacted, rows } = this.#disk;
    sink.onStart({ reserved, compacted });
    if (rows.length > 0) sink.onRows(rows);
  }

  append(batch: Batch): Promise<void> {
    if (this.isOver) return Promise.reject(new Error('the disk is gone'));
    assert(this.#underWay === undefined, 'one append at a time');
    const { clock, random, rates } = this.#disk;
    return new Promise((resolve, reject) => {
      this.#underWay = { batch, fail: reject };
      if (this.#disk.isHanging) return;
      clock.after(Math.floor(random.fraction() * (rates.delayMsMax + 1)), () => {
        if (this.isOver) return;
        this.#underWay = undefined;
        if (this.#commit(batch)) resolve();
        else reject(new Error('the disk refused the commit'));
      });
    });
  }

  async compact(revision: number): Promise<void> {
    if (this.isOver) throw new Error('the disk is gone');
    const disk = this.#disk;
    const replaced = new Set<number>();
    for (const row of disk.rows) {
      if (row.revision > revision) break;
      replaced.add(row.previousRevision);
      if (row.value === undefined) replaced.add(row.revision);
    }
    disk.rows = disk.rows.filter((row) => !replaced.has(row.revision));
    disk.compacted = Math.max(disk.compacted, revision);
  }

  readonly reader: LogReader = {
    changesAfter: async (range: ChangeRange): Promise<ChangePage | 'compacted'> => {
      const { afterRevision, throughRevision, prefix } = range;
      if (afterRevision < this.#disk.compacted) return 'compacted';
      const inRange = this.#disk.rows.filter(
        ({ revision }) => revision > afterRevision && revision <= throughRevision,
      );
      const page = inRange.slice(0, 7);
      const through = page.length < inRange.length ? page.at(-1)?.revision : throughRevision;
      const changes = page.filter(({ key }) => key.startsWith(prefix));
      return { changes, through: through ?? throughRevision };
    },
    rows: async (revisions: readonly number[]): Promise<readonly LogRow[] | 'compacted'> => {
      const found = revisions
        .slice(0, 5)
        .map((wanted) => this.#disk.rows.find(({ revision }) => revision === wanted));
      const rows = found.filter((row) => row !== undefined);
      return rows.length < found.length ? 'compacted' : rows;
    },
  };

  async close(revision: number): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    this.#underWay?.fail(new Error('the disk is gone'));
    const isUncertain = this.#underWay !== undefined || this.#disk.lingering !== undefined;
    if (!isUncertain) this.#disk.reserved = revision;
    this.#disk.settle(this.#underWay?.batch);
  }

  /** Returns what was under way. */
  end(): Batch | undefined {
    if (this.isOver) return undefined;
    this.isOver = true;
    this.#underWay?.fail(new Error('the disk is gone'));
    return this.#underWay?.batch;
  }

  #commit(batch: Batch): boolean {
    const disk = this.#disk;
    if (disk.happens(disk.rates.failRate)) {
      disk.lingering = disk.happens(disk.rates.lingerRate) ? batch : disk.lingering;
      return false;
    }
    disk.lingering = undefined;
    disk.store(batch);
    return true;
  }
}
