/**
 * Declarations of functions: one line of text and what it does.
 *
 * `'string_char_at_int: string::charAt(int) -> string'` is the overload's id, its receiver, name,
 * parameters and result; without `::` it is called by name alone, which may have dots. Overloads of
 * one name are tried in the order of declaration. The checker picks those whose types fit; where
 * types are known only at run time, the values decide.
 *
 * Behaviour: github.com/google/cel-spec, "Standard Definitions".
 */
import { type CelType, parseType, splitTypes } from './cel-type.ts';
import { CelError, type CelValue, noSuchOverload, valueType } from './values.ts';

export type Implementation = (...args: readonly CelValue[]) => CelValue;

export interface Overload {
  readonly id: string;
  readonly name: string;
  readonly isMember: boolean;
  /** With the receiver first. */
  readonly parameters: readonly CelType[];
  readonly result: CelType;
  /** Names of type parameters. */
  readonly open: readonly string[];
  readonly call: Implementation;
}

export type FunctionTable = ReadonlyMap<string, readonly Overload[]>;

/** Declaration → implementation, which takes values of the types that its declaration names. */
export type Library = Readonly<Record<string, (...args: never[]) => CelValue>>;

export function declare(...libraries: readonly Library[]): FunctionTable {
  const table = new Map<string, Overload[]>();
  for (const library of libraries) {
    for (const [declaration, call] of Object.entries(library)) {
      // Values are looked at before each call, by `accepts`, so they are of the declared types.
      const overload = parseDeclaration(declaration, call as Implementation);
      table.set(overload.name, [...(table.get(overload.name) ?? []), overload]);
    }
  }
  return table;
}

function parseDeclaration(text: string, call: Implementation): Overload {
  const match = /^(\S+): (?:(.+?)::)?([^(\s]+)\((.*)\) -> (.+)$/.exec(text);
  if (match === null) throw new Error(`not a declaration: ${text}`);
  const [, id = '', receiver, name = '', inner = '', result = ''] = match;
  const texts = [...(receiver === undefined ? [] : [receiver]), ...splitTypes(inner)];
  const open = new Set([...texts, result].join(' ').match(/\b[A-Z]\b/g) ?? []);
  return {
    id,
    name,
    isMember: receiver !== undefined,
    parameters: texts.map(parseType),
    result: parseType(result),
    open: [...open],
    call,
  };
}

/** Whether the values are what the overload takes. */
function accepts({ parameters }: Overload, values: readonly CelValue[]): boolean {
  if (parameters.length !== values.length) return false;
  return parameters.every((parameter, index) => acceptsOne(parameter, values[index] ?? null));
}

function acceptsOne(parameter: CelType, value: CelValue): boolean {
  if (parameter.kind === 'dyn' || parameter.kind === 'parameter' || parameter.kind === 'any') {
    return true;
  }
  const type = valueType(value);
  if (type.kind !== parameter.kind) return false;
  if (parameter.kind === 'opaque' || parameter.kind === 'struct')
    return type.name === parameter.name;
  return true;
}

export function callFirst(overloads: readonly Overload[], values: readonly CelValue[]): CelValue {
  for (const overload of overloads) {
    if (accepts(overload, values)) return overload.call(...values);
  }
  throw new CelError(noSuchOverload);
}
