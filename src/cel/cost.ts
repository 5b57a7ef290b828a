/**
 * What a checked expression can cost at least and at most, before it ever runs.
 *
 * Goes over the tree like an evaluation would, with sizes instead of values: of literals they are
 * known, of variables whoever declares them may say (`sizeMax`), all else is unlimited. Loops cost
 * their body times the size of their range.
 *
 * Worked example: `device.attributes["a"].b` is 4: the variable, a field, an index, a field.
 */
import { costs } from './call-costs.ts';
import { type CelType, types } from './cel-type.ts';
import type { Checked } from './checker.ts';
import {
  add,
  type Estimate,
  exactly,
  lesser,
  multiply,
  nothing,
  one,
  scale,
  union,
  unknownSize,
  unlimited,
} from './estimate.ts';
import {
  type CallEstimate,
  estimateCall,
  matching,
  type Operand,
  sizeOfOperand,
} from './estimated-calls.ts';
import type { Overload } from './functions.ts';
import { type Call, type Expression, type Fold, isBinding, sumName } from './syntax.ts';
import { sizeOf } from './values.ts';

/**
 * The greatest size of what lies at a path: a variable, then fields, `@items`, `@keys`, `@values`
 * or `@indices`. Undefined where it is not known.
 */
export type SizeMax = (path: readonly string[]) => bigint | undefined;

export function estimateCost(checked: Checked, sizeMax: SizeMax = () => undefined): Estimate {
  return new Estimator(checked, sizeMax).cost(checked.expression);
}

/** What is in a list or map. */
interface Entries {
  readonly isList: boolean;
  readonly key: Estimate;
  readonly value: Estimate;
}

interface Local {
  readonly path: readonly string[];
  readonly size: Estimate | undefined;
  readonly entries: Entries | undefined;
}

class Estimator {
  readonly #checked: Checked;
  readonly #sizeMax: SizeMax;
  readonly #paths = new Map<Expression, readonly string[]>();
  readonly #sizes = new Map<Expression, Estimate>();
  readonly #entries = new Map<Expression, Entries>();
  readonly #locals = new Map<string, Local[]>();

  constructor(checked: Checked, sizeMax: SizeMax) {
    this.#checked = checked;
    this.#sizeMax = sizeMax;
  }

  cost(node: Expression): Estimate {
    switch (node.is) {
      case 'literal':
        return nothing;
      case 'identifier':
        this.#paths.set(node, this.#local(node.name)?.path ?? [node.name]);
        return one;
      case 'select':
        return this.#select(node);
      case 'call':
        return this.#call(node);
      case 'list':
        return this.#list(node);
      case 'map':
        return this.#map(node);
      case 'struct':
        return add(
          ...node.fields.map(({ value }) => this.cost(value)),
          exactly(costs.createStruct),
        );
      case 'fold':
        return isBinding(node) ? this.#bind(node) : this.#fold(node);
      default:
        return node satisfies never;
    }
  }

  #select(node: Extract<Expression, { is: 'select' }>): Estimate {
    if (this.#checked.names.has(node)) {
      this.#paths.set(node, [this.#checked.names.get(node) ?? '']);
      return one;
    }
    const operand = this.cost(node.operand);
    if (node.test) return operand;
    this.#paths.set(node, [...this.#path(node.operand), node.field]);
    const charged = ['map', 'struct', 'parameter'].includes(this.#type(node.operand).kind);
    return charged ? add(operand, one) : operand;
  }

  #call(node: Call): Estimate {
    const { name, args } = node;
    const [only] = args;
    if (name === 'dyn' && only !== undefined) {
      const cost = add(one, this.cost(only));
      this.#copySizes(node, only);
      return cost;
    }
    const argCosts = args.map((arg) => this.cost(arg));
    const operands = args.map((arg) => this.#operand(arg));
    const overloads = this.#checked.overloads.get(node) ?? [];
    if (overloads.length === 0) return nothing;
    const member = this.#checked.qualified.has(node) ? undefined : node.target;
    const targetCost = member === undefined ? nothing : this.cost(member);
    const target = member === undefined ? undefined : this.#operand(member);
    let cost: Estimate = { least: unlimited, most: 0n };
    let size: Estimate | undefined;
    for (const overload of overloads) {
      const call = this.#overloadCost(node, overload, { target, operands, argCosts });
      cost = union(cost, call.cost);
      if (call.size !== undefined) size = size === undefined ? call.size : union(size, call.size);
      if (overload.id === 'index_list' || overload.id === 'index_map') {
        const [of] = args;
        const step = overload.id === 'index_list' ? '@items' : '@values';
        if (of !== undefined) {
          size = this.#entriesOf(of)?.value;
          this.#paths.set(node, [...this.#path(of), step]);
        }
      }
      size ??= this.#size(node);
    }
    if (size !== undefined) this.#sizes.set(node, size);
    return add(targetCost, cost);
  }

