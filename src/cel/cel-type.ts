/**
 * Types of expressions: their form, how they are written in declarations and in messages, and when
 * one can stand for another.
 *
 * Declarations write them as text: `list(int)`, `map(string, V)`, `optional(T)`, where one capital
 * letter is a parameter. Assigning binds parameters in a `Bindings`, which is copied before each
 * attempt, so that one that fails leaves nothing behind.
 *
 * Behaviour: github.com/google/cel-spec, "Gradual Type Checking".
 */
export type TypeKind =
  | 'null'
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'timestamp'
  | 'duration'
  | 'dyn'
  | 'any'
  | 'error'
  | 'list'
  | 'map'
  | 'type'
  | 'opaque'
  | 'struct'
  | 'parameter';

export interface CelType {
  readonly kind: TypeKind;
  /** As declared: `int`, `google.protobuf.Timestamp`, `kubernetes.Quantity`. */
  readonly name: string;
  readonly parameters: readonly CelType[];
}

const simple = (kind: TypeKind, name: string = kind): CelType => ({ kind, name, parameters: [] });

export const types = {
  null: simple('null', 'null_type'),
  bool: simple('bool'),
  int: simple('int'),
  uint: simple('uint'),
  double: simple('double'),
  string: simple('string'),
  bytes: simple('bytes'),
  timestamp: simple('timestamp', 'google.protobuf.Timestamp'),
  duration: simple('duration', 'google.protobuf.Duration'),
  dyn: simple('dyn'),
  any: simple('any', 'google.protobuf.Any'),
  error: simple('error', '*error*'),
} as const;

export function listOf(element: CelType): CelType {
  return { kind: 'list', name: 'list', parameters: [element] };
}

export function mapOf(key: CelType, value: CelType): CelType {
  return { kind: 'map', name: 'map', parameters: [key, value] };
}

export function optionalOf(value: CelType): CelType {
  return { kind: 'opaque', name: 'optional_type', parameters: [value] };
}

export function typeOf(of: CelType | undefined): CelType {
  return { kind: 'type', name: 'type', parameters: of === undefined ? [] : [of] };
}

export function structType(name: string): CelType {
  return simple('struct', name);
}

function opaqueType(name: string): CelType {
  return simple('opaque', name);
}

/** Names of declarations that are not simple ones. */
const named: Readonly<Record<string, CelType>> = {
  ...types,
  quantity: structType('kubernetes.Quantity'),
  semver: structType('kubernetes.Semver'),
  url: structType('kubernetes.URL'),
  format: structType('kubernetes.NamedFormat'),
  ip: opaqueType('net.IP'),
  cidr: opaqueType('net.CIDR'),
  type: typeOf(undefined),
};

/** `list(map(string, V))` → the type; only for our own declarations. */
export function parseType(text: string): CelType {
  const open = text.indexOf('(');
  const name = open < 0 ? text : text.slice(0, open);
  const parameters = open < 0 ? [] : splitTypes(text.slice(open + 1, -1)).map(parseType);
  const [first = types.dyn, second = types.dyn] = parameters;
  if (name === 'list') return listOf(first);
  if (name === 'map') return mapOf(first, second);
  if (name === 'optional') return optionalOf(first);
  if (name === 'type' && parameters.length > 0) return typeOf(first);
  if (/^[A-Z]$/.test(name)) return simple('parameter', name);
  const known = named[name];
  if (known !== undefined) return known;
  // Structs of an environment have names with dots.
  if (name.includes('.')) return structType(name);
  throw new Error(`no such type: ${text}`);
}

/** Splits at the commas that are not inside parentheses. */
export function splitTypes(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let index = 0; index <= text.length; index++) {
    const character = text[index];
    if (character === '(') depth += 1;
    else if (character === ')') depth -= 1;
    else if (character === undefined || (character === ',' && depth === 0)) {
      parts.push(text.slice(from, index).trim());
      from = index + 1;
    }
  }
  return parts.filter((part) => part !== '');
}

/** As messages of the checker name it. */
export function formatType(type: CelType): string {
  switch (type.kind) {
    case 'any':
    case 'duration':
    case 'null':
    case 'timestamp':
      return type.kind;
    case 'error':
      return '!error!';
    default: {
      if (type.parameters.length === 0) return type.name;
      return `${type.name}(${type.parameters.map(formatType).join(', ')})`;
    }
  }
}

/** As the result of an expression is named: with the full names. */
export function typeText({ name, parameters }: CelType): string {
  return parameters.length === 0 ? name : `${name}(${parameters.map(typeText).join(', ')})`;
}

export function isDyn({ kind }: CelType): boolean {
  return kind === 'dyn' || kind === 'any';
}

