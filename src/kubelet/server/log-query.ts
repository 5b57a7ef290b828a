/**
 * What `/logs/?query=…` asks for: lines of services of the machine, from the journal or from their
 * files below `/var/log`, or one file. Reading and judging the question is pure; `node-logs.ts`
 * answers it.
 *
 * Upstream's parameters and refusals; also those that `oc adm node-logs` sends. Behaviour:
 * kubernetes.io, "System Logs", "Log query".
 */
import {
  type FieldError,
  forbidden,
  formatFieldErrors,
  invalid,
  notSupported,
  tooMany,
} from '#api/field-error.ts';
import { compileRe2 } from '#kit/re2.ts';

const limits = { services: 4, serviceLength: 256, tailLines: 100_000 } as const;

const formats: readonly string[] = [
  ...['cat', 'json', 'short', 'short-iso', 'short-iso-precise', 'short-precise', 'short-unix'],
];

export interface LogQuery {
  readonly services: readonly string[];
  /** A path below `/var/log`, instead. */
  readonly file: string | undefined;
  /** Of `journalctl`, without the services. */
  readonly options: readonly string[];
  /** Something is asked that only the journal can tell. */
  readonly isPicky: boolean;
}

export type LogQuestion =
  | { readonly do: 'refuse'; readonly status: 400 | 406; readonly text: string }
  | ({ readonly do: 'answer' } & LogQuery);

/** Undefined: nothing is asked, the path says it all. */
export function readLogQuery(query: URLSearchParams): LogQuestion | undefined {
  const names = [...query.getAll('query'), ...query.getAll('unit')];
  const isFile = (name: string): boolean =>
    query.getAll('query').includes(name) && /[/\\]/.test(name);
  const files = names.filter(isFile);
  const services = names.filter((name) => !isFile(name) && name.trim() !== '');
  const problems: FieldError[] = [];
  if (names.length > 0 && files.length + services.length === 0) {
    problems.push(invalid('unit', query.getAll('query'), 'unit cannot be empty'));
  }
  const asked = readOptions(query, problems);
  if (problems.length > 0) return refuse(400, problems);
  const wrong = [...serviceProblems(services, files, asked), ...optionProblems(asked)];
  if (wrong.length > 0) return refuse(406, wrong);
  if (names.length === 0) return undefined;
  const options = journalOptions(asked);
  const isPicky = Object.values(asked).some((value) => value !== undefined);
  return { do: 'answer', services, file: files[0]?.replaceAll('\\', '/'), options, isPicky };
}

function refuse(status: 400 | 406, problems: readonly FieldError[]): LogQuestion {
  return { do: 'refuse', status, text: formatFieldErrors(problems) };
}

interface Asked {
  readonly sinceTime: number | undefined;
  readonly untilTime: number | undefined;
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly boot: number | undefined;
  readonly tailLines: number | undefined;
  readonly pattern: string | undefined;
  readonly caseSensitive: boolean | undefined;
  readonly format: string | undefined;
}

function readOptions(query: URLSearchParams, problems: FieldError[]): Asked {
  const text = (...names: readonly string[]): string | undefined =>
    names.map((name) => query.get(name)).find((value) => value !== null && value !== '') ??
    undefined;
  const time = (name: string): number | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value))
      return Date.parse(value);
    problems.push(invalid(name, value, 'invalid time format'));
    return undefined;
  };
  const number = (field: string, ...names: readonly string[]): number | undefined => {
    const value = text(...names);
    if (value === undefined) return undefined;
    if (/^[+-]?\d+$/.test(value)) return Number(value);
    const why = `strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`;
    problems.push(invalid(field, value, why));
    return undefined;
  };
  const pattern = text('pattern', 'grep');
  return {
    sinceTime: time('sinceTime'),
    untilTime: time('untilTime'),
    boot: number('boot', 'boot'),
    tailLines: number('tailLines', 'tailLines', 'tail'),
    pattern,
    caseSensitive: pattern === undefined ? undefined : readCase(text('case-sensitive'), problems),
    since: text('since'),
    until: text('until'),
    format: text('output'),
  };
}

