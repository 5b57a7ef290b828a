/**
 * A checked tree → a function that evaluates it, spending cost as it goes.
 *
 * Each node becomes a closure over what is known about it; variables of folds live in numbered
 * slots. Parts that depend on nothing are worked out once. Every step that the reference
 * implementation charges for is charged here at the same price, and the run ends when the limit is
 * passed: no expression can hold the thread for longer than its limit allows.
 *
 * Errors are thrown as `CelError`. `&&`, `||` and the folds made of them outweigh one by the other
 * side, as the language wants.
 *
 * Behaviour: github.com/google/cel-spec, "Evaluation".
 */
import { callCost, costs } from './call-costs.ts';
import type { Checked } from './checker.ts';
import { chargedFold } from './folds.ts';
import { callFirst, type Overload } from './functions.ts';
import { attempt, Lazy, type Run, type Step, truth } from './run.ts';
import { indexed, optionalField, selected, tested } from './selection.ts';
import {
  type Call,
  type Expression,
  isBinding,
  type ListExpression,
  type MapExpression,
  type Select,
} from './syntax.ts';
import {
  CelError,
  CelMap,
  type CelValue,
  isList,
  noSuchOverload,
  Optional,
  TypeValue,
  typeName,
} from './values.ts';

/** What becomes of a node: a value known beforehand, or a step. */
export type Planned = { readonly known: CelValue } | { readonly step: Step };

export function plan(checked: Checked): Step {
  const planner = new Planner(checked);
  const planned = planner.plan(checked.expression, []);
  return 'step' in planned ? planned.step : () => planned.known;
}

/** Functions that are worked out beforehand where their argument is known. */
const conversions = new Set([
  ...['bool', 'bytes', 'double', 'duration', 'dyn', 'int', 'string', 'timestamp', 'type', 'uint'],
]);

/** Names of fold variables, by slot. */
export type Scope = readonly string[];

export class Planner {
  readonly checked: Checked;

  constructor(checked: Checked) {
    this.checked = checked;
  }

  step(node: Expression, scope: Scope): Step {
    const planned = this.plan(node, scope);
    return 'step' in planned ? planned.step : () => planned.known;
  }

  plan(node: Expression, scope: Scope): Planned {
    switch (node.is) {
      case 'literal':
        return { known: node.value };
      case 'identifier':
      case 'select':
        return this.#attribute(node, scope, costs.select);
      case 'call':
        return this.#call(node, scope);
      case 'list':
        return this.#list(node, scope);
      case 'map':
        return this.#map(node, scope);
      case 'struct': {
        const fields = node.fields.map((field) => ({
          key: (): CelValue => field.name,
          value: this.step(field.value, scope),
          optional: field.optional,
        }));
        return { step: buildMap(fields, costs.createStruct) };
      }
      case 'fold':
        if (isBinding(node)) {
          const value = this.step(node.init, scope);
          const result = this.step(node.result, [...scope, node.sum]);
          return { step: withSlot(scope.length, value, result) };
        }
        return { step: chargedFold(this, node, scope) };
      default:
        return node satisfies never;
    }
  }

  /**
   * A variable, or fields and elements of something. What it starts from costs `start`: nothing
   * where it is a branch of a choice, since the choice is looked up as one with it.
   */
  #attribute(node: Expression, scope: Scope, start: number): Planned {
    const name = this.checked.names.get(node);
    if (node.is === 'identifier') {
      const slot = scope.lastIndexOf(node.name);
      if (slot >= 0) return { step: (run) => slotValue(run, slot, start) };
    }
    if (name !== undefined) return namedPart(name, start);
    if (node.is === 'select') return { step: this.#select(node, scope, start) };
    const [operand, index] = node.is === 'call' && node.name === '_[_]' ? node.args : [];
    if (operand === undefined || index === undefined) return this.plan(node, scope);
    const [of, key] = [this.#origin(operand, scope, start), this.step(index, scope)];
    return { step: (run) => at(run, of, key) };
  }

  #select({ field, test, operand }: Select, scope: Scope, start: number): Step {
    const of = this.#origin(operand, scope, start);
    if (test) return (run) => tested(of(run), field);
    return (run) => {
      const value = of(run);
      if (!(value instanceof Optional)) run.spend(costs.select);
      return selected(run, value, field);
    };
  }

