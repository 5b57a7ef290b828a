/**
 * Expressions that choose devices, as claims and classes hold them:
 * `device.driver == "gpu.example.com" && device.attributes["gpu.example.com"].model == "a100"`.
 *
 * What they may name is the device: its driver, its attributes and capacities by domain and name
 * (a domain that the device lacks is an empty map), and whether several claims may share it. They
 * are compiled when they are written, where everything wrong with them is told, and again when the
 * scheduler uses them; compiled ones are kept.
 *
 * Behaviour: kubernetes.io, "Dynamic Resource Allocation"; upstream's cost limit and messages.
 */
import {
  CelError,
  CelMap,
  type CelValue,
  compile,
  type Environment,
  equal,
  isList,
  type Library,
  MapValue,
  openEnvironment,
  type Program,
  parseSemver,
  parseType,
  quantityValue,
  structType,
  typeName,
  typeText,
} from '#cel';
import type { Device, DeviceAttribute } from '../types/resource-v1.ts';

export const deviceExpressionLimits = {
  /** Cost of one evaluation; an expression that could cost more is not stored. */
  costMax: 1_000_000,
  /** Bytes of an expression. */
  bytesMax: 10 * 1024,
  /** Compiled expressions that are kept. */
  keptMax: 1_024,
} as const;

export type CompiledDeviceExpression =
  | { readonly ok: true; readonly costMax: bigint; matches(device: CelValue): Matched }
  | { readonly ok: false; readonly error: string };

/** Whether a device is meant, or why that cannot be told. */
export type Matched = boolean | { readonly error: string };

/** Compiling has no effect but its result: the same expressions come again and again. */
const kept = new Map<string, CompiledDeviceExpression>();

/** `stored`: what was written once may name what new expressions may not name yet. */
export function compileDeviceExpression(
  expression: string,
  { stored }: { readonly stored: boolean },
): CompiledDeviceExpression {
  const key = `${stored}${expression}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  const compiled = compileNew(expression, stored);
  if (kept.size >= deviceExpressionLimits.keptMax) kept.clear();
  kept.set(key, compiled);
  return compiled;
}

function compileNew(expression: string, stored: boolean): CompiledDeviceExpression {
  const compiled = compile(expression, openDeviceEnvironment(stored));
  if (!compiled.ok) {
    const stage = compiled.at === 'compile' ? 'compilation' : 'program instantiation';
    return { ok: false, error: `${stage} failed: ${compiled.error}` };
  }
  const { program } = compiled;
  if (program.type.kind !== 'bool' && program.type.kind !== 'any') {
    const type = typeText(program.type);
    return { ok: false, error: `must evaluate to bool or the unknown type, not ${type}` };
  }
  return {
    ok: true,
    costMax: program.costMax,
    matches: (device) => evaluate(program, device),
  };
}

/** Elements that `includes` looks at. */
const includedMax = 48;

/** For attributes with several values, which are not on yet. */
const includes: Library = {
  'dra_includes_dyn_dyn: dyn::includes(dyn) -> bool': (value: CelValue, wanted: CelValue) => {
    if (!isList(value)) return equal(value, wanted);
    const found = value.slice(0, includedMax).some((one) => equal(one, wanted));
    if (found || value.length <= includedMax) return found;
    const said = "'includes' function cannot be applied to lists longer than";
    throw new CelError(`${said} ${includedMax} values`);
  },
};

function openDeviceEnvironment(stored: boolean): Environment {
  return openEnvironment({
    variables: { device: structType('kubernetes.DRADevice') },
    structs: {
      'kubernetes.DRADevice': {
        driver: parseType('string'),
        allowMultipleAllocations: parseType('bool'),
        attributes: parseType('map(string, map(string, any))'),
        capacity: parseType('map(string, map(string, quantity))'),
      },
    },
    sizeMax,
    ...(stored ? { library: includes } : {}),
    bindings: true,
  });
}

function evaluate(program: Program, device: CelValue): Matched {
  const { costMax } = deviceExpressionLimits;
  const evaluated = program.evaluate({ device }, { costMax });
  if (!evaluated.ok) return { error: evaluated.error };
  if (typeof evaluated.value === 'boolean') return evaluated.value;
  const said = 'could not be converted to bool: unsupported native conversion';
  const type = typeName(evaluated.value);
  return { error: `CEL result of type ${type} ${said} from ${type} to 'bool'` };
}

/** Lengths that validation allows: domains, names, attributes of a device, texts. */
const sizes = { domain: 63n, id: 32n, entries: 32n, text: 64n } as const;

/** What lies at `device.attributes["domain"].name` and on the way there. */
function sizeMax([root, field, domain, name, ...more]: readonly string[]): bigint | undefined {
  if (root !== 'device' || more.length > 0) return undefined;
  if (field === 'driver') return domain === undefined ? sizes.domain : undefined;
  if (field === 'allowMultipleAllocations') return domain === undefined ? 1n : undefined;
  if (field !== 'attributes' && field !== 'capacity') return undefined;
  if (domain === undefined) return sizes.entries;
  if (domain === '@keys') return name === undefined ? sizes.domain : undefined;
  if (domain !== '@values' && domain !== '@items') return undefined;
  if (name === undefined) return sizes.entries;
  if (name === '@keys') return sizes.id;
  return field === 'attributes' ? sizes.text : undefined;
}

/** A device as expressions see it. Throws `CelError` where an attribute has no value. */
export function deviceValue(driver: string, device: Device): CelValue {
  const { attributes = {}, capacity = {} } = device;
  return new CelMap([
    ['driver', driver],
    ['allowMultipleAllocations', device.allowMultipleAllocations === true],
    ['attributes', new Domains(driver, attributes, attributeValue)],
    ['capacity', new Domains(driver, capacity, ({ value }) => quantityValue(value))],
  ]);
}

const empty = new CelMap();

/** Domain → name → value; names without a domain belong to the driver's. */
class Domains<T> extends MapValue {
  readonly #domains: CelMap;

  constructor(
    driver: string,
    values: Readonly<Record<string, T>>,
    convert: (value: T, name: string) => CelValue,
  ) {
    super();
    const domains = new Map<string, CelMap>();
    for (const [name, value] of Object.entries(values)) {
      const slash = name.indexOf('/');
      const domain = slash < 0 ? driver : name.slice(0, slash);
      const of = domains.get(domain) ?? new CelMap();
      of.put(name.slice(slash + 1), convert(value, name));
      domains.set(domain, of);
    }
    this.#domains = new CelMap(domains);
  }

  get size(): number {
    return this.#domains.size;
  }

  get(key: CelValue): CelValue {
    return this.#domains.get(key) ?? empty;
  }

  keys(): Iterable<CelValue> {
    return this.#domains.keys();
  }
}

function attributeValue(attribute: DeviceAttribute, name: string): CelValue {
  const { string: text, bool, int, version } = attribute;
  if (int !== undefined) return BigInt(int);
  if (version !== undefined) return parseSemver(version);
  const value = bool ?? text;
  if (value === undefined) throw new CelError(`attribute ${name}: unsupported attribute value`);
  return value;
}
