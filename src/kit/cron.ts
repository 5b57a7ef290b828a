/**
 * Schedules in the language of cron: five fields (`0 1-5 * * mon`), a word such as `@daily`, or
 * `@every 90m`; and when they are due next, in a time zone.
 *
 * Fields, names, steps and the words of complaint are those of the parser that upstream uses. If
 * both the day of the month and of the week are narrowed, either is enough. In a zone with summer
 * time a local time that does not exist is skipped, and one that comes twice is due twice. What
 * never comes (31 February) is known from the fields: nobody looks through years for it.
 * Validation of CronJobs asks for problems, their controller for times.
 */
import { parseDuration } from './duration.ts';

export interface Cron {
  /** The first time after this one, in milliseconds; undefined if there is none in five years. */
  next(afterMs: number): number | undefined;
}

export type ParsedCron =
  | { readonly ok: true; readonly cron: Cron }
  | { readonly ok: false; readonly problem: string };

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names: readonly string[];
}

/** What one field allows; `any` where it was written with a star and no step. */
interface Field {
  readonly values: ReadonlySet<number>;
  readonly any: boolean;
}

interface Fields {
  readonly minute: Field;
  readonly hour: Field;
  readonly day: Field;
  readonly month: Field;
  readonly weekday: Field;
}

const monthNames = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');
const weekdayNames = 'sun mon tue wed thu fri sat'.split(' ');

const bounds: readonly Bounds[] = [
  { min: 0, max: 59, names: [] },
  { min: 0, max: 23, names: [] },
  { min: 1, max: 31, names: [] },
  { min: 1, max: 12, names: monthNames },
  { min: 0, max: 6, names: weekdayNames },
];

