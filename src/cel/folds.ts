/**
 * What macros over lists and maps become: a loop that goes over a range and sums up.
 *
 * The general loop evaluates condition and step of the tree. Where the step only appends to a list
 * or puts into a map, as `map` and `filter` do, it is done in place, so that a long range does not
 * copy its result at each element; the cost is the same.
 */
import { costs } from './call-costs.ts';
import type { Planner, Scope } from './planner.ts';
import { attempt, type Run, type Step, truth } from './run.ts';
import type { Call, Expression, Fold } from './syntax.ts';
import { CelError, CelMap, type CelValue, isList, MapValue, noSuchOverload } from './values.ts';

export function chargedFold(planner: Planner, fold: Fold, scope: Scope): Step {
  const range = planner.step(fold.range, scope);
  const sum = scope.length;
  const outer = [...scope, fold.sum];
  const inner = [...outer, fold.variable, ...(fold.second === undefined ? [] : [fold.second])];
  const result = planner.step(fold.result, outer);
  const growing = growth(planner, fold, inner);
  const init = planner.step(fold.init, scope);
  const condition = planner.step(fold.condition, inner);
  const step = planner.step(fold.step, inner);
  return (run) => {
    const over = range(run);
    const steps = pairs(over, fold.second !== undefined);
    if (growing !== undefined) {
      run.slots[sum] = growing(run, steps, sum + 1);
      return result(run);
    }
    run.slots[sum] = init(run);
    for (const [first, second] of steps) {
      run.slots[sum + 1] = first;
      if (second !== undefined) run.slots[sum + 2] = second;
      if (attempt(() => condition(run)) === false) break;
      run.slots[sum] = attempt(() => step(run));
    }
    return result(run);
  };
}

/** What the variables are at each turn. */
function* pairs(
  range: CelValue,
  both: boolean,
): Iterable<readonly [CelValue, CelValue | undefined]> {
  if (isList(range)) {
    for (const [index, value] of range.entries()) {
      yield both ? [BigInt(index), value] : [value, undefined];
    }
    return;
  }
  if (!(range instanceof MapValue)) throw new CelError(noSuchOverload);
  for (const key of range.keys()) yield [key, both ? (range.get(key) ?? null) : undefined];
}

type Steps = Iterable<readonly [CelValue, CelValue | undefined]>;
type Growing = (run: Run, steps: Steps, slot: number) => CelValue;

function growth(planner: Planner, fold: Fold, scope: Scope): Growing | undefined {
  const { init, step } = fold;
  const empty =
    (init.is === 'list' && init.elements.length === 0) ||
    (init.is === 'map' && init.entries.length === 0);
  if (!empty || step.is !== 'call') return undefined;
  const [predicate, chosen] = step.name === '_?_:_' ? step.args : [undefined, step];
  if (chosen?.is !== 'call' || !isSum(chosen.args[0], fold)) return undefined;
  const filter = predicate === undefined ? undefined : planner.step(predicate, scope);
  const add = chosen.name === '_+_' ? appender(planner, chosen, scope) : undefined;
  const put = chosen.name === 'cel.@mapInsert' ? inserter(planner, chosen, scope) : undefined;
  if (add === undefined && put === undefined) return undefined;
  return (run, steps, slot) => {
    const [list, map] = [[] as CelValue[], new CelMap()];
    for (const [first, second] of steps) {
      run.slots[slot] = first;
      if (second !== undefined) run.slots[slot + 1] = second;
      const wanted = filter === undefined || truth(filter(run));
      if (!wanted) continue;
      run.spend(costs.select);
      add?.(run, list);
      put?.(run, map);
    }
    return add === undefined ? map : list;
  };
}

function isSum(node: Expression | undefined, { sum }: Fold): boolean {
  return node?.is === 'identifier' && node.name === sum;
}

function appender(planner: Planner, { args }: Call, scope: Scope) {
  const [, added] = args;
  const element =
    added?.is === 'list' && added.elements.length === 1 ? added.elements[0] : undefined;
  if (element === undefined || element.optional) return undefined;
  const planned = planner.plan(element.value, scope);
  return (run: Run, list: CelValue[]): void => {
    if ('known' in planned) list.push(planned.known);
    else {
      list.push(planned.step(run));
      run.spend(costs.createList);
    }
    run.spend(1);
  };
}

function inserter(planner: Planner, { args }: Call, scope: Scope) {
  const steps = args.slice(1).map((one) => planner.step(one, scope));
  return (run: Run, map: CelMap): void => {
    const [first = null, second] = steps.map((step) => step(run));
    run.spend(1);
    if (second !== undefined) {
      insert(map, first, second);
      return;
    }
    if (!(first instanceof MapValue)) throw new CelError(noSuchOverload);
    for (const key of first.keys()) insert(map, key, first.get(key) ?? null);
  };
}

function insert(map: CelMap, key: CelValue, value: CelValue): void {
  if (map.get(key) !== undefined)
    throw new CelError(`insert failed: key ${String(key)} already exists`);
  map.put(key, value);
}
