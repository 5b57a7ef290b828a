/**
 * How names, label keys and label values must look. Each check answers with the texts of what is
 * wrong (none: fine); the texts are upstream's, since people and tests match on them.
 *
 * Called by metadata validation, selectors and the kinds' own validation.
 */
const labelPattern = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const subdomainPattern = `${labelPattern}(\\.${labelPattern})*`;
const label1035Pattern = '[a-z]([-a-z0-9]*[a-z0-9])?';
const qualifiedPattern = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';

const labelRegExp = new RegExp(`^${labelPattern}$`);
const subdomainRegExp = new RegExp(`^${subdomainPattern}$`);
const label1035RegExp = new RegExp(`^${label1035Pattern}$`);
const qualifiedRegExp = new RegExp(`^${qualifiedPattern}$`);
const qualifiedShortRegExp = new RegExp(`^(?:${subdomainPattern}/)?${qualifiedPattern}$`);
/** From space to tilde, save `=`. */
const envNameRegExp = /^[ -<>-~]+$/;
const portNameRegExp = /^[-a-z0-9]+$/;

const labelBytesMax = 63;
const subdomainBytesMax = 253;
const labelValueBytesMax = 63;
const qualifiedNameBytesMax = 63;

export type NameRule = 'subdomain' | 'label' | 'label1035' | 'pathSegment';

/** `generated`: the name is a prefix that gets a suffix, so it may end in a dash. */
export function nameProblems(
  name: string,
  rule: NameRule,
  { generated }: { readonly generated: boolean },
): readonly string[] {
  // A prefix is judged as if a letter stood where its last dashes are.
  const judged = generated && name.endsWith('-') ? `${name.replace(/-$/, '')}a` : name;
  switch (rule) {
    case 'subdomain':
      return subdomainProblems(judged);
    case 'label':
      return labelProblems(judged);
    case 'label1035':
      return label1035Problems(judged);
    case 'pathSegment':
      return pathSegmentProblems(name, { generated });
    default:
      return rule satisfies never;
  }
}

/** Nothing wrong, as of nearly every name. */
const none: readonly string[] = Object.freeze([]);

export function labelProblems(value: string): readonly string[] {
  if (value.length <= labelBytesMax && labelRegExp.test(value)) return none;
  return check(value, labelBytesMax, labelRegExp, 'characters', () =>
    // What would be fine as several labels is told so.
    subdomainRegExp.test(value) ? 'must not contain dots' : labelText(),
  );
}

function labelText(): string {
  return patternText(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
    labelPattern,
    ['my-name', '123-abc'],
  );
}

export function subdomainProblems(
  value: string,
  { unit = 'characters' }: { readonly unit?: Unit } = {},
): readonly string[] {
  if (value.length <= subdomainBytesMax && subdomainRegExp.test(value)) return none;
  return check(value, subdomainBytesMax, subdomainRegExp, unit, () =>
    patternText(
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
      subdomainPattern,
      ['example.com'],
    ),
  );
}

export function label1035Problems(value: string): readonly string[] {
  return check(value, labelBytesMax, label1035RegExp, 'characters', () =>
    patternText(
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
      label1035Pattern,
      ['my-name', 'abc-123'],
    ),
  );
}

function pathSegmentProblems(
  name: string,
  { generated }: { readonly generated: boolean },
): readonly string[] {
  const problems: string[] = [];
  if (!generated && (name === '.' || name === '..')) problems.push(`may not be '${name}'`);
  for (const part of ['/', '%']) {
    if (name.includes(part)) problems.push(`may not contain '${part}'`);
  }
  return problems;
}

