/**
 * Gives every node of a tree its type and every call the overloads that fit, or says what is wrong.
 *
 * Types that are not known before the run are `dyn` and fit everywhere. Messages and the places
 * they point at are those of the reference implementation. What is found out is kept beside the
 * tree, by node.
 *
 * Behaviour: github.com/google/cel-spec, "Gradual Type Checking". Next: `cost.ts`, `planner.ts`.
 */

import {
  assign,
  Bindings,
  type CelType,
  formatType,
  isDyn,
  isDynOrError,
  listOf,
  mapOf,
  mostGeneral,
  optionalOf,
  sameType,
  structType,
  substitute,
  types,
  unwrapOptional,
} from './cel-type.ts';
import type { FunctionTable, Overload } from './functions.ts';
import type { Problem } from './source.ts';
import {
  type Call,
  type Expression,
  type Fold,
  type ListExpression,
  type MapExpression,
  qualifiedName,
  type Select,
  type StructExpression,
} from './syntax.ts';
import { type CelValue, typeName, Uint } from './values.ts';

/** What expressions may name. */
export interface Declarations {
  readonly variables: ReadonlyMap<string, CelType>;
  readonly functions: FunctionTable;
  /** Struct → field → type. */
  readonly structs: ReadonlyMap<string, ReadonlyMap<string, CelType>>;
  /** Names that stand for a type. */
  readonly typeNames: ReadonlyMap<string, CelType>;
}

export interface Checked {
  readonly expression: Expression;
  readonly types: ReadonlyMap<Expression, CelType>;
  readonly overloads: ReadonlyMap<Expression, readonly Overload[]>;
  /** Nodes that are one name with dots: a variable or a type. */
  readonly names: ReadonlyMap<Expression, string>;
  /** Calls whose receiver is part of the function's name. */
  readonly qualified: ReadonlySet<Expression>;
  readonly problems: readonly Problem[];
}

export function check(expression: Expression, declarations: Declarations): Checked {
  return new Checker(declarations).run(expression);
}

class Checker {
  readonly #declarations: Declarations;
  readonly #types = new Map<Expression, CelType>();
  readonly #overloads = new Map<Expression, readonly Overload[]>();
  readonly #names = new Map<Expression, string>();
  readonly #qualified = new Set<Expression>();
  readonly #problems: Problem[] = [];
  readonly #scopes: Map<string, CelType>[] = [];
  #bindings = new Bindings();
  #parameters = 0;

  constructor(declarations: Declarations) {
    this.#declarations = declarations;
  }

  run(expression: Expression): Checked {
    this.#check(expression);
    for (const [node, type] of this.#types) {
      this.#types.set(node, substitute(this.#bindings, type, true));
    }
    return {
      expression,
      types: this.#types,
      overloads: this.#overloads,
      names: this.#names,
      qualified: this.#qualified,
      problems: this.#problems,
    };
  }

