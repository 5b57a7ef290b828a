/**
 * RFC 3339 times on the wire: read strictly as Go does, written in UTC with whole seconds (`Time`)
 * or six decimals (`MicroTime`).
 */
const shape = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;

export interface Timestamp {
  /** Milliseconds since 1970 of the whole second. */
  readonly secondMs: number;
  /** The digits behind the second, six of them. */
  readonly micros: string;
}

/** Undefined where the text is not a time. */
function parseTimestamp(text: string): Timestamp | undefined {
  const match = shape.exec(text);
  if (match === null) return undefined;
  const part = (index: number): number => Number(match[index] ?? '0');
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map(part);
  const local = new Date(0);
  local.setUTCFullYear(year ?? 0, (month ?? 1) - 1, day ?? 0);
  local.setUTCHours(hour ?? 0, minute ?? 0, second ?? 0);
  const fits =
    local.getUTCMonth() + 1 === month &&
    local.getUTCDate() === day &&
    local.getUTCHours() === hour &&
    local.getUTCMinutes() === minute &&
    local.getUTCSeconds() === second;
  if (!fits || part(9) > 23 || part(10) > 59) return undefined;
  const offsetMs = (part(9) * 60 + part(10)) * 60_000 * (match[8] === '-' ? -1 : 1);
  const micros = (match[7] ?? '').slice(0, 6).padEnd(6, '0');
  return { secondMs: local.getTime() - offsetMs, micros };
}

const layouts = {
  second: '2006-01-02T15:04:05Z07:00',
  micro: '2006-01-02T15:04:05.000000Z07:00',
} as const;

/** The parts of a time, as Go's layouts write them, and the largest number of each. */
const steps: readonly (readonly [string, RegExp, string?, number?])[] = [
  ['2006', /^\d{4}/],
  ['-', /^-/],
  ['01', /^\d\d/, 'month', 12],
  ['-', /^-/],
  ['02', /^\d\d/, 'day', 31],
  ['T', /^T/],
  ['15', /^\d\d/, 'hour', 23],
  [':', /^:/],
  ['04', /^\d\d/, 'minute', 59],
  [':', /^:/],
  ['05', /^\d\d([.,]\d+)?/, 'second', 59],
  ['Z07:00', /^(Z|[+-]\d\d:\d\d)/],
];

/** Why a text is not a time, in Go's words: it stops at the first part that does not fit. */
export function timeProblem(text: string, precision: 'second' | 'micro'): string {
  let rest = text;
  for (const [part, shapeOfPart, name, largest = 0] of steps) {
    const [found] = shapeOfPart.exec(rest) ?? [];
    if (found === undefined) {
      const layout = layouts[precision];
      return `parsing time "${text}" as "${layout}": cannot parse "${rest}" as "${part}"`;
    }
    const amount = Math.trunc(Number(found.replace(',', '.')));
    if (name !== undefined && amount > largest) return outOfRange(text, name);
    if (name === 'month' && amount === 0) return outOfRange(text, name);
    rest = rest.slice(found.length);
  }
  if (rest === '') return outOfRange(text, 'day');
  return `parsing time "${text}": extra text: "${rest}"`;
}

function outOfRange(text: string, name: string): string {
  return `parsing time "${text}": ${name} out of range`;
}

/** The text as it is stored, or undefined where it is not a time. */
export function canonicalTime(text: string, precision: 'second' | 'micro'): string | undefined {
  if (text.length === 20 && precision === 'second' && plain.test(text)) {
    return parseTimestamp(text) === undefined ? undefined : text;
  }
  const parsed = parseTimestamp(text);
  if (parsed === undefined) return undefined;
  const seconds = new Date(parsed.secondMs).toISOString().slice(0, 19);
  return precision === 'second' ? `${seconds}Z` : `${seconds}.${parsed.micros}Z`;
}

const plain = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** Milliseconds since 1970, for ages and comparisons; undefined without a valid time. */
export function timeMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = parseTimestamp(text);
  return parsed === undefined ? undefined : parsed.secondMs + Number(parsed.micros) / 1000;
}
