/**
 * Schemas as the two editions of OpenAPI write them, from the catalog's definitions.
 *
 * `namedSchema` gives one definition and says which others it refers to; `collectSchemas` follows
 * these to the end. What a field means (`resources/openapi/explain-*.json`) and which words it
 * takes (`enums-v1.36.json`) is laid over the definitions here and kept nowhere else.
 * `openapi-contents.ts` calls it.
 */
import type { Definitions, Schema } from '#api/schema.ts';
import type { Explanations } from '#resources/explanations.ts';

export type SchemaDocument = Readonly<Record<string, unknown>>;

export interface SchemaWriter {
  readonly definitions: Definitions;
  readonly explanations: Explanations;
  readonly edition: 'v2' | 'v3';
}

/** Kind, group and version that a definition stands for. */
export interface KindMark {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
}

const quantity = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const fieldsV1 = 'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1';
const rawExtension = 'io.k8s.apimachinery.pkg.runtime.RawExtension';
const intOrString = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
/** Formats of ours that the published documents give a name. */
const namedFormats: Readonly<Record<string, string>> = {
  quantity,
  'int-or-string': intOrString,
};

/** Fields that hold anything, under the names by which the published documents call that. */
const namedOpaque: Readonly<Record<string, string>> = {
  'io.k8s.api.apps.v1.ControllerRevision.data': rawExtension,
  'io.k8s.api.resource.v1.AllocatedDeviceStatus.data': rawExtension,
  'io.k8s.api.resource.v1.OpaqueDeviceConfiguration.parameters': rawExtension,
  'io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry.fieldsV1': fieldsV1,
};

/** They are referred to, but are scalars for us. */
const scalars: Readonly<Record<'v2' | 'v3', Readonly<Record<string, SchemaDocument>>>> = {
  v2: {
    [fieldsV1]: { type: 'object' },
    [quantity]: { type: 'string' },
    [rawExtension]: { type: 'object' },
    [intOrString]: { type: 'string', format: 'int-or-string' },
  },
  v3: {
    [fieldsV1]: { type: 'object' },
    [rawExtension]: { type: 'object' },
    [quantity]: { oneOf: [{ type: 'string' }, { type: 'number' }] },
    [intOrString]: { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  },
};

/** Adds a definition and all that it refers to. What the catalog does not know is an object. */
export function collectSchemas(
  writer: SchemaWriter,
  name: string,
  into: Map<string, SchemaDocument>,
): void {
  const pending = [name];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (into.has(next)) continue;
    const scalar = scalars[writer.edition][next];
    if (scalar !== undefined) {
      into.set(next, explained(scalar, writer.explanations.of(next, '')));
      continue;
    }
    const schema = writer.definitions.get(next);
    if (schema === undefined) into.set(next, { type: 'object' });
    else
      into.set(
        next,
        namedSchema(writer, next, schema, (ref) => pending.push(ref)),
      );
  }
}

/** One definition; an alias of another one is written out, under its own name. */
export function namedSchema(
  writer: SchemaWriter,
  name: string,
  schema: Schema,
  refer: (name: string) => void,
): SchemaDocument {
  const { definitions, explanations } = writer;
  const { ref } = schema;
  const target = ref === undefined ? schema : (definitions.get(ref) ?? schema);
  // An older version of a kind has the texts of the one that it is shaped like.
  const names = ref === undefined ? [name] : [name, ref];
  const text = (field: string): string | undefined =>
    names.map((one) => explanations.of(one, field)).find((found) => found !== undefined);
  const words = (field: string): readonly string[] | undefined =>
    names.map((one) => explanations.enumOf(one, field)).find((found) => found !== undefined);
  const document = schemaDocument(writer, { ...target, fields: undefined }, refer);
  const { fields } = target;
  if (fields === undefined) return explained(document, text(''));
  const properties = Object.entries(fields).map(([field, value]) => {
    const shape = value.opaque === true ? withName(value, namedOpaque[`${name}.${field}`]) : value;
    const shown = withEnum(schemaDocument(writer, shape, refer), words(field));
    const standard = name.endsWith('List') ? 'list' : 'object';
    return [field, explained(shown, text(field) ?? explanations.common(standard, field))];
  });
  return explained(
    { ...document, type: 'object', properties: Object.fromEntries(properties) },
    text(''),
  );
}

/** A reference may have neighbours in v2 as Kubernetes writes it; v3 wraps it. */
function explained(document: SchemaDocument, text: string | undefined): SchemaDocument {
  return text === undefined ? document : { description: text, ...wrapped(document) };
}

function wrapped(document: SchemaDocument): SchemaDocument {
  const { $ref, ...rest } = document;
  if (typeof $ref !== 'string' || $ref.startsWith('#/definitions/')) return document;
  return { allOf: [{ $ref }], ...rest };
}

function withName(schema: Schema, ref: string | undefined): Schema {
  return ref === undefined ? schema : { ref };
}

function withEnum(document: SchemaDocument, words: readonly string[] | undefined): SchemaDocument {
  if (words === undefined) return document;
  // Parse boundary: `items` was written by `schemaDocument` below.
  const items = document['items'] as SchemaDocument | undefined;
  if (items !== undefined) return { ...document, items: { ...items, enum: words } };
  return { ...document, enum: words };
}

function schemaDocument(
  writer: SchemaWriter,
  schema: Schema,
  refer: (name: string) => void,
): SchemaDocument {
  const { type, format, fields, values, items, required } = schema;
  const ref = schema.ref ?? namedFormats[format ?? ''];
  if (ref !== undefined) {
    refer(ref);
    const root = writer.edition === 'v2' ? '#/definitions/' : '#/components/schemas/';
    const more = extensions(schema);
    const document = { $ref: root + ref, ...more };
    return Object.keys(more).length === 0 ? document : wrapped(document);
  }
  const nested = (one: Schema): SchemaDocument => schemaDocument(writer, one, refer);
  const properties = Object.entries(fields ?? {}).map(([name, field]) => [name, nested(field)]);
  return {
    ...(type === undefined ? (fields === undefined ? {} : { type: 'object' }) : { type }),
    ...(format === undefined ? {} : { format: format === 'micro-time' ? 'date-time' : format }),
    ...(fields === undefined ? {} : { properties: Object.fromEntries(properties) }),
    ...(values === undefined ? {} : { additionalProperties: nested(values) }),
    ...(items === undefined ? {} : { items: nested(items) }),
    ...(required === undefined || required.length === 0 ? {} : { required }),
    ...extensions(schema),
  };
}

function extensions(schema: Schema): Record<string, unknown> {
  const { opaque, listType, listMapKeys, mapType, patchMergeKey, patchStrategy } = schema;
  return {
    ...(opaque === true ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
    ...(listType === undefined ? {} : { 'x-kubernetes-list-type': listType }),
    ...(listMapKeys === undefined ? {} : { 'x-kubernetes-list-map-keys': listMapKeys }),
    ...(mapType === undefined ? {} : { 'x-kubernetes-map-type': mapType }),
    ...(patchMergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': patchMergeKey }),
    ...(patchStrategy === undefined ? {} : { 'x-kubernetes-patch-strategy': patchStrategy }),
  };
}
