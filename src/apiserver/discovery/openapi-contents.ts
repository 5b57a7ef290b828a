/**
 * What a group version puts into the published documents: the operations on its kinds and reviews,
 * and the schemas of these with all that they refer to.
 *
 * A list has its definition by convention (`…PodList`); where none is published, as of custom
 * resources, it is written here.
 */
import type { Schema } from '#api/schema.ts';
import type { GroupVersionKinds } from './discovery.ts';
import {
  definitionOf,
  listDefinition,
  type Operation,
  operationsOf,
  reviewOperation,
} from './openapi-operations.ts';
import {
  collectSchemas,
  type KindMark,
  namedSchema,
  type SchemaDocument,
  type SchemaWriter,
} from './openapi-schemas.ts';

const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';

export function operationsIn({ kinds, reviews }: GroupVersionKinds): readonly Operation[] {
  return [
    ...kinds.flatMap(({ resource, view }) => operationsOf(resource, view)),
    ...reviews.map(reviewOperation),
  ];
}

export function schemasIn(
  writer: SchemaWriter,
  group: GroupVersionKinds,
  into: Map<string, SchemaDocument>,
): void {
  for (const { resource, view } of group.kinds) {
    const mark = { group: view.group, kind: resource.kind, version: view.version };
    addKind(writer, { name: view.definition, schema: view.schema, mark }, into);
    const name = listDefinition(view);
    const schema = writer.definitions.get(name) ?? listSchema(view.definition);
    addKind(writer, { name, schema, mark: { ...mark, kind: `${resource.kind}List` } }, into);
  }
  for (const { body, answer, mark } of operationsIn(group)) {
    for (const name of [body, answer]) {
      if (name === undefined || into.has(name)) continue;
      collectSchemas(writer, name, into);
      const shown = into.get(name);
      if (shown !== undefined) into.set(name, marked(shown, markOf(name, mark)));
    }
  }
}

interface KindSchema {
  readonly name: string;
  readonly schema: Schema;
  readonly mark: KindMark;
}

function addKind(
  writer: SchemaWriter,
  { name, schema, mark }: KindSchema,
  into: Map<string, SchemaDocument>,
): void {
  if (into.has(name) && into.get(name)?.[markName] !== undefined) return;
  const refs: string[] = [];
  into.set(
    name,
    marked(
      namedSchema(writer, name, schema, (ref) => refs.push(ref)),
      mark,
    ),
  );
  for (const ref of refs) collectSchemas(writer, ref, into);
}

/** Bodies and answers that are kinds of their own, though nothing of them is stored. */
function markOf(name: string, mark: KindMark): KindMark | undefined {
  if (name === `${meta}.DeleteOptions`) return { group: '', kind: 'DeleteOptions', version: 'v1' };
  if (name === `${meta}.Status`) return { group: '', kind: 'Status', version: 'v1' };
  return name === definitionOf(mark) ? mark : undefined;
}

const markName = 'x-kubernetes-group-version-kind';

function marked(schema: SchemaDocument, mark: KindMark | undefined): SchemaDocument {
  return mark === undefined ? schema : { ...schema, [markName]: [mark] };
}

function listSchema(item: string): Schema {
  return {
    type: 'object',
    fields: {
      apiVersion: { type: 'string' },
      items: { type: 'array', items: { ref: item } },
      kind: { type: 'string' },
      metadata: { ref: `${meta}.ListMeta` },
    },
    required: ['items'],
  };
}