  /** What a field or element is taken of. */
  #origin(node: Expression, scope: Scope, start: number): Step {
    const index = node.is === 'call' && node.name === '_[_]';
    if (node.is === 'identifier' || node.is === 'select' || index) {
      const planned = this.#attribute(node, scope, start);
      return 'step' in planned ? planned.step : () => planned.known;
    }
    const step = this.step(node, scope);
    if (start === 0 || (node.is === 'call' && node.name === '_?_:_')) return step;
    return (run) => {
      const value = step(run);
      if (!(value instanceof Optional) || !isOptionalSelection(node)) run.spend(start);
      return value;
    };
  }

  #branch(node: Expression | undefined, scope: Scope): Step {
    if (node === undefined) return nothing;
    const planned = this.#attribute(node, scope, 0);
    return 'step' in planned ? planned.step : () => planned.known;
  }

  #list({ elements }: ListExpression, scope: Scope): Planned {
    const parts = elements.map(({ value, optional }) => {
      return { planned: this.plan(value, scope), optional };
    });
    const known = parts.flatMap(({ planned, optional }) =>
      'known' in planned && !optional ? [planned.known] : [],
    );
    if (known.length === parts.length) return { known };
    return {
      step: (run) => {
        const values: CelValue[] = [];
        for (const { planned, optional } of parts) {
          const value = 'step' in planned ? planned.step(run) : planned.known;
          if (!optional) values.push(value);
          else if (!(value instanceof Optional)) throw new CelError(noSuchOverload);
          else if (value.value !== undefined) values.push(value.value);
        }
        run.spend(costs.createList);
        return values;
      },
    };
  }

  #map({ entries }: MapExpression, scope: Scope): Planned {
    const parts = entries.map(({ key, value, optional }) => {
      return { key: this.plan(key, scope), value: this.plan(value, scope), optional };
    });
    const known = parts.flatMap(({ key, value, optional }) =>
      'known' in key && 'known' in value && !optional ? [[key.known, value.known] as const] : [],
    );
    if (known.length === parts.length) return { known: new CelMap(known) };
    const steps = parts.map(({ key, value, optional }) => ({
      key: 'step' in key ? key.step : () => key.known,
      value: 'step' in value ? value.step : () => value.known,
      optional,
    }));
    return { step: buildMap(steps, costs.createMap) };
  }

  #call(node: Call, scope: Scope): Planned {
    if (node.name === '_[_]') return this.#attribute(node, scope, costs.select);
    if (node.name === '_?_:_') {
      const [first, second, third] = node.args;
      const condition = first === undefined ? nothing : this.step(first, scope);
      const [yes, no] = [this.#branch(second, scope), this.#branch(third, scope)];
      return { step: (run) => (truth(condition(run)) ? yes(run) : no(run)) };
    }
    const target = this.checked.qualified.has(node) ? undefined : node.target;
    const operands = target === undefined ? node.args : [target, ...node.args];
    const planned = operands.map((one) => this.plan(one, scope));
    const steps = planned.map((one): Step => ('step' in one ? one.step : () => one.known));
    const special = this.#special(node, steps);
    if (special !== undefined) return { step: special };
    const overloads = this.checked.overloads.get(node) ?? [];
    const [argument] = planned;
    if (conversions.has(node.name) && planned.length === 1 && argument && 'known' in argument) {
      return { known: callFirst(overloads, [argument.known]) };
    }
    const member = planned[1];
    if (node.name === '@in' && member !== undefined && 'known' in member) {
      const set = knownMembers(overloads, member.known);
      if (set?.size === 0) return { known: false };
      const value = steps[0];
      if (set !== undefined && value !== undefined)
        return { step: (run) => isMember(set, value(run)) };
    }
    return { step: ordinary(overloads, steps) };
  }

  #special({ name, args, target }: Call, steps: readonly Step[]): Step | undefined {
    const [first = nothing, second = nothing] = steps;
    switch (name) {
      case '_&&_':
        return (run) => logic(run, first, second, false);
      case '_||_':
        return (run) => logic(run, first, second, true);
      case '_[?_]':
      case '_?._':
        return (run) => {
          const [value, key] = [first(run), second(run)];
          return optionalField(run, value, key);
        };
      case '@not_strictly_false':
        return (run) => {
          const value = attempt(() => first(run));
          run.spend(1);
          return value !== false;
        };
      case 'or':
      case 'orValue':
        if (target === undefined || args.length !== 1) return undefined;
        return (run) => {
          const value = first(run);
          if (!(value instanceof Optional)) throw new CelError(noSuchOverload);
          if (value.value === undefined) return second(run);
          return name === 'or' ? value : value.value;
        };
      default:
        return undefined;
    }
  }
}

