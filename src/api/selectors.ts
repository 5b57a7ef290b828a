/**
 * Label selectors as text (`app=web,tier in (a, b),!old`) and as objects (`matchLabels`,
 * `matchExpressions`), and field selectors as text (`metadata.name=x,status.phase!=Running`).
 *
 * Used by the server for lists and watches, by controllers to find their pods, by printing.
 * Bad text is refused with a 400 in upstream's words.
 */
import { badRequest } from './errors.ts';
import { labelValueProblems, qualifiedNameProblems } from './names.ts';

export type Labels = Readonly<Record<string, string>> | undefined;

export type Operator = '=' | '==' | '!=' | 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt';

export interface LabelRequirement {
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

export interface Selector {
  matches(labels: Labels): boolean;
  readonly requirements: readonly LabelRequirement[];
}

/** The object form (`metav1.LabelSelector`). */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined;
  readonly matchExpressions?:
    | readonly {
        readonly key: string;
        readonly operator: string;
        readonly values?: readonly string[] | undefined;
      }[]
    | undefined;
}

function makeSelector(requirements: readonly LabelRequirement[]): Selector {
  return {
    requirements,
    matches: (labels) => requirements.every((requirement) => meets(requirement, labels)),
  };
}

function meets({ key, operator, values }: LabelRequirement, labels: Labels): boolean {
  const has = labels !== undefined && Object.hasOwn(labels, key);
  const value = has ? (labels[key] ?? '') : '';
  switch (operator) {
    case '=':
    case '==':
    case 'in':
      return has && values.includes(value);
    case '!=':
    case 'notin':
      return !has || !values.includes(value);
    case 'exists':
      return has;
    case '!':
      return !has;
    case 'gt':
      return has && isWhole(value) && Number(value) > Number(values[0]);
    case 'lt':
      return has && isWhole(value) && Number(value) < Number(values[0]);
    default:
      return operator satisfies never;
  }
}

function isWhole(text: string): boolean {
  return /^[+-]?\d+$/.test(text);
}

export function parseLabelSelector(text: string): Selector {
  return makeSelector(new LabelParser(text).parse());
}

type Token = { readonly type: 'text' | 'symbol' | 'end'; readonly text: string };

const tokenRegExp = /\s*(==|!=|=|!|,|\(|\)|>|<|[^\s=!,()<>]+|$)/y;

class LabelParser {
  readonly #tokens: Token[] = [];
  #next = 0;

  constructor(text: string) {
    tokenRegExp.lastIndex = 0;
    for (;;) {
      const match = tokenRegExp.exec(text);
      const word = match?.[1] ?? '';
      if (word === '') break;
      this.#tokens.push({ type: /^[=!,()<>]/.test(word) ? 'symbol' : 'text', text: word });
    }
  }

