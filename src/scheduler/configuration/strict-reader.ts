/**
 * Reads a configuration file strictly: a field that nobody knows, or a value of the wrong type, is
 * an error that names the field, in upstream's words.
 *
 * A shape says which fields there are. Used by `configuration.ts`, `plugin-args.ts` and
 * `policy.ts`; what comes out has these fields and types and nothing else.
 */

/** A configuration that cannot be used. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

export type Shape =
  | 'string'
  | 'integer'
  | 'boolean'
  | 'any'
  | { readonly list: Shape }
  | { readonly fields: Readonly<Record<string, Shape>> };

export type Value = string | number | boolean | null | readonly Value[] | Values;

export interface Values {
  readonly [name: string]: Value | undefined;
}

/** Throws with all unknown fields at once, or with the first wrong type. */
export function checkShape(value: unknown, shape: Shape, kind: string): Values {
  const unknown: string[] = [];
  visit(value, shape, { path: '', kind, unknown });
  if (unknown.length > 0) {
    const fields = unknown.map((path) => `unknown field "${path}"`).join(', ');
    throw new ConfigurationError(`strict decoding error: ${fields}`);
  }
  // The visit has found an object of this shape.
  return value as Values;
}

interface Visit {
  readonly path: string;
  readonly kind: string;
  readonly unknown: string[];
}

function visit(value: unknown, shape: Shape, at: Visit): void {
  if (value === null || value === undefined || shape === 'any') return;
  if (typeof shape === 'string') {
    const type = shape === 'integer' ? 'number' : shape;
    if (typeof value !== type || (shape === 'integer' && !Number.isInteger(value))) {
      throw wrongType(value, shape === 'integer' ? 'int32' : shape, at);
    }
  } else if ('list' in shape) {
    if (!Array.isArray(value)) throw wrongType(value, 'list', at);
    for (const [index, item] of value.entries()) {
      visit(item, shape.list, { ...at, path: `${at.path}[${index}]` });
    }
  } else {
    if (typeof value !== 'object' || Array.isArray(value)) throw wrongType(value, 'struct', at);
    for (const [name, inner] of Object.entries(value)) {
      const path = at.path === '' ? name : `${at.path}.${name}`;
      const known = shape.fields[name];
      if (known === undefined) at.unknown.push(path);
      else visit(inner, known, { ...at, path });
    }
  }
}

function wrongType(value: unknown, wanted: string, { path, kind }: Visit): ConfigurationError {
  const given = Array.isArray(value) ? 'array' : typeof value;
  return new ConfigurationError(
    `json: cannot unmarshal ${given} into Go struct field ${kind}.${path} of type ${wanted}`,
  );
}

export function text(values: Values | undefined, name: string): string | undefined {
  const value = values?.[name];
  return typeof value === 'string' ? value : undefined;
}

export function integer(values: Values | undefined, name: string): number | undefined {
  const value = values?.[name];
  return typeof value === 'number' ? value : undefined;
}

export function flag(values: Values | undefined, name: string): boolean | undefined {
  const value = values?.[name];
  return typeof value === 'boolean' ? value : undefined;
}

export function part(values: Values | undefined, name: string): Values | undefined {
  const value = values?.[name];
  return isValues(value) ? value : undefined;
}

export function parts(values: Values | undefined, name: string): readonly Values[] {
  const value = values?.[name];
  return Array.isArray(value) ? (value as readonly Value[]).filter(isValues) : [];
}

export function texts(values: Values | undefined, name: string): readonly string[] {
  const value = values?.[name];
  if (!Array.isArray(value)) return [];
  return (value as readonly Value[]).filter((one): one is string => typeof one === 'string');
}

function isValues(value: Value | undefined): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