  #overloadCost(
    node: Call,
    { id, name }: Overload,
    {
      target,
      operands,
      argCosts,
    }: {
      readonly target: Operand | undefined;
      readonly operands: readonly Operand[];
      readonly argCosts: readonly Estimate[];
    },
  ): CallEstimate {
    const all = add(...argCosts);
    const estimated =
      estimateCall({ name, id, target, args: operands }) ?? this.#standard(id, target, operands);
    if (estimated !== undefined) return { ...estimated, cost: add(estimated.cost, all) };
    const [first = nothing, second = nothing, third = nothing] = argCosts;
    switch (id) {
      case 'logical_or':
      case 'logical_and':
        return { cost: { least: first.least, most: add(first, second).most } };
      case 'conditional': {
        const entries = unionEntries(this.#entriesOf(node.args[1]), this.#entriesOf(node.args[2]));
        if (entries !== undefined) this.#entries.set(node, entries);
        const size = union(sizeOfOperand(operands[1]), sizeOfOperand(operands[2]));
        return { cost: add(first, union(second, third)), size };
      }
      case 'add_string':
      case 'add_bytes':
      case 'add_list': {
        const size = add(sizeOfOperand(operands[0]), sizeOfOperand(operands[1]));
        const entries = unionEntries(this.#entriesOf(node.args[0]), this.#entriesOf(node.args[1]));
        if (entries !== undefined) this.#entries.set(node, entries);
        const cost = id === 'add_list' ? one : scale(size, costs.traversal);
        return { cost: add(cost, all), size };
      }
      default:
        return { cost: add(one, all) };
    }
  }

  #standard(
    id: string,
    target: Operand | undefined,
    [first, second]: readonly Operand[],
  ): CallEstimate | undefined {
    const size = sizeOfOperand(first);
    switch (id) {
      case 'string_format':
        return { cost: scale(sizeOfOperand(target), costs.traversal) };
      case 'string_to_bytes':
        return {
          cost: scale(size, costs.traversal),
          size: multiply(size, { least: 1n, most: 4n }),
        };
      case 'bytes_to_string':
        return { cost: scale(size, costs.traversal), size: { ...size, least: size.least / 4n } };
      case 'strings_quote': {
        const quoted = add(multiply(size, { least: 1n, most: 2n }), exactly(2));
        return { cost: scale(size, costs.traversal), size: quoted };
      }
      case 'starts_with_string':
      case 'ends_with_string':
        return { cost: scale(size, costs.traversal) };
      case 'in_list':
        return { cost: sizeOfOperand(second) };
      case 'matches_string':
        return { cost: matching(sizeOfOperand(target), first) };
      case 'contains_string': {
        const walked = scale(sizeOfOperand(target), costs.traversal);
        return { cost: multiply(walked, scale(size, costs.traversal)) };
      }
      default: {
        const compares =
          /^(less|greater)(_equals)?_(string|bytes)$/.test(id) || /^(not_)?equals$/.test(id);
        if (!compares) return undefined;
        const most = lesser(size.most, sizeOfOperand(second).most);
        return { cost: scale({ least: most > 0n ? 1n : 0n, most }, costs.traversal) };
      }
    }
  }

  #list(node: Extract<Expression, { is: 'list' }>): Estimate {
    let value: Estimate = { least: node.elements.length === 0 ? 0n : unlimited, most: 0n };
    let cost = exactly(costs.createList);
    for (const element of node.elements) {
      cost = add(cost, this.cost(element.value));
      value = union(value, this.#size(element.value) ?? unknownSize);
    }
    this.#entries.set(node, { isList: true, key: one, value });
    return cost;
  }

  #map(node: Extract<Expression, { is: 'map' }>): Estimate {
    const least = node.entries.length === 0 ? 0n : unlimited;
    let [key, value]: [Estimate, Estimate] = [
      { least, most: 0n },
      { least, most: 0n },
    ];
    let cost = exactly(costs.createMap);
    for (const entry of node.entries) {
      cost = add(cost, this.cost(entry.key), this.cost(entry.value));
      key = union(key, this.#size(entry.key) ?? unknownSize);
      value = union(value, this.#size(entry.value) ?? unknownSize);
    }
    this.#entries.set(node, { isList: false, key, value });
    return cost;
  }

  #bind(node: Fold): Estimate {
    const cost = add(this.cost(node.range), this.cost(node.init));
    this.#push(node.sum, this.#localOf(node.init));
    const result = this.cost(node.result);
    this.#pop(node.sum);
    this.#copySizes(node, node.result);
    return add(cost, result);
  }

  #fold(node: Fold): Estimate {
    const { range, variable, second, sum } = node;
    const start = add(this.cost(range), this.cost(node.init));
    this.#push(sum, this.#localOf(node.init));
    const entries = this.#entriesOf(range);
    const isList = entries?.isList ?? this.#type(range).kind === 'list';
    const path = this.#path(range);
    const key = { path: [...path, isList ? '@indices' : '@keys'], size: entries?.key };
    const value = { path: [...path, isList ? '@items' : '@values'], size: entries?.value };
    this.#push(variable, { ...(second === undefined && isList ? value : key), entries: undefined });
    if (second !== undefined) this.#push(second, { ...value, entries: undefined });
    const turn = add(this.cost(node.condition), this.cost(node.step));
    this.#pop(variable);
    if (second !== undefined) this.#pop(second);
    const result = this.cost(node.result);
    this.#pop(sum);
    const count = this.#size(range) ?? unknownSize;
    this.#setFoldSize(node, count);
    return add(start, result, multiply(count, turn));
  }

  #setFoldSize(node: Fold, count: Estimate): void {
    if (node.init.is === 'literal') {
      const size = this.#size(node.init);
      if (size !== undefined) this.#sizes.set(node, size);
    } else if (node.init.is === 'list' || node.init.is === 'map') {
      this.#sizes.set(node, count);
      const entries = this.#entriesOf(node.step);
      if (entries !== undefined) this.#entries.set(node, entries);
    }
  }

  #operand(node: Expression): Operand {
    const type = this.#type(node);
    const [inside] = type.parameters;
    const element = (): Operand => {
      const path = this.#path(node);
      const most = path.length === 0 ? undefined : this.#sizeMax([...path, '@items']);
      const size = most === undefined ? undefined : { least: 0n, most };
      return { node: undefined, type: inside ?? types.dyn, size, element: undefined };
    };
    return {
      node,
      type,
      size: this.#size(node),
      element: inside === undefined ? undefined : element,
    };
  }

  #size(node: Expression): Estimate | undefined {
    const known = this.#sizes.get(node) ?? literalSize(node);
    if (known !== undefined) return known;
    const path = this.#path(node);
    const most = path.length === 0 || path[0] === sumName ? undefined : this.#sizeMax(path);
    if (most !== undefined) {
      const size = { least: 0n, most };
      this.#sizes.set(node, size);
      return size;
    }
    if (isScalar(this.#type(node))) return one;
    return node.is === 'identifier' ? this.#local(node.name)?.size : undefined;
  }

  #entriesOf(node: Expression | undefined): Entries | undefined {
    if (node === undefined) return undefined;
    const known = this.#entries.get(node);
    return known ?? (node.is === 'identifier' ? this.#local(node.name)?.entries : undefined);
  }

  #copySizes(to: Expression, from: Expression): void {
    const [size, entries] = [this.#size(from), this.#entriesOf(from)];
    if (size !== undefined) this.#sizes.set(to, size);
    if (entries !== undefined) this.#entries.set(to, entries);
  }

  #type(node: Expression): CelType {
    return this.#checked.types.get(node) ?? types.dyn;
  }

  #path(node: Expression): readonly string[] {
    const local = node.is === 'identifier' ? this.#local(node.name) : undefined;
    return local?.path ?? this.#paths.get(node) ?? [];
  }

  #localOf(node: Expression): Local {
    return { path: this.#path(node), size: this.#size(node), entries: this.#entriesOf(node) };
  }

  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1);
  }

  #push(name: string, local: Local): void {
    this.#locals.set(name, [...(this.#locals.get(name) ?? []), local]);
  }

  #pop(name: string): void {
    this.#locals.get(name)?.pop();
  }
}

function unionEntries(left: Entries | undefined, right: Entries | undefined): Entries | undefined {
  if (left === undefined || right === undefined) return undefined;
  const { isList } = left;
  return { isList, key: union(left.key, right.key), value: union(left.value, right.value) };
}

function literalSize(node: Expression): Estimate | undefined {
  if (node.is === 'literal') return exactly(sizeOf(node.value));
  if (node.is === 'list') return exactly(node.elements.length);
  return node.is === 'map' ? exactly(node.entries.length) : undefined;
}

function isScalar({ kind, name, parameters }: CelType): boolean {
  const [inside] = parameters;
  if (name === 'optional_type' && inside !== undefined) return isScalar(inside);
  return ['bool', 'double', 'duration', 'int', 'timestamp', 'uint'].includes(kind);
}