  parse(): readonly LabelRequirement[] {
    const requirements: LabelRequirement[] = [];
    if (this.#peek().type === 'end') return requirements;
    const { type, text } = this.#peek();
    if (type === 'symbol' && text !== '!') {
      throw badRequest(`found '${text}', expected: !, identifier, or 'end of string'`);
    }
    for (;;) {
      requirements.push(this.#requirement());
      const token = this.#take();
      if (token.type === 'end') break;
      if (token.text !== ',')
        throw badRequest(`found '${token.text}', expected: ',' or 'end of string'`);
      const after = this.#peek();
      if (after.type === 'end' || (after.type === 'symbol' && after.text !== '!')) {
        throw badRequest(`found '${after.text}', expected: identifier after ','`);
      }
    }
    return requirements.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  }

  #requirement(): LabelRequirement {
    const negated = this.#peek().text === '!' && this.#peek().type === 'symbol';
    if (negated) this.#take();
    const name = this.#take();
    if (name.type !== 'text') {
      throw refuse(`found '${name.text}', expected: identifier`);
    }
    checkKey(name.text);
    if (negated) return { key: name.text, operator: '!', values: [] };
    const token = this.#peek();
    if (token.type === 'end' || token.text === ',') {
      return { key: name.text, operator: 'exists', values: [] };
    }
    this.#take();
    return this.#withValues(name.text, token.text);
  }

  #withValues(key: string, operator: string): LabelRequirement {
    switch (operator) {
      case 'in':
      case 'notin':
        return { key, operator, values: checkValues(key, this.#valueSet()) };
      case '=':
      case '==':
      case '!=':
        return { key, operator, values: checkValues(key, [this.#exactValue()]) };
      case '>':
      case '<': {
        const value = this.#exactValue();
        if (!isWhole(value)) {
          throw badRequest(
            `values[0][${key}]: Invalid value: "${value}": for 'Gt', 'Lt' operators, the value must be an integer`,
          );
        }
        return { key, operator: operator === '>' ? 'gt' : 'lt', values: [value] };
      }
      default:
        throw refuse(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
    }
  }

  #exactValue(): string {
    const token = this.#peek();
    if (token.type === 'end' || token.text === ',') return '';
    this.#take();
    if (token.type === 'text') return token.text;
    throw refuse(`found '${token.text}', expected: identifier`);
  }

  #valueSet(): readonly string[] {
    const open = this.#take();
    if (open.text !== '(') throw refuse(`found '${open.text}' expected: '('`);
    const values = new Set<string>();
    let current = '';
    for (;;) {
      const token = this.#take();
      if (token.type === 'text') {
        if (current !== '') throw refuse(`found '${token.text}', expected: ',', or ')'`);
        current = token.text;
      } else if (token.text === ',') {
        values.add(current);
        current = '';
      } else if (token.text === ')') {
        values.add(current);
        return [...values].sort();
      } else {
        throw refuse(`found '${token.text}', expected: ',', or ')'`);
      }
    }
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { type: 'end', text: '' };
  }

  #take(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }
}

function refuse(why: string): Error {
  return badRequest(`unable to parse requirement: ${why}`);
}

function checkKey(key: string): void {
  const problems = qualifiedNameProblems(key);
  if (problems.length === 0) return;
  throw refuse(`<nil>: Invalid value: "${key}": ${problems.join('; ')}`);
}

function checkValues(key: string, values: readonly string[]): readonly string[] {
  values.forEach((value, index) => {
    const problems = labelValueProblems(value);
    if (problems.length === 0) return;
    throw refuse(`values[${index}][${key}]: Invalid value: "${value}": ${problems.join('; ')}`);
  });
  return values;
}

/** No selector selects nothing; an empty one selects everything. */
export function labelSelectorMatches(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false;
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (labels === undefined || !Object.hasOwn(labels, key) || labels[key] !== value) return false;
  }
  return (selector.matchExpressions ?? []).every((expression) =>
    meets(toRequirement(expression), labels),
  );
}

function toRequirement(
  expression: NonNullable<LabelSelector['matchExpressions']>[number],
): LabelRequirement {
  const { key, values = [] } = expression;
  switch (expression.operator) {
    case 'In':
      return { key, operator: 'in', values };
    case 'NotIn':
      return { key, operator: 'notin', values };
    case 'Exists':
      return { key, operator: 'exists', values };
    case 'DoesNotExist':
      return { key, operator: '!', values };
    default:
      throw badRequest(`"${expression.operator}" is not a valid label selector operator`);
  }
}

/** Whether a plain map of labels (a Service's selector) matches. */
export function mapMatches(selector: Labels, labels: Labels): boolean {
  return labelSelectorMatches({ matchLabels: selector }, labels);
}

/** The text form of an object selector, keys in order: `app=web,tier in (a,b)`. */
export function formatLabelSelector(selector: LabelSelector | undefined): string {
  if (selector === undefined) return '<none>';
  const requirements = [
    ...Object.entries(selector.matchLabels ?? {}).map(
      ([key, value]): LabelRequirement => ({ key, operator: '=', values: [value] }),
    ),
    ...(selector.matchExpressions ?? []).map(toRequirement),
  ].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return requirements.map(formatRequirement).join(',');
}

function formatRequirement({ key, operator, values }: LabelRequirement): string {
  switch (operator) {
    case 'exists':
      return key;
    case '!':
      return `!${key}`;
    case 'in':
    case 'notin':
      return `${key} ${operator} (${[...values].sort().join(',')})`;
    case 'gt':
      return `${key}>${values[0]}`;
    case 'lt':
      return `${key}<${values[0]}`;
    default:
      return `${key}${operator}${values[0] ?? ''}`;
  }
}

export interface FieldRequirement {
  readonly field: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

export interface FieldSelector {
  readonly requirements: readonly FieldRequirement[];
  /** `fieldText` answers for the fields that the kind can be selected by. */
  matches(fieldText: (field: string) => string): boolean;
}

export function parseFieldSelector(text: string): FieldSelector {
  const requirements = splitTerms(text)
    .filter((term) => term !== '')
    .map((term) => fieldRequirement(term, text));
  return {
    requirements,
    matches: (fieldText) =>
      requirements.every(
        ({ field, operator, value }) => (fieldText(field) === value) === (operator === '='),
      ),
  };
}

/** Splits at commas that no backslash protects. */
function splitTerms(text: string): readonly string[] {
  const terms: string[] = [];
  let term = '';
  for (let index = 0; index < text.length; index++) {
    const letter = text[index];
    if (letter === '\\') {
      term += text.slice(index, index + 2);
      index += 1;
    } else if (letter === ',') {
      terms.push(term);
      term = '';
    } else {
      term += letter;
    }
  }
  terms.push(term);
  return terms;
}

function fieldRequirement(term: string, text: string): FieldRequirement {
  const match = /^((?:[^\\=!]|\\.|!(?!=))*)(!=|==|=)(.*)$/s.exec(term);
  if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
  const [, field = '', operator, value = ''] = match;
  return { field, operator: operator === '!=' ? '!=' : '=', value: unescapeValue(value) };
}

function unescapeValue(value: string): string {
  return value.replace(/\\(.?)|[,=]/gs, (sequence, letter?: string) => {
    if (letter === undefined) {
      const code = sequence.charCodeAt(0);
      throw badRequest(`invalid field selector: unescaped character in value: ${code}`);
    }
    if (/^[\\,=]$/.test(letter)) return letter;
    throw badRequest(`invalid field selector: invalid escape sequence: ${sequence}`);
  });
}
