/**
 * Expressions that choose devices, in the part of CEL that drivers and claims use:
 * `device.driver == "gpu.example.com" && device.attributes["gpu.example.com"].model == "a100"`.
 *
 * Known: `&& || ! ?:`, comparisons, `in`, members and indexes, lists, `has()`, text methods
 * (startsWith, endsWith, contains, matches), `quantity()` and `semver()` with compareTo,
 * isGreaterThan and isLessThan. Anything else is refused with a message; macros over lists and
 * arithmetic are among it. This is the seam for a complete evaluator: whoever has one replaces
 * `parseDeviceExpression`.
 */
import { quantity } from '#api/quantity.ts';

export type DeviceValue = string | number | boolean | Ordered | readonly DeviceValue[] | Fields;

export interface Fields {
  readonly [name: string]: DeviceValue | undefined;
}

/** A quantity or version: compared by its own rules. */
export class Ordered {
  readonly kind: 'quantity' | 'semver';
  readonly text: string;

  constructor(kind: 'quantity' | 'semver', text: string) {
    this.kind = kind;
    this.text = text;
  }

  compare(other: Ordered): number {
    if (this.kind === 'quantity') {
      const [left, right] = [quantity(this.text).nano, quantity(other.text).nano];
      return left < right ? -1 : left > right ? 1 : 0;
    }
    const parts = ({ text }: Ordered): readonly number[] =>
      (text.split(/[-+]/)[0] ?? '').split('.').map(Number);
    const [left, right] = [parts(this), parts(other)];
    for (let index = 0; index < 3; index++) {
      const difference = (left[index] ?? 0) - (right[index] ?? 0);
      if (difference !== 0) return Math.sign(difference);
    }
    return 0;
  }
}

/** Why an expression cannot be used. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
}

type Evaluate = (device: Fields) => DeviceValue;

/** Throws `ExpressionError`, at once for bad text, when called for what the device lacks. */
export function parseDeviceExpression(text: string): (device: Fields) => boolean {
  const evaluate = new Parser(text).parse();
  return (device) => {
    const value = evaluate(device);
    if (typeof value !== 'boolean') throw new ExpressionError('the result is not true or false');
    return value;
  };
}

const tokenRegExp =
  /\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(\d+(?:\.\d+)?)|([A-Za-z_]\w*)|(&&|\|\||[=!<>]=|[-!<>?:()[\].,]))/y;

type Token = {
  readonly sort: 'text' | 'number' | 'name' | 'symbol' | 'end';
  readonly text: string;
};

const end: Token = { sort: 'end', text: 'the end' };

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  parse(): Evaluate {
    const evaluate = this.#choice();
    if (this.#peek() !== end) throw unexpected(this.#peek());
    return evaluate;
  }

  #choice(): Evaluate {
    const condition = this.#either();
    if (!this.#accept('?')) return condition;
    const yes = this.#choice();
    this.#expect(':');
    const no = this.#choice();
    return (device) => (truth(condition(device)) ? yes(device) : no(device));
  }

  #either(): Evaluate {
    let left = this.#both();
    while (this.#accept('||')) {
      const [first, second] = [left, this.#both()];
      // As CEL: an error on one side does not matter where the other side decides.
      left = (device) =>
        decide(
          () => first(device),
          () => second(device),
          true,
        );
    }
    return left;
  }

  #both(): Evaluate {
    let left = this.#relation();
    while (this.#accept('&&')) {
      const [first, second] = [left, this.#relation()];
      left = (device) =>
        decide(
          () => first(device),
          () => second(device),
          false,
        );
    }
    return left;
  }

  #relation(): Evaluate {
    const left = this.#unary();
    const operator = ['==', '!=', '<=', '>=', '<', '>', 'in'].find((one) => this.#accept(one));
    if (operator === undefined) return left;
    const right = this.#unary();
    return (device) => related(operator, left(device), right(device));
  }

  #unary(): Evaluate {
    if (this.#accept('!')) {
      const inner = this.#unary();
      return (device) => !truth(inner(device));
    }
    if (this.#accept('-')) {
      const inner = this.#unary();
      return (device) => -numeric(inner(device));
    }
    return this.#member();
  }

  #member(): Evaluate {
    let value = this.#primary();
    for (;;) {
      const of = value;
      if (this.#accept('[')) {
        const index = this.#choice();
        this.#expect(']');
        value = (device) => fieldOf(of(device), index(device));
      } else if (this.#accept('.')) {
        const name = this.#name();
        if (this.#accept('(')) {
          const args = this.#list(')');
          value = (device) =>
            method(
              of(device),
              name,
              args.map((argument) => argument(device)),
            );
        } else {
          value = (device) => fieldOf(of(device), name);
        }
      } else {
        return value;
      }
    }
  }

  #primary(): Evaluate {
    const token = this.#take();
    switch (token.sort) {
      case 'text':
        return () => token.text;
      case 'number':
        return () => Number(token.text);
      case 'name':
        return this.#named(token.text);
      default:
        break;
    }
    if (token.text === '(') {
      const inner = this.#choice();
      this.#expect(')');
      return inner;
    }
    if (token.text !== '[') throw unexpected(token);
    const items = this.#list(']');
    return (device) => items.map((item) => item(device));
  }

  #named(name: string): Evaluate {
    if (name === 'true' || name === 'false') return () => name === 'true';
    if (!this.#accept('(')) {
      if (name === 'device') return (device) => device;
      throw new ExpressionError(`undeclared reference to '${name}'`);
    }
    const [argument, ...more] = this.#list(')');
    if (argument === undefined || more.length > 0) throw new ExpressionError(`${name}: arguments`);
    if (name === 'has') return (device) => exists(() => argument(device));
    if (name !== 'quantity' && name !== 'semver') {
      throw new ExpressionError(`undeclared reference to '${name}'`);
    }
    return (device) => new Ordered(name, String(argument(device)));
  }

  #list(closing: string): readonly Evaluate[] {
    const items: Evaluate[] = [];
    if (this.#accept(closing)) return items;
    do items.push(this.#choice());
    while (this.#accept(','));
    this.#expect(closing);
    return items;
  }

  #name(): string {
    const token = this.#take();
    if (token.sort !== 'name') throw unexpected(token);
    return token.text;
  }

  #accept(text: string): boolean {
    const token = this.#peek();
    if (token.text !== text || token.sort === 'text') return false;
    this.#next += 1;
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw unexpected(this.#peek());
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? end;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }
}