/** A label or annotation key, a finalizer, a resource name: `name` or `prefix.example.com/name`. */
export function qualifiedNameProblems(value: string): readonly string[] {
  // So short, neither part can be too long.
  if (value.length <= qualifiedNameBytesMax && qualifiedShortRegExp.test(value)) return none;
  const shape = (): string =>
    patternText(
      "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
      qualifiedPattern,
      ['MyName', 'my.name', '123-abc'],
    );
  const parts = value.split('/');
  if (parts.length > 2) {
    return [
      `a valid label key ${shape()} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const problems: string[] = [];
  const name = parts[parts.length - 1] ?? '';
  if (parts.length === 2) {
    const prefix = parts[0] ?? '';
    if (prefix === '') problems.push('prefix part must be non-empty');
    else {
      const wrong = subdomainProblems(prefix, { unit: 'bytes' });
      problems.push(...wrong.map((problem) => `prefix part ${problem}`));
    }
  }
  if (name === '') {
    problems.push('name part must be non-empty');
  } else if (byteLength(name) > qualifiedNameBytesMax) {
    problems.push(`name part ${tooLongText(qualifiedNameBytesMax, 'bytes')}`);
  }
  if (!qualifiedRegExp.test(name)) problems.push(`name part ${shape()}`);
  return problems;
}

export function labelValueProblems(value: string): readonly string[] {
  if (value === '') return none;
  if (value.length <= labelValueBytesMax && qualifiedRegExp.test(value)) return none;
  return check(value, labelValueBytesMax, qualifiedRegExp, 'bytes', () =>
    patternText(
      "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
      `(${qualifiedPattern})?`,
      ['MyValue', 'my_value', '12345'],
    ),
  );
}

/** Names of environment variables: printable ASCII without `=`. */
export function envVarNameProblems(value: string): readonly string[] {
  if (envNameRegExp.test(value)) return none;
  return [
    "a valid environment variable name must consist only of printable ASCII characters other than '='",
  ];
}

/** Keys of ConfigMaps and Secrets. */
export function configMapKeyProblems(value: string): readonly string[] {
  const problems: string[] = [];
  if (byteLength(value) > subdomainBytesMax) {
    problems.push(tooLongText(subdomainBytesMax));
  }
  if (!/^[-._a-zA-Z0-9]+$/.test(value)) {
    problems.push(
      patternText(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        '[-._a-zA-Z0-9]+',
        ['key.name', 'KEY_NAME', 'key-name'],
      ),
    );
  }
  if (value === '.' || value === '..') problems.push(`must not be '${value}'`);
  else if (value.startsWith('..')) problems.push(`must not start with '..'`);
  return problems;
}

/** Names of container ports, also used as service target ports (IANA service names). */
export function portNameProblems(value: string): readonly string[] {
  const problems: string[] = [];
  if (value.length > 15) problems.push(tooLongText(15));
  if (!portNameRegExp.test(value)) {
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  }
  if (!/[a-z]/.test(value)) problems.push('must contain at least one letter (a-z)');
  if (value.includes('--')) problems.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) {
    problems.push('must not begin or end with a hyphen');
  }
  return problems;
}

export function byteLength(text: string): number {
  return Buffer.byteLength(text);
}

/** Upstream counts bytes everywhere, and says so in its newer checks only. */
export type Unit = 'bytes' | 'characters';

function tooLongText(bytesMax: number, unit: Unit = 'characters'): string {
  return `must be no more than ${bytesMax} ${unit}`;
}

function check(
  value: string,
  bytesMax: number,
  pattern: RegExp,
  unit: Unit,
  text: () => string,
): readonly string[] {
  const problems: string[] = [];
  if (byteLength(value) > bytesMax) problems.push(tooLongText(bytesMax, unit));
  if (!pattern.test(value)) problems.push(text());
  return problems;
}

/** `message (e.g. 'a',  or 'b', regex used for validation is '…')`. */
export function patternText(message: string, pattern: string, examples: readonly string[]): string {
  const shown = examples.map((example) => `'${example}', `).join(' or ');
  const lead = shown === '' ? '' : `e.g. ${shown}`;
  return `${message} (${lead}regex used for validation is '${pattern}')`;
}
