/**
 * Tokens → tree, by the grammar of CEL; calls whose name is a macro are widened at once.
 *
 * The parser stops at the first word that does not fit, and tells it in the words of the reference
 * implementation, whose generated parser lists what could have come instead. It looks one token
 * ahead: where only that word is too much, the message says so.
 *
 * Behaviour: github.com/google/cel-spec, "Syntax". Next: `checker.ts`.
 */
import {
  type Token,
  type TokenName,
  tokenize,
  tokenNames,
  unescapeBytes,
  unescapeText,
} from './lexer.ts';
import { expandMacro, MacroError } from './macros.ts';
import type { Problem } from './source.ts';
import type { Call, Expression } from './syntax.ts';
import { type CelValue, isInt64, isUint64, Uint } from './values.ts';

export const parserLimits = {
  /** How deep an expression may be nested. */
  depthMax: 250,
  /** Characters of an expression. */
  lengthMax: 100_000,
} as const;

export interface Parsed {
  readonly expression: Expression | undefined;
  readonly problems: readonly Problem[];
}

export function parse(text: string, { bindings }: { readonly bindings: boolean }): Parsed {
  const length = [...text].length;
  if (length > parserLimits.lengthMax) {
    const limit = parserLimits.lengthMax;
    const said = `expression code point size exceeds limit: size: ${length}, limit ${limit}`;
    return { expression: undefined, problems: [{ at: 0, text: said }] };
  }
  const { tokens, problems } = tokenize(text);
  const parser = new Parser(tokens, bindings);
  try {
    const expression = parser.parse();
    return { expression, problems: [...problems, ...parser.problems] };
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    return { expression: undefined, problems: [...problems, ...parser.problems, error.problem] };
  }
}

class Stop extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.text);
    this.problem = problem;
  }
}

const literalNames: readonly TokenName[] = [
  ...(['true', 'false', 'null', 'NUM_FLOAT', 'NUM_INT', 'NUM_UINT', 'STRING', 'BYTES'] as const),
];
const starts: readonly TokenName[] = ['[', '{', '(', '.', '-', '!', ...literalNames, 'IDENTIFIER'];
/** What starts something new, so that a bracket cannot have been closed just before. */
const opens: ReadonlySet<TokenName> = new Set([...literalNames, 'IDENTIFIER', '{', '(', '!']);
const comparisons: readonly TokenName[] = ['==', '!=', 'in', '<', '<=', '>=', '>'];
const reserved = new Set([
  ...['as', 'break', 'const', 'continue', 'else', 'false', 'for', 'function', 'if', 'import', 'in'],
  ...['let', 'loop', 'package', 'namespace', 'null', 'return', 'true', 'var', 'void', 'while'],
]);

