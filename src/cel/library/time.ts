/**
 * Parts of times and durations: `t.getFullYear()`, `t.getHours("Europe/Berlin")`, `d.getMinutes()`.
 *
 * Months, days of the year and days of the week start at 0, as does `getDayOfMonth`; `getDate`
 * starts at 1. Without a zone the time is UTC; a zone is a name or an offset such as `+02:30`.
 *
 * Behaviour: github.com/google/cel-spec, "Standard Definitions", dates and times.
 */
import type { Library } from '../functions.ts';
import { dateOf } from '../times.ts';
import { CelError, type Duration, type Timestamp } from '../values.ts';

type Part = (date: Date) => number;

const day = 86_400_000;

const parts: readonly (readonly [string, string, Part])[] = [
  ['getFullYear', 'timestamp_to_year', (date) => date.getUTCFullYear()],
  ['getMonth', 'timestamp_to_month', (date) => date.getUTCMonth()],
  [
    'getDayOfYear',
    'timestamp_to_day_of_year',
    (date) => Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / day),
  ],
  ['getDayOfMonth', 'timestamp_to_day_of_month', (date) => date.getUTCDate() - 1],
  ['getDate', 'timestamp_to_day_of_month_1_based', (date) => date.getUTCDate()],
  ['getDayOfWeek', 'timestamp_to_day_of_week', (date) => date.getUTCDay()],
  ['getHours', 'timestamp_to_hours', (date) => date.getUTCHours()],
  ['getMinutes', 'timestamp_to_minutes', (date) => date.getUTCMinutes()],
  ['getSeconds', 'timestamp_to_seconds', (date) => date.getUTCSeconds()],
  ['getMilliseconds', 'timestamp_to_milliseconds', (date) => date.getUTCMilliseconds()],
];

const spans: readonly (readonly [string, string, bigint])[] = [
  ['getHours', 'duration_to_hours', 3_600_000_000_000n],
  ['getMinutes', 'duration_to_minutes', 60_000_000_000n],
  ['getSeconds', 'duration_to_seconds', 1_000_000_000n],
  ['getMilliseconds', 'duration_to_milliseconds', 1_000_000n],
];

export const timeLibrary: Library = Object.fromEntries([
  ...parts.flatMap(([name, id, part]) => [
    [
      `${id}: timestamp::${name}() -> int`,
      ({ nanos }: Timestamp): bigint => BigInt(part(dateOf(nanos))),
    ],
    [
      `${id}_with_tz: timestamp::${name}(string) -> int`,
      ({ nanos }: Timestamp, zone: string): bigint => BigInt(part(inZone(dateOf(nanos), zone))),
    ],
  ]),
  ...spans.map(([name, id, unit]) => [
    `${id}: duration::${name}() -> int`,
    ({ nanos }: Duration): bigint => nanos / unit,
  ]),
]);

/** A date whose UTC parts are what clocks in the zone show. */
function inZone(date: Date, zone: string): Date {
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset !== null) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return new Date(date.getTime() + (offset[1] === '-' ? -minutes : minutes) * 60_000);
  }
  if (zone === '' || zone === 'UTC') return date;
  let shown: string;
  try {
    const options = {
      timeZone: zone,
      hourCycle: 'h23',
      dateStyle: 'short',
      timeStyle: 'medium',
    } as const;
    shown = new Intl.DateTimeFormat('sv-SE', options).format(date);
  } catch (error) {
    throw new CelError(`unknown time zone ${zone}`, { cause: error });
  }
  return new Date(
    `${shown.replace(' ', 'T')}.${String(date.getUTCMilliseconds()).padStart(3, '0')}Z`,
  );
}