export function isDynOrError(type: CelType): boolean {
  return isDyn(type) || type.kind === 'error';
}

/** The type inside an optional one. */
export function unwrapOptional(type: CelType): CelType | undefined {
  return type.kind === 'opaque' && type.name === 'optional_type' ? type.parameters[0] : undefined;
}

export function sameType(left: CelType, right: CelType): boolean {
  if (left === right) return true;
  if (left.kind !== right.kind || left.name !== right.name) return false;
  if (left.parameters.length !== right.parameters.length) return false;
  return left.parameters.every((one, index) => sameType(one, right.parameters[index] ?? types.dyn));
}

/** What parameters stand for. */
export class Bindings {
  readonly #of: Map<string, CelType>;

  constructor(of: ReadonlyMap<string, CelType> = new Map()) {
    this.#of = new Map(of);
  }

  copy(): Bindings {
    return new Bindings(this.#of);
  }

  find(type: CelType): CelType | undefined {
    return type.kind === 'parameter' ? this.#of.get(type.name) : undefined;
  }

  bind(type: CelType, to: CelType): void {
    this.#of.set(type.name, to);
  }
}

/** The bindings under which every type can stand for its counterpart; undefined where none do. */
export function assign(
  bindings: Bindings,
  from: readonly CelType[],
  to: readonly CelType[],
): Bindings | undefined {
  const copy = bindings.copy();
  return assignAll(copy, from, to) ? copy : undefined;
}

function assignAll(bindings: Bindings, from: readonly CelType[], to: readonly CelType[]): boolean {
  if (from.length !== to.length) return false;
  return from.every((one, index) => assignOne(bindings, one, to[index] ?? types.dyn));
}

function assignOne(bindings: Bindings, left: CelType, right: CelType): boolean {
  if (right.kind === 'parameter') {
    const bound = bindings.find(right) !== undefined;
    if (bindParameter(bindings, left, right)) return true;
    if (bound) return false;
  }
  if (left.kind === 'parameter') return bindParameter(bindings, right, left);
  if (isDynOrError(left) || isDynOrError(right)) return true;
  if (left.kind === 'null') return isNullable(right);
  if (right.kind === 'null') return isNullable(left);
  if (left.kind === 'type') return right.kind === 'type';
  if (left.kind !== right.kind || left.name !== right.name) return false;
  return assignAll(bindings, left.parameters, right.parameters);
}

/** Whether null can stand for it. */
function isNullable({ kind }: CelType): boolean {
  return ['null', 'opaque', 'struct', 'any', 'duration', 'timestamp'].includes(kind);
}

function bindParameter(bindings: Bindings, to: CelType, parameter: CelType): boolean {
  if (sameType(to, parameter)) return true;
  const bound = bindings.find(parameter);
  if (bound === undefined) {
    if (!isFree(bindings, parameter, to)) return false;
    bindings.bind(parameter, to);
    return true;
  }
  if (sameType(to, bound)) return true;
  if (!assignOne(bindings, to, bound)) return false;
  const general = mostGeneral(to, bound);
  if (isFree(bindings, parameter, general)) bindings.bind(parameter, general);
  return true;
}

/** Whether the parameter does not occur in the type, which would have no end. */
function isFree(bindings: Bindings, parameter: CelType, within: CelType): boolean {
  if (sameType(parameter, within)) return false;
  if (within.kind === 'parameter') {
    const bound = bindings.find(within);
    return bound === undefined || isFree(bindings, parameter, bound);
  }
  return within.parameters.every((one) => isFree(bindings, parameter, one));
}

export function mostGeneral(left: CelType, right: CelType): CelType {
  return isLessSpecific(left, right) ? left : right;
}

function isLessSpecific(left: CelType, right: CelType): boolean {
  if (isDyn(left) || left.kind === 'parameter') return true;
  if (isDyn(right) || right.kind === 'parameter' || left.kind !== right.kind) return false;
  if (left.kind === 'type') return true;
  if (left.name !== right.name || left.parameters.length !== right.parameters.length) return false;
  return left.parameters.every((one, index) =>
    isLessSpecific(one, right.parameters[index] ?? types.dyn),
  );
}

/** The type with its parameters replaced; those that stand for nothing become dyn at the end. */
export function substitute(bindings: Bindings, type: CelType, final: boolean): CelType {
  const bound = bindings.find(type);
  if (bound !== undefined) return substitute(bindings, bound, final);
  if (type.kind === 'parameter') return final ? types.dyn : type;
  if (type.parameters.length === 0) return type;
  const parameters = type.parameters.map((one) => substitute(bindings, one, final));
  return { ...type, parameters };
}
