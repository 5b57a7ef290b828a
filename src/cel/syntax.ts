/**
 * The tree of an expression, as the parser makes it and macros widen it.
 *
 * Nodes are told apart by identity: checker, cost and planner keep what they find out about a node
 * in maps of their own. `at` is the place that is told when something is wrong with the node.
 */
import type { CelValue } from './values.ts';

export type Expression =
  | Literal
  | Identifier
  | Select
  | Call
  | ListExpression
  | MapExpression
  | StructExpression
  | Fold;

export interface Literal {
  readonly is: 'literal';
  readonly at: number;
  readonly value: CelValue;
}

export interface Identifier {
  readonly is: 'identifier';
  readonly at: number;
  readonly name: string;
}

export interface Select {
  readonly is: 'select';
  readonly at: number;
  readonly operand: Expression;
  readonly field: string;
  /** `has(a.b)`: whether the field is there. */
  readonly test: boolean;
}

export interface Call {
  readonly is: 'call';
  readonly at: number;
  /** Operators are functions too: `_+_`, `_?_:_`, `_[_]`. */
  readonly name: string;
  readonly target: Expression | undefined;
  readonly args: readonly Expression[];
}

export interface ListExpression {
  readonly is: 'list';
  readonly at: number;
  readonly elements: readonly { readonly value: Expression; readonly optional: boolean }[];
}

export interface MapExpression {
  readonly is: 'map';
  readonly at: number;
  readonly entries: readonly {
    readonly key: Expression;
    readonly value: Expression;
    readonly optional: boolean;
  }[];
}

export interface StructExpression {
  readonly is: 'struct';
  readonly at: number;
  readonly type: string;
  readonly fields: readonly {
    readonly at: number;
    readonly name: string;
    readonly value: Expression;
    readonly optional: boolean;
  }[];
}

/** What all macros become: a variable that runs over a range, and a sum that goes with it. */
export interface Fold {
  readonly is: 'fold';
  readonly at: number;
  readonly range: Expression;
  readonly variable: string;
  /** With two variables the first is the index or key, the second the element or value. */
  readonly second: string | undefined;
  readonly sum: string;
  readonly init: Expression;
  readonly condition: Expression;
  readonly step: Expression;
  readonly result: Expression;
}

/** The name of the sum in macros; no user can write it. */
export const sumName = '@result';

/** `cel.bind` and the like: a fold over nothing that gives a name to a value. */
export function isBinding({ range, condition, sum }: Fold): boolean {
  const empty = range.is === 'list' && range.elements.length === 0;
  return empty && condition.is === 'literal' && condition.value === false && sum !== sumName;
}

/** `a.b.c` as a name, where the whole is nothing but names. */
export function qualifiedName(expression: Expression): string | undefined {
  if (expression.is === 'identifier') return expression.name;
  if (expression.is !== 'select' || expression.test) return undefined;
  const operand = qualifiedName(expression.operand);
  return operand === undefined ? undefined : `${operand}.${expression.field}`;
}
