/**
 * Times and durations as CEL writes them: RFC 3339 with nanoseconds, and Go's `1h2m3.5s`.
 *
 * Both are whole nanoseconds. A timestamp lies in the years 1 to 9999.
 *
 * Behaviour: github.com/google/cel-spec, "Timestamps and Durations".
 */

const second = 1_000_000_000n;
const earliest = -62_135_596_800n * second;
const latest = 253_402_300_799n * second + 999_999_999n;

export function isTimestampNanos(nanos: bigint): boolean {
  return nanos >= earliest && nanos <= latest;
}

const timeRegExp = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$/;

/** Nanoseconds since 1970; undefined for what is no time. */
export function parseRfc3339(text: string): bigint | undefined {
  const match = timeRegExp.exec(text);
  if (match === null) return undefined;
  const [, year = '', month = '', day = '', hours = '', minutes = '', seconds = ''] = match;
  const [fraction = '', zone = 'Z'] = match.slice(7);
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  const real = date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
  if (!real || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  const offset = zone === 'Z' ? 0 : Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4));
  if (zone !== 'Z' && (Number(zone.slice(1, 3)) > 23 || Number(zone.slice(4)) > 59))
    return undefined;
  const sign = zone.startsWith('-') ? 1n : -1n;
  const day0 = BigInt(date.getTime()) * 1_000_000n;
  const clock = BigInt(Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
  const nanos = BigInt(fraction.slice(0, 9).padEnd(9, '0') || '0');
  return day0 + (clock + sign * BigInt(offset) * 60n) * second + nanos;
}

export function formatRfc3339(nanos: bigint): string {
  const date = dateOf(nanos);
  const whole = date.toISOString().replace(/\.\d+Z$/, '');
  const rest = ((nanos % second) + second) % second;
  return `${whole}${fractionText(rest)}Z`;
}

/** The moment in whole milliseconds, rounded down. */
export function dateOf(nanos: bigint): Date {
  const rest = ((nanos % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return new Date(Number((nanos - rest) / 1_000_000n));
}

function fractionText(nanos: bigint): string {
  if (nanos === 0n) return '';
  return `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
}

const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: second,
  m: 60n * second,
  h: 3_600n * second,
};

const durationMax = 2n ** 63n - 1n;

/** `1h2m3.5s` → nanoseconds; undefined for what is no duration or too long. */
export function parseGoDuration(text: string): bigint | undefined {
  const sign = text.startsWith('-') ? -1n : 1n;
  const body = text.replace(/^[+-]/, '');
  if (body === '0') return 0n;
  if (!/^((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(body)) return undefined;
  let total = 0n;
  for (const [, whole = '', , unit = ''] of body.matchAll(/((\d*\.?\d*))(ns|us|µs|μs|ms|s|m|h)/g)) {
    const [before = '', after = ''] = whole.split('.');
    const size = units[unit] ?? 1n;
    const part = BigInt(after || '0') * size;
    total += BigInt(before || '0') * size + part / 10n ** BigInt(after.length);
  }
  const nanos = sign * total;
  return nanos > durationMax || nanos < -durationMax - 1n ? undefined : nanos;
}

/** As `string(duration)` writes it: seconds. 90 minutes and a half second are `5400.5s`. */
export function formatSeconds(nanos: bigint): string {
  const absolute = nanos < 0n ? -nanos : nanos;
  const sign = nanos < 0n ? '-' : '';
  return `${sign}${absolute / second}${fractionText(absolute % second)}s`;
}
