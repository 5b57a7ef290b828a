/**
 * What the fields of the API mean, in our own short sentences, and the words that a field takes.
 *
 * Data beside the definitions: `openapi/explain-*.json` (definition → field → sentence; the empty
 * field is the definition itself) and `openapi/enums-v1.36.json` (definition → field → words). Read
 * when somebody asks for the published documents, never at start.
 */
import { readFileSync } from 'node:fs';

export interface Explanations {
  /** The sentence for a field of a definition, or for the definition (`''`). */
  of(definition: string, field: string): string | undefined;
  /** For fields that every object, or every list, has. */
  common(standard: 'object' | 'list', field: string): string | undefined;
  enumOf(definition: string, field: string): readonly string[] | undefined;
  /** Everything that is explained, as `definition.field`. */
  names(): readonly { readonly definition: string; readonly field: string }[];
}

type Texts = Readonly<Record<string, Readonly<Record<string, string>>>>;
type Enums = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

const files = ['explain-core.json', 'explain-groups.json'] as const;

const commonTexts = {
  object: {
    apiVersion: 'Group and version of the API that this object is written in.',
    kind: 'What sort of object this is, in CamelCase.',
    metadata: 'Name, labels, owners and the like: the same for objects of every kind.',
    spec: 'What is wanted.',
    status: 'What was seen last. Written by the system.',
  },
  list: {
    apiVersion: 'Group and version of the API that this list is written in.',
    items: 'The objects.',
    kind: 'What sort of list this is, in CamelCase.',
    metadata: 'At which revision the list was read, and how to go on with a long one.',
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>;

export function openExplanations(): Explanations {
  const texts = new Map<string, Readonly<Record<string, string>>>();
  for (const file of files) {
    // Our own files, checked by a test against the definitions.
    for (const [name, fields] of Object.entries(readJson(file) as Texts)) texts.set(name, fields);
  }
  const enums = new Map(Object.entries(readJson('enums-v1.36.json') as Enums));
  return {
    of: (definition, field) => own(texts.get(definition), field),
    common: (standard, field) => own(commonTexts[standard], field),
    enumOf: (definition, field) => own(enums.get(definition), field),
    names: () =>
      [...texts].flatMap(([definition, fields]) =>
        Object.keys(fields).map((field) => ({ definition, field })),
      ),
  };
}

function own<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(new URL(`./openapi/${file}`, import.meta.url), 'utf8'));
}
