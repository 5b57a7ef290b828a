/**
 * Sets of indexes as Jobs write them: `1,3-5,7`. Intervals, so that a Job with very many indexes
 * is judged without counting them one by one.
 */
export type Indexes =
  | { readonly ok: true; readonly count: number; readonly intervals: readonly Interval[] }
  | { readonly ok: false; readonly why: string };

export interface Interval {
  readonly first: number;
  readonly last: number;
}

export function readIndexes(text: string, completions: number): Indexes {
  const intervals: Interval[] = [];
  if (text === '') return { ok: true, count: 0, intervals };
  let count = 0;
  for (const part of text.split(',')) {
    const read = readInterval(part, completions);
    if (typeof read === 'string') return { ok: false, why: read };
    const previous = intervals.at(-1);
    if (previous !== undefined && previous.last >= read.first) {
      const why = `non-increasing order, previous: ${previous.last}, current: ${read.first}`;
      return { ok: false, why };
    }
    count += read.last - read.first + 1;
    intervals.push(read);
  }
  return { ok: true, count, intervals };
}

/** What is wrong, as text, where it is no interval. */
function readInterval(part: string, completions: number): Interval | string {
  const limits = part.split('-');
  if (limits.length > 2) {
    return `the fragment ${JSON.stringify(part)} violates the requirement that an index interval can have at most two parts separated by '-'`;
  }
  const numbers: number[] = [];
  for (const limit of limits) {
    if (!/^[+]?\d+$/.test(limit)) {
      return `cannot convert string to integer for index: ${JSON.stringify(limit)}`;
    }
    const number = Number(limit);
    if (number >= completions) return `too large index: ${JSON.stringify(limit)}`;
    numbers.push(number);
  }
  const [first = 0, last = first] = numbers;
  if (limits.length === 2 && first >= last) {
    return `non-increasing order, previous: ${first}, current: ${last}`;
  }
  return { first, last };
}

/** An index that is in both sets, if there is one. */
export function firstShared(a: readonly Interval[], b: readonly Interval[]): number | undefined {
  let [i, j] = [0, 0];
  for (;;) {
    const [one, other] = [a[i], b[j]];
    if (one === undefined || other === undefined) return undefined;
    const shared = Math.max(one.first, other.first);
    if (shared <= Math.min(one.last, other.last)) return shared;
    if (one.last < other.last) i += 1;
    else j += 1;
  }
}
