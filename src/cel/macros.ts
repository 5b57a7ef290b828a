/**
 * Calls that are not calls: `has`, `all`, `exists`, `map`, `filter`, `cel.bind` and the like become
 * folds over their range, so that checker, cost and planner know one form only.
 *
 * What each becomes decides what it costs, so the forms are those of the reference implementation.
 * A call whose name is a macro but whose arguments are not those of one is an ordinary call.
 *
 * Behaviour: github.com/google/cel-spec, "Macros"; cel-go, extensions "Bindings", "Lists",
 * "TwoVarComprehensions".
 */
import type { Problem } from './source.ts';
import { type Call, type Expression, type Fold, type Identifier, sumName } from './syntax.ts';
import type { CelValue } from './values.ts';

export class MacroError extends Error {
  readonly problem: Problem;

  constructor(at: number, text: string) {
    super(text);
    this.problem = { at, text };
  }
}

type Expand = (call: Call, target: Expression) => Expression;

const members: Readonly<Record<string, Expand>> = {
  'all/2': (made, range) => fold(made, range, all),
  'exists/2': (made, range) => fold(made, range, exists),
  'exists_one/2': (made, range) => fold(made, range, existsOne),
  'existsOne/2': (made, range) => fold(made, range, existsOne),
  'map/2': (made, range) => fold(made, range, collect),
  'map/3': (made, range) => fold(made, range, collect),
  'filter/2': (made, range) => fold(made, range, filter),
  'all/3': (made, range) => foldPairs(made, range, all),
  'exists/3': (made, range) => foldPairs(made, range, exists),
  'exists_one/3': (made, range) => foldPairs(made, range, existsOne),
  'existsOne/3': (made, range) => foldPairs(made, range, existsOne),
  'transformList/3': (made, range) => foldPairs(made, range, collect),
  'transformList/4': (made, range) => foldPairs(made, range, collect),
  'transformMap/3': (made, range) => foldPairs(made, range, insert),
  'transformMap/4': (made, range) => foldPairs(made, range, insert),
  'transformMapEntry/3': (made, range) => foldPairs(made, range, insertEntry),
  'transformMapEntry/4': (made, range) => foldPairs(made, range, insertEntry),
  'sortBy/2': sortBy,
  'optMap/2': (made, target) => optionalMap(made, target, true),
  'optFlatMap/2': (made, target) => optionalMap(made, target, false),
};

/** Undefined where the call is none of a macro; throws `MacroError`. */
export function expandMacro(made: Call, bindings: boolean): Expression | undefined {
  const { name, target, args } = made;
  if (target === undefined) return name === 'has' && args.length === 1 ? has(made) : undefined;
  const bound = bindings && target.is === 'identifier' && target.name === 'cel';
  if (bound && name === 'bind' && args.length === 3) return bind(made);
  return members[`${name}/${args.length}`]?.(made, target);
}

function has({ at, args }: Call): Expression {
  const [argument] = args;
  if (argument?.is !== 'select' || argument.test) {
    throw new MacroError(argument?.at ?? at, 'invalid argument to has() macro');
  }
  return { ...argument, at, test: true };
}

interface Parts {
  readonly init: Expression;
  readonly condition: Expression;
  readonly step: Expression;
  readonly result: Expression;
}

type Shape = (at: number, args: readonly Expression[], variable: string) => Parts;

function fold(made: Call, range: Expression, shape: Shape): Fold {
  const { at, args } = made;
  const simple = shape !== collect && shape !== filter;
  const text = simple ? 'argument must be a simple name' : 'argument is not an identifier';
  const variable = variableName(args[0], text);
  const parts = shape(at, args.slice(1), variable);
  return { is: 'fold', at, range, variable, second: undefined, sum: sumName, ...parts };
}

function foldPairs(made: Call, range: Expression, shape: Shape): Fold {
  const { at, args } = made;
  const [first, second] = args;
  const variable = variableName(first, 'argument must be a simple name');
  const other = variableName(second, 'argument must be a simple name');
  if (variable === other) {
    throw new MacroError(second?.at ?? at, `duplicate variable name: ${variable}`);
  }
  const parts = shape(at, args.slice(2), variable);
  return { is: 'fold', at, range, variable, second: other, sum: sumName, ...parts };
}

function variableName(argument: Expression | undefined, text: string): string {
  if (argument?.is !== 'identifier') throw new MacroError(argument?.at ?? 0, text);
  if (argument.name === '__result__') {
    throw new MacroError(argument.at, 'iteration variable overwrites accumulator variable');
  }
  return argument.name;
}

function all(at: number, [predicate = literal(at, true)]: readonly Expression[]): Parts {
  return {
    init: literal(at, true),
    condition: call(at, '@not_strictly_false', [sum(at)]),
    step: call(at, '_&&_', [sum(at), predicate]),
    result: sum(at),
  };
}

