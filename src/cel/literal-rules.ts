/**
 * What is refused although it would run: literals of lists and maps whose parts differ in type, and
 * texts that are no duration, time, pattern or format where one is wanted.
 *
 * Runs over a tree that has its types. Behaviour: kubernetes.io, "Common Expression Language".
 */

import { type CelType, formatType, sameType, types, unwrapOptional } from './cel-type.ts';
import type { Checked } from './checker.ts';
import { compileRegExp } from './regular-expression.ts';
import type { Problem } from './source.ts';
import type { Call, Expression } from './syntax.ts';
import { parseGoDuration, parseRfc3339 } from './times.ts';

export function checkLiterals(checked: Checked): readonly Problem[] {
  const rules = new Rules(checked);
  rules.visit(checked.expression, false);
  return rules.problems;
}

class Rules {
  readonly problems: Problem[] = [];
  readonly #types: Checked['types'];

  constructor({ types: known }: Checked) {
    this.#types = known;
  }

  /** Arguments of `format` may be of any types. */
  visit(node: Expression, mixed: boolean): void {
    if (node.is === 'call') this.#call(node);
    if (node.is === 'list' && !mixed) this.#list(node);
    if (node.is === 'map' && !mixed) this.#map(node);
    const inside = mixed || (node.is === 'call' && node.name === 'format');
    for (const part of partsOf(node)) this.visit(part, inside);
  }

  #list({ elements }: Extract<Expression, { is: 'list' }>): void {
    const [first, ...rest] = elements.map(({ value, optional }) => this.#typeOf(value, optional));
    const index = rest.findIndex((type) => first !== undefined && !sameType(first, type));
    const [wrong, type] = [elements[index + 1], rest[index]];
    if (index >= 0 && wrong && first && type) this.#mismatch(wrong.value, first, type);
  }

  #map({ entries: [first, ...rest] }: Extract<Expression, { is: 'map' }>): void {
    if (first === undefined) return;
    const key = this.#typeOf(first.key, false);
    const value = this.#typeOf(first.value, first.optional);
    for (const entry of rest) {
      const [otherKey, other] = [
        this.#typeOf(entry.key, false),
        this.#typeOf(entry.value, entry.optional),
      ];
      if (!sameType(key, otherKey)) this.#mismatch(entry.key, key, otherKey);
      if (!sameType(value, other)) this.#mismatch(entry.value, value, other);
    }
  }

  #typeOf(node: Expression, optional: boolean): CelType {
    const type = this.#types.get(node) ?? types.dyn;
    return optional ? (unwrapOptional(type) ?? type) : type;
  }

  #call(node: Call): void {
    const { name, target, args } = node;
    if (name === 'format' && target !== undefined) this.#format(node);
    const argument = name === 'matches' ? args.at(-1) : target === undefined ? args[0] : undefined;
    if (argument?.is !== 'literal' || typeof argument.value !== 'string') return;
    const { value } = argument;
    const bad =
      (name === 'duration' && parseGoDuration(value) === undefined) ||
      (name === 'timestamp' && parseRfc3339(value) === undefined) ||
      (name === 'matches' && typeof compileRegExp(value) === 'string');
    if (bad) this.problems.push({ at: argument.at, text: `invalid ${name} argument` });
  }

  #format({ at, target, args: [values] }: Call): void {
    if (target?.is !== 'literal' || values?.is !== 'list') return;
    const clauses = [...String(target.value).matchAll(/%(?:\.\d+)?([\s\S]?)/g)];
    let used = 0;
    for (const [, letter = ''] of clauses) {
      if (letter === '%') continue;
      const argument = values.elements[used]?.value;
      const problem = this.#clauseProblem(letter, used, argument);
      if (problem !== undefined) {
        const told = argument !== undefined && takes[letter] !== undefined;
        this.problems.push({ at: told ? argument.at : at, text: problem });
        return;
      }
      used += 1;
    }
    const given = values.elements.length;
    if (used >= given) return;
    const text = `too many arguments supplied to string.format (expected ${used}, got ${given})`;
    this.problems.push({ at, text });
  }

  #clauseProblem(
    letter: string,
    index: number,
    argument: Expression | undefined,
  ): string | undefined {
    if (letter === '') return 'unexpected end of string';
    if (argument === undefined) return `index ${index} out of range`;
    if (letter === 's') return undefined;
    const rule = takes[letter];
    if (rule === undefined) {
      return `could not parse formatting clause: unrecognized formatting clause "${letter}"`;
    }
    const type = this.#typeOf(argument, false);
    if (type.kind === 'dyn' || rule.kinds.includes(type.kind)) return undefined;
    const given = formatType(type);
    return `error during formatting: ${rule.clause} can only be used on ${rule.text}, was given ${given}`;
  }

  #mismatch({ at }: Expression, wanted: CelType, given: CelType): void {
    const text = `expected type '${formatType(wanted)}' but found '${formatType(given)}'`;
    this.problems.push({ at, text });
  }
}

const hexadecimal = {
  clause: 'hex clause',
  text: 'integers, byte buffers, and strings',
  kinds: ['int', 'uint', 'string', 'bytes'],
};

/** A text may say NaN or Infinity where a broken number is wanted. */
const takes: Readonly<Record<string, typeof hexadecimal>> = {
  d: { clause: 'decimal clause', text: 'integers', kinds: ['int', 'uint'] },
  f: { clause: 'fixed-point clause', text: 'doubles', kinds: ['double', 'string'] },
  e: { clause: 'scientific clause', text: 'doubles', kinds: ['double', 'string'] },
  b: { clause: 'binary clause', text: 'integers and bools', kinds: ['int', 'uint', 'bool'] },
  o: { clause: 'octal clause', text: 'integers', kinds: ['int', 'uint'] },
  x: hexadecimal,
  X: hexadecimal,
};

function partsOf(node: Expression): readonly Expression[] {
  switch (node.is) {
    case 'select':
      return [node.operand];
    case 'call':
      return node.target === undefined ? node.args : [node.target, ...node.args];
    case 'list':
      return node.elements.map(({ value }) => value);
    case 'map':
      return node.entries.flatMap(({ key, value }) => [key, value]);
    case 'struct':
      return node.fields.map(({ value }) => value);
    case 'fold':
      return [node.range, node.init, node.condition, node.step, node.result];
    default:
      return [];
  }
}
