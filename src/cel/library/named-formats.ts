/**
 * Named formats: `format.dns1123Label().validate(name)` gives what is wrong, or nothing.
 *
 * Behaviour: kubernetes.io, "Common Expression Language", format functions.
 */
import {
  label1035Problems,
  labelProblems,
  labelValueProblems,
  qualifiedNameProblems,
  subdomainProblems,
} from '#api/names.ts';
import { type CelType, parseType } from '../cel-type.ts';
import type { Library } from '../functions.ts';
import { parseRfc3339 } from '../times.ts';
import { Opaque, Optional } from '../values.ts';
import { urlProblem } from './addresses.ts';

type Problems = (text: string) => readonly string[];

const formatType = parseType('format');

class Format extends Opaque {
  readonly type: CelType = formatType;
  readonly name: string;
  /** What the cost takes for the length of its pattern. */
  readonly patternMax: number;
  readonly problems: Problems;

  constructor(name: string, patternMax: number, problems: Problems) {
    super();
    this.name = name;
    this.patternMax = patternMax;
    this.problems = problems;
  }

  equals(other: Opaque): boolean {
    return other instanceof Format && other.name === this.name;
  }
}

const uuidRegExp = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const base64RegExp =
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/;
const timePatternLength = 71;

const is =
  (fine: (text: string) => boolean, problem: string): Problems =>
  (text) =>
    fine(text) ? [] : [problem];

/** A name may end in a dash where more is to be put behind it. */
const prefix =
  (problems: Problems): Problems =>
  (text) =>
    problems(text.replace(/-$/, 'a'));

const formats: Readonly<Record<string, Format>> = {
  dns1123Label: new Format('DNS1123Label', 30, labelProblems),
  dns1123Subdomain: new Format('DNS1123Subdomain', 60, (text) => subdomainProblems(text)),
  dns1035Label: new Format('DNS1035Label', 30, label1035Problems),
  qualifiedName: new Format('QualifiedName', 60, qualifiedNameProblems),
  dns1123LabelPrefix: new Format('DNS1123LabelPrefix', 30, prefix(labelProblems)),
  dns1123SubdomainPrefix: new Format(
    'DNS1123SubdomainPrefix',
    60,
    prefix((text) => subdomainProblems(text)),
  ),
  dns1035LabelPrefix: new Format('DNS1035LabelPrefix', 30, prefix(label1035Problems)),
  labelValue: new Format('LabelValue', 40, labelValueProblems),
  uri: new Format('URI', 1103, (text) => {
    const problem = urlProblem(text);
    return problem === undefined ? [] : [problem];
  }),
  uuid: new Format(
    'uuid',
    72,
    is((text) => uuidRegExp.test(text), 'does not match the UUID format'),
  ),
  byte: new Format(
    'byte',
    84,
    is((text) => base64RegExp.test(text), 'invalid base64'),
  ),
  date: new Format(
    'date',
    timePatternLength,
    is((text) => parseRfc3339(`${text}T00:00:00Z`) !== undefined, 'invalid date'),
  ),
  datetime: new Format(
    'datetime',
    timePatternLength,
    is((text) => parseRfc3339(text) !== undefined, 'invalid datetime'),
  ),
};

export const formatLibrary: Library = {
  ...Object.fromEntries(
    Object.entries(formats).map(([name, format]) => [
      `format.${name}: format.${name}() -> format`,
      () => format,
    ]),
  ),
  'format-named: format.named(string) -> optional(format)': (name: string) => {
    const found = Object.hasOwn(formats, name) ? formats[name] : undefined;
    return found === undefined ? Optional.none : new Optional(found);
  },
  'format-validate: format::validate(string) -> optional(list(string))': (
    { problems }: Format,
    text: string,
  ) => {
    const found = problems(text);
    return found.length === 0 ? Optional.none : new Optional(found);
  },
};
