/**
 * OpenAPI v3 in protobuf: the JSON of `openapi-v3.ts`, piece by piece, in the message format that
 * upstream serves beside it (openapiv3.Document of gnostic).
 *
 * A schema is either written out or a reference; references of ours never have neighbours, since
 * the JSON wraps those in `allOf`.
 */
import type { Writer } from '#kit/protobuf-wire.ts';
import {
  block,
  entriesOf,
  extensions,
  flag,
  type Json,
  type JsonObject,
  listOf,
  message,
  named,
  objectOf,
  text,
  texts,
  yaml,
} from './openapi-messages.ts';

/** Field numbers of the document. */
const openapi = 1;
const info = 2;
const paths = 4;
const components = 5;

export function encodeHead(facts: { readonly title: string; readonly version: string }) {
  return message((writer) => {
    text(writer, openapi, '3.0.0');
    block(writer, info, () => {
      text(writer, 1, facts.title);
      text(writer, 6, facts.version);
    });
  });
}

/** Blocks of one field may come in any number: readers put their entries together. */
export function encodePath(path: string, document: object): Uint8Array {
  return message((writer) => {
    block(writer, paths, () => {
      named(writer, 1, path, () => pathItem(writer, entriesOf(document)));
    });
  });
}

export function encodeSchema(name: string, schema: object): Uint8Array {
  return message((writer) => {
    block(writer, components, () => {
      block(writer, 1, () => {
        named(writer, 1, name, () => schemaOrReference(writer, schema));
      });
    });
  });
}

export function encodeSecuritySchemes(schemes: object): Uint8Array {
  return message((writer) => {
    block(writer, components, () => {
      block(writer, 7, () => {
        for (const [name, value] of entriesOf(schemes)) {
          const facts = objectOf(value);
          named(writer, 1, name, () => {
            block(writer, 1, () => {
              text(writer, 1, facts['type']);
              text(writer, 3, facts['name']);
              text(writer, 4, facts['in']);
            });
          });
        }
      });
    });
  });
}

const methodNumbers: Readonly<Record<string, number>> = {
  get: 4,
  put: 5,
  post: 6,
  delete: 7,
  patch: 10,
};

function pathItem(writer: Writer, entries: readonly (readonly [string, Json])[]): void {
  for (const [name, value] of entries) {
    const number = methodNumbers[name];
    if (number !== undefined) block(writer, number, () => operation(writer, objectOf(value)));
    if (name === 'parameters') parameters(writer, 13, value);
  }
}

function operation(writer: Writer, facts: JsonObject): void {
  texts(writer, 1, facts['tags']);
  text(writer, 5, facts['operationId']);
  parameters(writer, 6, facts['parameters']);
  const { requestBody } = facts;
  if (requestBody !== undefined) {
    const { content, required } = objectOf(requestBody);
    block(writer, 7, () => {
      block(writer, 1, () => {
        mediaTypes(writer, 2, content);
        flag(writer, 3, required);
      });
    });
  }
  block(writer, 8, () => {
    for (const [code, response] of entriesOf(facts['responses'])) {
      const { description, content } = objectOf(response);
      named(writer, 2, code, () => {
        block(writer, 1, () => {
          text(writer, 1, description);
          mediaTypes(writer, 3, content);
        });
      });
    }
  });
  extensions(writer, 13, facts);
}

function mediaTypes(writer: Writer, number: number, content: Json): void {
  if (content === undefined) return;
  block(writer, number, () => {
    for (const [type, media] of entriesOf(content)) {
      const { schema } = objectOf(media);
      named(writer, 1, type, () => block(writer, 1, () => schemaOrReference(writer, schema)));
    }
  });
}

function parameters(writer: Writer, number: number, list: Json): void {
  for (const parameter of listOf(list)) {
    const { name, in: place, required, schema } = objectOf(parameter);
    block(writer, number, () => {
      block(writer, 1, () => {
        text(writer, 1, name);
        text(writer, 2, place);
        flag(writer, 4, required);
        block(writer, 10, () => schemaOrReference(writer, schema));
      });
    });
  }
}

function schemaOrReference(writer: Writer, value: Json): void {
  const schema = objectOf(value);
  const { $ref } = schema;
  if ($ref === undefined) block(writer, 1, () => schemaMessage(writer, schema));
  else block(writer, 2, () => text(writer, 1, $ref));
}

function schemaMessage(writer: Writer, schema: JsonObject): void {
  flag(writer, 20, schema['uniqueItems']);
  texts(writer, 23, schema['required']);
  for (const word of listOf(schema['enum'])) block(writer, 24, () => text(writer, 2, yaml(word)));
  text(writer, 25, schema['type']);
  for (const one of listOf(schema['allOf']))
    block(writer, 26, () => schemaOrReference(writer, one));
  for (const one of listOf(schema['oneOf']))
    block(writer, 27, () => schemaOrReference(writer, one));
  const { items, properties, additionalProperties } = schema;
  if (items !== undefined) {
    block(writer, 30, () => block(writer, 1, () => schemaOrReference(writer, items)));
  }
  if (properties !== undefined) {
    block(writer, 31, () => {
      for (const [name, value] of entriesOf(properties)) {
        named(writer, 1, name, () => schemaOrReference(writer, value));
      }
    });
  }
  if (additionalProperties !== undefined) {
    block(writer, 32, () =>
      block(writer, 1, () => schemaOrReference(writer, additionalProperties)),
    );
  }
  text(writer, 34, schema['description']);
  text(writer, 35, schema['format']);
  extensions(writer, 36, schema);
}