const words: ReadonlyMap<string, string> = new Map([
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
  ['@monthly', '0 0 1 * *'],
  ['@weekly', '0 0 * * 0'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
]);

/** With the leap day. */
const monthDays = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const minuteMs = 60_000;
const dayMs = 86_400_000;
const yearsMax = 5;

/** The zone may stand in the text (`TZ=Asia/Tokyo 0 4 * * *`), as old schedules have it. */
export function parseCron(schedule: string, timeZone = 'UTC'): ParsedCron {
  const zone = /^(?:CRON_)?TZ=([^ ]*) /.exec(schedule);
  const text = zone === null ? schedule : schedule.slice(zone[0].length).trim();
  const inZone = zone?.[1] || timeZone;
  if (text.startsWith('@every ')) return parseEvery(text);
  const spelled = words.get(text);
  if (text.startsWith('@') && spelled === undefined) {
    return { ok: false, problem: `unrecognized descriptor: ${text}` };
  }
  const fields = parseFields(spelled ?? text);
  if (typeof fields === 'string') return { ok: false, problem: fields };
  if (!isTimeZone(inZone)) {
    const problem = `provided bad location ${inZone}: unknown time zone ${inZone}`;
    return { ok: false, problem };
  }
  if (!canMatch(fields)) return { ok: true, cron: { next: () => undefined } };
  return { ok: true, cron: { next: (afterMs) => nextTime(fields, inZone, afterMs) } };
}

/** What is wrong with a schedule; undefined where nothing is. */
export function cronProblem(schedule: string): string | undefined {
  const parsed = parseCron(schedule);
  return parsed.ok ? undefined : parsed.problem;
}

export function isTimeZone(name: string): boolean {
  if (/^[+-]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch (error) {
    // There is no other way to ask.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function parseEvery(text: string): ParsedCron {
  const every = text.slice('@every '.length);
  const durationMs = parseDuration(every);
  if (durationMs === undefined) {
    const why = `time: invalid duration ${JSON.stringify(every)}`;
    return { ok: false, problem: `failed to parse duration ${text}: ${why}` };
  }
  const stepMs = Math.max(1, Math.floor(durationMs / 1000)) * 1000;
  return { ok: true, cron: { next: (afterMs) => Math.floor(afterMs / 1000) * 1000 + stepMs } };
}

function parseFields(text: string): Fields | string {
  const parts = text.split(/\s+/).filter((part) => part !== '');
  if (parts.length !== bounds.length) {
    return `expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`;
  }
  const fields: Field[] = [];
  for (const [index, part] of parts.entries()) {
    const field = parseField(part, bounds[index] ?? { min: 0, max: 0, names: [] });
    if (typeof field === 'string') return field;
    fields.push(field);
  }
  const [minute, hour, day, month, weekday] = fields;
  if (!(minute && hour && day && month && weekday)) return 'empty spec string';
  return { minute, hour, day, month, weekday };
}

function parseField(part: string, limits: Bounds): Field | string {
  const values = new Set<number>();
  let any = false;
  for (const range of part.split(',')) {
    if (range === '') continue;
    const parsed = parseRange(range, limits);
    if (typeof parsed === 'string') return parsed;
    for (let value = parsed.start; value <= parsed.end; value += parsed.step) values.add(value);
    any ||= parsed.star && parsed.step === 1;
  }
  return { values, any };
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly star: boolean;
}

/** `*`, `5`, `mon-fri`, and each with a step; `5/15` goes on to the end. */
function parseRange(range: string, { min, max, names }: Bounds): Range | string {
  const [span = '', ...steps] = range.split('/');
  const limits = span.split('-');
  const [low = '', high] = limits;
  const star = low === '*' || low === '?';
  let [start, end] = [min, max];
  if (!star) {
    const first = readNumber(low, names);
    if (typeof first === 'string') return first;
    start = first;
    if (limits.length > 2) return `too many hyphens: ${range}`;
    const last = high === undefined ? first : readNumber(high, names);
    if (typeof last === 'string') return last;
    end = last;
  }
  if (steps.length > 1) return `too many slashes: ${range}`;
  const [step] = steps;
  let width = 1;
  if (step !== undefined) {
    const read = readNumber(step, []);
    if (typeof read === 'string') return read;
    width = read;
    if (limits.length === 1) end = max;
  }
  if (start < min) return `beginning of range (${start}) below minimum (${min}): ${range}`;
  if (end > max) return `end of range (${end}) above maximum (${max}): ${range}`;
  if (start > end) return `beginning of range (${start}) beyond end of range (${end}): ${range}`;
  if (width === 0) return `step of range should be a positive number: ${range}`;
  return { start, end, step: width, star };
}

/** A number, or what is wrong with it. */
function readNumber(text: string, names: readonly string[]): number | string {
  const index = names.indexOf(text.toLowerCase());
  // Months count from one, weekdays from zero.
  if (index >= 0) return names === monthNames ? index + 1 : index;
  if (!/^[-+]?\d+$/.test(text)) {
    const why = `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
    return `failed to parse int from ${text}: ${why}`;
  }
  const number = Number(text);
  return number < 0 ? `negative number (${number}) not allowed: ${text}` : number;
}

/** Whether any day of any year can be meant; a field of nothing but commas allows no value. */
function canMatch({ minute, hour, day, month, weekday }: Fields): boolean {
  if (minute.values.size === 0 || hour.values.size === 0) return false;
  const longest = Math.max(0, ...[...month.values].map((one) => monthDays[one - 1] ?? 0));
  const byMonth = [...day.values].some((one) => one <= longest);
  const byWeek = longest > 0 && weekday.values.size > 0;
  return day.any || weekday.any ? byMonth && byWeek : byMonth || byWeek;
}

/**
 * Goes forward in the largest steps that miss nothing: to the next month, day, hour, minute. Hours
 * and minutes are steps of real time, so that local time may jump meanwhile.
 */
function nextTime(fields: Fields, timeZone: string, afterMs: number): number | undefined {
  let atMs = Math.floor(afterMs / minuteMs) * minuteMs + minuteMs;
  const local = localTime(timeZone);
  const lastYear = local(atMs).year + yearsMax;
  for (;;) {
    const { year, month, day, hour, minute, weekday } = local(atMs);
    if (year > lastYear) return undefined;
    if (!fields.month.values.has(month)) {
      atMs = startOfDay(local, Date.UTC(year, month, 1));
    } else if (!isDay(fields, day, weekday)) {
      atMs = startOfDay(local, Date.UTC(year, month - 1, day + 1));
    } else if (!fields.hour.values.has(hour)) {
      atMs += (60 - minute) * minuteMs;
    } else if (!fields.minute.values.has(minute)) {
      atMs += minuteMs;
    } else {
      return atMs;
    }
  }
}

function isDay({ day, weekday }: Fields, ofMonth: number, ofWeek: number): boolean {
  const [byMonth, byWeek] = [day.values.has(ofMonth), weekday.values.has(ofWeek)];
  return day.any || weekday.any ? byMonth && byWeek : byMonth || byWeek;
}

interface LocalTime {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  /** From Sunday, 0. */
  readonly weekday: number;
  /** What the local clock shows, as if it were UTC. */
  readonly shownMs: number;
}

type Local = (ms: number) => LocalTime;

function localTime(timeZone: string): Local {
  if (timeZone === 'UTC') return (ms) => asLocal(ms);
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  return (ms) => {
    const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0;
    const date = [part('year'), part('month') - 1, part('day')] as const;
    return asLocal(Date.UTC(...date, part('hour'), part('minute')));
  };
}

function asLocal(shownMs: number): LocalTime {
  const date = new Date(shownMs);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    weekday: date.getUTCDay(),
    shownMs,
  };
}

/** The first moment at which the local calendar shows this day; usually midnight. */
function startOfDay(local: Local, dayShownMs: number): number {
  let atMs = dayShownMs;
  // Off by the zone's offset, which is asked where it is about right, twice.
  for (let turn = 0; turn < 2; turn++) atMs += dayShownMs - local(atMs).shownMs;
  if (local(atMs).shownMs === dayShownMs) return atMs;
  // Midnight does not exist: the clock jumps over it.
  atMs = Math.floor(atMs / minuteMs) * minuteMs - dayMs / 8;
  while (local(atMs).shownMs < dayShownMs) atMs += minuteMs * 15;
  return atMs;
}
