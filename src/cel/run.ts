/**
 * One evaluation under way: the variables it was given, those of its loops, and what it has cost.
 *
 * Steps are what `planner.ts` and `folds.ts` make of nodes; they run in one of these.
 */
import { CelError, type CelValue, noSuchOverload } from './values.ts';

/** One evaluation under way. */
export class Run {
  readonly variables: Variables;
  readonly slots: Slot[] = [];
  readonly #costMax: number;
  cost = 0;

  constructor(variables: Variables, costMax: number) {
    this.variables = variables;
    this.#costMax = costMax;
  }

  spend(cost: number): void {
    this.cost += cost;
    if (this.cost > this.#costMax) {
      throw new CelError('operation cancelled: actual cost limit exceeded', { final: true });
    }
  }
}

export type Variables = Readonly<Record<string, CelValue>>;

/** A value, what failed instead, or what is worked out when it is first asked for. */
export type Slot = CelValue | CelError | Lazy;

export class Lazy {
  readonly step: Step;
  value: CelValue | CelError | undefined;

  constructor(step: Step) {
    this.step = step;
  }
}

export type Step = (run: Run) => CelValue;

/** The value, or the error that something else may outweigh. */
export function attempt(step: () => CelValue): CelValue | CelError {
  try {
    return step();
  } catch (error) {
    if (error instanceof CelError && !error.final) return error;
    throw error;
  }
}

export function truth(value: CelValue): boolean {
  if (typeof value === 'boolean') return value;
  throw new CelError(noSuchOverload);
}