  #check(node: Expression): CelType {
    const type = this.#typeOf(node);
    this.#types.set(node, type);
    return type;
  }

  #typeOf(node: Expression): CelType {
    switch (node.is) {
      case 'literal':
        return literalType(node.value);
      case 'identifier':
        return this.#identifier(node, node.name) ?? this.#undeclared(node, node.name);
      case 'select':
        return this.#select(node);
      case 'call':
        return this.#call(node);
      case 'list':
        return this.#list(node);
      case 'map':
        return this.#map(node);
      case 'struct':
        return this.#struct(node);
      case 'fold':
        return this.#fold(node);
      default:
        return node satisfies never;
    }
  }

  #identifier(node: Expression, name: string): CelType | undefined {
    for (const scope of this.#scopes.toReversed()) {
      const found = scope.get(name);
      if (found !== undefined) return found;
    }
    const { variables, typeNames } = this.#declarations;
    const of = typeNames.get(name);
    const type =
      variables.get(name) ??
      (of === undefined
        ? undefined
        : ({ ...types.dyn, kind: 'type', name: 'type', parameters: [of] } as const));
    if (type !== undefined) this.#names.set(node, name);
    return type;
  }

  #undeclared(node: Expression, name: string): CelType {
    this.#report(node, `undeclared reference to '${name}' (in container '')`);
    return types.error;
  }

  #select(node: Select): CelType {
    const name = qualifiedName(node);
    const known = name === undefined ? undefined : this.#identifier(node, name);
    if (known !== undefined) return known;
    const type = this.#field(node, node.operand, node.field, false);
    return node.test ? types.bool : type;
  }

  #field(node: Expression, operand: Expression, field: string, optional: boolean): CelType {
    const operandType = substitute(this.#bindings, this.#check(operand), false);
    const inside = unwrapOptional(operandType);
    const target = inside ?? operandType;
    let type: CelType = types.dyn;
    if (target.kind === 'map') type = target.parameters[1] ?? types.dyn;
    else if (target.kind === 'struct') type = this.#structField(node, target.name, field);
    else if (target.kind === 'parameter') this.#assign(types.dyn, target);
    else if (!isDynOrError(target)) {
      this.#report(node, `type '${formatType(target)}' does not support field selection`);
    }
    const result = inside !== undefined || optional ? optionalOf(type) : type;
    return substitute(this.#bindings, result, false);
  }

  #structField(node: Pick<Expression, 'at'>, struct: string, field: string): CelType {
    const fields = this.#declarations.structs.get(struct);
    const type = fields?.get(field);
    if (fields === undefined) this.#report(node, `unexpected failed resolution of '${struct}'`);
    else if (type === undefined) this.#report(node, `undefined field '${field}'`);
    return type ?? types.error;
  }

  #call(node: Call): CelType {
    const { name, target, args } = node;
    if (name === '_?._') return this.#optionalSelect(node);
    const { functions } = this.#declarations;
    const argTypes = args.map((arg) => this.#check(arg));
    if (target === undefined) {
      const overloads = functions.get(name);
      if (overloads === undefined) return this.#undeclared(node, name);
      return this.#resolve(node, name, overloads, undefined, argTypes);
    }
    const prefix = qualifiedName(target);
    const qualified = prefix === undefined ? undefined : functions.get(`${prefix}.${name}`);
    if (qualified !== undefined) {
      this.#qualified.add(node);
      return this.#resolve(node, `${prefix}.${name}`, qualified, undefined, argTypes);
    }
    const targetType = this.#check(target);
    const overloads = functions.get(name);
    if (overloads === undefined) return this.#undeclared(node, name);
    return this.#resolve(node, name, overloads, targetType, argTypes);
  }

  #optionalSelect(node: Call): CelType {
    const [operand, field] = node.args;
    if (operand === undefined || field?.is !== 'literal') return types.error;
    this.#check(field);
    this.#overloads.set(node, this.#declarations.functions.get('_?._') ?? []);
    return this.#field(node, operand, String(field.value), true);
  }

  #resolve(
    node: Call,
    name: string,
    overloads: readonly Overload[],
    target: CelType | undefined,
    argTypes: readonly CelType[],
  ): CelType {
    const given = target === undefined ? argTypes : [target, ...argTypes];
    if (name === '_&&_' || name === '_||_') return this.#logic(node, overloads, argTypes);
    const fitting: Overload[] = [];
    let result: CelType | undefined;
    for (const overload of overloads) {
      if (overload.isMember !== (target !== undefined)) continue;
      const own = this.#instantiate(overload);
      const bindings = assign(this.#bindings, given, own.parameters);
      if (bindings === undefined) continue;
      this.#bindings = bindings;
      fitting.push(overload);
      const type = substitute(bindings, own.result, false);
      if (result === undefined) result = type;
      else if (!isDyn(result) && !sameType(type, result)) result = types.dyn;
    }
    this.#overloads.set(node, fitting);
    if (result !== undefined) return result;
    const shown = given.map((type) => formatType(substitute(this.#bindings, type, true)));
    const on = target === undefined ? '' : `${shown.shift()}.`;
    const signature = `${on}(${shown.join(', ')})`;
    this.#report(node, `found no matching overload for '${name}' applied to '${signature}'`);
    return types.error;
  }

  #logic(node: Call, overloads: readonly Overload[], argTypes: readonly CelType[]): CelType {
    this.#overloads.set(node, overloads);
    for (const [index, type] of argTypes.entries()) {
      const arg = node.args[index];
      if (arg !== undefined && !this.#assign(type, types.bool))
        this.#mismatch(arg, types.bool, type);
    }
    return types.bool;
  }

  /** The overload's types, with fresh parameters. */
  #instantiate({ parameters, result, open }: Overload) {
    if (open.length === 0) return { parameters, result };
    const bindings = new Bindings();
    for (const name of open) {
      bindings.bind({ kind: 'parameter', name, parameters: [] }, this.#freshParameter());
    }
    return {
      parameters: parameters.map((type) => substitute(bindings, type, false)),
      result: substitute(bindings, result, false),
    };
  }

  #freshParameter(): CelType {
    const name = `_var${this.#parameters}`;
    this.#parameters += 1;
    return { kind: 'parameter', name, parameters: [] };
  }

  #list({ elements }: ListExpression): CelType {
    let joined: CelType | undefined;
    for (const { value, optional } of elements) {
      joined = this.#join(joined, this.#element(value, optional));
    }
    return listOf(joined ?? this.#freshParameter());
  }

  #map({ entries }: MapExpression): CelType {
    let keys: CelType | undefined;
    let values: CelType | undefined;
    for (const { key, value, optional } of entries) {
      keys = this.#join(keys, this.#check(key));
      values = this.#join(values, this.#element(value, optional));
    }
    return mapOf(keys ?? this.#freshParameter(), values ?? this.#freshParameter());
  }

  #struct(node: StructExpression): CelType {
    const fields = this.#declarations.structs.get(node.type);
    const type = fields === undefined ? this.#undeclared(node, node.type) : structType(node.type);
    for (const field of node.fields) {
      const given = this.#element(field.value, field.optional);
      if (fields === undefined) continue;
      const wanted = this.#structField(field, node.type, field.name);
      if (this.#assign(wanted, given)) continue;
      const [should, is] = [formatType(wanted), formatType(given)];
      const text = `expected type of field '${field.name}' is '${should}' but provided type is '${is}'`;
      this.#report(field, text);
    }
    return type;
  }

  /** The type of a part of a list, map or struct, which may be given as an optional one. */
  #element(value: Expression, optional: boolean): CelType {
    const type = this.#check(value);
    if (!optional) return type;
    const inside = unwrapOptional(type);
    if (inside === undefined && !isDyn(type)) this.#mismatch(value, optionalOf(type), type);
    return inside ?? type;
  }

  #join(previous: CelType | undefined, current: CelType): CelType {
    if (previous === undefined) return current;
    if (this.#assign(previous, current)) return mostGeneral(previous, current);
    return types.dyn;
  }

  #fold(node: Fold): CelType {
    const range = substitute(this.#bindings, this.#check(node.range), false);
    const sum = this.#check(node.init);
    const [first, second] = this.#rangeTypes(node, range);
    this.#scopes.push(new Map([[node.sum, sum]]));
    const variables = new Map([
      [node.variable, node.second === undefined ? (second ?? first) : first],
    ]);
    if (node.second !== undefined) variables.set(node.second, second ?? first);
    this.#scopes.push(variables);
    this.#require(node.condition, types.bool);
    this.#require(node.step, sum);
    this.#scopes.pop();
    const result = this.#check(node.result);
    this.#scopes.pop();
    return substitute(this.#bindings, result, false);
  }

  /**
   * What runs over the range: index or key, and element or value. One variable alone is the element
   * of a list and the key of a map; the second type is left out for a map then.
   */
  #rangeTypes({ range: node, second }: Fold, range: CelType): readonly [CelType, CelType?] {
    const [first = types.dyn, value = types.dyn] = range.parameters;
    if (range.kind === 'list') return [types.int, first];
    if (range.kind === 'map') return second === undefined ? [first] : [first, value];
    if (['dyn', 'error', 'parameter'].includes(range.kind)) {
      this.#assign(types.dyn, range);
      return [types.dyn, types.dyn];
    }
    const text = `expression of type '${formatType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`;
    this.#report(node, text);
    return [types.error, types.error];
  }

  #require(node: Expression, wanted: CelType): void {
    const type = this.#check(node);
    if (!this.#assign(wanted, type)) this.#mismatch(node, wanted, type);
  }

  #assign(left: CelType, right: CelType): boolean {
    const bindings = assign(this.#bindings, [left], [right]);
    if (bindings !== undefined) this.#bindings = bindings;
    return bindings !== undefined;
  }

  #mismatch(node: Expression, wanted: CelType, given: CelType): void {
    this.#report(node, `expected type '${formatType(wanted)}' but found '${formatType(given)}'`);
  }

  #report({ at }: Pick<Expression, 'at'>, text: string): void {
    this.#problems.push({ at, text });
  }
}

function literalType(value: CelValue): CelType {
  if (value instanceof Uint) return types.uint;
  if (value instanceof Uint8Array) return types.bytes;
  const name = typeName(value);
  return Object.values(types).find((type) => type.name === name) ?? types.dyn;
}
