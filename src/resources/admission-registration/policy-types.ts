/**
 * What the types of the kinds that a policy is about say of its expressions.
 *
 * When a policy is written its expressions may do with `object` what they like. Here they are
 * compiled once more for each kind that its rules name in full, with the fields of that kind; what
 * is wrong is only told, in the status, since one policy may mind several kinds. Called by the
 * controller that writes the status, place by place, so that nobody waits for long.
 *
 * Types follow upstream: quantities and free JSON are not exposed, counts that may be percentages
 * are anything, names that are words of the language are there in both spellings.
 *
 * Behaviour: kubernetes.io, "Validating Admission Policy", "Type checking".
 */
import type { Catalog } from '#api/catalog.ts';
import type { Schema } from '#api/schema.ts';
import { type CelType, compile, type Environment, parseType, structType } from '#cel';
import type {
  ParamKind,
  RuleWithOperations,
  ValidatingAdmissionPolicy,
} from '../types/admissionregistration-v1.ts';
import {
  admissionEnvironment,
  type Names,
  type ObjectTypes,
  reservedWords,
} from './admission-expression.ts';

export const limits = {
  /** Kinds that one rule is checked for. */
  kindsPerRule: 10,
} as const;

export interface TypeCheck {
  /** Where expressions are, as `spec.validations[0].expression`. */
  readonly places: readonly { readonly fieldRef: string; readonly expression: string }[];
  /** What is wrong, for each kind in turn, which takes a moment each; undefined: nothing. */
  check(expression: string): Iterable<string | undefined>;
}

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly definition: string;
}

export function openTypeCheck({ spec }: ValidatingAdmissionPolicy, catalog: Catalog): TypeCheck {
  const kinds = kindsOf(spec?.matchConstraints?.resourceRules ?? [], catalog);
  const environments = new Map<Kind, Environment>();
  const places = (spec?.validations ?? []).flatMap(({ expression, messageExpression }, index) => {
    const at = `spec.validations[${index}]`;
    const main = { fieldRef: `${at}.expression`, expression };
    if (!messageExpression) return [main];
    return [main, { fieldRef: `${at}.messageExpression`, expression: messageExpression }];
  });
  return {
    places: kinds.length === 0 ? [] : places,
    *check(expression) {
      for (const kind of kinds) {
        const known = environments.get(kind);
        const environment = known ?? environmentFor(kind, spec ?? {}, catalog);
        if (known === undefined) environments.set(kind, environment);
        const compiled = compile(expression, environment);
        yield compiled.ok ? undefined : `${nameOf(kind)}: ${compiled.error}\n`;
      }
    },
  };
}

function nameOf({ group, version, kind }: Kind): string {
  return `${group}/${version}, Kind=${kind}`;
}

/** The kinds that the rules name in full, without stars and sub-resources. */
function kindsOf(rules: readonly RuleWithOperations[], catalog: Catalog): readonly Kind[] {
  const found = new Map<string, Kind>();
  for (const { apiGroups = [], apiVersions = [], resources = [] } of rules) {
    if ([...apiGroups, ...apiVersions].some((name) => name.includes('*'))) continue;
    let count = 0;
    for (const group of apiGroups.toSorted()) {
      for (const version of apiVersions.toSorted()) {
        for (const resource of resources.toSorted()) {
          for (const kind of kindsFor({ group, version, resource }, catalog)) {
            found.set(nameOf(kind), kind);
            count += 1;
            if (count === limits.kindsPerRule) return sorted(found);
          }
        }
      }
    }
  }
  return sorted(found);
}

