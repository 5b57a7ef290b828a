/**
 * The three ways in which a write is refused although the caller did nothing wrong with its
 * expectation, the one in which a read is, and the one in which a file is. Everything else that can
 * happen is a value (`WriteResult`); a broken rule of the store is an assertion. The API server
 * turns what is about values into answers: 500 or 503 for `StoreUnavailable`, 413 for
 * `ValueTooLarge`, 500 for the other two.
 */

/**
 * A write that could not be made durable (disk full, log closed). Nothing was stored. Only when the
 * process is lost before the store could commit again may it come back, wholly: a disk that
 * reports an error does not say what it kept.
 */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
}

/** A value over `limits.valueBytesMax`. */
export class ValueTooLarge extends Error {
  override readonly name = 'ValueTooLarge';
}

/** A value that was kept in a form which nothing at hand can read: its key is not known. */
export class ValueUnreadable extends Error {
  override readonly name = 'ValueUnreadable';
}

/** A value that cannot be kept in its form at the moment: who knows the key for it is away. */
export class ValueUnwritable extends Error {
  override readonly name = 'ValueUnwritable';
}

/** A file that this program must not open: another program's, a newer format, or in use. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused';
}

/** A file that is no database, or one no longer: whatever it was cannot be asked of it. */
export class NotADatabase extends StoreRefused {}