function readCase(value: string | undefined, problems: FieldError[]): boolean | undefined {
  if (value === undefined) return undefined;
  if (/^(1|t|T|true|TRUE|True)$/.test(value)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(value)) return undefined;
  const why = `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`;
  problems.push(invalid('case-sensitive', value, why));
  return undefined;
}

function serviceProblems(
  services: readonly string[],
  files: readonly string[],
  asked: Asked,
): readonly FieldError[] {
  const problems: FieldError[] = [];
  for (const name of services) {
    const { serviceLength } = limits;
    if (name.length > serviceLength) {
      problems.push(invalid('query', name, `length must be less than ${serviceLength}`));
    } else if (/[^a-zA-Z\-_.:0-9@]/.test(name)) {
      problems.push(invalid('query', name, 'input contains unsupported characters'));
    }
  }
  if (services.length > limits.services) {
    problems.push(tooMany('query', services.length, limits.services));
  }
  const picky = Object.values(asked).some((value) => value !== undefined);
  if (files.length > 0 && services.length > 0) {
    const what = `[${files.join(' ')}], [${services.join(' ')}]`;
    problems.push(invalid('query', what, 'cannot specify a file and service'));
  } else if (files.length > 1) {
    problems.push(invalid('query', files, 'cannot specify more than one file'));
  } else if (files.length === 1 && picky) {
    problems.push(invalid('query', files, 'cannot specify file with options'));
  }
  return problems;
}

function optionProblems(asked: Asked): readonly FieldError[] {
  const { sinceTime, untilTime, since, until, boot, tailLines, pattern, format } = asked;
  const problems: FieldError[] = [];
  if (sinceTime !== undefined && untilTime !== undefined && sinceTime > untilTime) {
    const time = new Date(untilTime).toISOString();
    problems.push(invalid('untilTime', time, 'must be after `sinceTime`'));
  }
  if (boot !== undefined && boot > 0) problems.push(invalid('boot', boot, 'must be less than 1'));
  if (tailLines !== undefined && !(tailLines >= 0 && tailLines <= limits.tailLines)) {
    const range = `must be between 0 and ${limits.tailLines}, inclusive`;
    problems.push(invalid('tailLines', tailLines, range));
  }
  const compiled = pattern === undefined ? undefined : compileRe2(pattern);
  if (typeof compiled === 'string') problems.push(invalid('pattern', pattern, compiled));
  const isRelative = since !== undefined || until !== undefined;
  for (const [name, time] of [
    ['sinceTime', sinceTime],
    ['untilTime', untilTime],
  ] as const) {
    if (time === undefined || !isRelative) continue;
    problems.push(forbidden(name, `\`since or until\` and \`${name}\` cannot be specified`));
  }
  for (const [name, date] of [
    ['since', since],
    ['until', until],
  ] as const) {
    if (date === undefined || isDate(date)) continue;
    const form =
      "date must be a relative time of the form '(+|-)[0-9]+(s|m|h|d)' or a date in 'YYYY-MM-DD HH:MM:SS' form";
    problems.push(invalid(name, date, form));
  }
  if (format !== undefined && !formats.includes(format)) {
    problems.push(notSupported('output', format, formats));
  }
  return problems;
}

function isDate(text: string): boolean {
  if (/^[+-]?\d+(s|m|h|d)$/.test(text)) return true;
  return /^\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{1,2}:\d{1,2}$/.test(text);
}

function journalOptions(asked: Asked): readonly string[] {
  const { sinceTime, untilTime, since, until, boot, tailLines, pattern } = asked;
  const at = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
  const from = since ?? (sinceTime === undefined ? undefined : at(sinceTime));
  const to = until ?? (untilTime === undefined ? undefined : at(untilTime));
  return [
    ...['--utc', '--no-pager'],
    ...(from === undefined ? [] : [`--since=${from}`]),
    ...(to === undefined ? [] : [`--until=${to}`]),
    ...(tailLines === undefined ? [] : ['--pager-end', `--lines=${tailLines}`]),
    ...(pattern === undefined
      ? []
      : [`--grep=${pattern}`, `--case-sensitive=${asked.caseSensitive === true}`]),
    ...(boot === undefined ? [] : ['--boot', String(boot)]),
    `--output=${asked.format ?? 'short-precise'}`,
  ];
}