class Parser {
  readonly problems: Problem[] = [];
  readonly #tokens: readonly Token[];
  readonly #bindings: boolean;
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], bindings: boolean) {
    this.#tokens = tokens;
    this.#bindings = bindings;
  }

  parse(): Expression {
    const expression = this.#expression();
    if (this.#peek().name !== '<EOF>') throw this.#unexpected(['<EOF>']);
    return expression;
  }

  #expression(more: readonly TokenName[] = []): Expression {
    this.#depth += 1;
    if (this.#depth > parserLimits.depthMax) {
      const text = `expression recursion limit exceeded: ${parserLimits.depthMax}`;
      throw new Stop({ at: this.#peek().at, text });
    }
    const condition = this.#logic('||', () => this.#logic('&&', () => this.#relation(more)));
    const question = this.#accept('?');
    let result = condition;
    if (question !== undefined) {
      const yes = this.#logic('||', () => this.#logic('&&', () => this.#relation([])));
      this.#expect(':');
      result = call(question, '_?_:_', [condition, yes, this.#expression()]);
    }
    this.#depth -= 1;
    return result;
  }

  /** Chains of one operator become a balanced tree, so that long ones are not deep. */
  #logic(operator: '&&' | '||', term: () => Expression): Expression {
    const terms = [term()];
    const operators: Token[] = [];
    for (let token = this.#accept(operator); token !== undefined; token = this.#accept(operator)) {
      operators.push(token);
      terms.push(term());
    }
    const only = terms[0];
    if (operators.length === 0 && only !== undefined) return only;
    return balance(`_${operator}_`, terms, operators, 0, operators.length - 1);
  }

  #relation(more: readonly TokenName[]): Expression {
    let left = this.#sum(more);
    for (let token = this.#take(comparisons); token; token = this.#take(comparisons)) {
      const name = token.name === 'in' ? '@in' : `_${token.name}_`;
      left = call(token, name, [left, this.#sum([])]);
    }
    return left;
  }

  #sum(more: readonly TokenName[]): Expression {
    let left = this.#product(more);
    for (let token = this.#take(['+', '-']); token; token = this.#take(['+', '-'])) {
      left = call(token, `_${token.name}_`, [left, this.#product([])]);
    }
    return left;
  }

  #product(more: readonly TokenName[]): Expression {
    let left = this.#unary(more);
    for (let token = this.#take(['*', '/', '%']); token; token = this.#take(['*', '/', '%'])) {
      left = call(token, `_${token.name}_`, [left, this.#unary([])]);
    }
    return left;
  }

  #unary(more: readonly TokenName[]): Expression {
    const first = this.#peek();
    if (first.name !== '!' && (first.name !== '-' || this.#isNumber(1))) return this.#member(more);
    let count = 0;
    while (this.#accept(first.name) !== undefined) {
      count += 1;
      // The last minus before a number is the number's own.
      if (first.name === '-' && this.#peek().name === '-' && this.#isNumber(1)) {
        this.#next += 1;
        count += 1;
      }
    }
    this.#refuseNoOperand(first);
    const operand = this.#member([]);
    return count % 2 === 0 ? operand : call(first, first.name === '!' ? '!_' : '-_', [operand]);
  }

  #expectOnly(name: TokenName): void {
    if (this.#accept(name) === undefined) throw this.#unexpected([name]);
  }

  /** What is said where nothing comes after `!` or `-` depends on which it was. */
  #refuseNoOperand({ name, at }: Token): void {
    const here = this.#peek();
    if (starts.includes(here.name)) return;
    const wrong = this.#unexpected(starts).problem;
    if (name === '!') {
      throw new Stop({ ...wrong, text: wrong.text.replace('mismatched', 'extraneous') });
    }
    const input = `-${' '.repeat(here.at - at - 1)}${here.name === '<EOF>' ? '' : here.text}`;
    const text = `Syntax error: no viable alternative at input '${input}'`;
    this.problems.push({ at: here.at, text });
  }

  #isNumber(ahead: number): boolean {
    const name = this.#tokens[this.#next + ahead]?.name;
    return name === 'NUM_INT' || name === 'NUM_FLOAT';
  }

  #member(more: readonly TokenName[]): Expression {
    let value = this.#primary(more);
    for (;;) {
      const dot = this.#accept('.');
      const bracket = dot === undefined ? this.#accept('[') : undefined;
      if (dot !== undefined) value = this.#afterDot(value, dot);
      else if (bracket !== undefined) {
        const optional = this.#accept('?') !== undefined;
        const index = this.#expression(optional ? [] : ['?']);
        this.#expect(']');
        value = call(bracket, optional ? '_[?_]' : '_[_]', [value, index]);
      } else {
        return value;
      }
    }
  }

  #afterDot(operand: Expression, dot: Token): Expression {
    const optional = this.#accept('?');
    const token = this.#peek();
    if (token.name !== 'IDENTIFIER' && token.name !== 'ESC_IDENTIFIER') throw this.#noField(dot);
    this.#next += 1;
    if (token.name === 'ESC_IDENTIFIER') {
      this.problems.push({ at: token.at, text: "unsupported syntax: '`'" });
    }
    if (optional !== undefined) {
      const field: Expression = { is: 'literal', at: token.at, value: token.text };
      return call(dot, '_?._', [operand, field]);
    }
    const open = token.name === 'IDENTIFIER' ? this.#accept('(') : undefined;
    if (open === undefined) {
      return { is: 'select', at: dot.at, operand, field: token.text, test: false };
    }
    return this.#expand(call(open, token.text, this.#args(), operand));
  }

  #noField(dot: Token): Stop {
    const token = this.#peek();
    if (['true', 'false', 'null'].includes(token.name)) {
      const text = `Syntax error: mismatched input '${token.text}' expecting IDENTIFIER`;
      return new Stop({ at: token.at, text });
    }
    const input = token.name === '<EOF>' ? '.' : `.${token.text}`;
    const text = `Syntax error: no viable alternative at input '${input}'`;
    return new Stop({ at: dot.at + 1 > token.at ? dot.at : token.at, text });
  }

  #primary(more: readonly TokenName[]): Expression {
    const token = this.#peek();
    if (!starts.includes(token.name)) throw this.#unexpected([...starts, ...more]);
    this.#next += 1;
    switch (token.name) {
      case '(': {
        const inner = this.#expression();
        this.#expect(')');
        return inner;
      }
      case '[':
        return this.#list(token);
      case '{':
        return this.#map(token);
      case '.':
      case 'IDENTIFIER':
        return this.#named(token);
      default:
        return this.#literal(token);
    }
  }

  #named(first: Token): Expression {
    const token = first.name === '.' ? this.#expect('IDENTIFIER') : first;
    const struct = this.#struct(token);
    if (struct !== undefined) return struct;
    if (reserved.has(token.text)) {
      this.problems.push({ at: first.at, text: `reserved identifier: ${token.text}` });
    }
    const open = this.#accept('(');
    if (open === undefined) return { is: 'identifier', at: token.at, name: token.text };
    return this.#expand(call(open, token.text, this.#args()));
  }

  #struct(first: Token): Expression | undefined {
    let ahead = this.#next;
    const names = [first.text];
    while (this.#tokens[ahead]?.name === '.' && this.#tokens[ahead + 1]?.name === 'IDENTIFIER') {
      names.push(this.#tokens[ahead + 1]?.text ?? '');
      ahead += 2;
    }
    const open = this.#tokens[ahead];
    if (open?.name !== '{') return undefined;
    this.#next = ahead + 1;
    const fields = this.#items('}', ['IDENTIFIER', 'ESC_IDENTIFIER', '?'], () => {
      const optional = this.#accept('?') !== undefined;
      const name = this.#expect('IDENTIFIER').text;
      const { at } = this.#expect(':');
      return { at, name, value: this.#expression(), optional };
    });
    return { is: 'struct', at: open.at, type: names.join('.'), fields };
  }

  #list(open: Token): Expression {
    const elements = this.#items(']', starts, () => {
      const optional = this.#accept('?') !== undefined;
      return { value: this.#expression(optional ? [] : [']', ',', '?']), optional };
    });
    return { is: 'list', at: open.at, elements };
  }

  #map(open: Token): Expression {
    const entries = this.#items('}', starts, () => {
      const optional = this.#accept('?') !== undefined;
      const key = this.#expression(optional ? [] : ['}', ',', '?']);
      this.#expect(':');
      return { key, value: this.#expression(), optional };
    });
    return { is: 'map', at: open.at, entries };
  }

  /** Items with commas between them, of which one more may follow the last. */
  #items<T>(closing: ']' | '}', first: readonly TokenName[], item: () => T): readonly T[] {
    const items: T[] = [];
    if (this.#accept(closing)) return items;
    if (this.#accept(',')) {
      this.#expect(closing);
      return items;
    }
    for (;;) {
      items.push(item());
      if (this.#accept(closing)) return items;
      if (this.#accept(',') === undefined) throw this.#unexpected([closing, ',']);
      if (![...first, '?'].includes(this.#peek().name)) {
        this.#expectOnly(closing);
        return items;
      }
    }
  }

  #args(): readonly Expression[] {
    if (this.#accept(')')) return [];
    const args = [this.#expression([')'])];
    while (this.#accept(',')) args.push(this.#expression());
    this.#expect(')');
    return args;
  }

  #expand(made: Call): Expression {
    try {
      return expandMacro(made, this.#bindings) ?? made;
    } catch (error) {
      if (!(error instanceof MacroError)) throw error;
      this.problems.push(error.problem);
      return made;
    }
  }

  #literal(token: Token): Expression {
    const negative = token.name === '-';
    const of = negative ? this.#peek() : token;
    if (negative) this.#next += 1;
    const value = literalValue(of, negative);
    if (value === undefined) {
      this.problems.push({ at: token.at, text: badLiterals[of.name] ?? 'invalid literal' });
    }
    return { is: 'literal', at: token.at, value: value ?? null };
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { name: '<EOF>', text: '<EOF>', at: 0 };
  }

  #accept(name: TokenName): Token | undefined {
    const token = this.#peek();
    if (token.name !== name) return undefined;
    this.#next += 1;
    return token;
  }

  #take(names: readonly TokenName[]): Token | undefined {
    return names.includes(this.#peek().name) ? this.#accept(this.#peek().name) : undefined;
  }

  #expect(name: TokenName): Token {
    const token = this.#accept(name);
    if (token !== undefined) return token;
    const [here, following] = [this.#peek(), this.#tokens[this.#next + 1]?.name];
    const fits = name === ':' ? starts.includes(here.name) : !opens.has(here.name);
    if (following === name || name === 'IDENTIFIER' || !fits) throw this.#unexpected([name]);
    const text = `Syntax error: missing '${name}' at '${here.text}'`;
    throw new Stop({ at: here.at, text });
  }

  #unexpected(expected: readonly TokenName[]): Stop {
    const { name, text, at } = this.#peek();
    const following = this.#tokens[this.#next + 1]?.name;
    const superfluous = following !== undefined && expected.includes(following);
    const sorted = tokenNames.filter((one) => expected.includes(one)).map(shown);
    const what = sorted.length === 1 ? sorted[0] : `{${sorted.join(', ')}}`;
    const said = superfluous && name !== '<EOF>' ? 'extraneous' : 'mismatched';
    return new Stop({ at, text: `Syntax error: ${said} input '${text}' expecting ${what}` });
  }
}

function shown(name: TokenName): string {
  return /^[A-Z_]+$/.test(name) || name === '<EOF>' ? name : `'${name}'`;
}

function call(
  { at }: Token,
  name: string,
  args: readonly Expression[],
  target: Expression | undefined = undefined,
): Call {
  return { is: 'call', at, name, target, args };
}

function balance(
  name: string,
  terms: readonly Expression[],
  operators: readonly Token[],
  low: number,
  high: number,
): Expression {
  const middle = Math.floor((low + high + 1) / 2);
  const side = (term: number, from: number, to: number): Expression => {
    const only = terms[term];
    return from > to && only !== undefined ? only : balance(name, terms, operators, from, to);
  };
  const left = side(middle, low, middle - 1);
  const right = side(middle + 1, middle + 1, high);
  return {
    is: 'call',
    at: operators[middle]?.at ?? 0,
    name,
    target: undefined,
    args: [left, right],
  };
}

const badLiterals: Readonly<Partial<Record<TokenName, string>>> = {
  NUM_INT: 'invalid int literal',
  NUM_UINT: 'invalid uint literal',
  NUM_FLOAT: 'invalid double literal',
  STRING: 'unable to unescape string',
  BYTES: 'unable to unescape string',
};

function literalValue({ name, text }: Token, negative: boolean): CelValue | undefined {
  switch (name) {
    case 'NUM_INT': {
      const value = negative ? -BigInt(text) : BigInt(text);
      return isInt64(value) ? value : undefined;
    }
    case 'NUM_UINT': {
      const value = BigInt(text.slice(0, -1));
      return isUint64(value) ? new Uint(value) : undefined;
    }
    case 'NUM_FLOAT': {
      const value = negative ? -Number(text) : Number(text);
      return Number.isFinite(value) ? value : undefined;
    }
    case 'STRING':
      return unescapeText(text);
    case 'BYTES':
      return unescapeBytes(text.slice(1));
    case 'null':
      return null;
    default:
      return name === 'true';
  }
}