function exists(at: number, [predicate = literal(at, true)]: readonly Expression[]): Parts {
  return {
    init: literal(at, false),
    condition: call(at, '@not_strictly_false', [call(at, '!_', [sum(at)])]),
    step: call(at, '_||_', [sum(at), predicate]),
    result: sum(at),
  };
}

function existsOne(at: number, [predicate = literal(at, true)]: readonly Expression[]): Parts {
  const more = call(at, '_+_', [sum(at), literal(at, 1n)]);
  return {
    init: literal(at, 0n),
    condition: literal(at, true),
    step: call(at, '_?_:_', [predicate, more, sum(at)]),
    result: call(at, '_==_', [sum(at), literal(at, 1n)]),
  };
}

/** One argument: what each element becomes. Two: which elements, and what they become. */
function collect(at: number, args: readonly Expression[]): Parts {
  const made = args.at(-1) ?? literal(at, null);
  const longer = call(at, '_+_', [sum(at), list(at, [made])]);
  return { ...gathering(at, list(at, []), args.length > 1 ? args[0] : undefined, longer) };
}

function filter(at: number, [predicate]: readonly Expression[], variable: string): Parts {
  const longer = call(at, '_+_', [sum(at), list(at, [{ is: 'identifier', at, name: variable }])]);
  return gathering(at, list(at, []), predicate, longer);
}

function insert(at: number, args: readonly Expression[], variable: string): Parts {
  const key: Identifier = { is: 'identifier', at, name: variable };
  const longer = call(at, 'cel.@mapInsert', [sum(at), key, args.at(-1) ?? literal(at, null)]);
  return gathering(at, emptyMap(at), args.length > 1 ? args[0] : undefined, longer);
}

function insertEntry(at: number, args: readonly Expression[]): Parts {
  const longer = call(at, 'cel.@mapInsert', [sum(at), args.at(-1) ?? literal(at, null)]);
  return gathering(at, emptyMap(at), args.length > 1 ? args[0] : undefined, longer);
}

function gathering(
  at: number,
  init: Expression,
  predicate: Expression | undefined,
  longer: Expression,
): Parts {
  const step = predicate === undefined ? longer : call(at, '_?_:_', [predicate, longer, sum(at)]);
  return { init, condition: literal(at, true), step, result: sum(at) };
}

function bind({ at, args }: Call): Expression {
  const [variable, value = literal(at, null), result = literal(at, null)] = args;
  const name = variableName(variable, 'cel.bind() variable names must be simple identifiers');
  return binding(at, name, value, result);
}

function binding(at: number, name: string, value: Expression, result: Expression): Fold {
  return {
    is: 'fold',
    at,
    range: list(at, []),
    variable: '#unused',
    second: undefined,
    sum: name,
    init: value,
    condition: literal(at, false),
    step: { is: 'identifier', at, name },
    result,
  };
}

function sortBy(made: Call, target: Expression): Expression {
  const { at } = made;
  if (!['list', 'select', 'identifier', 'fold', 'call'].includes(target.is)) {
    const kinds = 'list, identifier, comprehension, call or select expression';
    throw new MacroError(target.at, `sortBy can only be applied to a ${kinds}`);
  }
  const name = '@__sortBy_input__';
  const input: Identifier = { is: 'identifier', at, name };
  const keys = fold(made, input, collect);
  const sorted: Call = { ...call(at, '@sortByAssociatedKeys', [keys]), target: { ...input } };
  return binding(at, name, target, sorted);
}

function optionalMap(made: Call, target: Expression, wrap: boolean): Expression {
  const { at, args } = made;
  const [variable, result = literal(at, null)] = args;
  const macro = wrap ? 'optMap' : 'optFlatMap';
  const name = variableName(variable, `${macro}() variable name must be a simple identifier`);
  const value: Call = { ...call(at, 'value', []), target: { ...target } };
  const bound = binding(at, name, value, result);
  return call(at, '_?_:_', [
    { ...call(at, 'hasValue', []), target },
    wrap ? call(at, 'optional.of', [bound]) : bound,
    call(at, 'optional.none', []),
  ]);
}

function sum(at: number): Identifier {
  return { is: 'identifier', at, name: sumName };
}

function literal(at: number, value: CelValue): Expression {
  return { is: 'literal', at, value };
}

function list(at: number, values: readonly Expression[]): Expression {
  return { is: 'list', at, elements: values.map((value) => ({ value, optional: false })) };
}

function emptyMap(at: number): Expression {
  return { is: 'map', at, entries: [] };
}

function call(at: number, name: string, args: readonly Expression[]): Call {
  return { is: 'call', at, name, target: undefined, args };
}