const nothing: Step = () => null;

function namedPart(name: string, start: number): Planned {
  if (typeNames.has(name)) return { known: new TypeValue(name) };
  return {
    step: (run) => {
      run.spend(start);
      const value = Object.hasOwn(run.variables, name) ? run.variables[name] : undefined;
      if (value === undefined) throw new CelError(`no such attribute(s): ${name}`);
      return value;
    },
  };
}

function isOptionalSelection(node: Expression): boolean {
  return node.is === 'call' && (node.name === '_?._' || node.name === '_[?_]');
}

const typeNames = new Set([
  ...['bool', 'bytes', 'double', 'int', 'list', 'map', 'null_type', 'string', 'type', 'uint'],
  ...['google.protobuf.Timestamp', 'google.protobuf.Duration', 'optional_type'],
  ...['kubernetes.Quantity', 'kubernetes.Semver', 'kubernetes.URL', 'kubernetes.NamedFormat'],
  ...['net.IP', 'net.CIDR'],
]);

function ordinary(overloads: readonly Overload[], steps: readonly Step[]): Step {
  const [first] = overloads;
  const name = first?.name ?? '';
  const id = overloads.length === 1 ? (first?.id ?? '') : '';
  return (run) => {
    const values: CelValue[] = [];
    let failure: CelError | undefined;
    let result: CelValue = null;
    // All operands are looked at, and the call is paid for, also where one fails.
    for (const step of steps) {
      const value = attempt(() => step(run));
      if (value instanceof CelError) failure ??= value;
      values.push(value instanceof CelError ? null : value);
    }
    if (failure === undefined) {
      const called = attempt(() => callFirst(overloads, values));
      if (called instanceof CelError) failure = called;
      else result = called;
    }
    run.spend(callCost(name, id, values, result));
    if (failure !== undefined) throw failure;
    return result;
  };
}

function at(run: Run, operand: Step, index: Step): CelValue {
  const [value, key] = [operand(run), index(run)];
  if (!(value instanceof Optional)) run.spend(costs.select);
  return indexed(run, value, key);
}

function logic(run: Run, first: Step, second: Step, decisive: boolean): boolean {
  const left = attempt(() => first(run));
  if (left === decisive) return decisive;
  const right = attempt(() => second(run));
  if (right === decisive) return decisive;
  for (const side of [left, right]) {
    if (side instanceof CelError) throw side;
    if (typeof side !== 'boolean') throw new CelError(noSuchOverload);
  }
  return !decisive;
}

function slotValue(run: Run, slot: number, cost: number): CelValue {
  run.spend(cost);
  const held = run.slots[slot];
  if (held instanceof Lazy) {
    if (held.value === undefined) held.value = attempt(() => held.step(run));
    if (held.value instanceof CelError) throw held.value;
    return held.value;
  }
  if (held instanceof CelError) throw held;
  return held ?? null;
}

function withSlot(slot: number, value: Step, result: Step): Step {
  return (run) => {
    run.slots[slot] = new Lazy(value);
    return result(run);
  };
}

interface EntrySteps {
  readonly key: Step;
  readonly value: Step;
  readonly optional: boolean;
}

function buildMap(entries: readonly EntrySteps[], cost: number): Step {
  return (run) => {
    const made: (readonly [CelValue, CelValue])[] = [];
    for (const { key, value, optional } of entries) {
      const pair = [key(run), value(run)] as const;
      if (!optional) made.push(pair);
      else if (!(pair[1] instanceof Optional)) throw new CelError(noSuchOverload);
      else if (pair[1].value !== undefined) made.push([pair[0], pair[1].value]);
    }
    run.spend(cost);
    return new CelMap(made);
  };
}

/** A list of simple values that is known beforehand is looked up, not walked. */
function knownMembers(overloads: readonly Overload[], list: CelValue): CelMap | undefined {
  if (overloads.length !== 1 || overloads[0]?.id !== 'in_list' || !isList(list)) return undefined;
  const simple = list.every((one) => ['bool', 'int', 'uint', 'string'].includes(typeName(one)));
  if (!simple) return undefined;
  const members = new CelMap();
  for (const one of list) members.put(one, true);
  return members;
}

function isMember(set: CelMap, value: CelValue): boolean {
  return set.get(value) !== undefined;
}
