/**
 * Whether a text is a schedule: five fields (`0 1-5 * * mon`) or a word such as `@daily`. Answers
 * with what is wrong, in the words of the parser that upstream uses, or with nothing.
 */
interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names: readonly string[];
}

const months = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');
const weekdays = 'sun mon tue wed thu fri sat'.split(' ');

const fields: readonly Bounds[] = [
  { min: 0, max: 59, names: [] },
  { min: 0, max: 23, names: [] },
  { min: 1, max: 31, names: [] },
  { min: 1, max: 12, names: months },
  { min: 0, max: 6, names: weekdays },
];

const words: ReadonlySet<string> = new Set([
  '@yearly',
  '@annually',
  '@monthly',
  '@weekly',
  '@daily',
  '@midnight',
  '@hourly',
]);

export function cronProblem(schedule: string): string | undefined {
  let text = schedule;
  const zone = /^(?:CRON_)?TZ=([^ ]*) /.exec(text);
  if (zone !== null) text = text.slice(zone[0].length).trim();
  if (text.startsWith('@')) return wordProblem(text);
  const parts = text.split(/\s+/).filter((part) => part !== '');
  if (parts.length !== fields.length) {
    return `expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`;
  }
  for (const [index, part] of parts.entries()) {
    const bounds = fields[index];
    for (const range of part.split(',')) {
      if (bounds === undefined || range === '') continue;
      const problem = rangeProblem(range, bounds);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function wordProblem(text: string): string | undefined {
  if (words.has(text)) return undefined;
  const every = /^@every (.*)$/.exec(text)?.[1];
  if (every === undefined) return `unrecognized descriptor: ${text}`;
  if (/^[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+)$/.test(every)) return undefined;
  const why = `time: invalid duration ${JSON.stringify(every)}`;
  return `failed to parse duration ${text}: ${why}`;
}

function rangeProblem(range: string, { min, max, names }: Bounds): string | undefined {
  const [span = '', ...steps] = range.split('/');
  const limits = span.split('-');
  const [low = '', high] = limits;
  let [start, end] = [min, max];
  if (low !== '*' && low !== '?') {
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
  return width === 0 ? `step of range should be a positive number: ${range}` : undefined;
}

/** A number, or what is wrong with it. */
function readNumber(text: string, names: readonly string[]): number | string {
  const index = names.indexOf(text.toLowerCase());
  // Months count from one, weekdays from zero.
  if (index >= 0) return names === months ? index + 1 : index;
  if (!/^[-+]?\d+$/.test(text)) {
    const why = `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
    return `failed to parse int from ${text}: ${why}`;
  }
  const number = Number(text);
  return number < 0 ? `negative number (${number}) not allowed: ${text}` : number;
}