function sorted(found: ReadonlyMap<string, Kind>): readonly Kind[] {
  const key = ({ group, version, kind }: Kind): string => [group, version, kind].join('\0');
  return [...found.values()].toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** Without a group, of whichever group has such a resource in this version. */
function kindsFor(
  wanted: { readonly group: string; readonly version: string; readonly resource: string },
  catalog: Catalog,
): readonly Kind[] {
  if (/[*/]/.test(wanted.resource)) return [];
  return [...catalog.resources].flatMap(({ plural, singular, kind, views }) => {
    if (wanted.resource !== plural && wanted.resource !== singular) return [];
    return views
      .filter((view) => view.version === wanted.version && catalog.serves(view))
      .filter((view) => wanted.group === '' || view.group === wanted.group)
      .map(({ group, version, definition }) => ({ group, version, kind, definition }));
  });
}

/** Variables have the types of their expressions; one that is wrong may be anything. */
function environmentFor(
  kind: Kind,
  { paramKind, variables = [] }: NonNullable<ValidatingAdmissionPolicy['spec']>,
  catalog: Catalog,
): Environment {
  const structs: Record<string, Record<string, CelType>> = {};
  const types: ObjectTypes = {
    object: declare(kind.definition, kind.kind, { catalog, structs }),
    params: paramKind && paramsType(paramKind, { catalog, structs }),
    structs,
  };
  const known = new Map<string, CelType>();
  const names: Names = { params: paramKind !== undefined, authorizer: true, variables: known };
  for (const { name, expression } of variables) {
    const compiled = compile(expression, admissionEnvironment(names, types));
    known.set(name, compiled.ok ? compiled.program.type : parseType('dyn'));
  }
  return admissionEnvironment(names, types);
}

interface Place {
  readonly catalog: Catalog;
  /** Filled on the way. */
  readonly structs: Record<string, Record<string, CelType>>;
}

/** Of a kind that is not served nothing is known. */
function paramsType({ apiVersion = '', kind = '' }: ParamKind, place: Place): CelType | undefined {
  for (const resource of place.catalog.resources) {
    if (resource.kind !== kind) continue;
    for (const { group, version, definition } of resource.views) {
      const own = group === '' ? version : `${group}/${version}`;
      if (own === apiVersion) return declare(definition, `params.${kind}`, place);
    }
  }
  return undefined;
}

function declare(definition: string, name: string, place: Place): CelType | undefined {
  return typeOf({ ref: definition }, name, { ...place, open: new Set() });
}

interface Walk extends Place {
  /** Definitions around this one: those that hold themselves are cut there. */
  readonly open: ReadonlySet<string>;
}

/** `name` is the path from the kind on, which messages show. Undefined: not exposed. */
function typeOf(schema: Schema, name: string, walk: Walk): CelType | undefined {
  const { ref } = schema;
  if (ref !== undefined) {
    const found = walk.open.has(ref) ? undefined : walk.catalog.get(ref);
    if (found === undefined) return undefined;
    return typeOf(found, name, { ...walk, open: new Set([...walk.open, ref]) });
  }
  if (schema.format === 'int-or-string') return parseType('dyn');
  if (schema.format === 'quantity') return undefined;
  switch (schema.type) {
    case 'array': {
      const items = schema.items && typeOf(schema.items, `${name}.@idx`, walk);
      return items && { kind: 'list', name: 'list', parameters: [items] };
    }
    case 'object':
      return objectType(schema, name, walk);
    case 'string':
      return stringType(schema.format);
    case 'boolean':
      return parseType('bool');
    case 'integer':
      return parseType('int');
    case 'number':
      return parseType('double');
    case undefined:
      return undefined;
    default:
      return schema.type satisfies never;
  }
}

function stringType(format: string | undefined): CelType {
  if (format === 'byte') return parseType('bytes');
  if (format === 'date-time' || format === 'micro-time') return parseType('timestamp');
  return parseType('string');
}

function objectType(schema: Schema, name: string, walk: Walk): CelType | undefined {
  if (schema.values !== undefined) {
    const values = typeOf(schema.values, `${name}.@elem`, walk);
    return values && { kind: 'map', name: 'map', parameters: [parseType('string'), values] };
  }
  const fields: Record<string, CelType> = {};
  for (const [field, inner] of Object.entries(schema.fields ?? {})) {
    const type = typeOf(inner, `${name}.${field}`, walk);
    if (type === undefined) continue;
    for (const spelling of spellingsOf(field)) fields[spelling] = type;
  }
  walk.structs[name] = fields;
  return structType(name);
}

function spellingsOf(field: string): readonly string[] {
  if (reservedWords.has(field)) return [field, `__${field}__`];
  if (!/^[A-Za-z_][\w./-]*$/.test(field)) return [];
  const escaped = field
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
  return [escaped];
}
