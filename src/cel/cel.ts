/**
 * The Common Expression Language with the functions that Kubernetes adds: text → checked program →
 * value, within a limit of cost.
 *
 * An `Environment` says what an expression may name. `compile` gives a program or what is wrong, in
 * the words and with the places that users know from upstream. A program is evaluated as often as
 * wanted; it can neither loop without end nor wait for anything, and stops with an error when its
 * cost limit is passed.
 *
 * Callers: device selectors of claims and classes, when they are written (validation) and used
 * (scheduler). Custom resources and admission policies are to come. Why this is our own code:
 * decision 0016. Reading on: `parser.ts`, `checker.ts`, `cost.ts`, `planner.ts`, then `library/`.
 */

import { type CelType, parseType, structType, typeOf, types, typeText } from './cel-type.ts';
import { check, type Declarations } from './checker.ts';
import { estimateCost, type SizeMax } from './cost.ts';
import { declare, type FunctionTable, type Library } from './functions.ts';
import { kubernetesLibraries } from './library/kubernetes.ts';
import { checkLiterals } from './literal-rules.ts';
import { parse, parserLimits } from './parser.ts';
import { plan } from './planner.ts';
import { Run, type Variables } from './run.ts';
import { formatProblems } from './source.ts';
import { CelError, type CelValue } from './values.ts';

export const limits = {
  ...parserLimits,
  /** Cost of one evaluation, unless the caller says less or more. */
  costMax: 1_000_000,
} as const;

export interface EnvironmentOptions {
  /** Variable → type, as text: `map(string, dyn)`, or the name of a struct below. */
  readonly variables: Readonly<Record<string, CelType>>;
  /** Struct → field → type. */
  readonly structs?: Readonly<Record<string, Readonly<Record<string, CelType>>>>;
  /** Functions besides those that every expression of Kubernetes has. */
  readonly library?: Library;
  readonly sizeMax?: SizeMax;
  /** Whether there is `cel.bind(name, value, expression)`. */
  readonly bindings?: boolean;
}

export interface Environment {
  readonly declarations: Declarations;
  readonly bindings: boolean;
  readonly sizeMax: SizeMax | undefined;
}

export function openEnvironment(options: EnvironmentOptions): Environment {
  const structs = Object.entries(options.structs ?? {});
  const declarations = {
    variables: new Map(Object.entries(options.variables)),
    functions: functionTable(options.library),
    structs: new Map(structs.map(([name, fields]) => [name, new Map(Object.entries(fields))])),
    typeNames: new Map(Object.values(namedTypes).map((type) => [type.name, type])),
  };
  return { declarations, bindings: options.bindings === true, sizeMax: options.sizeMax };
}

function functionTable(library: Library | undefined): FunctionTable {
  return declare(...kubernetesLibraries, ...(library === undefined ? [] : [library]));
}

const namedTypes: Readonly<Record<string, CelType>> = {
  ...Object.fromEntries(
    ['bool', 'bytes', 'double', 'int', 'string', 'uint', 'null', 'timestamp', 'duration'].map(
      (name) => [name, parseType(name)],
    ),
  ),
  ...Object.fromEntries(
    ['list(A)', 'map(A, B)', 'optional(A)'].map((text) => [text, parseType(text)]),
  ),
  ...Object.fromEntries(
    ['quantity', 'semver', 'url', 'format', 'ip', 'cidr'].map((name) => [name, parseType(name)]),
  ),
  type: typeOf(undefined),
};

export interface Program {
  readonly expression: string;
  readonly type: CelType;
  /** What an evaluation costs at most; 2^64 - 1 where nothing is known. */
  readonly costMax: bigint;
  evaluate(variables: Variables, limits?: { readonly costMax: number }): Evaluated;
}

export type Evaluated =
  | { readonly ok: true; readonly value: CelValue; readonly cost: number }
  | { readonly ok: false; readonly error: string; readonly cost: number };

export type Compiled =
  | { readonly ok: true; readonly program: Program }
  /** `error` has a line for each problem, with the place marked below it. */
  | { readonly ok: false; readonly at: 'compile' | 'program'; readonly error: string };

export function compile(expression: string, environment: Environment): Compiled {
  const parsed = parse(expression, environment);
  if (parsed.expression === undefined || parsed.problems.length > 0) {
    return { ok: false, at: 'compile', error: formatProblems(expression, parsed.problems) };
  }
  const checked = check(parsed.expression, environment.declarations);
  const problems = checked.problems.length > 0 ? checked.problems : checkLiterals(checked);
  if (problems.length > 0) {
    return { ok: false, at: 'compile', error: formatProblems(expression, problems) };
  }
  let step: ReturnType<typeof plan>;
  try {
    step = plan(checked);
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    return { ok: false, at: 'program', error: error.message };
  }
  const program: Program = {
    expression,
    type: checked.types.get(checked.expression) ?? types.dyn,
    costMax: estimateCost(checked, environment.sizeMax).most,
    evaluate: (variables, { costMax } = limits) => {
      const run = new Run(variables, costMax);
      try {
        return { ok: true, value: step(run), cost: run.cost };
      } catch (error) {
        if (!(error instanceof CelError)) throw error;
        return { ok: false, error: error.message, cost: run.cost };
      }
    },
  };
  return { ok: true, program };
}

export { parseSemver, quantityValue } from './library/quantities.ts';
export {
  CelError,
  CelMap,
  type CelValue,
  equal,
  fromJson,
  isList,
  JsonMap,
  MapValue,
  typeName,
} from './values.ts';
export { type CelType, type Library, parseType, structType, typeText };