function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (text.slice(at).trim() !== '') {
    tokenRegExp.lastIndex = at;
    const match = tokenRegExp.exec(text);
    if (match === null) throw new ExpressionError(`cannot read '${text.slice(at).trim()}'`);
    const [, quoted, number, name, symbol = ''] = match;
    if (quoted !== undefined) {
      tokens.push({ sort: 'text', text: quoted.slice(1, -1).replace(/\\(.)/g, '$1') });
    } else if (number !== undefined) tokens.push({ sort: 'number', text: number });
    else if (name !== undefined) tokens.push({ sort: 'name', text: name });
    else tokens.push({ sort: 'symbol', text: symbol });
    at = tokenRegExp.lastIndex;
  }
  return tokens;
}

function unexpected({ text }: Token): ExpressionError {
  return new ExpressionError(`unexpected ${text}`);
}

function decide(first: () => DeviceValue, second: () => DeviceValue, decisive: boolean): boolean {
  let failure: unknown;
  for (const side of [first, second]) {
    try {
      if (truth(side()) === decisive) return decisive;
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return !decisive;
}

function exists(argument: () => DeviceValue): boolean {
  try {
    argument();
    return true;
  } catch (error) {
    if (error instanceof ExpressionError) return false;
    throw error;
  }
}

function fieldOf(value: DeviceValue, key: DeviceValue): DeviceValue {
  if (typeof value !== 'object' || value instanceof Ordered) {
    throw new ExpressionError(`no such key: ${String(key)}`);
  }
  const found = Array.isArray(value)
    ? (value as readonly DeviceValue[])[Number(key)]
    : (value as Fields)[String(key)];
  if (found === undefined) throw new ExpressionError(`no such key: ${String(key)}`);
  return found;
}

function related(operator: string, left: DeviceValue, right: DeviceValue): boolean {
  if (operator === 'in') {
    if (Array.isArray(right)) return right.some((one: DeviceValue) => equal(left, one));
    return typeof right === 'object' && String(left) in right;
  }
  if (operator === '==') return equal(left, right);
  if (operator === '!=') return !equal(left, right);
  const order = compare(left, right);
  if (operator === '<') return order < 0;
  if (operator === '<=') return order <= 0;
  return operator === '>' ? order > 0 : order >= 0;
}

function equal(left: DeviceValue, right: DeviceValue): boolean {
  if (left instanceof Ordered && right instanceof Ordered) return left.compare(right) === 0;
  return left === right;
}

function compare(left: DeviceValue, right: DeviceValue): number {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  if (typeof left === 'string' && typeof right === 'string') {
    return left < right ? -1 : left > right ? 1 : 0;
  }
  throw new ExpressionError('no such overload');
}

function method(on: DeviceValue, name: string, args: readonly DeviceValue[]): DeviceValue {
  const [argument] = args;
  if (on instanceof Ordered && argument instanceof Ordered) {
    const order = on.compare(argument);
    if (name === 'compareTo') return order;
    if (name === 'isGreaterThan') return order > 0;
    if (name === 'isLessThan') return order < 0;
  }
  if (typeof on === 'string' && typeof argument === 'string') {
    if (name === 'startsWith') return on.startsWith(argument);
    if (name === 'endsWith') return on.endsWith(argument);
    if (name === 'contains') return on.includes(argument);
    if (name === 'matches') return new RegExp(argument).test(on);
  }
  throw new ExpressionError(`undeclared reference to '${name}'`);
}

function truth(value: DeviceValue): boolean {
  if (typeof value === 'boolean') return value;
  throw new ExpressionError('no such overload');
}

function numeric(value: DeviceValue): number {
  if (typeof value === 'number') return value;
  throw new ExpressionError('no such overload');
}
